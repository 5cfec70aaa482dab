package httpmw_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Whatever numbers a limiter comes up with, what goes out are small integers
// that are not negative, and a wait that is neither 0 nor more than the time
// that a Decision can hold.
func TestCheck_07_09_absurd_numbers(t *testing.T) {
	t.Parallel()
	const year, most = 366 * 24 * time.Hour, time.Duration(math.MaxInt64)
	for _, row := range []struct {
		why     string
		d       bucket.Decision
		status  int
		policy  string
		rate    string
		retry   string
		allowed bool
	}{
		{"one token a year", bucket.Decision{Limit: bucket.Limit{Quota: 1, Window: year}, RetryAfter: year}, 429,
			`"a";q=1;w=31622400`, `"a";r=0;t=31622400`, "31622400", false},
		{"a wait of a nanosecond", bucket.Decision{Limit: bucket.PerSecond(1), RetryAfter: 1}, 429,
			`"a";q=1;w=1`, `"a";r=0;t=1`, "1", false},
		{"the longest wait that ends", bucket.Decision{Limit: bucket.PerSecond(1), RetryAfter: most - 1}, 429,
			`"a";q=1;w=1`, `"a";r=0;t=9223372037`, "9223372037", false},
		{"a wait that does not end", bucket.Decision{Limit: bucket.PerSecond(1), RetryAfter: bucket.Never}, 429,
			`"a";q=1;w=1`, `"a";r=0`, "", false},
		{"the largest limit", bucket.Decision{Limit: bucket.Limit{Quota: math.MaxInt32, Window: year, Burst: math.MaxInt32}, Remaining: math.MaxInt32}, 200,
			`"a";q=2147483647;w=31622400`, `"a";r=2147483647;t=31622400`, "", true},
		{"the fastest", bucket.Decision{Limit: bucket.Limit{Quota: 1, Window: 1, Burst: 1}, Remaining: 1}, 200,
			`"a";q=1;w=1`, `"a";r=1;t=1`, "", true},
		{"a third of a nanosecond more than a second", bucket.Decision{Limit: bucket.Limit{Quota: 3, Window: 3*second + 1, Burst: 3}, Remaining: 1}, 200,
			`"a";q=3;w=4`, `"a";r=1;t=2`, "", true},
		{"a window of 292 years", bucket.Decision{Limit: bucket.Limit{Quota: 1, Window: most}, Remaining: 1}, 200,
			`"a";q=1;w=9223372037`, `"a";r=1;t=9223372037`, "", true},
		{"more left than the quota", bucket.Decision{Limit: bucket.PerSecond(5), Remaining: math.MaxInt}, 200,
			`"a";q=5;w=1`, `"a";r=5;t=1`, "", true},
		{"less than nothing left", bucket.Decision{Limit: bucket.PerSecond(5), Remaining: math.MinInt}, 200,
			`"a";q=5;w=1`, `"a";r=0;t=1`, "", true},
		{"less than no reset", bucket.Decision{Limit: bucket.PerSecond(5), ResetAfter: math.MinInt64}, 200,
			`"a";q=5;w=1`, `"a";r=0;t=1`, "", true},
		{"a burst below 0", bucket.Decision{Limit: bucket.Limit{Quota: 5, Window: second, Burst: math.MinInt}, ResetAfter: second}, 200,
			`"a";q=5;w=1`, `"a";r=0;t=1`, "", true},
		{"a wait below 0 is none", bucket.Decision{Limit: bucket.PerSecond(5), RetryAfter: math.MinInt64}, 200,
			`"a";q=5;w=1`, `"a";r=0;t=1`, "", true},
		{"no quota", bucket.Decision{Limit: bucket.Limit{Window: second}}, 200, "", "", "", true},
		{"less than no quota", bucket.Decision{Limit: bucket.Limit{Quota: math.MinInt, Window: second}}, 200, "", "", "", true},
		{"less than no window", bucket.Decision{Limit: bucket.Limit{Quota: 1, Window: math.MinInt64}}, 200, "", "", "", true},
	} {
		row.d.Allowed = row.allowed
		s := limit(t, scripted{names: []string{"a"}, allowed: row.allowed, decisions: []bucket.Decision{row.d}}, httpmw.Config{})
		want(t, get(t, s), row.status, "RateLimit-Policy", row.policy, "RateLimit", row.rate, "Retry-After", row.retry)
		for name, set := range map[string]httpmw.FieldSet{
			"RateLimit": httpmw.Draft7, "RateLimit-Limit": httpmw.Draft6, "X-RateLimit-Limit": httpmw.XRateLimit,
		} {
			s = limit(t, scripted{names: []string{"a"}, allowed: row.allowed, decisions: []bucket.Decision{row.d}}, httpmw.Config{Fields: set})
			w := ask(t, s)
			want(t, w, row.status, "Retry-After", row.retry)
			if (w.Header().Get(name) == "") != (row.policy == "") {
				t.Errorf("%s: %v: header %v", row.why, set, w.Header())
			}
			for _, name := range allFields {
				if v := w.Header().Get(name); strings.Contains(v, "-") {
					t.Errorf("%s: %s: %q", row.why, name, v)
				}
			}
		}
		if t.Failed() {
			t.Fatal(row.why)
		}
	}
}

// More digits than an Integer of RFC 9651 has are no Integer.
func TestCheck_09_fifteen_digits(t *testing.T) {
	t.Parallel()
	if math.MaxInt == math.MaxInt32 {
		t.Skip("an int has at most ten digits here")
	}
	huge := math.MaxInt // not a constant on 32 bits
	d := bucket.Decision{Allowed: true, Limit: bucket.Limit{Quota: huge, Window: second}, Remaining: huge}
	s := limit(t, scripted{names: []string{"a"}, allowed: true, decisions: []bucket.Decision{d}}, httpmw.Config{})
	want(t, get(t, s), 200, "RateLimit-Policy", `"a";q=999999999999999;w=1`, "RateLimit", `"a";r=999999999999999;t=1`)
}

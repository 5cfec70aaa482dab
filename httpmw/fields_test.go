package httpmw_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// A dry run counts, and no client can tell that it is there.
func TestDryRun(t *testing.T) {
	t.Parallel()
	dry := policy{name: "dry", limit: bucket.PerDay(1), dryRun: true}
	wet := policy{name: "real", limit: bucket.PerMinute(2)}

	s := limit(t, newPerKey(dry, wet), httpmw.Config{})
	for _, code := range []int{200, 200, 429} {
		w := get(t, s)
		want(t, w, code, "RateLimit-Policy", `"real";q=2;w=60`)
		if got := w.Header().Get("RateLimit") + w.Body.String(); strings.Contains(got, "dry") {
			t.Errorf("the dry run shows in %q", got)
		}
		if code == 429 {
			want(t, w, 429, "Retry-After", "30") // not a day
			wantViolated(t, w, "real")
		}
	}

	alone := limit(t, newPerKey(dry), httpmw.Config{})
	for range 3 {
		want(t, get(t, alone), 200, "RateLimit", "", "RateLimit-Policy", "")
	}
}

// A key that has no limit has none to show.
func TestNoLimit(t *testing.T) {
	t.Parallel()
	limits := []bucket.Decision{{Allowed: true}, {Allowed: true, Limit: bucket.PerSecond(5), Remaining: 4}}
	s := limit(t, scripted{names: []string{"none", "some"}, decisions: limits, allowed: true}, httpmw.Config{})
	want(t, get(t, s), 200, "RateLimit", `"some";r=4;t=1`, "RateLimit-Policy", `"some";q=5;w=1`)

	s = limit(t, scripted{names: []string{"none"}, decisions: []bucket.Decision{{RetryAfter: bucket.Never}}}, httpmw.Config{})
	w := get(t, s)
	want(t, w, 429, "RateLimit", "", "RateLimit-Policy", "", "Retry-After", "")
	wantViolated(t, w, "none")
}

// A limiter of somebody else may have limits that are not normalized, or
// numbers that do not fit together: they are told as well as can be.
func TestLimitsThatAreNotNormalized(t *testing.T) {
	t.Parallel()
	const year = 366 * 24 * time.Hour
	for _, row := range []struct {
		why   string
		limit bucket.Limit
		reset time.Duration
		t     string
	}{
		{"no burst is that of the quota", bucket.Limit{Quota: 2, Window: 10 * second}, 8 * second, "3"}, // 5 s refill the other token
		{"full before the last token", bucket.Limit{Quota: 2, Window: 10 * second, Burst: 2}, second, "1"},
		{"a refill of more than 64 bits", bucket.Limit{Quota: 1, Window: year, Burst: 1<<31 - 1}, second, "1"},
		{"a refill of more than 63 bits", bucket.Limit{Quota: 4_000_000, Window: year, Burst: 1<<31 - 1}, second, "1"},
		{"a reset in the past", bucket.Limit{Quota: 1, Window: second, Burst: 1}, -second, "1"},
	} {
		l := scripted{names: []string{"a"}, allowed: true, decisions: []bucket.Decision{
			{Allowed: true, Limit: row.limit, ResetAfter: row.reset},
		}}
		if got := get(t, limit(t, l, httpmw.Config{})).Header().Get("RateLimit"); got != `"a";r=0;t=`+row.t {
			t.Errorf("%s: %s, want t=%s", row.why, got, row.t)
		}
	}
}

// costs is a limiter that keeps what it was asked for.
type costs struct {
	scripted
	n []int
}

func (l *costs) DecideEach(into []bucket.Decision, costs []int, keys ...string) bool {
	l.n = append(l.n, costs...)
	return l.scripted.DecideEach(into, costs, keys...)
}

// A negative cost never gets to the limiter: it might be a refund there.
func TestCost(t *testing.T) {
	t.Parallel()
	l := &costs{scripted: stubAllowed}
	cost := func(r *http.Request) int { return int(r.ContentLength) } // −1: not known
	s := limit(t, l, httpmw.Config{Cost: cost})
	for _, length := range []int64{-1, 0, 7} {
		get(t, s, func(r *http.Request) { r.ContentLength = length })
	}
	get(t, limit(t, l, httpmw.Config{}))
	if !slices.Equal(l.n, []int{0, 0, 7, 1}) {
		t.Errorf("costs %v", l.n)
	}
}

// Limits may differ from client to client, and each is told its own.
func TestTiers(t *testing.T) {
	t.Parallel()
	decisions := make([]bucket.Decision, 2)
	s := limit(t, scripted{names: []string{"a", "b"}, decisions: decisions, allowed: true}, httpmw.Config{})
	for range 2 { // the second round comes upon what the first has left
		for quota := 1; quota <= 1000; quota++ { // many more than are kept
			decisions[0] = bucket.Decision{Allowed: true, Limit: bucket.PerSecond(quota), Remaining: quota}
			decisions[1] = bucket.Decision{Allowed: true, Limit: bucket.PerMinute(1001 - quota), Remaining: 1}
			want(t, get(t, s), 200, "RateLimit-Policy", fmt.Sprintf(`"a";q=%d;w=1, "b";q=%d;w=60`, quota, 1001-quota))
		}
	}
}

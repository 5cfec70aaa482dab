package weirtest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/weirtest"
)

// What is as it should be is not complained of.
func TestAssertLimited_right(t *testing.T) {
	t.Parallel()
	trusting, err := httpmw.NewClientIP(64, netip.MustParsePrefix("10.0.0.0/8"))
	if err != nil {
		t.Fatal(err)
	}
	answers := func(status int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	for name, test := range map[string]struct {
		limit bucket.Limit
		cfg   httpmw.Config
		inner http.Handler
		want  weirtest.Want // but for the limit
	}{
		"one":                         {limit: bucket.PerSecond(1)},
		"one a day":                   {limit: bucket.PerDay(1)},
		"less than one a day":         {limit: bucket.Limit{Quota: 1, Window: 366 * 24 * time.Hour}},
		"many":                        {limit: bucket.PerSecond(10_000)},
		"tokens between nanoseconds":  {limit: bucket.Limit{Quota: 7, Window: time.Second}},
		"tokens between seconds":      {limit: bucket.Limit{Quota: 7, Window: time.Minute}},
		"49 times a 49th, in floats":  {limit: bucket.Limit{Quota: 1, Window: 49 * time.Second, Burst: 2}},
		"a burst below the quota":     {limit: bucket.Limit{Quota: 100, Window: time.Minute, Burst: 3}},
		"a burst above the quota":     {limit: bucket.Limit{Quota: 1, Window: time.Minute, Burst: 300}},
		"79: jitter":                  {limit: bucket.PerHour(7), cfg: httpmw.Config{Jitter: true}},
		"no fields":                   {limit: fivePerMinute, cfg: httpmw.Config{Fields: httpmw.NoFields}},
		"fields of GitHub":            {limit: fivePerMinute, cfg: httpmw.Config{Fields: httpmw.XRateLimit}},
		"a trusted proxy, not in use": {limit: fivePerMinute, cfg: httpmw.Config{IP: trusting}},
		"a trusted proxy":             {limit: fivePerMinute, cfg: httpmw.Config{IP: trusting}, want: weirtest.Want{Request: behindProxy}},
		"a slow handler": {
			limit: fivePerMinute,
			inner: slow(time.Second, hello),
		},
		"a handler that finds nothing": {limit: fivePerMinute, inner: answers(404)},
		"a status of its own": {
			limit: fivePerMinute,
			cfg:   httpmw.Config{Refuse: answers(403)},
			want:  weirtest.Want{Status: 403},
		},
		"a credential": {
			limit: fivePerMinute,
			cfg:   httpmw.Config{Keys: map[string]httpmw.Key{"ip": httpmw.Bearer()}},
			want: weirtest.Want{Request: func(client int) *http.Request {
				r := httptest.NewRequest("POST", "/search", strings.NewReader("x"))
				r.Header.Set("Authorization", fmt.Sprint("Bearer ", client))
				return r
			}},
		},
		"requests without a RemoteAddr": {
			limit: fivePerMinute,
			want: weirtest.Want{Request: func(int) *http.Request {
				r, err := http.NewRequest("GET", "/", nil)
				if err != nil {
					panic(err)
				}
				return r
			}},
		},
		"networks, too": {
			limit: fivePerMinute,
			cfg:   httpmw.Config{Keys: map[string]httpmw.Key{"ip": httpmw.ByNetwork(24, 48)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				inner := test.inner
				if inner == nil {
					inner = hello
				}
				test.want.Limit = test.limit
				weirtest.AssertLimited(t, limited(t, inner, test.limit, test.cfg), test.want)
			})
		})
	}
}

// Nor of any limit.
func TestAssertLimited_anyLimit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		limit := bucket.Limit{
			Quota:  rapid.IntRange(1, 1000).Draw(rt, "quota"),
			Window: time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(24*time.Hour)).Draw(rt, "window")),
			Burst:  rapid.IntRange(1, 50).Draw(rt, "burst"),
			Strict: rapid.Bool().Draw(rt, "strict"),
		}
		if limit.Strict {
			limit.Burst = min(limit.Burst, max(1, limit.Quota-1))
			if _, err := limit.Normalize(); err != nil {
				rt.Skip("not valid")
			}
		}
		cfg := httpmw.Config{Jitter: rapid.Bool().Draw(rt, "jitter")}
		r := &recorder{}
		synctest.Test(t, func(t *testing.T) {
			weirtest.AssertLimited(r, limited(t, hello, limit, cfg), weirtest.Want{Limit: limit})
		})
		if len(r.said) > 0 {
			rt.Fatalf("under %v it said %q", limit, r.said)
		}
	})
}

// A request that costs 2 is under half of the limit.
func TestAssertLimited_cost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := httpmw.Config{Cost: func(*http.Request) int { return 2 }}
		weirtest.AssertLimited(t, limited(t, hello, bucket.PerMinute(100), cfg), weirtest.Want{Limit: bucket.PerMinute(50)})
	})
}

// The real clock is waited for, where that is not for long.
func TestAssertLimited_realClock(t *testing.T) {
	t.Parallel()
	fast := bucket.Limit{Quota: 100, Window: time.Second, Burst: 3}
	weirtest.AssertLimited(t, limited(t, hello, fast, httpmw.Config{}), weirtest.Want{Limit: fast})

	// By then there are new tokens: that clocks run is nobody's fault.
	late := httpmw.Config{Refuse: slow(30*time.Millisecond, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }))}
	weirtest.AssertLimited(t, limited(t, hello, fast, late), weirtest.Want{Limit: fast})

	r := &recorder{}
	weirtest.AssertLimited(r, limited(t, hello, fivePerMinute, httpmw.Config{}), weirtest.Want{Limit: fivePerMinute})
	if len(r.said) != 1 || !strings.Contains(r.said[0], "Retry-After is 12s, which this test would have to wait for") ||
		!strings.Contains(r.said[0], "synctest.Test(t, func(t *testing.T) {") {
		t.Errorf("it said %q, want how to do it without waiting", r.said)
	}
}

package httpmw_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// What all clients share is the server's capacity, not this client's quota.
func TestCheck_30_global(t *testing.T) {
	t.Parallel()
	const (
		quotaType   = "https://iana.org/assignments/http-problem-types#quota-exceeded"
		reducedType = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
	)
	global := httpmw.Global()
	for _, row := range []struct {
		why    string
		keys   [2]httpmw.Key
		retry  [2]time.Duration // 0: allowed
		status int
		after  string
	}{
		{"the global one", [2]httpmw.Key{httpmw.ByIP(), global}, [2]time.Duration{0, 2 * second}, 503, "2"},
		{"the client's", [2]httpmw.Key{httpmw.ByIP(), global}, [2]time.Duration{3 * second, 0}, 429, "3"},
		{"both: the client is over its own", [2]httpmw.Key{httpmw.ByIP(), global}, [2]time.Duration{second, 9 * second}, 429, "9"},
		{"two global ones", [2]httpmw.Key{global, global}, [2]time.Duration{second, 9 * second}, 503, "9"},
		{"a join of global ones", [2]httpmw.Key{httpmw.ByIP(), httpmw.Join(global, global)}, [2]time.Duration{0, second}, 503, "1"},
		{"a join with an address", [2]httpmw.Key{httpmw.ByIP(), httpmw.Join(global, httpmw.ByIP())}, [2]time.Duration{0, second}, 429, "1"},
		{"a path is shared too, but it is not all", [2]httpmw.Key{httpmw.ByIP(), httpmw.Path()}, [2]time.Duration{0, second}, 429, "1"},
		{"no wait helps", [2]httpmw.Key{httpmw.ByIP(), global}, [2]time.Duration{0, bucket.Never}, 429, ""},
	} {
		l := scripted{names: []string{"a", "b"}, decisions: make([]bucket.Decision, 2)}
		for i, retry := range row.retry {
			l.decisions[i] = bucket.Decision{Allowed: retry == 0, Limit: bucket.PerMinute(6), RetryAfter: retry}
		}
		s := limit(t, l, httpmw.Config{Keys: map[string]httpmw.Key{"a": row.keys[0], "b": row.keys[1]}})
		w := get(t, s)
		want(t, w, row.status, "Retry-After", row.after, "Cache-Control", "no-store", "Content-Type", "application/problem+json")
		p, typ := decode(t, w.Body.Bytes()), quotaType
		if row.status == 503 {
			typ = reducedType
		}
		if p.Status != row.status || p.Type != typ { // check 32 too
			t.Errorf("%s: problem %+v", row.why, p)
		}
		if t.Failed() {
			t.Fatal(row.why)
		}
	}
}

// Each policy that refused is named, and in RateLimit it is as in any refusal.
func TestCheck_30_names(t *testing.T) {
	t.Parallel()
	l := newPerKey(policy{name: "all", limit: bucket.Limit{Quota: 1, Window: 10 * second}})
	s := limit(t, l, httpmw.Config{Keys: map[string]httpmw.Key{"all": httpmw.Global()}})
	want(t, get(t, s), 200)
	w := get(t, s, from("198.51.100.9:80")) // somebody else
	want(t, w, 503, "RateLimit", `"all";r=0;t=10`, "RateLimit-Policy", `"all";q=1;w=10`)
	wantViolated(t, w, "all")
	if !strings.Contains(w.Body.String(), "all clients share. Try again in 10 seconds.") {
		t.Errorf("body %s", w.Body)
	}
}

// A wait of 10 seconds or more gets up to a tenth on top, at most a minute.
func TestCheck_79_jitter(t *testing.T) {
	t.Parallel()
	refuse := func(t *testing.T, wait time.Duration, cfg httpmw.Config, random func(int64) int64) *httptest.ResponseRecorder {
		l := scripted{names: []string{"a"}, decisions: []bucket.Decision{{Limit: bucket.PerDay(1), RetryAfter: wait}}}
		s := limit(t, l, cfg)
		if random != nil {
			httpmw.SetRandom(s.Middleware, random)
		}
		return ask(t, s)
	}
	on := httpmw.Config{Jitter: true}
	highest := func(n int64) int64 { return n - 1 }
	lowest := func(int64) int64 { return 0 }
	for _, row := range []struct {
		wait    time.Duration
		highest string
		why     string
	}{
		{1, "1", "rounded up and left alone"},
		{second, "1", "short"},
		{9 * second, "9", "short"},
		{9*second + 1, "11", "ten when rounded up"},
		{10 * second, "11", "the shortest with jitter"},
		{19 * second, "20", "a tenth, rounded down"},
		{100 * second, "110", "a tenth"},
		{600 * second, "660", "a minute"},
		{24 * time.Hour, "86460", "a minute at most"},
	} {
		w := refuse(t, row.wait, on, highest)
		if got := w.Header().Get("Retry-After"); got != row.highest {
			t.Errorf("%v (%s): Retry-After up to %s, want %s", row.wait, row.why, got, row.highest)
		}
		if !strings.Contains(w.Body.String(), " "+row.highest+" second") {
			t.Errorf("%v: the body has another wait: %s", row.wait, w.Body)
		}
		low := refuse(t, row.wait, on, lowest)
		off := refuse(t, row.wait, httpmw.Config{}, nil)
		want(t, low, 429, "Retry-After", off.Header().Get("Retry-After"), "RateLimit", off.Header().Get("RateLimit"))
	}

	// The effective window is the true one; the resets of the older forms are
	// what their clients wait for, and follow.
	want(t, refuse(t, 100*second, on, highest), 429, "RateLimit", `"a";r=0;t=100`)
	want(t, refuse(t, 100*second, httpmw.Config{Jitter: true, Fields: httpmw.Draft7}, highest), 429,
		"RateLimit", "limit=1, remaining=0, reset=110")
	want(t, refuse(t, bucket.Never, on, highest), 429, "Retry-After", "")

	// With the random source that it has.
	seen := map[string]bool{}
	for range 100 {
		w := refuse(t, 100*second, on, nil)
		if d := retryAfter(t, w); d < 100*second || d > 110*second {
			t.Fatalf("Retry-After %v, want 100 to 110 s", d)
		}
		seen[w.Header().Get("Retry-After")] = true
	}
	if len(seen) < 5 { // of 11; fewer is less likely than 1 in 10²⁵
		t.Errorf("only %d different waits in 100 refusals", len(seen))
	}
}

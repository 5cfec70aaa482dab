package httpmw_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

const second = time.Second

func TestCheck_fields(t *testing.T) {
	t.Parallel()

	t.Run("01_first_request_passes_with_fields", func(t *testing.T) {
		t.Parallel()
		s := limit(t, defaultLimiter(), httpmw.Config{})
		want(t, get(t, s), 200,
			"RateLimit-Policy", `"default";q=5;w=5`,
			"RateLimit", `"default";r=4;t=4`,
			"Retry-After", "")
		if s.calls != 1 {
			t.Errorf("%d calls of the handler, want 1", s.calls)
		}
	})

	t.Run("02_r_and_t_count_down", func(t *testing.T) {
		t.Parallel()
		s := limit(t, defaultLimiter(), httpmw.Config{})
		for _, rt := range []string{"r=4;t=4", "r=3;t=3", "r=2;t=2", "r=1;t=1", "r=0;t=1"} {
			want(t, get(t, s), 200, "RateLimit", `"default";`+rt, "RateLimit-Policy", `"default";q=5;w=5`)
		}
	})

	t.Run("03_over_quota_is_429_and_does_not_reach_the_handler", func(t *testing.T) {
		t.Parallel()
		s := limit(t, defaultLimiter(), httpmw.Config{})
		for range 5 {
			want(t, get(t, s), 200)
		}
		want(t, get(t, s), 429,
			"Retry-After", "1", "RateLimit", `"default";r=0;t=1`, "RateLimit-Policy", `"default";q=5;w=5`)
		if s.calls != 5 {
			t.Errorf("%d calls of the handler, want 5", s.calls)
		}
	})

	t.Run("04_wait_is_rounded_up_and_true", func(t *testing.T) {
		t.Parallel()
		l := defaultLimiter()
		s := limit(t, l, httpmw.Config{})
		for range 5 {
			get(t, s)
		}
		l.sleep(400 * time.Millisecond)
		want(t, get(t, s), 429, "Retry-After", "1")
		l.sleep(600 * time.Millisecond)
		want(t, get(t, s), 200)
	})

	t.Run("05_retry_after_is_exact", func(t *testing.T) {
		t.Parallel()
		l := newPerKey(policy{name: "default", limit: bucket.Limit{Quota: 1, Window: 10 * second}})
		s := limit(t, l, httpmw.Config{})
		want(t, get(t, s), 200)
		start := l.now
		for _, row := range []struct {
			at    time.Duration
			code  int
			retry string
		}{
			{100 * time.Millisecond, 429, "10"}, // 9.9 s
			{9 * second, 429, "1"},              // 1 s sharp is not 2
			{10*second - 1, 429, "1"},           // never 0
			{10 * second, 200, ""},
		} {
			l.now = start.Add(row.at)
			want(t, get(t, s), row.code, "Retry-After", row.retry)
		}
	})

	t.Run("06_a_period_that_is_no_whole_nanosecond", func(t *testing.T) {
		t.Parallel()
		l := newPerKey(policy{name: "default", limit: bucket.PerSecond(3)})
		s := limit(t, l, httpmw.Config{})
		for range 3 {
			get(t, s)
		}
		w := get(t, s)
		want(t, w, 429, "Retry-After", "1")
		l.sleep(retryAfter(t, w))
		want(t, get(t, s), 200)
	})

	t.Run("10_t_is_the_time_to_refill_r", func(t *testing.T) {
		t.Parallel()
		s := limit(t, newPerKey(policy{name: "default", limit: bucket.PerMinute(100)}), httpmw.Config{})
		for i := 1; i <= 101; i++ {
			w := get(t, s)
			switch i {
			case 1:
				want(t, w, 200, "RateLimit", `"default";r=99;t=60`) // 59.4 s
			case 50:
				want(t, w, 200, "RateLimit", `"default";r=50;t=30`)
			case 100:
				want(t, w, 200, "RateLimit", `"default";r=0;t=1`)
			case 101:
				want(t, w, 429, "RateLimit", `"default";r=0;t=1`)
			}
		}
	})

	t.Run("11_a_window_is_rounded_up_to_seconds", func(t *testing.T) {
		t.Parallel()
		for _, row := range []struct {
			window time.Duration
			w      string
		}{
			{500 * time.Millisecond, "1"}, // never 0
			{1500 * time.Millisecond, "2"},
			{2 * second, "2"},
		} {
			s := limit(t, newPerKey(policy{name: "a", limit: bucket.Limit{Quota: 10, Window: row.window}}), httpmw.Config{})
			want(t, get(t, s), 200, "RateLimit-Policy", `"a";q=10;w=`+row.w)
		}
	})

	t.Run("13_names", func(t *testing.T) {
		t.Parallel()
		for _, row := range []struct {
			names []string
			ok    bool
			why   string
		}{
			{[]string{"default"}, true, "letters"},
			{[]string{"ip+path"}, true, "a token character"},
			{[]string{"header:X-Api-Key"}, true, "a colon"},
			{[]string{"a/b"}, true, "a slash"},
			{[]string{"*"}, true, "a star first"},
			{[]string{"a", "A"}, true, "case tells them apart"},
			{[]string{strings.Repeat("a", 64)}, true, "the longest"},
			{[]string{strings.Repeat("a", 65)}, false, "too long"},
			{[]string{""}, false, "empty"},
			{nil, false, "no policy limits nothing"},
			{[]string{"1a"}, false, "a digit first is no Token"},
			{[]string{":a"}, false, "a colon first is no Token"},
			{[]string{"a b"}, false, "a space"},
			{[]string{`a"`}, false, "needs an escape in a String"},
			{[]string{`a\`}, false, "needs an escape in a String"},
			{[]string{"a,b"}, false, "parts a list"},
			{[]string{"a\x1f"}, false, "control character"},
			{[]string{"a\x7f"}, false, "delete character"},
			{[]string{"a\r\nSet-Cookie: x"}, false, "would be a header field of its own"},
			{[]string{"é"}, false, "no ASCII"},
			{[]string{"a", "b", "a"}, false, "there twice"},
		} {
			l := scripted{names: row.names}
			_, err := httpmw.New(l, httpmw.Config{Keys: byIP(l)})
			if (err == nil) != row.ok {
				t.Errorf("names %q (%s): error %v", row.names, row.why, err)
			}
		}
	})

	t.Run("15_nothing_in_trailers", func(t *testing.T) {
		t.Parallel()
		s := limit(t, newPerKey(policy{name: "a", limit: bucket.PerMinute(1)}), httpmw.Config{})
		for _, code := range []int{200, 429} {
			w := get(t, s)
			want(t, w, code, "Trailer", "")
			if trailer := w.Result().Trailer; len(trailer) > 0 {
				t.Errorf("trailer %v", trailer)
			}
		}
	})

	t.Run("16_the_handler_sees_the_fields", func(t *testing.T) {
		t.Parallel()
		s := limit(t, defaultLimiter(), httpmw.Config{})
		var seen string
		send(t, s.Middleware.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			seen = w.Header().Get("RateLimit")
		})), httptest.NewRequest("GET", "/", nil))
		if seen != `"default";r=4;t=4` {
			t.Errorf("the handler sees %q", seen)
		}
	})

	t.Run("17_fields_of_the_handler_are_untouched", func(t *testing.T) {
		t.Parallel()
		s := limit(t, defaultLimiter(), httpmw.Config{})
		w := send(t, s.Middleware.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "77")
			w.Header().Set("Cache-Control", "max-age=60")
		})), httptest.NewRequest("GET", "/", nil))
		want(t, w, 200, "Retry-After", "77", "Cache-Control", "max-age=60", "X-Content-Type-Options", "")
	})
}

func TestCheck_several_policies(t *testing.T) {
	t.Parallel()
	burstAndDay := func() *perKey {
		return newPerKey(policy{name: "burst", limit: bucket.PerSecond(2)}, policy{name: "day", limit: bucket.PerDay(1000)})
	}

	t.Run("25_both_in_order", func(t *testing.T) {
		t.Parallel()
		s := limit(t, burstAndDay(), httpmw.Config{})
		want(t, get(t, s), 200,
			"RateLimit-Policy", `"burst";q=2;w=1, "day";q=1000;w=86400`,
			"RateLimit", `"burst";r=1;t=1, "day";r=999;t=86314`)
	})

	t.Run("26_only_the_violated_is_in_ratelimit_and_none_is_charged", func(t *testing.T) {
		t.Parallel()
		l := burstAndDay()
		s := limit(t, l, httpmw.Config{})
		get(t, s)
		get(t, s)
		w := get(t, s)
		want(t, w, 429,
			"RateLimit", `"burst";r=0;t=1`,
			"RateLimit-Policy", `"burst";q=2;w=1, "day";q=1000;w=86400`)
		wantViolated(t, w, "burst")
		l.sleep(500 * time.Millisecond)
		if got := get(t, s).Header().Get("RateLimit"); !strings.Contains(got, `"day";r=997;`) {
			t.Errorf("RateLimit %q, want a day that was charged three times: the refusal was free", got)
		}
	})

	t.Run("27_retry_after_is_that_of_the_slowest", func(t *testing.T) {
		t.Parallel()
		l := newPerKey(
			policy{name: "burst", limit: bucket.Limit{Quota: 1, Window: second}},
			policy{name: "day", limit: bucket.Limit{Quota: 1, Window: 2 * time.Hour}})
		s := limit(t, l, httpmw.Config{})
		get(t, s)
		w := get(t, s)
		want(t, w, 429, "Retry-After", "7200", "RateLimit", `"burst";r=0;t=1, "day";r=0;t=7200`)
		wantViolated(t, w, "burst", "day")
	})

	t.Run("28_cost", func(t *testing.T) {
		t.Parallel()
		l := newPerKey(policy{name: "a", limit: bucket.Limit{Quota: 4, Window: 4 * second}})
		cost := 2
		s := limit(t, l, httpmw.Config{Cost: func(*http.Request) int { return cost }})
		want(t, get(t, s), 200, "RateLimit", `"a";r=2;t=2`)
		cost = 3
		want(t, get(t, s), 429, "RateLimit", `"a";r=2;t=1`, "Retry-After", "1")

		cost = 5 // more than the bucket ever holds
		for range 3 {
			w := get(t, s)
			want(t, w, 429, "RateLimit", `"a";r=2`, "Retry-After", "", "RateLimit-Policy", `"a";q=4;w=4`)
			wantViolated(t, w, "a")
		}
		if s.log.count() != 1 || !strings.Contains(s.log.text(), "policy=a burst=4") {
			t.Errorf("logged %q, want one line that names the policy and the burst", s.log.text())
		}

		cost = 0 // free, and below 0 is no refund
		want(t, get(t, s), 200, "RateLimit", `"a";r=2;t=2`)
		cost = -7
		want(t, get(t, s), 200, "RateLimit", `"a";r=2;t=2`)
		cost = 2 // nothing was drained meanwhile
		want(t, get(t, s), 200, "RateLimit", `"a";r=0;t=1`)
	})

	t.Run("28_never_for_one_of_two", func(t *testing.T) {
		t.Parallel()
		// That the other policy would allow it in 3 s does not help.
		l := bucket.PerSecond(2)
		s := limit(t, scripted{names: []string{"a", "b"}, decisions: []bucket.Decision{
			{Limit: l, RetryAfter: 3 * second}, {Limit: l, RetryAfter: bucket.Never},
		}}, httpmw.Config{})
		want(t, get(t, s), 429, "RateLimit", `"a";r=0;t=3, "b";r=0`, "Retry-After", "")
	})

	t.Run("29_nested", func(t *testing.T) {
		t.Parallel()
		outer := limit(t, newPerKey(policy{name: "outer", limit: bucket.PerSecond(9)}), httpmw.Config{})
		inner := limit(t, newPerKey(policy{name: "inner", limit: bucket.PerMinute(1)}), httpmw.Config{})
		h := outer.Middleware.Handler(inner.Handler)
		for _, code := range []int{200, 429} {
			w := get(t, h)
			want(t, w, code, "RateLimit-Policy", `"outer";q=9;w=1 | "inner";q=1;w=60`)
			if lines := w.Header().Values("RateLimit"); len(lines) != 2 {
				t.Errorf("RateLimit %q, want a line of each", lines)
			}
		}
	})

	t.Run("08_nested", func(t *testing.T) {
		t.Parallel()
		// The window of the outer one ends in a day, and Retry-After is a second.
		outer := limit(t, newPerKey(policy{name: "day", limit: bucket.PerDay(1000)}), httpmw.Config{})
		inner := limit(t, newPerKey(policy{name: "burst", limit: bucket.PerSecond(1)}), httpmw.Config{})
		h := outer.Middleware.Handler(inner.Handler)
		if w := get(t, h); len(w.Header().Values("RateLimit")) != 2 {
			t.Errorf("allowed: %q", w.Header())
		}
		want(t, get(t, h), 429, "RateLimit-Policy", `"day";q=1000;w=86400 | "burst";q=1;w=1`, "RateLimit", `"burst";r=0;t=1`, "Retry-After", "1")
	})
}

// retryAfter returns the Retry-After of a refusal.
func retryAfter(t testing.TB, w *httptest.ResponseRecorder) time.Duration {
	t.Helper()
	n, err := strconv.Atoi(w.Header().Get("Retry-After"))
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(n) * second
}

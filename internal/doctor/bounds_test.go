package doctor_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/doctor"
)

// Whatever the API does, there are no more requests than were allowed, and it
// takes no longer.
func TestBounds(t *testing.T) {
	t.Parallel()
	apis := map[string]http.Handler{
		"right":          middleware(t, bucket.PerMinute(10), httpmw.Config{}, hello),
		"no limit":       hello,
		"a path's own":   &fixed{n: 5, window: time.Minute, key: func(r *http.Request) string { return r.RequestURI }},
		"believes":       &fixed{n: 5, window: 2 * time.Second, key: leftmost},
		"refuses always": &fixed{n: 0, window: 3 * time.Second, key: byAddr},
		"waits forever":  &fixed{n: 3, window: 10 * time.Hour, key: byAddr},
		"small":          &fixed{n: 1, window: 2 * time.Second, key: func(r *http.Request) string { return r.Method + r.RequestURI }},
	}
	rapid.Check(t, func(rt *rapid.T) {
		api := rapid.SampledFrom([]string{"right", "no limit", "a path's own", "believes", "refuses always", "waits forever", "small"}).Draw(rt, "api")
		most := rapid.IntRange(2, 400).Draw(rt, "requests")
		timeout := time.Duration(rapid.IntRange(1, 200).Draw(rt, "seconds")) * time.Second
		latency := time.Duration(rapid.IntRange(1, 3000).Draw(rt, "ms")) * time.Millisecond
		synctest.Test(t, func(t *testing.T) {
			stack := &doctor.Stack{Handler: apis[api], Latency: latency}
			cfg := config(t)
			cfg.MaxRequests, cfg.Timeout = most, timeout
			cfg.Restart = func(context.Context) error { return nil }
			doctor.Wire(&cfg, stack)
			start := time.Now()
			r, err := doctor.Run(t.Context(), cfg)
			if err != nil && !errors.Is(err, doctor.ErrSilent) {
				rt.Fatal(err)
			}
			if stack.Sent > most {
				rt.Fatalf("%d requests, want at most %d", stack.Sent, most)
			}
			// The last of them may take its time.
			if took := time.Since(start); took > timeout+2*latency {
				rt.Fatalf("it took %v, want at most %v", took, timeout)
			}
			if r != nil && r.Passed+r.Failed+r.Untested != len(r.Checks) {
				rt.Fatalf("%+v", r)
			}
		})
	})
}

// Where nothing can be said that is an error, and no report that looks well.
func TestSilent(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		api  http.Handler
		edit func(*doctor.Config)
		want string
	}{
		"it is broken": {
			api:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }),
			want: "the first request is answered with status 502: what is behind the limit is broken"},
		"it breaks": {
			api:  after(3, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })),
			want: "request 4 is answered with status 500: what is behind the limit is broken"},
		"it has been used up before": {
			api: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "3600")
				w.WriteHeader(429)
			}),
			want: "the first request is answered with status 429 already, as if 127."},
		"more than may be sent": {
			api:  middleware(t, bucket.PerMinute(1000), httpmw.Config{}, hello),
			edit: func(c *doctor.Config) { c.MaxRequests = 1000 },
			want: "it is 1000 requests, and --max-requests are 1000: want 1100, or an API with a lower limit"},
		"more than is sent unasked": {
			api:  hello,
			edit: func(c *doctor.Config) { c.Limit = bucket.Limit{Quota: 30_000, Window: time.Minute, Burst: 30_000} },
			want: "it is 30000 requests, and --max-requests are 20000"},
		"too few to find it out": {
			api:  hello,
			edit: func(c *doctor.Config) { c.MaxRequests = 50 },
			want: "the requests of --max-requests are used up"},
		"it is refilled as fast": {
			api:  slow(20*time.Millisecond, middleware(t, bucket.PerSecond(100), httpmw.Config{}, hello)),
			want: "the limit is refilled as fast as requests are answered: it does not stay used up for a test"},
		"too little time": {
			api:  http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(time.Second) }),
			edit: func(c *doctor.Config) { c.Timeout = 5 * time.Second },
			want: "the time of --timeout is used up"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := config(t)
				if tt.edit != nil {
					tt.edit(&cfg)
				}
				doctor.Wire(&cfg, &doctor.Stack{Handler: tt.api})
				r, err := doctor.Run(t.Context(), cfg)
				if r != nil || !errors.Is(err, doctor.ErrSilent) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%v, %v: want no report and %q", r, err, tt.want)
				}
			})
		})
	}
}

// after has some requests served by hello before a handler has its turn.
func after(n int, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n--; n < 0 {
			next.ServeHTTP(w, r)
			return
		}
		hello.ServeHTTP(w, r)
	})
}

// slow has a handler take some time.
func slow(d time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(d)
		next.ServeHTTP(w, r)
	})
}

// Windows by the clock may end while they are used up: then twice as many pass,
// which is no lie of the API.
func TestWindowsByTheClock(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before  time.Duration // the end of a window
		oneAddr bool
		said    int // by --limit
		failed  string
	}{
		"in the midst of one":      {before: 7 * time.Second},
		"at the end of one":        {before: 8 * time.Millisecond},
		"and no other client":      {before: 8 * time.Millisecond, oneAddr: true},
		"as --limit says":          {before: 8 * time.Millisecond, said: 5},
		"not as --limit says":      {before: 8 * time.Millisecond, said: 3, failed: "limit"},
		"--limit and no other":     {before: 8 * time.Millisecond, said: 5, oneAddr: true},
		"half of it, and no other": {before: 8 * time.Millisecond, said: 4, oneAddr: true, failed: "limit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const window = 10 * time.Second
				cfg := config(t)
				if tt.said > 0 {
					cfg.Limit = bucket.Limit{Quota: tt.said, Window: window, Burst: tt.said}
				}
				api := &fixed{n: 5, window: window, key: byAddr, aligned: true}
				doctor.Wire(&cfg, &doctor.Stack{Handler: api, Latency: time.Millisecond, OneAddr: tt.oneAddr})
				time.Sleep(time.Until(time.Now().Truncate(window).Add(window - tt.before)))
				r, err := doctor.Run(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				if got := strings.Join(of(r, doctor.Fail), " "); got != tt.failed {
					t.Errorf("failed: %q, want %q: %+v", got, tt.failed, r.Checks)
				}
			})
		})
	}
}

// A client that has used up its limit before is waited for.
func TestUsedUpBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := middleware(t, bucket.PerMinute(10), httpmw.Config{}, hello)
		cfg := config(t)
		stack := &doctor.Stack{Handler: api, OneAddr: true, Latency: time.Millisecond}
		doctor.Wire(&cfg, stack)
		for range 2 {
			r, err := doctor.Run(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, r, "", "isolation blame mapped network restart")
		}
	})
}

// --limit is believed rather than the API, and it is told if that lets more
// pass, and if it lets less.
func TestLimitThatIsSaid(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		said   bucket.Limit
		failed string
		want   string
	}{
		"as it is": {bucket.Limit{Quota: 10, Window: time.Minute, Burst: 10}, "", "10 requests pass, and the next is refused with status 429"},
		"more":     {bucket.Limit{Quota: 20, Window: time.Minute, Burst: 20}, "", "(--limit says 20: the rest had been used before, or the limit is lower)"},
		"less":     {bucket.Limit{Quota: 6, Window: time.Minute, Burst: 6}, "limit", "--limit says 6 requests, and 10 pass at once"},
		"the same in another window": {
			bucket.Limit{Quota: 10, Window: time.Second, Burst: 10}, "", "10 requests pass, and the next is refused with status 429"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := config(t)
				cfg.Limit = tt.said
				doctor.Wire(&cfg, &doctor.Stack{Handler: middleware(t, bucket.PerMinute(10), httpmw.Config{}, hello), Latency: time.Millisecond})
				r, err := doctor.Run(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				if got := strings.Join(of(r, doctor.Fail), " "); !strings.HasPrefix(got, tt.failed) || !strings.Contains(reason(r, "limit"), tt.want) {
					t.Errorf("failed %q, %q: want %q, %q", got, reason(r, "limit"), tt.failed, tt.want)
				}
				if r.Said != tt.said.Burst || r.Limit != 10 {
					t.Errorf("limit %d, said %d", r.Limit, r.Said)
				}
			})
		})
	}
}

// A run that is stopped is no report.
func TestStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(30*time.Second, stop)
		cfg := config(t)
		doctor.Wire(&cfg, &doctor.Stack{Handler: &fixed{n: 5, window: time.Minute, key: byAddr}, Latency: time.Millisecond})
		start := time.Now()
		r, err := doctor.Run(ctx, cfg)
		if r != nil || !errors.Is(err, context.Canceled) || time.Since(start) != 30*time.Second {
			t.Errorf("%v, %v after %v: want that it is stopped at once, while it waits", r, err, time.Since(start))
		}
	})
}

// What it will cost is said before, and kept by what is right.
func TestPlan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := config(t)
		var plan doctor.Plan
		stack := &doctor.Stack{Handler: middleware(t, bucket.PerMinute(100), httpmw.Config{}, hello), Latency: 100 * time.Microsecond}
		cfg.Plan = func(p doctor.Plan) {
			plan = p
			if stack.Sent != 1 {
				t.Errorf("%d requests were sent before it is told what it costs, want 1", stack.Sent)
			}
		}
		doctor.Wire(&cfg, stack)
		r, err := doctor.Run(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if plan.Limit != 100 || plan.Window != time.Minute || plan.From != "RateLimit-Policy" || plan.Requests != 1300 || plan.Time != cfg.Timeout {
			t.Errorf("%+v", plan)
		}
		sum := 0
		for i, c := range plan.Costs {
			sum += c.Requests
			if got := r.Checks[i]; got.Name != c.Check || got.Requests > c.Requests {
				t.Errorf("%s took %d requests, and %s was to take %d", got.Name, got.Requests, c.Check, c.Requests)
			}
		}
		if r.Requests > sum || r.Requests < sum*9/10 {
			t.Errorf("it took %d requests, and was to take %d", r.Requests, sum)
		}
		text := plan.String()
		for _, want := range []string{
			"RateLimit-Policy says 100 requests in 1m0s. As 127.", "\n  limit        101: request N+1 is refused\n",
			"\n  retry          5 and two waits: Retry-After is honest\n", "two waits for Retry-After; at most 1300 requests and 10m0s\n",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in\n%s", want, text)
			}
		}
	})
}

// An API that is gone half way is an error, with what was found before.
func TestGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := config(t)
		stack := &doctor.Stack{Latency: time.Millisecond}
		doctor.Wire(&cfg, stack)
		stack.Handler = &fixed{n: 5, window: time.Minute, key: byAddr}
		cfg.Restart = func(context.Context) error { stack.Gone = true; return nil }
		r, err := doctor.Run(t.Context(), cfg)
		if err == nil || r == nil || !strings.Contains(err.Error(), "it does not answer after the command") || r.Failed > 0 ||
			!strings.HasPrefix(reason(r, "restart"), "it does not answer") {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

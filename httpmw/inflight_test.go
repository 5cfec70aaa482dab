package httpmw_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

func ExampleInFlight() {
	limit, err := httpmw.New(exampleLimiter("ip"), httpmw.Config{
		Keys: map[string]httpmw.Key{"ip": httpmw.ByIP()},
		InFlight: []httpmw.InFlight{{
			Name: "reports", Key: httpmw.ByIP(), Max: 1, RetryAfter: 5 * second, Routes: []string{"/reports/"},
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var h http.Handler
	h = limit.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/reports/slow" { // another one meanwhile
			show(h, path("/reports/fast"))
		}
	}))
	show(h, path("/reports/slow"))
	show(h, path("/reports/fast"))
	// Output:
	// 429 "reports";r=0;t=5 5
	// 200 "ip";r=1;t=30, "reports";r=0
	// 200 "ip";r=0;t=30, "reports";r=0
}

// A nest is a handler that has more requests sent while it serves one.
type nest struct {
	t    testing.TB
	s    http.Handler
	more []func(*http.Request)
	got  []*httptest.ResponseRecorder
}

func (n *nest) ServeHTTP(http.ResponseWriter, *http.Request) {
	if len(n.more) > 0 {
		edit := n.more[0]
		n.more = n.more[1:]
		n.got = append(n.got, get(n.t, n.s, edit))
	}
}

// nested has the requests sent from within each other, and returns their
// answers, that to the outermost first.
func nested(t testing.TB, l httpmw.Limiter, cfg httpmw.Config, requests ...func(*http.Request)) ([]*httptest.ResponseRecorder, *httpmw.Middleware) {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	if cfg.Keys == nil {
		cfg.Keys = byIP(l)
	}
	m, err := httpmw.New(l, cfg)
	if err != nil {
		t.Fatal(err)
	}
	n := &nest{t: t, more: requests[1:]}
	n.s = m.Handler(n)
	outermost := get(t, n.s, requests[0])
	answers := []*httptest.ResponseRecorder{outermost}
	for i := len(n.got) - 1; i >= 0; i-- { // the innermost was answered first
		answers = append(answers, n.got[i])
	}
	return answers, m
}

func one(*http.Request) {}

// Whoever comes back after Retry-After is not refused for what could have been
// told before: all limits that refuse are named, also where slots are full.
func TestCheck_27_in_flight_and_rate(t *testing.T) {
	t.Parallel()
	l := newPerKey(policy{name: "day", limit: bucket.PerDay(1)})
	got, m := nested(t, l, httpmw.Config{InFlight: []httpmw.InFlight{{Name: "busy", Key: httpmw.ByIP(), Max: 1}}}, one, one)
	want(t, got[1], 429, "RateLimit-Policy", `"day";q=1;w=86400, "busy";q=1;qu="concurrent-requests"`,
		"RateLimit", `"day";r=0;t=86400, "busy";r=0;t=1`, "Retry-After", "86400")
	if p := decode(t, got[1].Body.Bytes()); !slices.Equal(p.Violated, []string{"day", "busy"}) {
		t.Errorf("%+v", p)
	}
	if len(l.seen) != 1 {
		t.Errorf("%d requests were charged, want the one that there was room for", len(l.seen))
	}
	if st := m.Stats().Policies; st[0].Denied != 1 || st[1].Denied != 1 {
		t.Errorf("%+v", st)
	}
}

func TestCheck_12_concurrency_has_a_unit_and_no_window(t *testing.T) {
	t.Parallel()
	l := defaultLimiter()
	got, m := nested(t, l, httpmw.Config{InFlight: []httpmw.InFlight{{Name: "busy", Key: httpmw.ByIP(), Max: 2}}}, one, one, one)
	want(t, got[0], 200, "RateLimit-Policy", `"default";q=5;w=5, "busy";q=2;qu="concurrent-requests"`, "RateLimit", `"default";r=4;t=4, "busy";r=1`, "Retry-After", "")
	want(t, got[1], 200, "RateLimit", `"default";r=3;t=3, "busy";r=0`)
	want(t, got[2], 429, "RateLimit-Policy", `"default";q=5;w=5, "busy";q=2;qu="concurrent-requests"`, "RateLimit", `"busy";r=0;t=1`, "Retry-After", "1", "Cache-Control", "no-store")
	p := decode(t, got[2].Body.Bytes())
	if p.Type != "https://iana.org/assignments/http-problem-types#quota-exceeded" || len(p.Violated) != 1 || p.Violated[0] != "busy" {
		t.Errorf("%+v", p)
	}
	if len(l.seen) != 2 {
		t.Errorf("the limiter was asked about %d requests, want the 2 that there was room for", len(l.seen))
	}
	st := m.Stats().Policies
	if st[0].Allowed != 2 || st[0].Denied != 0 || st[0].Spared != 1 || st[1].Allowed != 2 || st[1].Denied != 1 || st[1].InFlight != 0 {
		t.Errorf("%+v", st)
	}
}

func TestCheck_30_concurrency_of_the_server_is_503(t *testing.T) {
	t.Parallel()
	busy := httpmw.InFlight{Name: "server", Key: httpmw.Global(), Max: 1, RetryAfter: 2500 * second / 1000}
	got, _ := nested(t, defaultLimiter(), httpmw.Config{InFlight: []httpmw.InFlight{busy}}, from("192.0.2.1:1"), from("192.0.2.2:2"))
	want(t, got[1], 503, "Retry-After", "3", "RateLimit", `"server";r=0;t=3`)
	if p := decode(t, got[1].Body.Bytes()); p.Type != "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity" || p.Status != 503 {
		t.Errorf("%+v", p)
	}
	// With one of the client's own it is the client's own fault.
	got, _ = nested(t, defaultLimiter(), httpmw.Config{InFlight: []httpmw.InFlight{
		busy, {Name: "own", Key: httpmw.ByIP(), Max: 1, RetryAfter: 7 * second},
	}}, one, one)
	want(t, got[1], 429, "Retry-After", "7", "RateLimit", `"server";r=0;t=3, "own";r=0;t=7`)
}

// Keys have slots of their own, a request without a part in a limit takes none,
// and a limit is for its routes.
func TestInFlightByKey(t *testing.T) {
	t.Parallel()
	busy := func(key httpmw.Key, routes ...string) httpmw.Config {
		return httpmw.Config{InFlight: []httpmw.InFlight{{Name: "busy", Key: key, Max: 1, Routes: routes}}}
	}
	for _, row := range []struct {
		why    string
		cfg    httpmw.Config
		second func(*http.Request)
		status int
	}{
		{"the same key", busy(httpmw.ByIP()), one, 429},
		{"another", busy(httpmw.ByIP()), from("192.0.2.99:1"), 200},
		{"all the same", busy(httpmw.Global()), from("192.0.2.99:1"), 503},
		{"the same route", busy(httpmw.ByIP(), "/"), one, 429},
		{"however spelled", busy(httpmw.ByIP(), "/{$}"), path("/x/..;/"), 429},
		{"another", busy(httpmw.ByIP(), "/{$}"), path("/x"), 200},
		{"no identity", busy(apiKey), one, 429},
		{"another than by address", busy(apiKey), field("X-Api-Key", "k"), 200},
		{"skipped without one", busy(apiKey.OrSkip()), one, 200},
		{"refused without one", busy(apiKey.OrRefuse()), one, 400},
	} {
		first := one
		if row.status == 400 {
			first = field("X-Api-Key", "k")
		}
		got, m := nested(t, defaultLimiter(), row.cfg, first, row.second)
		if want(t, got[0], 200); got[1].Code != row.status {
			t.Errorf("%s: status %d, want %d", row.why, got[1].Code, row.status)
		}
		if st := m.Stats().Policies[1]; st.InFlight != 0 {
			t.Errorf("%s: afterwards %+v", row.why, st)
		}
	}
}

// A slot is given back once, however the handler ends.
func TestCheck_40_slots_are_released_once(t *testing.T) {
	t.Parallel()
	for why, row := range map[string]struct {
		serve  func(w http.ResponseWriter)
		panics any
	}{
		"returns":        {func(w http.ResponseWriter) { w.WriteHeader(500) }, nil},
		"panics":         {func(http.ResponseWriter) { panic("oops") }, "oops"},
		"aborts":         {func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, http.ErrAbortHandler},
		"ends its stack": {func(http.ResponseWriter) { runtime.Goexit() }, nil},
	} {
		for _, settle := range []map[string]func(httpmw.Outcome) int{
			nil,
			{"default": func(o httpmw.Outcome) int { return o.Taken }},
			{"default": func(httpmw.Outcome) int { panic("settle") }},
		} {
			l := newPerKey(policy{name: "default", limit: bucket.PerHour(100)})
			m, err := httpmw.New(l, httpmw.Config{
				Keys: byIP(l), Settle: settle, Logger: slog.New(slog.DiscardHandler),
				InFlight: []httpmw.InFlight{
					{Name: "a", Key: httpmw.ByIP(), Max: 2},
					{Name: "b", Key: httpmw.Global(), Max: 3},
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			var during [2]int
			h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for i := range during {
					during[i] = m.Stats().Policies[1+i].InFlight
				}
				row.serve(w)
			}))
			for range 5 { // more than there would be slots
				var wg sync.WaitGroup
				wg.Go(func() {
					defer func() {
						if v := recover(); v != row.panics {
							t.Errorf("a handler that %s: panics with %v, want %v", why, v, row.panics)
						}
					}()
					h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
				})
				wg.Wait()
				if during != [2]int{1, 1} {
					t.Errorf("a handler that %s: %v in flight while it runs", why, during)
				}
				during = [2]int{}
				for _, p := range m.Stats().Policies[1:] {
					if p.InFlight != 0 {
						t.Errorf("a handler that %s: %+v", why, p)
					}
				}
			}
			for _, b := range l.buckets[0] {
				if got := b.Peek(l.now, 1).Remaining; got != 95 {
					t.Errorf("a handler that %s: %d left of 100 after 5 requests", why, got)
				}
			}
		}
	}
}

// So it is where the client is gone before the handler ends, or where the
// handler has taken over the connection.
func TestCheck_40_slots_over_the_network(t *testing.T) {
	t.Parallel()
	l := newPerKey(policy{name: "a", limit: bucket.PerHour(100)})
	m, err := httpmw.New(l, httpmw.Config{
		Keys: byIP(l), Logger: slog.New(slog.DiscardHandler),
		InFlight: []httpmw.InFlight{{Name: "busy", Key: httpmw.Global(), Max: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	entered, leave, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
	inner := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hijack" {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
			}
			defer conn.Close()
		}
		if r.URL.Path != "/" {
			entered <- struct{}{}
			<-leave
		}
	}))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(w, r)
		if r.URL.Path != "/" {
			left <- struct{}{}
		}
	}))
	defer srv.Close()
	status := func() int {
		resp, err := srv.Client().Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for _, path := range []string{"/gone", "/hijack"} {
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			if path == "/hijack" {
				conn, err := net.Dial("tcp", srv.Listener.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				fmt.Fprint(conn, "GET /hijack HTTP/1.1\r\nHost: x\r\n\r\n")
				<-ctx.Done()
				return
			}
			r, _ := http.NewRequestWithContext(ctx, "GET", srv.URL+path, nil)
			if _, err := srv.Client().Do(r); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", path, err)
			}
		}()
		<-entered
		cancel()
		<-gone
		if got := status(); got != 503 {
			t.Errorf("%s: status %d while its handler still runs, want 503", path, got)
		}
		leave <- struct{}{}
		<-left
		if got := status(); got != 200 {
			t.Errorf("%s: status %d after its handler, want 200", path, got)
		}
	}
}

// A limiter that panics leaves nothing locked and no slot taken.
func TestInFlightAfterALimiterPanics(t *testing.T) {
	t.Parallel()
	l := &moody{perKey: newPerKey(policy{name: "a", limit: bucket.PerHour(100)})}
	m, err := httpmw.New(l, httpmw.Config{
		Keys: byIP(l), Logger: slog.New(slog.DiscardHandler),
		Settle:   map[string]func(httpmw.Outcome) int{"a": func(httpmw.Outcome) int { return 3 }},
		InFlight: []httpmw.InFlight{{Name: "busy", Key: httpmw.Global(), Max: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	h := m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed++ }))
	for _, row := range []struct {
		why            string
		decide, settle bool
		passed         int
	}{{"deciding", true, false, 0}, {"settling", false, true, 1}, {"neither", false, false, 2}} {
		l.decide, l.settle = row.decide, row.settle
		func() {
			defer func() {
				if v := recover(); (v != nil) != (row.decide || row.settle) {
					t.Errorf("%s: panics with %v", row.why, v)
				}
			}()
			want(t, get(t, h), 200)
		}()
		if st := m.Stats().Policies[1]; st.InFlight != 0 || passed != row.passed {
			t.Errorf("a limiter that panics %s: %d passed, %+v", row.why, passed, st)
		}
	}
}

// moody is a limiter that panics on demand.
type moody struct {
	*perKey
	decide, settle bool
}

func (l *moody) DecideEach(into []bucket.Decision, costs []int, keys ...string) bool {
	if l.decide {
		panic("moody")
	}
	return l.perKey.DecideEach(into, costs, keys...)
}

func (l *moody) Settle(costs []int, keys ...string) {
	if l.settle {
		panic("moody")
	}
	l.perKey.Settle(costs, keys...)
}

package httpmw_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// An answer that passes is the handler's, with two fields more: nothing else is
// set for it, changed or taken away.
func TestCheck_17_nothing_but_the_two_fields_is_added(t *testing.T) {
	t.Parallel()
	for why, serve := range map[string]http.HandlerFunc{
		"nothing":  func(http.ResponseWriter, *http.Request) {},
		"a status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"a body":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") },
		"an error": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 500) },
		"a 429 of its own": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Retry-After"] = []string{"77"}
			w.WriteHeader(429)
		},
		"fields": func(w http.ResponseWriter, _ *http.Request) {
			for _, name := range []string{"Cache-Control", "Connection", "Content-Type", "Retry-After", "Vary", "X-Content-Type-Options", "X-RateLimit-Limit"} {
				w.Header()[name] = []string{"of the handler", "twice"}
			}
		},
	} {
		for _, cfg := range []httpmw.Config{
			{}, {Settle: map[string]func(httpmw.Outcome) int{"default": func(o httpmw.Outcome) int { return o.Taken }}}, {NoFieldsOnRedirect: true},
		} {
			got := send(t, limit(t, defaultLimiter(), cfg).Middleware.Handler(serve), httptest.NewRequest("GET", "/", nil))
			bare := send(t, serve, httptest.NewRequest("GET", "/", nil))
			want(t, got, bare.Code, "RateLimit", `"default";r=4;t=4`, "RateLimit-Policy", `"default";q=5;w=5`)
			got.Header().Del("RateLimit")
			got.Header().Del("RateLimit-Policy")
			if fmt.Sprint(got.Header()) != fmt.Sprint(bare.Header()) || got.Body.String() != bare.Body.String() {
				t.Errorf("%s: %v %q, want %v %q", why, got.Header(), got.Body, bare.Header(), bare.Body)
			}
		}
	}
}

// However a request ends, its slot is free then, and that of another one that is
// still served is not.
func TestCheck_40_only_its_own_slot_is_released(t *testing.T) {
	t.Parallel()
	for why, end := range map[string]func(){
		"returns": func() {}, "panics": func() { panic("oops") }, "aborts": func() { panic(http.ErrAbortHandler) },
	} {
		for _, settle := range []map[string]func(httpmw.Outcome) int{nil, {"default": func(o httpmw.Outcome) int { return o.Taken }}} {
			l := newPerKey(policy{name: "default", limit: bucket.PerHour(100)})
			m, err := httpmw.New(l, httpmw.Config{
				Keys: byIP(l), Settle: settle, Logger: slog.New(slog.DiscardHandler), InFlight: []httpmw.InFlight{{Name: "slots", Key: httpmw.ByIP(), Max: 3}},
			})
			if err != nil {
				t.Fatal(err)
			}
			entered := make(chan bool)
			h := m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				entered <- true
				<-r.Context().Done()
				end()
			}))
			var wait sync.WaitGroup
			// begin sends a request that is served until it is told to leave.
			begin := func() (leave context.CancelFunc) {
				ctx, leave := context.WithCancel(t.Context())
				wait.Go(func() {
					defer func() { recover() }()
					h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/", nil))
				})
				<-entered
				return leave
			}
			full := func(when string) {
				if got := get(t, h).Code; got != 429 {
					t.Errorf("a handler that %s: %s one more gets %d, want 429", why, when, got)
				}
			}
			leaves := []context.CancelFunc{begin(), begin(), begin()}
			full("with three")
			for range 5 {
				leaves[0]()
				for m.Stats().Policies[1].InFlight == 3 { // until it is gone
					runtime.Gosched()
				}
				if got := m.Stats().Policies[1].InFlight; got != 2 {
					t.Fatalf("a handler that %s: when one of three has ended %d are in flight, want 2", why, got)
				}
				leaves = append(leaves[1:], begin())
				full("with three again")
			}
			for _, leave := range leaves {
				leave()
			}
			wait.Wait()
			if got := m.Stats().Policies[1].InFlight; got != 0 {
				t.Errorf("a handler that %s: %d in flight at the end", why, got)
			}
		}
	}
}

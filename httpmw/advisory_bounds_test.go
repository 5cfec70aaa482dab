package httpmw_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// Of ever new methods, paths, hosts and users nothing stays behind: not in the
// counts, not in what there is to count them, and not in the log. The test is
// not parallel, so that the memory is its own.
func TestAdvisory_CVE_2022_21698_memory(t *testing.T) {
	const many = 50_000
	log := &logLines{}
	l := scripted{names: []string{"ip", "user"}, decisions: []bucket.Decision{{Allowed: true}, {Allowed: true}}, allowed: true}
	m, err := httpmw.New(l, httpmw.Config{
		Keys:     map[string]httpmw.Key{"ip": httpmw.Join(httpmw.ByIP(), httpmw.Path()), "user": apiKey},
		IP:       listIP,
		Routes:   map[string][]string{"user": {"/", "POST /login"}},
		InFlight: []httpmw.InFlight{{Name: "slots", Key: httpmw.Join(httpmw.ByIP(), apiKey), Max: 2}},
		Settle:   map[string]func(httpmw.Outcome) int{"user": httpmw.CountStatus(func(status int) bool { return status == 401 })},
		Logger:   log.logger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(401) }))
	w, made := &sink{h: http.Header{}}, 0
	send := func(n int) {
		for range n {
			made++
			clear(w.h)
			h.ServeHTTP(w, &http.Request{
				Method: fmt.Sprint("METHOD", made), Host: fmt.Sprint("host", made), RemoteAddr: fmt.Sprintf("[2001:db8:%x:%x::1]:1", made>>16, made&0xffff),
				URL: &url.URL{Path: fmt.Sprint("/path/", made)}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
				Header: http.Header{"X-Api-Key": {fmt.Sprint("key", made)}, "User-Agent": {fmt.Sprint("agent", made)}, xff: {fmt.Sprint("x", made)}},
			})
		}
	}
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	send(2000) // what is made once is there
	before, lines := heap(), log.count()
	send(many)
	if grown := heap() - before; grown > many*8 { // less than one pointer of each
		t.Errorf("after %d requests of which each is new in all that it says the heap has grown by %d bytes", many, grown)
	}
	stats := m.Stats()
	if len(stats.Policies) != 3 || stats.Policies[0].Allowed != 2000+many {
		t.Errorf("the counts are %+v, want those of the 3 limits, and all requests", stats.Policies)
	}
	if got := log.count(); got > lines+1 || lines > 10 {
		t.Errorf("%d lines in the log, of which %d are of the first requests:\n%.2000s", got, lines, log.text())
	}
	runtime.KeepAlive(m)
}

// The lockout of Vikunja did not work since what a failed login had written was
// rolled back with it. This is one as a service has it: with a limiter that
// keeps its state, a server, and guesses one after the other and all at once.
func TestAdvisory_CVE_2026_35597_on_the_wire(t *testing.T) {
	t.Parallel()
	const limit, guesses = 5, 60
	for why, row := range map[string]struct {
		fail  http.HandlerFunc
		count func(status int) bool
	}{
		"refused":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, func(status int) bool { return status == 401 }},
		"panicked": {func(http.ResponseWriter, *http.Request) { panic("rolled back") }, func(status int) bool { return status >= 400 }},
		"aborted":  {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, func(status int) bool { return status != 200 }},
		"hung up":  {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, func(status int) bool { return status == 401 }},
	} {
		for _, at := range []string{"one after the other", "at once"} {
			t.Run(why+", "+at, func(t *testing.T) {
				t.Parallel()
				file := t.TempDir() + "/state.db"
				var guessed, succeeded atomic.Int32
				var waiting sync.Map // password: what has its client hang up
				// run starts a server, has f use it, and stops it.
				run := func(f func(guess func(password string) int)) {
					limiter, err := weir.Open(file, weir.Policy{Name: "login", Limit: bucket.PerDay(limit)})
					if err != nil {
						t.Fatal(err)
					}
					m, err := httpmw.New(limiter, httpmw.Config{
						Keys:   map[string]httpmw.Key{"login": httpmw.ByIP()},
						Settle: map[string]func(httpmw.Outcome) int{"login": httpmw.CountStatus(row.count)},
						Logger: slog.New(slog.DiscardHandler),
					})
					if err != nil {
						t.Fatal(err)
					}
					srv := httptest.NewUnstartedServer(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if r.Header.Get("Authorization") == "right" {
							succeeded.Add(1)
							return
						}
						guessed.Add(1)
						if hangUp, _ := waiting.Load(r.Header.Get("Authorization")); why == "hung up" {
							hangUp.(context.CancelFunc)()
						}
						row.fail(w, r)
					})))
					srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
					srv.Start()
					f(func(password string) int {
						ctx, cancel := context.WithCancel(t.Context())
						defer cancel()
						waiting.Store(password, cancel)
						req, err := http.NewRequestWithContext(ctx, "POST", srv.URL+"/login", nil)
						if err != nil {
							t.Error(err)
							return 0
						}
						req.Header.Set("Authorization", password)
						res, err := srv.Client().Do(req)
						if err != nil { // there was no answer, or nobody waited for it
							return 0
						}
						res.Body.Close()
						return res.StatusCode
					})
					srv.Close() // waits for the handlers
					if err := limiter.Close(); err != nil {
						t.Fatal(err)
					}
				}
				run(func(guess func(string) int) {
					for range 3 { // who knows the password is not counted
						if got := guess("right"); got != 200 {
							t.Errorf("the right password: %d, want 200", got)
						}
					}
					var wait sync.WaitGroup
					for i := range guesses {
						if at == "at once" {
							wait.Go(func() { guess(fmt.Sprint("wrong", i)) })
						} else {
							guess(fmt.Sprint("wrong", i))
						}
					}
					wait.Wait()
				})
				run(func(guess func(string) int) { // after a restart
					if got := guess("right"); got != 429 {
						t.Errorf("after a restart: %d, want 429", got)
					}
					guess("wrong")
				})
				if guessed.Load() != limit || succeeded.Load() != 3 {
					t.Errorf("%d guesses of %d came to the handler, want %d; %d times the right password, want 3", guessed.Load(), guesses, limit, succeeded.Load())
				}
			})
		}
	}
}

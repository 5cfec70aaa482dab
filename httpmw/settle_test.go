package httpmw_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

func ExampleCountStatus() {
	limit, err := httpmw.New(exampleLimiter("login"), httpmw.Config{
		Keys:   map[string]httpmw.Key{"login": httpmw.ByIP()},
		Routes: map[string][]string{"login": {"POST /login"}},
		Settle: map[string]func(httpmw.Outcome) int{
			"login": httpmw.CountStatus(func(status int) bool { return status == http.StatusUnauthorized }),
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := limit.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("password") != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	for _, password := range []string{"secret", "secret", "guess", "secret", "guess", "guess"} {
		r := httptest.NewRequest("POST", "/login?password="+password, nil)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Print(w.Code, " ")
	}
	// Output: 200 200 401 200 401 429
}

// settling limits a handler by a policy of 100 an hour that takes 10 for a
// request and settles for what f says.
func settling(t testing.TB, l *perKey, f func(httpmw.Outcome) int, next http.Handler) (http.Handler, *httpmw.Middleware, *logLines) {
	t.Helper()
	log := &logLines{}
	m, err := httpmw.New(l, httpmw.Config{
		Keys:   byIP(l),
		Cost:   func(*http.Request) int { return 10 },
		Settle: map[string]func(httpmw.Outcome) int{"a": f},
		Logger: log.logger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return m.Handler(next), m, log
}

func hundred() *perKey { return newPerKey(policy{name: "a", limit: bucket.PerHour(100)}) }

// spent returns what the one client of l has spent of its hundred.
func spent(l *perKey) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.buckets[0] {
		return 100 - int(b.State(l.now).Tokens)
	}
	return 0
}

// What a function for Settle sees, and what is then settled.
func TestOutcome(t *testing.T) {
	t.Parallel()
	oops := errors.New("oops")
	for _, row := range []struct {
		why    string
		serve  func(w http.ResponseWriter, r *http.Request)
		status int
		panics any
	}{
		{"nothing written", func(http.ResponseWriter, *http.Request) {}, 200, nil},
		{"a body", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x") }, 200, nil},
		{"a body, then a status", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("x")); w.WriteHeader(404) }, 200, nil},
		{"a status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, 401, nil},
		{"two", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401); w.WriteHeader(200) }, 401, nil},
		{"announced", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(404) }, 404, nil},
		{"announced only", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103) }, 200, nil},
		{"flushed", func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush(); w.WriteHeader(404) }, 200, nil},
		{"flushed by a controller", func(w http.ResponseWriter, _ *http.Request) {
			http.NewResponseController(w).Flush()
			w.WriteHeader(404)
		}, 200, nil},
		{"a panic", func(http.ResponseWriter, *http.Request) { panic(oops) }, 500, oops},
		{"a panic after a status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); panic(oops) }, 500, oops},
		{"aborted", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, http.ErrAbortHandler},
		{"aborted after a status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); panic(http.ErrAbortHandler) }, 201, http.ErrAbortHandler},
	} {
		l := hundred()
		var got []httpmw.Outcome
		h, _, _ := settling(t, l, func(o httpmw.Outcome) int { got = append(got, o); return 4 },
			http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Of", "the response")
				row.serve(w, r)
			}))
		r := httptest.NewRequest("GET", "/", nil)
		func() {
			defer func() {
				if v := recover(); v != row.panics {
					t.Errorf("%s: panics with %v, want %v", row.why, v, row.panics)
				}
			}()
			h.ServeHTTP(httptest.NewRecorder(), r)
		}()
		if len(got) != 1 {
			t.Fatalf("%s: asked %d times", row.why, len(got))
		}
		if o := got[0]; o.Status != row.status || o.Request != r || o.Header.Get("X-Of") != "the response" || o.Taken != 10 {
			t.Errorf("%s: %+v, want status %d", row.why, o, row.status)
		}
		if spent(l) != 4 {
			t.Errorf("%s: %d spent, want 4", row.why, spent(l))
		}
	}
}

// A handler that ends its goroutine is settled for as it left the response.
func TestGoexitIsSettled(t *testing.T) {
	t.Parallel()
	l := hundred()
	var status atomic.Int64
	h, _, _ := settling(t, l, func(o httpmw.Outcome) int { status.Store(int64(o.Status)); return 3 },
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(202)
			runtime.Goexit()
		}))
	var wg sync.WaitGroup
	wg.Go(func() { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)) })
	wg.Wait()
	if status.Load() != 202 || spent(l) != 3 {
		t.Errorf("status %d, %d spent", status.Load(), spent(l))
	}
}

// More than was taken is charged, into debt if need be; less is given back; the
// same is left alone.
func TestSettle(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ cost, spent, settled int }{
		{10, 10, 0}, {11, 11, 1}, {500, 500, 490}, {9, 9, -1}, {0, 0, -10}, {-7, 0, -10},
	} {
		l := hundred()
		h, _, _ := settling(t, l, func(httpmw.Outcome) int { return row.cost }, hello)
		get(t, h)
		if got := spent(l); got != row.spent {
			t.Errorf("a cost of %d: %d spent, want %d", row.cost, got, row.spent)
		}
		if row.settled == 0 && l.settled != nil || row.settled != 0 && !slices.Equal(l.settled[0], []int{row.settled}) {
			t.Errorf("a cost of %d: settled %v, want %d", row.cost, l.settled, row.settled)
		}
	}
	l := hundred()
	h, m, _ := settling(t, l, func(httpmw.Outcome) int { return 190 }, hello)
	want(t, get(t, h), 200)
	want(t, get(t, h), 429, "Retry-After", strconv.Itoa(36*100))
	if len(l.settled) != 1 || m.Stats().Policies[0].Denied != 1 {
		t.Errorf("a refused request was settled: %v", l.settled)
	}
}

// A policy that is not asked, or that a dry run would have refused, has nothing
// to settle; nor has a policy without a function.
func TestSettleOnlyWhatWasTaken(t *testing.T) {
	t.Parallel()
	l := newPerKey(
		policy{name: "plain", limit: bucket.PerHour(100)},
		policy{name: "login", limit: bucket.PerHour(100)},
		policy{name: "dry", limit: bucket.PerHour(1), dryRun: true})
	free := func(httpmw.Outcome) int { return 0 }
	s := limit(t, l, httpmw.Config{
		Routes: map[string][]string{"login": {"/login"}},
		Cost:   func(*http.Request) int { return 2 },
		Settle: map[string]func(httpmw.Outcome) int{"login": free, "dry": free},
	})
	get(t, s)
	get(t, s, path("/login"))
	if want := [][]int{{0, -2, 0}}; !slices.EqualFunc(l.settled, want, slices.Equal) {
		t.Errorf("settled %v, want %v", l.settled, want)
	}
}

// If the function panics, what was taken stays taken, the answer goes out, and
// the log says it without a value of the request.
func TestSettlePanics(t *testing.T) {
	t.Parallel()
	for why, next := range map[string]http.Handler{
		"a response": hello,
		"a panic of the handler": http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}),
	} {
		l := hundred()
		h, m, log := settling(t, l, func(httpmw.Outcome) int { panic("sk_live_abc") }, next)
		for range 5 {
			func() {
				defer func() {
					if v := recover(); v != nil && v != http.ErrAbortHandler {
						t.Errorf("%s: panics with %v", why, v)
					}
				}()
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			}()
		}
		if spent(l) != 50 || m.Stats().Unsettled != 5 || log.count() != 3 {
			t.Errorf("%s: %d spent, %+v, logged %s", why, spent(l), m.Stats(), log.text())
		}
		if text := log.text(); !strings.Contains(text, "policy=a type=string") || strings.Contains(text, "sk_live") {
			t.Errorf("%s: logged %s", why, text)
		}
	}
}

// Count only failed logins: a hundred slow ones at once are not a way round the
// limit, since what they will turn out to be is charged beforehand.
func TestManyFailedLoginsAtOnce(t *testing.T) {
	t.Parallel()
	const limit, clients = 7, 100
	for name, status := range map[string]int{"all fail": 401, "all succeed": 200} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newPerKey(policy{name: "a", limit: bucket.PerHour(limit)})
			m, err := httpmw.New(l, httpmw.Config{
				Keys:   byIP(l),
				Settle: map[string]func(httpmw.Outcome) int{"a": httpmw.CountStatus(func(status int) bool { return status == 401 })},
				Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			var inside sync.WaitGroup // as many as pass
			inside.Add(limit)
			slow := make(chan struct{})
			h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				inside.Done() // panics at one too many
				<-slow
				w.WriteHeader(status)
			}))
			var passed, refused atomic.Int64
			var all, early sync.WaitGroup
			early.Add(clients - limit)
			for range clients {
				all.Go(func() {
					w := httptest.NewRecorder()
					h.ServeHTTP(w, httptest.NewRequest("POST", "/login", nil))
					if w.Code == 429 {
						refused.Add(1)
						early.Done()
					} else {
						passed.Add(1)
					}
				})
			}
			inside.Wait()
			early.Wait() // the others are refused while those are still at it
			close(slow)
			all.Wait()
			if passed.Load() != limit || refused.Load() != clients-limit {
				t.Errorf("%d passed and %d were refused, want %d and %d", passed.Load(), refused.Load(), limit, clients-limit)
			}
			left := map[int]int{401: 0, 200: limit}[status]
			for _, b := range l.buckets[0] {
				if got := b.Peek(l.now, 1).Remaining; got != left {
					t.Errorf("%d left, want %d", got, left)
				}
			}
		})
	}
}

// A client that goes away is settled for as its handler left the response, and
// a connection that is taken over when its handler is done with it.
func TestSettleOverTheNetwork(t *testing.T) {
	t.Parallel()
	l := hundred()
	outcomes := make(chan httpmw.Outcome)
	entered := make(chan struct{})
	h, _, _ := settling(t, l, func(o httpmw.Outcome) int { outcomes <- o; return 1 },
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/gone":
				entered <- struct{}{}
				<-r.Context().Done()
				w.WriteHeader(504)
			case "/abort":
				w.WriteHeader(200)
				http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			case "/hijack":
				conn, rw, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				rw.WriteString("HTTP/1.1 101 Switching Protocols\r\n\r\nhello")
				rw.Flush()
			}
		}))
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.Start()
	defer srv.Close()

	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	r, _ := http.NewRequestWithContext(ctx, "GET", srv.URL+"/gone", nil)
	if _, err := srv.Client().Do(r); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if o := <-outcomes; o.Status != 504 {
		t.Errorf("a client that went away: %+v", o)
	}

	done := make(chan error)
	go func() {
		resp, err := srv.Client().Get(srv.URL + "/abort")
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		done <- err
	}()
	if o := <-outcomes; o.Status != 200 {
		t.Errorf("an aborted response: %+v", o)
	}
	if err := <-done; err == nil {
		t.Error("an aborted response looks to the client like a whole one")
	}

	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /hijack HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	if o := <-outcomes; o.Status != 101 {
		t.Errorf("a connection taken over: %+v", o)
	}
	if got, err := io.ReadAll(conn); err != nil || !strings.Contains(string(got), "hello") {
		t.Errorf("%q, %v", got, err)
	}
}

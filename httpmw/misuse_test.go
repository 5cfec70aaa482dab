package httpmw_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// serveMany has h answer n requests made by request.
func serveMany(h http.Handler, n int, request func(i int) *http.Request) {
	w := discard{}
	for i := range n {
		w.h = http.Header{}
		h.ServeHTTP(&w, request(i))
	}
}

// A discard is a ResponseWriter that costs next to nothing.
type discard struct{ h http.Header }

func (w *discard) Header() http.Header         { return w.h }
func (w *discard) WriteHeader(int)             {}
func (w *discard) Write(p []byte) (int, error) { return len(p), nil }

func ExampleWarning() {
	limit, err := httpmw.New(exampleLimiter("ip"), httpmw.Config{
		Keys:   map[string]httpmw.Key{"ip": httpmw.ByIP()},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := limit.Handler(limit.Handler(hello)) // once would do
	show(h)
	for _, w := range limit.Stats().Warnings {
		fmt.Println(w.Name, w.Policy)
	}
	// Output:
	// 200 "ip";r=1;t=30
	// charged-twice ip
}

// hasWarning tells whether there is just one such warning.
func hasWarning(s *limited, name, policy string) bool {
	n := 0
	for _, w := range s.Stats().Warnings {
		if w.Name == name && w.Policy == policy && w.Message != "" {
			n++
		}
	}
	return n == 1
}

// wantWarnings checks which warnings there are, and that each is logged once.
func wantWarnings(t *testing.T, s *limited, names ...string) {
	t.Helper()
	got := s.Stats().Warnings
	if len(got) != len(names) || s.log.count() != len(names) {
		t.Fatalf("warnings %+v, logged %q: want %q", got, s.log.text(), names)
	}
	for i, w := range got {
		name, policy, _ := strings.Cut(names[i], " ")
		if w.Name != name || w.Policy != policy || w.Message == "" || !strings.Contains(s.log.text(), w.Message) {
			t.Errorf("warning %+v, logged %q: want %q", w, s.log.text(), names[i])
		}
	}
}

func request(addr, path string) *http.Request {
	r := httptest.NewRequest("GET", path, nil)
	r.RemoteAddr = addr
	return r
}

// open is a limiter of these policies that allows everything.
func open(names ...string) scripted {
	l := scripted{names: names, allowed: true}
	for range names {
		l.decisions = append(l.decisions, bucket.Decision{Allowed: true, Limit: bucket.PerSecond(9), Remaining: 8})
	}
	return l
}

func TestMisuse_none(t *testing.T) {
	t.Parallel()
	s := limit(t, open("a", "b"), httpmw.Config{})
	h := s.Middleware.Handler(http.NotFoundHandler())
	serveMany(h, 20_000, func(i int) *http.Request { return request(fmt.Sprintf("203.0.113.%d:80", i%9), "/") })
	wantWarnings(t, s)
}

func TestMisuse_proxy_that_is_not_trusted(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7"} {
		s := limit(t, open("a"), httpmw.Config{})
		for range 100 {
			get(t, s, field(name, value))
		}
		wantWarnings(t, s, "untrusted-proxy")
		if strings.Contains(s.log.text(), "203.0.113") {
			t.Errorf("the log holds an address: %s", s.log.text())
		}
	}
}

func TestMisuse_private_client(t *testing.T) {
	t.Parallel()
	trusting := httpmw.Config{IP: clientIP(t, "10.0.0.0/8")}
	for _, row := range []struct {
		why    string
		peer   string
		cfg    httpmw.Config
		warned bool
	}{
		{"private", "10.0.0.9:80", httpmw.Config{}, true},
		{"private", "192.168.1.1:80", httpmw.Config{}, true},
		{"private IPv4 in IPv6 notation", "[::ffff:172.16.0.1]:80", httpmw.Config{}, true},
		{"unique local", "[fd00::1]:80", httpmw.Config{}, true},
		{"loopback: a developer, or a proxy that will be noticed", "127.0.0.1:80", httpmw.Config{}, false},
		{"loopback", "[::1]:80", httpmw.Config{}, false},
		{"public", "8.8.8.8:80", httpmw.Config{}, false},
		{"nothing is limited by address", "10.0.0.9:80", httpmw.Config{Keys: map[string]httpmw.Key{"a": httpmw.Path()}}, false},
		{"somebody has thought of proxies", "192.168.1.1:80", trusting, false},
		{"a trusted proxy on an errand of its own", "10.0.0.9:80", trusting, false},
	} {
		s := limit(t, open("a"), row.cfg)
		for range 100 {
			get(t, s, from(row.peer))
		}
		if row.warned {
			wantWarnings(t, s, "private-client")
		} else {
			wantWarnings(t, s)
		}
		if t.Failed() || strings.Contains(s.log.text(), strings.Trim(row.peer, "[]:80")) {
			t.Fatalf("%s: logged %q", row.why, s.log.text())
		}
	}
}

func TestMisuse_policy_that_is_never_asked(t *testing.T) {
	t.Parallel()
	s := limit(t, open("all", "typo", "rare"), httpmw.Config{Routes: map[string][]string{
		"typo": {"/lgoin"}, "rare": {"/rare"},
	}})
	h := s.Middleware.Handler(http.NotFoundHandler())
	one := func(i int) *http.Request {
		if i == 17 {
			return request("203.0.113.1:80", "/rare")
		}
		return request(fmt.Sprintf("203.0.113.%d:80", i%9), "/login")
	}
	serveMany(h, 9_990, one)
	wantWarnings(t, s)
	serveMany(h, 100, one)
	wantWarnings(t, s, "never-asked typo")

	// The only policy there is. A pool may forget requests, under the race
	// detector many: it is 10,000 that it knows of.
	s = limit(t, open("typo"), httpmw.Config{Routes: map[string][]string{"typo": {"/lgoin"}}})
	h = s.Middleware.Handler(http.NotFoundHandler())
	serveMany(h, 9_990, one)
	wantWarnings(t, s)
	serveMany(h, 40_000, one)
	wantWarnings(t, s, "never-asked typo")
}

func TestMisuse_charged_twice(t *testing.T) {
	t.Parallel()
	l := newPerKey(policy{name: "a", limit: bucket.PerDay(100)}, policy{name: "aa", limit: bucket.PerDay(100)})
	for _, cfg := range []httpmw.Config{{}, {PartitionKey: func(*http.Request, string) []byte { return []byte("x") }}} {
		s := limit(t, l, cfg)
		serveMany(s.Middleware.Handler(s.Handler), 3, func(int) *http.Request { return request("203.0.113.1:80", "/") })
		wantWarnings(t, s, "charged-twice a", "charged-twice aa")
	}

	// By another middleware round the same limiter, and where it is refused.
	one := newPerKey(policy{name: "a", limit: bucket.PerDay(1)})
	outer, inner := limit(t, one, httpmw.Config{}), limit(t, one, httpmw.Config{})
	want(t, get(t, outer.Middleware.Handler(inner.Handler)), 429)
	wantWarnings(t, inner, "charged-twice a")
	wantWarnings(t, outer)

	// A unit is not a policy, nor does it hide one.
	slots := httpmw.Config{InFlight: []httpmw.InFlight{{Name: "slots", Key: httpmw.ByIP(), Max: 9}}}
	outer = limit(t, open("a"), slots)
	inner = limit(t, open("concurrent-requests"), httpmw.Config{})
	get(t, outer.Middleware.Handler(inner.Handler))
	wantWarnings(t, inner)
	slots.InFlight = append(slots.InFlight, httpmw.InFlight{Name: "concurrent-requests", Key: httpmw.ByIP(), Max: 9})
	inner = limit(t, open("a"), slots)
	get(t, inner.Middleware.Handler(inner.Handler))
	wantWarnings(t, inner, "charged-twice a", "charged-twice slots", "charged-twice concurrent-requests")

	// Other policies are other limits, even if one is called like a part of the other.
	outer = limit(t, newPerKey(policy{name: "aa", limit: bucket.PerDay(9)}, policy{name: "b/a", limit: bucket.PerDay(9)}), httpmw.Config{})
	inner = limit(t, newPerKey(policy{name: "a", limit: bucket.PerDay(9)}), httpmw.Config{})
	want(t, get(t, outer.Middleware.Handler(inner.Handler)), 200)
	wantWarnings(t, inner)
}

func TestMisuse_middleware_built_per_request(t *testing.T) {
	t.Parallel()
	s := limit(t, open("a"), httpmw.Config{})
	for range 1000 { // a large router
		s.Middleware.Handler(hello)
	}
	serveMany(s.Handler, 1000, func(int) *http.Request { return request("203.0.113.1:80", "/") })
	wantWarnings(t, s)

	perRequest := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Middleware.Handler(http.NotFoundHandler()).ServeHTTP(w, r)
	})
	serveMany(perRequest, 100, func(int) *http.Request { return request("203.0.113.1:80", "/") })
	wantWarnings(t, s)
	serveMany(perRequest, 100, func(int) *http.Request { return request("203.0.113.1:80", "/") })
	wantWarnings(t, s, "built-per-request")
}

// A Middleware made for each request is noticed by a limiter that counts them.
func TestMisuse_new_per_request(t *testing.T) {
	t.Parallel()
	l := &attached{Limiter: open("a")}
	warnings := 0
	for range 1000 {
		m, err := httpmw.New(l, httpmw.Config{Keys: map[string]httpmw.Key{"a": httpmw.ByIP()}, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range m.Stats().Warnings {
			if warnings++; w.Name != "built-per-request" {
				t.Errorf("warning %+v", w)
			}
		}
	}
	if warnings != 1 {
		t.Errorf("%d warnings, want one", warnings)
	}
}

// An attached counts its middlewares, as a *weir.Limiter does.
type attached struct {
	httpmw.Limiter
	n int
}

func (a *attached) Attach() int { a.n++; return a.n }

func TestMisuse_one_key_for_most(t *testing.T) {
	t.Parallel()
	const requests = 50_000 // two rounds of votes and more
	for _, row := range []struct {
		why    string
		share  int // of the heaviest client, in tenths
		key    httpmw.Key
		warned bool
	}{
		{"all", 10, httpmw.ByIP(), true},
		{"seven of ten", 7, httpmw.ByIP(), true},
		{"four of ten", 4, httpmw.ByIP(), false},
		{"each a little", 0, httpmw.ByIP(), false},
		{"all is what a global key is for", 10, httpmw.Global(), false},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			s := limit(t, open("a"), httpmw.Config{Keys: map[string]httpmw.Key{"a": row.key}})
			h := s.Middleware.Handler(http.NotFoundHandler())
			r := request("", "/")
			serveMany(h, requests, func(i int) *http.Request {
				r.RemoteAddr = fmt.Sprintf("203.0.113.%d:80", i%100)
				if i%10 < row.share {
					r.RemoteAddr = "198.51.100.9:80"
				}
				return r
			})
			if row.warned {
				wantWarnings(t, s, "one-key a")
			} else {
				wantWarnings(t, s)
			}
			if strings.Contains(s.log.text(), "198.51") {
				t.Errorf("the log holds the key: %s", s.log.text())
			}
		})
	}
}

// What is told in the log elsewhere is in the Stats too.
func TestMisuse_others(t *testing.T) {
	t.Parallel()
	s := limit(t, newPerKey(policy{name: "a", limit: bucket.PerDay(1)}), httpmw.Config{Cost: func(*http.Request) int { return 2 }})
	for range 3 {
		get(t, s)
	}
	wantWarnings(t, s, "cost-over-burst a")

	s = limit(t, open("a"), httpmw.Config{})
	for range 3 {
		get(t, s, from("@"))
	}
	wantWarnings(t, s, "unknown-peer")
}

// The caller may do with the list what it likes.
func TestMisuse_stats_are_a_copy(t *testing.T) {
	t.Parallel()
	s := limit(t, open("a"), httpmw.Config{})
	get(t, s, from("@"))
	s.Stats().Warnings[0].Name = "changed"
	wantWarnings(t, s, "unknown-peer")
}

// However many see it at once, it is said once.
func TestMisuse_concurrent(t *testing.T) {
	t.Parallel()
	s := limit(t, open("a"), httpmw.Config{})
	h := s.Middleware.Handler(http.NotFoundHandler())
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			serveMany(h, 2_000, func(int) *http.Request {
				r := request("10.0.0.9:80", "/")
				r.Header.Set("X-Forwarded-For", "203.0.113.7")
				return r
			})
			s.Stats()
		})
	}
	wg.Wait()
	names := map[string]int{}
	for _, w := range s.Stats().Warnings {
		names[w.Name]++
	}
	if names["untrusted-proxy"] != 1 || names["private-client"] != 1 || len(names) != s.log.count() {
		t.Errorf("warnings %v, logged %q", names, s.log.text())
	}
}

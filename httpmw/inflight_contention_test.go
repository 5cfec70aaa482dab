package httpmw_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"pgregory.net/rapid"
)

// All or nothing with the limiter: a request that the limiter refuses takes no
// slot, not even for a moment, so that others are not refused for it.
func TestInFlightIsAllOrNothing(t *testing.T) {
	t.Parallel()
	l := newPerKey(policy{name: "a", limit: bucket.PerDay(1)})
	busy := httpmw.InFlight{Name: "busy", Key: httpmw.Global(), Max: 1}
	other := httpmw.InFlight{Name: "other", Key: httpmw.Global(), Max: 1}
	m, err := httpmw.New(l, httpmw.Config{
		Keys: byIP(l), Routes: map[string][]string{"a": {"/a"}}, Logger: slog.New(slog.DiscardHandler),
		InFlight: []httpmw.InFlight{busy, other},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := m.Handler(http.NotFoundHandler())
	serve := func(path string) int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Code
	}
	serve("/a") // the one of the day
	var wg sync.WaitGroup
	var done atomic.Bool
	for range 4 {
		wg.Go(func() {
			for !done.Load() {
				if got := serve("/a"); got != 429 && got != 503 {
					t.Errorf("status %d of a request over the limit", got)
				}
			}
		})
	}
	for i := range 5000 {
		if got := serve("/b"); got != 404 {
			t.Errorf("request %d, the only one in flight: status %d", i, got)
			break
		}
	}
	done.Store(true)
	wg.Wait()
}

// From many goroutines: never more than Max of a key at once, those who find
// room get in, and in the end there is nothing left in memory of any key.
func TestInFlightUnderContention(t *testing.T) {
	t.Parallel()
	const most, keys, goroutines, rounds = 3, 5, 32, 300
	l := newPerKey(policy{name: "a", limit: bucket.Limit{Quota: 1 << 20, Window: second, Burst: 1 << 20}})
	m, err := httpmw.New(l, httpmw.Config{
		Keys: byIP(l), Logger: slog.New(slog.DiscardHandler),
		InFlight: []httpmw.InFlight{
			{Name: "own", Key: apiKey, Max: most},
			{Name: "all", Key: httpmw.Global(), Max: 2 * most},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var own [keys]atomic.Int64
	var all, passed atomic.Int64
	h := m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var i int
		fmt.Sscan(r.Header.Get("X-Api-Key"), &i)
		if a, b := own[i].Add(1), all.Add(1); a > most || b > 2*most {
			t.Errorf("%d of a key and %d in all at once, want at most %d and %d", a, b, most, 2*most)
		}
		passed.Add(1)
		runtime.Gosched()
		own[i].Add(-1)
		all.Add(-1)
	}))
	var wg sync.WaitGroup
	for i := range goroutines {
		wg.Go(func() {
			for round := range rounds {
				r := httptest.NewRequest("GET", "/", nil)
				r.Header.Set("X-Api-Key", fmt.Sprint((i+round)%keys))
				h.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
	wg.Wait()
	st := m.Stats().Policies
	if passed.Load() < rounds || st[1].Allowed != uint64(passed.Load()) || st[2].Allowed != st[1].Allowed {
		t.Errorf("%d passed, %+v", passed.Load(), st)
	}
	if st[1].InFlight != 0 || st[2].InFlight != 0 || httpmw.KeysInFlight(m) != 0 {
		t.Errorf("after all of them %d keys are left: %+v", httpmw.KeysInFlight(m), st)
	}
}

// Any nesting of requests goes by a count for each key.
func TestProperty_in_flight(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 3).Draw(t, "max")
		quota := rapid.IntRange(1, 30).Draw(t, "quota")
		l := newPerKey(policy{name: "a", limit: bucket.PerDay(quota)})
		m, err := httpmw.New(l, httpmw.Config{
			Keys: map[string]httpmw.Key{"a": httpmw.Global()}, Logger: slog.New(slog.DiscardHandler),
			InFlight: []httpmw.InFlight{{Name: "busy", Key: httpmw.ByIP(), Max: most}},
		})
		if err != nil {
			t.Fatal(err)
		}
		held, left := map[string]int{}, quota
		var h http.Handler
		depth := 0
		serve := func() {
			client := rapid.SampledFrom([]string{"192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:1"}).Draw(t, "client")
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = client
			want := 200
			switch {
			case held[client] >= most:
				want = 429
			case left == 0:
				want = 503 // that of all
			default:
				held[client]++
				left--
			}
			h.ServeHTTP(w, r)
			if w.Code != want {
				t.Fatalf("status %d, want %d with %d in flight and %d left", w.Code, want, held[client], left)
			}
			if want == 200 {
				held[client]--
			}
		}
		h = m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			depth++
			defer func() { depth-- }()
			for range rapid.IntRange(0, 3).Draw(t, "within") {
				if depth < 6 {
					serve()
				}
			}
		}))
		for range rapid.IntRange(1, 5).Draw(t, "requests") {
			serve()
		}
		for _, p := range m.Stats().Policies {
			if p.InFlight != 0 {
				t.Fatalf("%+v", p)
			}
		}
	})
}

package httpmw_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// Requests at the same time do not get into each other's way: each client has
// its quota, to the token, and each answer is its own.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	const clients, quota, requests = 8, 10, 50
	l := newPerKey(policy{name: "a", limit: bucket.PerDay(quota)})
	m, err := httpmw.New(l, httpmw.Config{Keys: map[string]httpmw.Key{"a": apiKey}})
	if err != nil {
		t.Fatal(err)
	}
	var passed [clients]atomic.Int64
	h := m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var i int
		fmt.Sscan(r.Header.Get("X-Api-Key"), &i)
		passed[i].Add(1)
	}))
	var wg sync.WaitGroup
	for i := range clients * requests {
		wg.Go(func() {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("X-Api-Key", fmt.Sprint(i%clients))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if _, refused := w.Header()["Retry-After"]; refused != (w.Code == 429) {
				t.Errorf("status %d with header %v", w.Code, w.Header())
			}
			checkFields(t, w.Header())
		})
	}
	wg.Wait()
	for i := range passed {
		if n := passed[i].Load(); n != quota {
			t.Errorf("client %d: %d requests passed, want %d", i, n, quota)
		}
	}
	if len(l.buckets[0]) != clients {
		t.Errorf("%d keys, want %d", len(l.buckets[0]), clients)
	}
}

// forgetful is a limiter that stores its decisions once, against its contract.
type forgetful struct {
	scripted
	calls int
}

func (l *forgetful) DecideEach(into []bucket.Decision, costs []int, keys ...string) bool {
	if l.calls++; l.calls == 1 {
		return l.scripted.DecideEach(into, costs, keys...)
	}
	return true
}

// What was decided on one request is not told to the next client.
func TestDecisionsAreNotReused(t *testing.T) {
	t.Parallel()
	s := limit(t, &forgetful{scripted: stubAllowed}, httpmw.Config{})
	want(t, get(t, s), 200, "RateLimit", `"a";r=7;t=7`)
	for range 20 {
		want(t, get(t, s), 200, "RateLimit", "", "RateLimit-Policy", "")
	}
}

var stubAllowed = scripted{names: []string{"a"}, allowed: true, decisions: []bucket.Decision{
	{Allowed: true, Limit: bucket.Limit{Quota: 10, Window: 10 * second}, Remaining: 7},
}}

package proxy_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/proxy"
)

// limited returns a proxy behind five requests a day, and what is asked of it.
func limited(t *testing.T, to string) func(path string) *http.Response {
	t.Helper()
	target, err := proxy.ParseTarget(to)
	if err != nil {
		t.Fatal(err)
	}
	p, err := proxy.New(proxy.Config{To: target, Timeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.CloseIdle)
	l, err := weir.Open("", weir.Policy{Name: "ip", Limit: bucket.PerDay(5)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	m, err := httpmw.New(l, httpmw.Config{Keys: map[string]httpmw.Key{"ip": httpmw.ByIP()}})
	if err != nil {
		t.Fatal(err)
	}
	h := m.Handler(p)
	return func(path string) *http.Response {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Result()
	}
}

func TestCheck74RefusedRequestsDoNotReachTheUpstream(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	ask := limited(t, upstream(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	for i := range 8 {
		want := 200
		if i >= 5 {
			want = 429
		}
		if res := ask("/"); res.StatusCode != want {
			t.Errorf("request %d: %d, want %d", i+1, res.StatusCode, want)
		}
	}
	if asked.Load() != 5 {
		t.Errorf("the upstream was asked %d times, want 5", asked.Load())
	}
}

// However a request ends, it costs one token, and the client is told what is
// left.
func TestFailuresAreChargedOnce(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why, to, path string
		status        int
	}{
		{"refused", "http://127.0.0.1:1", "/", 502},
		{"cut off before the answer", upstream(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), "/", 502},
		{"too slow", upstream(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), "/", 504},
		{"a path that leads out", "http://127.0.0.1:1/base", "/../x", 400},
		{"a 429 of the upstream's own", upstream(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }), "/", 429},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			ask := limited(t, row.to)
			for left := 4; left >= 0; left-- {
				res := ask(row.path)
				if got := res.Header.Get("RateLimit"); res.StatusCode != row.status || !strings.HasPrefix(got, fmt.Sprintf(`"ip";r=%d;`, left)) {
					t.Errorf("%d with RateLimit %s, want %d and r=%d", res.StatusCode, got, row.status, left)
				}
			}
		})
	}
}

func TestCheck70And71BehindRealLimits(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		retry string
		ours  bool // beside the upstream's
	}{{"", true}, {"9", false}, {"86400", true}} {
		ask := limited(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("RateLimit", `"up";r=0;t=9`)
			w.Header().Set("RateLimit-Policy", `"up";q=1;w=9`)
			if row.retry != "" {
				w.Header().Set("Retry-After", row.retry)
			}
			w.WriteHeader(http.StatusTooManyRequests)
		}))
		res := ask("/")
		if got := strings.Join(res.Header.Values("RateLimit"), ", "); strings.HasPrefix(got, `"ip";r=4;`) != row.ours || !strings.HasSuffix(got, `"up";r=0;t=9`) {
			t.Errorf("Retry-After %q: RateLimit: %s, want the upstream's, and ours: %v", row.retry, got, row.ours)
		}
		if got := strings.Join(res.Header.Values("RateLimit-Policy"), ", "); got != `"ip";q=5;w=86400, "up";q=1;w=9` {
			t.Errorf("Retry-After %q: RateLimit-Policy: %s, want both", row.retry, got)
		}
		if got := res.Header.Get("Retry-After"); got != row.retry || len(res.Header["Retry-After"]) > 1 {
			t.Errorf("Retry-After: %q, want the upstream's, %q", got, row.retry)
		}
	}
}

//go:build !race

// The race detector has pools drop things at random.

package httpmw_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// A discard is a ResponseWriter that costs next to nothing.
type discard struct{ h http.Header }

func (w *discard) Header() http.Header         { return w.h }
func (w *discard) WriteHeader(int)             {}
func (w *discard) Write(p []byte) (int, error) { return len(p), nil }

// stub returns a limiter of one or two policies that always says the same.
func stub(allowed bool, policies int) scripted {
	d := bucket.Decision{Allowed: allowed, Limit: bucket.PerMinute(100), Remaining: 99, ResetAfter: time.Second}
	if !allowed {
		d.Remaining, d.RetryAfter = 0, time.Second
	}
	l := scripted{allowed: allowed}
	for i := range policies {
		l.names, l.decisions = append(l.names, []string{"ip", "user"}[i]), append(l.decisions, d)
	}
	return l
}

// served returns a function that has h answer one and the same request.
func served(h http.Handler, r *http.Request) func() {
	w := &discard{h: make(http.Header, 16)}
	return func() {
		clear(w.h)
		h.ServeHTTP(w, r)
	}
}

// What a request costs is a small fixed number of allocations, whatever the
// client sends.
func TestAllocs(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	huge := strings.Repeat("10.0.0.1,", 100_000)
	for _, row := range []struct {
		why      string
		key      httpmw.Key
		edit     func(*http.Request)
		policies int
		allowed  bool
		most     float64
	}{
		{"allowed", httpmw.ByIP(), nil, 1, true, 3},
		{"allowed, two policies", httpmw.ByIP(), nil, 2, true, 4},
		{"refused", httpmw.ByIP(), nil, 1, false, 3},
		{"refused, two policies", httpmw.ByIP(), nil, 2, false, 4},
		{"a header", apiKey, field("X-Api-Key", "k"), 2, false, 4},
		{"a huge header", apiKey, field("X-Api-Key", huge), 2, false, 4},
		{"a huge authorization", httpmw.Header("Authorization"), field("Authorization", "Bearer "+huge), 2, false, 4},
		{"join", httpmw.Join(httpmw.ByIP(), httpmw.Path(), apiKey), nil, 2, false, 4},
		{"a huge X-Forwarded-For", httpmw.ByIP(), field(xff, huge), 2, false, 4},
		{"a huge element of X-Forwarded-For", httpmw.ByIP(), field(xff, strings.Repeat("1", 900_000)), 2, false, 4},
	} {
		l := stub(row.allowed, row.policies)
		keys := map[string]httpmw.Key{}
		for _, name := range l.names {
			keys[name] = row.key
		}
		m, err := httpmw.New(l, httpmw.Config{Keys: keys, IP: clientIP(t, "10.0.0.0/8"), Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "10.0.0.1:4711"
		if row.edit != nil {
			row.edit(r)
		}
		serve := served(m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), r)
		if got := testing.AllocsPerRun(200, serve); got > row.most {
			t.Errorf("%s: %v allocations, want at most %v", row.why, got, row.most)
		}
	}
}

func BenchmarkMiddleware(b *testing.B) {
	for _, row := range []struct {
		name     string
		policies int
		allowed  bool
	}{{"allowed/1", 1, true}, {"allowed/2", 2, true}, {"refused/1", 1, false}, {"refused/2", 2, false}} {
		b.Run(row.name, func(b *testing.B) {
			l := stub(row.allowed, row.policies)
			m, err := httpmw.New(l, httpmw.Config{Keys: byIP(l)})
			if err != nil {
				b.Fatal(err)
			}
			serve := served(m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), httptest.NewRequest("GET", "/", nil))
			b.ReportAllocs()
			for b.Loop() {
				serve()
			}
		})
	}
}

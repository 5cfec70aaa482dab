package weirtest_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// A recorder is a test that fails, and goes on.
type recorder struct {
	testing.TB
	said []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

var hello = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })

// limited returns inner behind a limit.
func limited(t testing.TB, inner http.Handler, limit bucket.Limit, cfg httpmw.Config) http.Handler {
	t.Helper()
	if cfg.Keys == nil {
		cfg.Keys = map[string]httpmw.Key{"ip": httpmw.ByIP()}
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	limiter, err := weir.Open("", weir.Policy{Name: "ip", Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	mw, err := httpmw.New(limiter, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return mw.Handler(inner)
}

var fivePerMinute = bucket.PerMinute(5)

// behindProxy is a client behind a trusted proxy.
func behindProxy(client int) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "10.0.0.1:4711"
	r.Header.Set("X-Forwarded-For", fmt.Sprintf("198.51.100.%d", client))
	return r
}

// slow has a handler take some time.
func slow(d time.Duration, inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(d)
		inner.ServeHTTP(w, r)
	})
}

package httpmw_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/httpmw"
)

// A function that panics lets nobody pass, and what it says stays inside.
func TestCheck_69_panic_of_a_function(t *testing.T) {
	t.Parallel()
	const secret = "sk_live_abc"
	boom := func(*http.Request) string { panic(errors.New(secret)) }
	for _, row := range []struct {
		name  string
		cfg   httpmw.Config
		cause string
	}{
		{"key", httpmw.Config{Keys: map[string]httpmw.Key{"default": httpmw.Func(boom)}}, "Key of policy default panicked"},
		{"part of a join", httpmw.Config{Keys: map[string]httpmw.Key{"default": httpmw.Join(httpmw.ByIP(), httpmw.Func(boom))}}, "Key of policy default panicked"},
		{"cost", httpmw.Config{Cost: func(*http.Request) int { panic(errors.New(secret)) }}, "Cost panicked"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := limit(t, defaultLimiter(), row.cfg)
			for range 100 {
				w := get(t, s)
				want(t, w, 503, "Cache-Control", "no-store", "X-Content-Type-Options", "nosniff", "RateLimit", "",
					"Content-Type", "application/problem+json", "Content-Length", strconv.Itoa(w.Body.Len()))
				p := decode(t, w.Body.Bytes())
				if p.Type != "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity" || p.Status != 503 {
					t.Errorf("problem %+v", p)
				}
				if strings.Contains(w.Body.String()+fmt.Sprint(w.Header()), secret) {
					t.Errorf("the answer holds the value of the panic: %s", w.Body)
				}
			}
			if s.calls != 0 {
				t.Errorf("%d requests passed", s.calls)
			}
			if got := s.Stats(); got.Failed != 100 {
				t.Errorf("%+v, want 100 failed", got)
			}
			log := s.log.text()
			if !strings.Contains(log, row.cause) || !strings.Contains(log, "*errors.errorString") || strings.Contains(log, secret) {
				t.Errorf("logged %q, want %q and the type, but not the value", log, row.cause)
			}
			if s.log.count() != 7 { // 1, 2, 4 … 64
				t.Errorf("%d lines of log for 100 panics, want 7", s.log.count())
			}
			head := get(t, s, func(r *http.Request) { r.Method = http.MethodHead })
			if want(t, head, 503); head.Body.Len() != 0 {
				t.Errorf("HEAD has a body: %q", head.Body)
			}
		})
	}
}

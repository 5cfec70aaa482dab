package httpmw_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// Fail-open is for who asks for it by name. Then a request that cannot be
// counted passes as if there were no limit, and is counted and told of.
func TestCheck_69_fail_open(t *testing.T) {
	t.Parallel()
	const secret = "sk_live_abc"
	boom := func(r *http.Request) int {
		if r.URL.Path == "/boom" {
			panic(errors.New(secret))
		}
		return 1
	}
	key := httpmw.Func(func(r *http.Request) string { boom(r); return "x" })
	for _, row := range []struct {
		name, cause string
		cfg         httpmw.Config
	}{
		{"key", "Key of policy default panicked", httpmw.Config{Keys: map[string]httpmw.Key{"default": key}}},
		{"cost", "Cost panicked", httpmw.Config{Cost: boom}},
		{"cost of a policy", "Cost of policy default panicked", httpmw.Config{Costs: map[string]func(*http.Request) int{"default": boom}}},
		{"partition key", "PartitionKey of policy default panicked", httpmw.Config{
			PartitionKey: func(r *http.Request, _ string) []byte { boom(r); return nil },
			// Nothing was taken that could be settled, nor is a slot held.
			Settle:   map[string]func(httpmw.Outcome) int{"default": func(httpmw.Outcome) int { return 9 }},
			InFlight: []httpmw.InFlight{{Name: "slots", Key: httpmw.ByIP(), Max: 1}},
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			l := newPerKey(policy{name: "default", limit: bucket.PerDay(1)})
			row.cfg.FailOpen = true
			s := limit(t, l, row.cfg)
			for range 100 {
				want(t, get(t, s, path("/boom")), 200, "RateLimit", "", "RateLimit-Policy", "", "Retry-After", "")
			}
			st := s.Stats()
			if s.calls != 100 || st.Failed != 100 || st.Policies[0].Allowed != 0 {
				t.Errorf("%d passed, %+v: want 100 and as many failed", s.calls, st)
			}
			if log := s.log.text(); !strings.Contains(log, row.cause) || !strings.Contains(log, "passes without a limit") ||
				strings.Contains(log, secret) || s.log.count() != 7 { // 1, 2, 4 … 64
				t.Errorf("logged %q, want 7 lines with %q and without the value", log, row.cause)
			}
			// The others are limited as ever, and none of those was charged.
			want(t, get(t, s, path("/")), 200)
			want(t, get(t, s, path("/")), 429)
		})
	}

	// What is not a panic of a function is not let pass.
	closed := scripted{names: []string{"a"}, decisions: []bucket.Decision{{Allowed: true}}}
	s := limit(t, closed, httpmw.Config{FailOpen: true})
	want(t, get(t, s), 503)
	if s.calls != 0 || s.Stats().Failed != 1 || !strings.Contains(s.log.text(), "answered with 503") {
		t.Errorf("%d passed, %+v, logged %q", s.calls, s.Stats(), s.log.text())
	}
}

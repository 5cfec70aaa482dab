package httpmw_test

import (
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// Denied is called for each refusal and for nothing else, with the policy that
// refuses it the longest, and it may add to the header of the answer.
func TestDenied(t *testing.T) {
	t.Parallel()
	var got []httpmw.Denial
	cfg := httpmw.Config{
		Denied: func(w http.ResponseWriter, r *http.Request, why httpmw.Denial) {
			got = append(got, why)
			w.Header().Set("X-Id", r.URL.Path)
		},
	}
	l := newPerKey(policy{name: "second", limit: bucket.PerSecond(1)}, policy{name: "day", limit: bucket.PerDay(1)},
		policy{name: "dry", limit: bucket.Limit{Quota: 1, Window: 300 * 24 * time.Hour}, dryRun: true})
	s := limit(t, l, cfg)
	if w := get(t, s.Handler); w.Code != 200 || len(got) != 0 || w.Header().Get("X-Id") != "" {
		t.Fatalf("allowed: %d, %v, %v", w.Code, got, w.Header())
	}
	w := get(t, s.Handler)
	if w.Code != 429 || w.Header().Get("X-Id") != "/" || w.Header().Get("Retry-After") != "86400" {
		t.Errorf("refused: %d, %v", w.Code, w.Header())
	}
	if len(got) != 1 || got[0].Policy != "day" || got[0].Cost != 1 || got[0].Decision.RetryAfter != 24*time.Hour ||
		s.Middleware.KeyText(got[0].Key) != "192.0.2.1" {
		t.Errorf("told of %+v", got)
	}
}

// A request that all slots are taken for is denied by the InFlight.
func TestDenied_in_flight(t *testing.T) {
	t.Parallel()
	var got []httpmw.Denial
	cfg := httpmw.Config{
		InFlight: []httpmw.InFlight{{Name: "busy", Key: httpmw.Global(), Max: 1}},
		Denied:   func(_ http.ResponseWriter, _ *http.Request, why httpmw.Denial) { got = append(got, why) },
	}
	s := limit(t, defaultLimiter(), cfg)
	var h http.Handler
	h = s.Middleware.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { get(t, h) }))
	get(t, h)
	if len(got) != 1 || got[0].Policy != "busy" || got[0].Decision.Limit.Quota != 1 || s.Middleware.KeyText(got[0].Key) != "everybody" {
		t.Errorf("told of %+v", got)
	}
}

// What could not be counted is not denied.
func TestDenied_is_not_for_failures(t *testing.T) {
	t.Parallel()
	cfg := httpmw.Config{
		Keys:   map[string]httpmw.Key{"default": httpmw.Func(func(*http.Request) string { panic("no user") })},
		Denied: func(_ http.ResponseWriter, _ *http.Request, why httpmw.Denial) { t.Errorf("told of %+v", why) },
		Logger: slog.New(slog.DiscardHandler),
	}
	if w := get(t, limit(t, defaultLimiter(), cfg).Handler); w.Code != 503 {
		t.Errorf("status %d, want 503", w.Code)
	}
}

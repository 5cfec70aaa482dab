package httpmw_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// The forms that tell of one policy tell of the one that matters next.
func TestOneOfSeveralPolicies(t *testing.T) {
	t.Parallel()
	limit10, day := bucket.Limit{Quota: 10, Window: 10 * second}, bucket.PerDay(100)
	allowed := func(l bucket.Limit, remaining int) bucket.Decision {
		return bucket.Decision{Allowed: true, Limit: l, Remaining: remaining}
	}
	refused := func(l bucket.Limit, remaining int, retry time.Duration) bucket.Decision {
		return bucket.Decision{Limit: l, Remaining: remaining, RetryAfter: retry}
	}
	dry := refused(day, 0, time.Hour)
	dry.Allowed, dry.DryRun = true, true
	for _, row := range []struct {
		why    string
		a, b   bucket.Decision
		status int
		field  string
		policy string
	}{
		{"the first has least", allowed(limit10, 3), allowed(day, 7), 200, "limit=10, remaining=3, reset=3", "10;w=10, 100;w=86400"},
		{"the second has least", allowed(limit10, 7), allowed(day, 3), 200, "limit=100, remaining=3, reset=2592", "10;w=10, 100;w=86400"},
		{"as much: the one that refills slower", allowed(limit10, 3), allowed(day, 3), 200, "limit=100, remaining=3, reset=2592", "10;w=10, 100;w=86400"},
		{"a dry run does not show", dry, allowed(limit10, 7), 200, "limit=10, remaining=7, reset=7", "10;w=10"},
		{"nor does what has no limit", bucket.Decision{Allowed: true}, allowed(limit10, 7), 200, "limit=10, remaining=7, reset=7", "10;w=10"},
		{"nothing to show", bucket.Decision{Allowed: true}, dry, 200, "", ""},
		{"the one that refused", refused(limit10, 0, 900*time.Millisecond), allowed(day, 0), 429, "limit=10, remaining=0, reset=1", "10;w=10, 100;w=86400"},
		{"the one that refuses longest", refused(limit10, 0, second), refused(day, 2, time.Hour), 429, "limit=100, remaining=2, reset=3600", "10;w=10, 100;w=86400"},
		{"one that refuses and has no limit to tell", refused(bucket.Limit{}, 0, second), allowed(limit10, 7), 429, "", "10;w=10"},
		{"for good: when what is left may be used", refused(limit10, 4, bucket.Never), refused(day, 0, time.Hour), 429, "limit=10, remaining=4, reset=4", "10;w=10, 100;w=86400"},
	} {
		l := scripted{names: []string{"a", "b"}, allowed: row.status == 200, decisions: []bucket.Decision{row.a, row.b}}
		w := ask(t, limit(t, l, httpmw.Config{Fields: httpmw.Draft7}))
		if wantOnly(t, w, row.status, "RateLimit", row.field, "RateLimit-Policy", row.policy); t.Failed() {
			t.Fatal(row.why)
		}
	}
}

// A limit on requests at once has no window: where only windows can be told it
// shows when it is what refused.
func TestOneOfSeveralPolicies_in_flight(t *testing.T) {
	t.Parallel()
	cfg := httpmw.Config{Fields: httpmw.Draft6, InFlight: []httpmw.InFlight{
		{Name: "slots", Key: httpmw.ByIP(), Max: 1, RetryAfter: 7 * second},
	}}
	s := limit(t, defaultLimiter(), cfg)
	var h http.Handler
	h = s.Middleware.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wantOnly(t, ask(t, h), 429, "RateLimit-Policy", "5;w=5", "RateLimit-Limit", "1", "RateLimit-Remaining", "0", "RateLimit-Reset", "7", "Retry-After", "7")
	}))
	wantOnly(t, ask(t, h), 200, "RateLimit-Policy", "5;w=5",
		"RateLimit-Limit", "5", "RateLimit-Remaining", "4", "RateLimit-Reset", "4")
}

// Fields that cannot be there twice are those of the limiter that leaves less,
// and on a refusal of the one that refuses.
func TestNested_fields_that_are_there_once(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, row := range []struct {
			why          string
			outer, inner int
			remaining    string
			limit        string
		}{
			{"the outer has less", 3, 9, "2", "3"},
			{"the inner has less", 9, 3, "2", "3"},
			{"as much: the outer stays", 5, 5, "4", "5"},
		} {
			for _, set := range []httpmw.FieldSet{httpmw.Draft7 | httpmw.XRateLimit, httpmw.Draft6} {
				outer := limit(t, newPerKey(policy{name: "outer", limit: bucket.PerMinute(row.outer)}), httpmw.Config{Fields: set})
				inner := limit(t, newPerKey(policy{name: "inner", limit: bucket.PerHour(row.inner)}), httpmw.Config{Fields: set})
				w := ask(t, outer.Middleware.Handler(inner.Handler))
				policies := itoa(row.outer) + ";w=60 | " + itoa(row.inner) + ";w=3600"
				if set == httpmw.Draft6 {
					want(t, w, 200, "RateLimit-Limit", row.limit, "RateLimit-Remaining", row.remaining, "RateLimit-Policy", policies)
				} else {
					want(t, w, 200, "X-RateLimit-Limit", row.limit, "X-RateLimit-Remaining", row.remaining, "RateLimit-Policy", policies)
					if got := w.Header().Values("RateLimit"); len(got) != 1 || got[0][:len("limit=3, remaining=2,")] != "limit="+row.limit+", remaining="+row.remaining+"," {
						t.Errorf("%s: RateLimit %q", row.why, got)
					}
				}
			}
		}

		// The inner refuses with more left than the outer has: it is the one to tell of.
		outer := limit(t, newPerKey(policy{name: "outer", limit: bucket.PerMinute(1)}), httpmw.Config{Fields: httpmw.Draft6})
		inner := limit(t, scripted{names: []string{"inner"}, decisions: []bucket.Decision{
			{Limit: bucket.PerHour(9), Remaining: 5, RetryAfter: 30 * second},
		}}, httpmw.Config{Fields: httpmw.Draft6})
		want(t, ask(t, outer.Middleware.Handler(inner.Handler)), 429,
			"RateLimit-Limit", "9", "RateLimit-Remaining", "5", "RateLimit-Reset", "30")
	})
}

// Two syntaxes in one field could be read by nobody: the outer limiter's stays
// alone, and the inner one says so.
func TestNested_in_different_drafts(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		outer, inner httpmw.FieldSet
		policy       string
	}{
		{httpmw.Draft11, httpmw.Draft7, `"outer";q=2;w=60`},
		{httpmw.Draft11, httpmw.Draft6, `"outer";q=2;w=60`},
		{httpmw.Draft7, httpmw.Draft11, `2;w=60`},
		{httpmw.Draft6, httpmw.Draft11, `2;w=60`},
	} {
		outer := limit(t, newPerKey(policy{name: "outer", limit: bucket.PerMinute(2)}), httpmw.Config{Fields: row.outer})
		inner := limit(t, newPerKey(policy{name: "inner", limit: bucket.PerMinute(1)}), httpmw.Config{Fields: row.inner})
		alone := ask(t, limit(t, newPerKey(policy{name: "outer", limit: bucket.PerMinute(2)}), httpmw.Config{Fields: row.outer}))
		h := outer.Middleware.Handler(inner.Handler)
		w := ask(t, h)
		for _, name := range allFields {
			want(t, w, 200, name, alone.Header().Get(name))
		}
		want(t, ask(t, h), 429, "RateLimit-Policy", row.policy, "Retry-After", "60")
		if inner.log.count() != 1 || !hasWarning(inner, "mixed-fields", "") || len(outer.Stats().Warnings) != 0 {
			t.Errorf("%v in %v: logged %q, %v", row.inner, row.outer, inner.log.text(), inner.Stats().Warnings)
		}
	}
}

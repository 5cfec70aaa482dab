package httpmw_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// Scripts of other origins may read what they are told, if that is asked for.
func TestCheck_41_exposed_fields(t *testing.T) {
	t.Parallel()
	origin := field("Origin", "https://a.example")
	for set, names := range map[httpmw.FieldSet]string{
		0:               "Retry-After, RateLimit, RateLimit-Policy",
		httpmw.Draft7:   "Retry-After, RateLimit, RateLimit-Policy",
		httpmw.Draft6:   "Retry-After, RateLimit-Policy, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset",
		httpmw.NoFields: "Retry-After",
		httpmw.Draft11 | httpmw.XRateLimit: "Retry-After, RateLimit, RateLimit-Policy, " +
			"X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset",
	} {
		cfg := httpmw.Config{ExposeFields: true, Fields: set}
		s := limit(t, newPerKey(policy{name: "a", limit: bucket.PerDay(1)}), cfg)
		want(t, ask(t, s, origin), 200, "Access-Control-Expose-Headers", names)
		want(t, ask(t, s, origin), 429, "Access-Control-Expose-Headers", names)
		want(t, ask(t, s), 429, "Access-Control-Expose-Headers", "") // from no other origin

		// Each name is that of a field that is there.
		w := ask(t, s, origin)
		for name := range strings.SplitSeq(names, ", ") {
			if w.Header().Get(name) == "" {
				t.Errorf("%v exposes %s, which is not in %v", set, name, w.Header())
			}
		}
		for _, name := range allFields {
			if w.Header().Get(name) != "" && !slices.Contains(strings.Split(names, ", "), name) {
				t.Errorf("%v does not expose %s", set, name)
			}
		}
	}

	t.Run("added_to_what_is_there", func(t *testing.T) {
		t.Parallel()
		s := limit(t, defaultLimiter(), httpmw.Config{ExposeFields: true})
		w := get(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Access-Control-Expose-Headers", "ETag")
			s.ServeHTTP(w, r)
		}), origin)
		want(t, w, 200, "Access-Control-Expose-Headers", "ETag | Retry-After, RateLimit, RateLimit-Policy")
	})

	t.Run("off_by_default", func(t *testing.T) {
		t.Parallel()
		want(t, get(t, exhausted(t, httpmw.Config{}), origin), 429, "Access-Control-Expose-Headers", "")
	})
}

// A preflight has a bucket of its own, and nothing that is less than one has.
func TestCheck_42_preflight(t *testing.T) {
	t.Parallel()
	options := func(r *http.Request) { r.Method = http.MethodOptions }
	origin := field("Origin", "https://a.example")
	asks := field("Access-Control-Request-Method", "PUT")

	s := exhausted(t, httpmw.Config{})
	want(t, get(t, s, options), 429)
	want(t, get(t, s, options, origin), 429)
	want(t, get(t, s, options, asks), 429)
	want(t, get(t, s, origin, asks), 429)
	want(t, get(t, s, options, origin, asks), 200)
	want(t, get(t, s, options, origin, asks), 429) // the same limit
}

func TestCheck_42_preflight_by_choice(t *testing.T) {
	t.Parallel()
	preflight := func(r *http.Request) {
		r.Method = http.MethodOptions
		r.Header.Set("Origin", "https://a.example")
		r.Header.Set("Access-Control-Request-Method", "PUT")
	}
	options := func(r *http.Request) { r.Method = http.MethodOptions }

	t.Run("charged", func(t *testing.T) {
		t.Parallel()
		s := limit(t, defaultLimiter(), httpmw.Config{Preflight: httpmw.PreflightCharge})
		want(t, get(t, s, preflight), 200, "RateLimit", `"default";r=4;t=4`)
		want(t, get(t, s), 200, "RateLimit", `"default";r=3;t=3`) // the same bucket
		want(t, get(t, exhausted(t, httpmw.Config{Preflight: httpmw.PreflightCharge}), preflight), 429)
	})

	t.Run("skipped", func(t *testing.T) {
		t.Parallel()
		s := exhausted(t, httpmw.Config{Preflight: httpmw.PreflightSkip})
		for range 3 {
			want(t, get(t, s, preflight), 200, "RateLimit", "")
		}
		want(t, get(t, s, options), 429) // no preflight, and not skipped
		if got := s.Stats().Exempt; got != 3 {
			t.Errorf("%d exempt, want 3", got)
		}
	})

	t.Run("no_such_choice", func(t *testing.T) {
		t.Parallel()
		l := defaultLimiter()
		_, err := httpmw.New(l, httpmw.Config{Keys: byIP(l), Preflight: httpmw.PreflightCharge + 1})
		if err == nil || !strings.Contains(err.Error(), "Preflight is 3: want PreflightApart, PreflightSkip or PreflightCharge") {
			t.Errorf("error %v", err)
		}
	})
}

// Only the method that a request has makes it a preflight.
func TestCheck_43_method_override_is_charged(t *testing.T) {
	t.Parallel()
	for _, cfg := range []httpmw.Config{{}, {Preflight: httpmw.PreflightSkip}} {
		w := get(t, exhausted(t, cfg), field("X-HTTP-Method-Override", "OPTIONS"),
			field("Origin", "https://a.example"), field("Access-Control-Request-Method", "GET"),
			func(r *http.Request) { r.Method = http.MethodPost })
		want(t, w, 429)
	}
}

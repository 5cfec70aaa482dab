package httpmw_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunglas/httpsfv"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// allFields are the fields of all sets.
var allFields = []string{
	"RateLimit", "RateLimit-Policy", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset",
	"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset",
}

// ask is get for any set of fields: it checks them as those of draft 11 only if
// these are in it.
func ask(t testing.TB, h http.Handler, edit ...func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	for _, f := range edit {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if p := w.Header().Get("RateLimit-Policy"); strings.HasPrefix(p, `"`) {
		checkFields(t, w.Header())
	} else if p != "" {
		if _, err := httpsfv.UnmarshalList(w.Header().Values("RateLimit-Policy")); err != nil {
			t.Errorf("RateLimit-Policy %q: %v", p, err)
		}
	}
	return w
}

// wantOnly is want, and no other of the fields is there.
func wantOnly(t testing.TB, w *httptest.ResponseRecorder, status int, fields ...string) {
	t.Helper()
	for _, name := range allFields {
		if !slices.Contains(fields, name) {
			fields = append(fields, name, "")
		}
	}
	want(t, w, status, fields...)
}

func TestCheck_14_every_set_is_structured(t *testing.T) {
	t.Parallel()
	// What a dictionary of RFC 9651 is, draft 07 says of RateLimit; the fields
	// of draft 06 are Items.
	h := limit(t, defaultLimiter(), httpmw.Config{Fields: httpmw.Draft7})
	dict, err := httpsfv.UnmarshalDictionary(ask(t, h).Header().Values("RateLimit"))
	if err != nil || !slices.Equal(dict.Names(), []string{"limit", "remaining", "reset"}) {
		t.Errorf("draft 07: %v %v", dict, err)
	}
	h = limit(t, defaultLimiter(), httpmw.Config{Fields: httpmw.Draft6 | httpmw.XRateLimit})
	w := ask(t, h)
	for _, name := range allFields[2:] {
		item, err := httpsfv.UnmarshalItem(w.Header().Values(name))
		if _, ok := item.Value.(int64); err != nil || !ok {
			t.Errorf("%s: %q: %v", name, w.Header().Values(name), err)
		}
	}
}

func TestCheck_18_draft6(t *testing.T) {
	t.Parallel()
	s := limit(t, defaultLimiter(), httpmw.Config{Fields: httpmw.Draft6})
	for _, left := range []string{"4", "3", "2", "1"} {
		wantOnly(t, ask(t, s), 200, "RateLimit-Policy", "5;w=5",
			"RateLimit-Limit", "5", "RateLimit-Remaining", left, "RateLimit-Reset", left)
	}
	wantOnly(t, ask(t, s), 200, "RateLimit-Policy", "5;w=5",
		"RateLimit-Limit", "5", "RateLimit-Remaining", "0", "RateLimit-Reset", "1")
	wantOnly(t, ask(t, s), 429, "RateLimit-Policy", "5;w=5", "Retry-After", "1",
		"RateLimit-Limit", "5", "RateLimit-Remaining", "0", "RateLimit-Reset", "1")
}

func TestCheck_19_draft7(t *testing.T) {
	t.Parallel()
	s := limit(t, defaultLimiter(), httpmw.Config{Fields: httpmw.Draft7})
	wantOnly(t, ask(t, s), 200, "RateLimit", "limit=5, remaining=4, reset=4", "RateLimit-Policy", "5;w=5")
	for range 4 {
		ask(t, s)
	}
	wantOnly(t, ask(t, s), 429, "RateLimit", "limit=5, remaining=0, reset=1", "RateLimit-Policy", "5;w=5", "Retry-After", "1")
}

func TestCheck_20_x_ratelimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := limit(t, defaultLimiter(), httpmw.Config{Fields: httpmw.XRateLimit})
		epoch := func(after int64) string { return strconv.FormatInt(time.Now().Unix()+after, 10) }
		wantOnly(t, ask(t, s), 200, "X-RateLimit-Limit", "5", "X-RateLimit-Remaining", "4", "X-RateLimit-Reset", epoch(4))
		// A reset in the middle of a second is told as the end of it.
		time.Sleep(time.Nanosecond)
		wantOnly(t, ask(t, s), 200, "X-RateLimit-Limit", "5", "X-RateLimit-Remaining", "3", "X-RateLimit-Reset", epoch(3+1))
		for range 3 {
			ask(t, s)
		}
		wantOnly(t, ask(t, s), 429, "X-RateLimit-Limit", "5", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", epoch(1+1),
			"Retry-After", "1")
	})
}

// The older fields next to those of the draft.
func TestCheck_20_x_ratelimit_beside_a_draft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reset := strconv.FormatInt(time.Now().Unix()+4, 10)
		x := []string{"X-RateLimit-Limit", "5", "X-RateLimit-Remaining", "4", "X-RateLimit-Reset", reset}
		for set, draft := range map[httpmw.FieldSet][]string{
			httpmw.Draft11: {"RateLimit", `"default";r=4;t=4`, "RateLimit-Policy", `"default";q=5;w=5`},
			httpmw.Draft7:  {"RateLimit", "limit=5, remaining=4, reset=4", "RateLimit-Policy", "5;w=5"},
			httpmw.Draft6: {"RateLimit-Limit", "5", "RateLimit-Remaining", "4", "RateLimit-Reset", "4",
				"RateLimit-Policy", "5;w=5"},
		} {
			s := limit(t, defaultLimiter(), httpmw.Config{Fields: set | httpmw.XRateLimit})
			wantOnly(t, ask(t, s), 200, append(draft, x...)...)
			for range 4 {
				ask(t, s)
			}
			refusal := ask(t, s)
			want(t, refusal, 429, "X-RateLimit-Remaining", "0")
			if set == httpmw.Draft11 {
				want(t, refusal, 429, "RateLimit", `"default";r=0;t=1`)
			}
		}
	})
}

func TestCheck_21_sets(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		set  httpmw.FieldSet
		ok   bool
		text string
		why  string
	}{
		{0, true, "Draft11", "the default"},
		{httpmw.Draft11, true, "Draft11", "the default by name"},
		{httpmw.Draft7, true, "Draft7", "alone"},
		{httpmw.Draft6, true, "Draft6", "alone"},
		{httpmw.XRateLimit, true, "XRateLimit", "alone"},
		{httpmw.NoFields, true, "NoFields", "alone"},
		{httpmw.Draft11 | httpmw.XRateLimit, true, "Draft11|XRateLimit", "names that differ"},
		{httpmw.Draft7 | httpmw.XRateLimit, true, "Draft7|XRateLimit", "names that differ"},
		{httpmw.Draft6 | httpmw.XRateLimit, true, "Draft6|XRateLimit", "names that differ"},
		{httpmw.Draft11 | httpmw.Draft7, false, "Draft11|Draft7", "RateLimit in two syntaxes"},
		{httpmw.Draft11 | httpmw.Draft6, false, "Draft11|Draft6", "RateLimit-Policy in two syntaxes"},
		{httpmw.Draft7 | httpmw.Draft6, false, "Draft7|Draft6", "the policy would be there twice"},
		{httpmw.NoFields | httpmw.Draft11, false, "Draft11|NoFields", "none and some"},
		{httpmw.NoFields | httpmw.XRateLimit, false, "XRateLimit|NoFields", "none and some"},
		{httpmw.NoFields << 1, false, "FieldSet(32)", "no such set"},
		{httpmw.Draft11 | httpmw.NoFields<<2, false, "Draft11|FieldSet(64)", "no such set"},
	} {
		if got := row.set.String(); got != row.text {
			t.Errorf("%s: %q, want %q", row.why, got, row.text)
		}
		l := defaultLimiter()
		_, err := httpmw.New(l, httpmw.Config{Keys: byIP(l), Fields: row.set})
		if (err == nil) != row.ok || err != nil && !strings.Contains(err.Error(), "Fields is "+row.text+": want ") {
			t.Errorf("%v (%s): error %v", row.set, row.why, err)
		}
	}
}

func TestCheck_22_no_fields_leave_retry_after(t *testing.T) {
	t.Parallel()
	s := limit(t, newPerKey(policy{name: "a", limit: bucket.PerMinute(1)}), httpmw.Config{Fields: httpmw.NoFields})
	wantOnly(t, ask(t, s), 200, "Retry-After", "")
	wantOnly(t, ask(t, s), 429, "Retry-After", "60")
}

func TestCheck_23_redirects(t *testing.T) {
	t.Parallel()
	for _, set := range []httpmw.FieldSet{httpmw.Draft11, httpmw.Draft7 | httpmw.XRateLimit, httpmw.Draft6, httpmw.NoFields} {
		for _, row := range []struct {
			suppress bool
			status   int
			printed  bool
		}{
			{false, 302, true},
			{true, 302, false},
			{true, 300, false},
			{true, 399, false},
			{true, 299, true},
			{true, 400, true},
			{true, 200, true},
		} {
			s := limit(t, defaultLimiter(), httpmw.Config{Fields: set, NoFieldsOnRedirect: row.suppress})
			w := ask(t, s.Middleware.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(row.status)
			})))
			want(t, w, row.status, "Location", "/elsewhere")
			printed := false
			for _, name := range allFields {
				printed = printed || w.Header().Get(name) != ""
			}
			if printed != (row.printed && set != httpmw.NoFields) {
				t.Errorf("%v, suppress %v, status %d: header %v", set, row.suppress, row.status, w.Header())
			}
		}
	}

	// A refusal that is one.
	s := limit(t, newPerKey(policy{name: "a", limit: bucket.PerDay(1)}), httpmw.Config{
		NoFieldsOnRedirect: true, Refuse: http.RedirectHandler("/slow-down", http.StatusSeeOther),
	})
	ask(t, s)
	wantOnly(t, ask(t, s), 303, "Retry-After", "86400")
}

func ExampleFieldSet() {
	limit, err := httpmw.New(exampleLimiter("ip"), httpmw.Config{
		Keys:   map[string]httpmw.Key{"ip": httpmw.ByIP()},
		Fields: httpmw.Draft6,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder()
	limit.Handler(hello).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	h := w.Header()
	fmt.Println(h.Get("RateLimit-Policy"), h.Get("RateLimit-Limit"), h.Get("RateLimit-Remaining"), h.Get("RateLimit-Reset"))
	// Output: 2;w=60 2 1 30
}

package httpmw_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// problem is a problem document of RFC 9457.
type problem struct {
	Type, Title, Detail string
	Status              int
	Violated            []string `json:"violated-policies"`
}

func decode(t testing.TB, body []byte) problem {
	t.Helper()
	var p problem
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		t.Fatalf("body %q: %v", body, err)
	}
	return p
}

func wantViolated(t testing.TB, w *httptest.ResponseRecorder, names ...string) {
	t.Helper()
	if p := decode(t, w.Body.Bytes()); !slices.Equal(p.Violated, names) {
		t.Errorf("violated policies %q, want %q", p.Violated, names)
	}
}

// exhausted is a limited handler that has nothing left for 192.0.2.1, and whose
// limiter gives nothing back.
func exhausted(t testing.TB, cfg httpmw.Config) *limited {
	t.Helper()
	s := limit(t, newPerKey(policy{name: "default", limit: bucket.PerDay(1)}), cfg)
	want(t, get(t, s), 200)
	want(t, get(t, s), 429)
	return s
}

func TestCheck_refusal(t *testing.T) {
	t.Parallel()

	t.Run("31_problem_document", func(t *testing.T) {
		t.Parallel()
		w := get(t, exhausted(t, httpmw.Config{}))
		want(t, w, 429, "Content-Type", "application/problem+json", "X-Content-Type-Options", "nosniff",
			"Content-Length", strconv.Itoa(w.Body.Len()))
		p := decode(t, w.Body.Bytes())
		if p.Type != "https://iana.org/assignments/http-problem-types#quota-exceeded" ||
			p.Title != "Quota Exceeded" || p.Status != 429 || p.Detail == "" || !slices.Equal(p.Violated, []string{"default"}) {
			t.Errorf("problem %+v", p)
		}
		if !utf8.Valid(w.Body.Bytes()) || strings.Contains(w.Body.String(), "192.0.2") {
			t.Errorf("body %q, want valid UTF-8 without the address", w.Body)
		}
		if w.Body.Len() > 512 {
			t.Errorf("body of %d bytes: a refusal must not be worth asking for", w.Body.Len())
		}
	})

	t.Run("32_status_in_the_body", func(t *testing.T) {
		t.Parallel()
		refused := get(t, exhausted(t, httpmw.Config{}))
		failed := get(t, limit(t, defaultLimiter(), httpmw.Config{Cost: func(*http.Request) int { panic("x") }}))
		for _, w := range []*httptest.ResponseRecorder{refused, failed} {
			if p := decode(t, w.Body.Bytes()); p.Status != w.Code {
				t.Errorf("status %d in the body of a %d", p.Status, w.Code)
			}
		}
	})

	t.Run("33_never_stored", func(t *testing.T) {
		t.Parallel()
		s := exhausted(t, httpmw.Config{})
		w := get(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			s.ServeHTTP(w, r)
		}))
		want(t, w, 429, "Cache-Control", "no-store")
	})

	t.Run("34_head", func(t *testing.T) {
		t.Parallel()
		s := exhausted(t, httpmw.Config{})
		body := get(t, s)
		head := get(t, s, func(r *http.Request) { r.Method = http.MethodHead })
		if fmt.Sprint(head.Header()) != fmt.Sprint(body.Header()) || head.Code != body.Code {
			t.Errorf("HEAD: %d %v\nGET: %d %v", head.Code, head.Header(), body.Code, body.Header())
		}
		if head.Body.Len() != 0 {
			t.Errorf("HEAD has a body: %q", head.Body)
		}
	})

	t.Run("37_http_1_0", func(t *testing.T) {
		t.Parallel()
		w := get(t, exhausted(t, httpmw.Config{}), func(r *http.Request) {
			r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.0", 1, 0
		})
		want(t, w, 429)
		decode(t, w.Body.Bytes())
	})

	t.Run("38_upgrade_is_a_plain_429", func(t *testing.T) {
		t.Parallel()
		// A Recorder is no Hijacker: an attempt would panic.
		w := get(t, exhausted(t, httpmw.Config{}), field("Connection", "Upgrade"), field("Upgrade", "websocket"))
		want(t, w, 429, "Upgrade", "", "Connection", "")
		decode(t, w.Body.Bytes())
	})

	t.Run("39_own_refusal", func(t *testing.T) {
		t.Parallel()
		var seen http.Header
		s := limit(t, newPerKey(policy{name: "a", limit: bucket.PerDay(1)}), httpmw.Config{
			Refuse: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				seen = w.Header().Clone()
				http.Error(w, "go away", http.StatusForbidden)
			}),
		})
		get(t, s)
		w := get(t, s)
		want(t, w, 403, "Retry-After", "86400", "RateLimit", `"a";r=0;t=86400`, "Cache-Control", "no-store",
			"Content-Type", "text/plain; charset=utf-8")
		if seen.Get("Retry-After") != "86400" || seen.Get("RateLimit") == "" || seen.Get("RateLimit-Policy") == "" {
			t.Errorf("the handler was given %v", seen)
		}
		if seen.Get("Content-Type") != "" || seen.Get("Content-Length") != "" {
			t.Errorf("the handler was given %v, which describes a body it has not written", seen)
		}
	})

	t.Run("40_panic_of_the_handler", func(t *testing.T) {
		t.Parallel()
		l := defaultLimiter()
		s := limit(t, l, httpmw.Config{})
		h := s.Middleware.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
		func() {
			defer func() {
				if v := recover(); v != http.ErrAbortHandler {
					t.Errorf("recovered %v, want the panic of the handler", v)
				}
			}()
			get(t, h)
		}()
		want(t, get(t, s), 200, "RateLimit", `"default";r=3;t=3`) // charged, and nothing is locked
	})

	t.Run("body_encoded_outside", func(t *testing.T) {
		t.Parallel()
		// A compressing middleware outside has said so before it knows the length.
		s := exhausted(t, httpmw.Config{})
		w := get(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			s.ServeHTTP(w, r)
		}))
		want(t, w, 429, "Content-Length", "")
	})
}

// A Retry-After from outside is not one for this refusal.
func TestRetryAfterFromOutside(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why       string
		decisions []bucket.Decision
		status    int
		retry     string
	}{
		{"a wait", []bucket.Decision{{Limit: bucket.PerDay(1), RetryAfter: 9 * second}}, 429, "9"},
		{"no wait helps", []bucket.Decision{{Limit: bucket.PerDay(1), RetryAfter: bucket.Never}}, 429, ""},
		{"not counted", []bucket.Decision{{}}, 503, ""},
	} {
		s := limit(t, scripted{names: []string{"a"}, decisions: row.decisions}, httpmw.Config{})
		w := get(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "5")
			s.ServeHTTP(w, r)
		}))
		if want(t, w, row.status, "Retry-After", row.retry); t.Failed() {
			t.Fatal(row.why)
		}
	}
}

// A limiter that refuses without a reason is broken or closed: not a 429, and
// above all not a pass.
func TestRefusalWithoutReason(t *testing.T) {
	t.Parallel()
	s := limit(t, scripted{names: []string{"a"}, decisions: make([]bucket.Decision, 1)}, httpmw.Config{})
	w := get(t, s)
	want(t, w, 503, "Cache-Control", "no-store", "Content-Type", "application/problem+json")
	if s.calls != 0 || s.Stats().Failed != 1 {
		t.Errorf("%d calls of the handler, %+v", s.calls, s.Stats())
	}
}

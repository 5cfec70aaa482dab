package httpmw_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
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

	t.Run("43_method_override_is_charged", func(t *testing.T) {
		t.Parallel()
		w := get(t, exhausted(t, httpmw.Config{}), field("X-HTTP-Method-Override", "OPTIONS"),
			field("Origin", "https://a.example"), field("Access-Control-Request-Method", "GET"),
			func(r *http.Request) { r.Method = http.MethodPost })
		want(t, w, 429)
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

// What net/http makes of a refusal on the wire.
func TestCheck_wire(t *testing.T) {
	t.Parallel()

	// dial opens a connection to a server whose every answer is a refusal.
	dial := func(t *testing.T) (net.Conn, *bufio.Reader) {
		t.Helper()
		l := scripted{names: []string{"a"}, decisions: []bucket.Decision{{Limit: bucket.PerDay(1), RetryAfter: time.Hour}}}
		srv := httptest.NewServer(limit(t, l, httpmw.Config{}))
		t.Cleanup(srv.Close)
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(time.Minute)) // a hang is a failure
		return conn, bufio.NewReader(conn)
	}
	answer := func(t *testing.T, r *bufio.Reader) *http.Response {
		t.Helper()
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != 429 {
			t.Errorf("status %d, want 429", res.StatusCode)
		}
		decode(t, body)
		return res
	}

	t.Run("35_small_body_keeps_the_connection", func(t *testing.T) {
		t.Parallel()
		conn, r := dial(t)
		for range 2 {
			io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
			if answer(t, r).Close {
				t.Error("the connection is to be closed")
			}
		}
	})

	t.Run("35_large_body_is_not_read", func(t *testing.T) {
		t.Parallel()
		conn, r := dial(t)
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n") // and no body
		if !answer(t, r).Close {
			t.Error("the connection stays open")
		}
	})

	// The server waits for a body that it would read; a client that never
	// sends it must not hold the connection without an answer.
	for why, length := range map[string]string{
		"35_body_that_does_not_come":         "Content-Length: 5",
		"35_chunked_body_that_does_not_come": "Transfer-Encoding: chunked",
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			conn, r := dial(t)
			io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\n"+length+"\r\n\r\n")
			if !answer(t, r).Close {
				t.Error("the connection stays open")
			}
		})
	}

	t.Run("35_expect_continue_is_not_asked_to_go_on", func(t *testing.T) {
		t.Parallel()
		conn, r := dial(t)
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
		answer(t, r) // the first thing on the wire is the 429
	})

	t.Run("36_http2_refusals_share_a_connection", func(t *testing.T) {
		t.Parallel()
		l := scripted{names: []string{"a"}, decisions: []bucket.Decision{{Limit: bucket.PerDay(1), RetryAfter: time.Hour}}}
		srv := httptest.NewUnstartedServer(limit(t, l, httpmw.Config{}))
		srv.EnableHTTP2 = true
		srv.StartTLS()
		t.Cleanup(srv.Close)
		dials := 0
		for range 3 {
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				GotConn: func(info httptrace.GotConnInfo) {
					if !info.Reused {
						dials++
					}
				},
			})
			req, err := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := srv.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if res.ProtoMajor != 2 || res.StatusCode != 429 || res.Header.Get("Connection") != "" {
				t.Errorf("%s %d, Connection %q", res.Proto, res.StatusCode, res.Header.Get("Connection"))
			}
		}
		if dials != 1 {
			t.Errorf("%d connections for 3 requests, want 1", dials)
		}
	})
}

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

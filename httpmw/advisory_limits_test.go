package httpmw_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// Mistakes that others have made with the place and the life of a limit.

// spelled sends a request whose path is spelled so on the wire.
func spelled(raw string) func(*http.Request) {
	return func(r *http.Request) {
		u, err := url.ParseRequestURI(raw)
		if err != nil {
			panic(err)
		}
		r.URL = u
	}
}

// onLogin is a limit of one request on /admin/login, by its route.
func onLogin(t *testing.T) *limited {
	t.Helper()
	l := newPerKey(policy{name: "login", limit: bucket.PerDay(1)})
	s := limit(t, l, httpmw.Config{Routes: map[string][]string{"login": {"/admin/login"}}})
	want(t, get(t, s, spelled("/admin/login")), 200)
	want(t, get(t, s, spelled("/other")), 200)
	return s
}

func TestAdvisory_CVE_2025_66490(t *testing.T) {
	t.Parallel()
	// Traefik: a path with an encoded slash or dot did not match the route that
	// the server behind took it for.
	s := onLogin(t)
	for _, path := range []string{"/admin%2Flogin", "/admin%2flogin", "/%61dmin/login", "/admin/%2e/login", "/x%2f..%2fadmin/login"} {
		if w := get(t, s, spelled(path)); w.Code != 429 {
			t.Errorf("%s: status %d, want 429", path, w.Code)
		}
	}
}

func TestAdvisory_GHSA_6jwx_7vp4_9847(t *testing.T) {
	t.Parallel()
	// Traefik: a path that was cut by its decoded length had dot segments that
	// the check did not know and the server behind resolved.
	s := onLogin(t)
	for _, path := range []string{"/api%2e/../admin/login", "/./admin/login", "/admin/./login", "/admin//login", "//admin/login", "/admin/x/../login"} {
		if w := get(t, s, spelled(path)); w.Code != 429 {
			t.Errorf("%s: status %d, want 429", path, w.Code)
		}
	}
	// And as a key it is one path.
	one := encoded(t, httpmw.Path(), spelled("/admin/login"))
	for _, path := range []string{"/./admin/login", "/%2e/admin%2flogin", "/admin/./login/"} {
		if got := encoded(t, httpmw.Path(), spelled(path)); got != one {
			t.Errorf("%s has key %q, want %q", path, got, one)
		}
	}
}

func TestAdvisory_CVE_2026_33621(t *testing.T) {
	t.Parallel()
	// PinchTab had a limit that no request ever came to. Here that is a warning.
	l := newPerKey(policy{name: "default", limit: bucket.PerDay(1000)}, policy{name: "login", limit: bucket.PerDay(1)})
	s := limit(t, l, httpmw.Config{Routes: map[string][]string{"login": {"POST /lgoin"}}})
	for i := range 10_100 { // it is a sample that is looked at
		get(t, s, from(fmt.Sprintf("192.0.2.%d:1", i%256)), spelled("/login"))
	}
	said := false
	for _, w := range s.Stats().Warnings {
		said = said || w.Name == "never-asked" && w.Policy == "login"
	}
	if !said {
		t.Errorf("no warning of the policy that is never asked: %+v", s.Stats().Warnings)
	}
}

func TestAdvisory_CVE_2026_35597(t *testing.T) {
	t.Parallel()
	// Vikunja counted a failed login in the transaction of the login, and rolled
	// both back. What a handler does to end a request takes nothing back here.
	for name, fail := range map[string]func(http.ResponseWriter){
		"status": func(w http.ResponseWriter) { w.WriteHeader(401) },
		"panic":  func(http.ResponseWriter) { panic("rolled back") },
		"abort":  func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	} {
		l := newPerKey(policy{name: "login", limit: bucket.PerDay(3)})
		m, err := httpmw.New(l, httpmw.Config{
			Keys:   byIP(l),
			Settle: map[string]func(httpmw.Outcome) int{"login": httpmw.CountStatus(func(status int) bool { return status != 200 })},
		})
		if err != nil {
			t.Fatal(err)
		}
		tried := 0
		h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			tried++
			fail(w)
		}))
		for range 10 {
			func() {
				defer func() { recover() }()
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/login", nil))
			}()
		}
		if tried != 3 {
			t.Errorf("%s: %d tries at a limit of 3", name, tried)
		}
	}
}

func TestAdvisory_CVE_2026_26330(t *testing.T) {
	t.Parallel()
	// Envoy: the second question about a request, after its response, was asked
	// with what was left of the first, and crashed if it failed.
	l := newPerKey(policy{name: "a", limit: bucket.PerDay(1000)}, policy{name: "b", limit: bucket.PerDay(1000)})
	s := limit(t, l, httpmw.Config{
		Keys: map[string]httpmw.Key{"a": httpmw.Path(), "b": apiKey},
		Settle: map[string]func(httpmw.Outcome) int{
			"a": func(httpmw.Outcome) int { return 2 },
			"b": func(o httpmw.Outcome) int {
				if o.Request.Header.Get("X-Api-Key") == "panics" {
					panic("settle")
				}
				return 3
			},
		},
	})
	for i := range 100 {
		key := fmt.Sprint("key-", i)
		if i%3 == 0 {
			key = "panics"
		}
		want(t, get(t, s, spelled(fmt.Sprint("/", i)), field("X-Api-Key", key)), 200)
	}
	for i := range 100 {
		// Each path was charged what its own request cost, and no other's.
		w := get(t, s, spelled(fmt.Sprint("/", i)), field("X-Api-Key", fmt.Sprint("key-", i)))
		left := 1000 - 3 - 1
		if i%3 == 0 {
			left = 1000 - 1 // "panics" was it the first time
		}
		if got := w.Header().Get("RateLimit"); !strings.Contains(got, `"a";r=997`) || !strings.Contains(got, fmt.Sprintf(`"b";r=%d;`, left)) {
			t.Fatalf("path %d: RateLimit %q, want 997 of a and %d of b", i, got, left)
		}
	}
	if got := s.Stats().Unsettled; got != 34 {
		t.Errorf("%d unsettled, want 34", got)
	}
}

func TestAdvisory_CVE_2026_27586(t *testing.T) {
	t.Parallel()
	// Caddy let in certificates that the CA of the configuration had not signed.
	// One that the server has not verified is no identity, whatever it says.
	forged := certificate(t, "alice", nil)
	s := limit(t, defaultLimiter(), httpmw.Config{Keys: map[string]httpmw.Key{"default": httpmw.ClientCert().OrRefuse()}})
	want(t, get(t, s, func(r *http.Request) {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{forged.Leaf}}
	}), 400)
	want(t, get(t, s, func(r *http.Request) {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true, VerifiedChains: [][]*x509.Certificate{{forged.Leaf}}}
	}), 200)
}

// A rawLog keeps what is logged as it is given, where others escape it.
type rawLog struct{ text strings.Builder }

func (l *rawLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *rawLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *rawLog) WithGroup(string) slog.Handler            { return l }

func (l *rawLog) Handle(_ context.Context, r slog.Record) error {
	l.text.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		l.text.WriteString(" " + a.Key + "=" + a.Value.String())
		return true
	})
	l.text.WriteByte('\n')
	return nil
}

// hostile sends what should not get into a log, and returns what did.
func hostile(t *testing.T) string {
	t.Helper()
	const text = "FORGED\r\nlevel=ERROR msg=forged \x1b[2J\x1b]0;owned\x07\u202e"
	l := newPerKey(policy{name: "ip", limit: bucket.PerDay(3)}, policy{name: "user", limit: bucket.PerDay(3)})
	user := httpmw.Func(func(r *http.Request) string {
		if r.Header.Get("X-Panic") != "" {
			panic(text)
		}
		return r.Header.Get("X-User")
	})
	log := &rawLog{}
	s := limit(t, l, httpmw.Config{
		Logger: slog.New(log),
		Keys:   map[string]httpmw.Key{"ip": httpmw.ByIP(), "user": user},
		Cost:   func(r *http.Request) int { return len(r.Header["X-Cost"]) + 1 },
	})
	for i, edit := range []func(*http.Request){
		field("X-User", text), from(text), from("@"), field(xff, text), field("Forwarded", text), field("X-Panic", text),
		field("X-Cost", text, text, text, text), func(r *http.Request) { r.Method = text }, func(r *http.Request) { r.URL.Path = "/" + text },
		func(r *http.Request) { r.Host = text },
	} {
		w := get(t, s, edit)
		if strings.Contains(w.Body.String()+fmt.Sprint(w.Header()), "FORGED") {
			t.Errorf("request %d is answered with what it sent", i)
		}
	}
	if text := log.text.String(); strings.Count(text, "\n") < 3 {
		t.Errorf("logged %q: too little to tell", text)
	}
	return log.text.String()
}

func TestAdvisory_GO_2020_0001(t *testing.T) {
	t.Parallel()
	// gin wrote a path with line breaks to its log: a client could write lines.
	text := hostile(t)
	if strings.Contains(text, "FORGED") || strings.Contains(text, "forged") {
		t.Errorf("what a client sent is in the log: %q", text)
	}
}

func TestAdvisory_GO_2026_5039(t *testing.T) {
	t.Parallel()
	// net/textproto: errors, and so logs, held what a peer had sent, as it was.
	if text := hostile(t); strings.ContainsAny(text, "\r\x1b\x07\u202e") {
		t.Errorf("control characters in the log: %q", text)
	}
}

func TestAdvisory_CVE_2025_64494(t *testing.T) {
	t.Parallel()
	// soft-serve wrote names with escape sequences to the terminal. Names that
	// are refused are quoted, and cut.
	const name = "\x1b[2J\u202e\r\n"
	bad := newPerKey(policy{name: name + strings.Repeat("x", 1000), limit: bucket.PerDay(1)})
	l := defaultLimiter()
	headerOf := func(key httpmw.Key) error {
		_, err := httpmw.New(l, httpmw.Config{Keys: map[string]httpmw.Key{"default": key}})
		return err
	}
	_, named := httpmw.New(bad, httpmw.Config{Keys: byIP(bad)})
	_, unknown := httpmw.New(l, httpmw.Config{Keys: map[string]httpmw.Key{"default": httpmw.ByIP(), name: httpmw.ByIP()}})
	_, routes := httpmw.New(l, httpmw.Config{Keys: byIP(l), Routes: map[string][]string{"default": {name}}})
	_, single := httpmw.NewHeaderIP(64, name, ten)
	for what, err := range map[string]error{
		"policy": named, "key": unknown, "route": routes, "single header": single,
		"header": headerOf(httpmw.Header(name)), "cookie": headerOf(httpmw.Cookie(name)),
	} {
		if err == nil || strings.ContainsAny(err.Error(), "\r\n\x1b\u202e") || len(err.Error()) > 600 {
			t.Errorf("%s: error %q, want one without control characters", what, err)
		}
	}
}

// variety sends requests of ever new methods, paths, hosts and users.
func variety(t *testing.T) *limited {
	t.Helper()
	l := newPerKey(policy{name: "ip", limit: bucket.PerDay(10)}, policy{name: "user", limit: bucket.PerDay(10)})
	s := limit(t, l, httpmw.Config{
		Keys:     map[string]httpmw.Key{"ip": httpmw.Join(httpmw.ByIP(), httpmw.Path()), "user": apiKey},
		InFlight: []httpmw.InFlight{{Name: "slots", Key: httpmw.Join(httpmw.ByIP(), apiKey), Max: 2}},
	})
	for i := range 1000 {
		get(t, s, from(fmt.Sprintf("[2001:db8:%x::1]:1", i)), spelled(fmt.Sprint("/", i)), field("X-Api-Key", fmt.Sprint(i)),
			func(r *http.Request) { r.Method, r.Host = fmt.Sprint("METHOD", i), fmt.Sprint("host", i) })
	}
	return s
}

func TestAdvisory_CVE_2022_21698(t *testing.T) {
	t.Parallel()
	// client_golang had a time series for each method that a client made up.
	if got := variety(t).Stats().Policies; len(got) != 3 {
		t.Errorf("counts for %d names, want those of the 3 limits", len(got))
	}
}

func TestAdvisory_CVE_2023_45142(t *testing.T) {
	t.Parallel()
	// otelhttp kept one for each user agent and method. Here nothing is kept of
	// a request that is done, but in the limiter, which is bounded.
	s := variety(t)
	for _, p := range s.Stats().Policies {
		if p.InFlight != 0 {
			t.Errorf("%s: %d requests are in flight when all are done", p.Name, p.InFlight)
		}
	}
	if text := fmt.Sprintf("%+v", s.Stats()) + s.log.text(); strings.Contains(text, "METHOD") || strings.Contains(text, "host1") || len(text) > 4096 {
		t.Errorf("%d bytes of counts and log after 1000 requests: %s", len(text), text)
	}
}

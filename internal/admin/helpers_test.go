package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/admin"
)

const token = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// A book keeps what is written to it.
type book struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *book) lines() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Split(strings.TrimSuffix(b.text.String(), "\n"), "\n")
}

// A stack is a limiter with what its owner sees it by.
type stack struct {
	limiter *weir.Limiter
	source  admin.Source
	watch   *admin.Watch
	front   http.Handler // the limited handler
	log     *book
}

// newStack returns a stack with an "ip" of 5 a minute and a "user" of a header
// field of 1000 a day, which may be changed before.
func newStack(t testing.TB, edit ...func(*weir.Config, *httpmw.Config)) *stack {
	t.Helper()
	s := &stack{log: &book{}}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	limits := weir.Config{Policies: []weir.Policy{{Name: "ip", Limit: bucket.PerMinute(5)}, {Name: "user", Limit: bucket.PerDay(1000)}}}
	s.watch = admin.NewWatch(admin.WatchConfig{Logger: log, IDs: true})
	rules := httpmw.Config{
		Keys:   map[string]httpmw.Key{"ip": httpmw.ByIP(), "user": httpmw.Header("X-Api-Key")},
		Denied: s.watch.Denied, Logger: log,
	}
	for _, f := range edit {
		f(&limits, &rules)
	}
	var err error
	if s.limiter, err = weir.New(limits); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.limiter.Close() })
	m, err := httpmw.New(s.limiter, rules)
	if err != nil {
		t.Fatal(err)
	}
	s.front = m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.source = admin.Source{
		Version: "v1.2.3", Started: time.Now(), Listen: "http://127.0.0.1:8080", Limiter: s.limiter, Limits: m, Rules: rules,
		Reloaded: admin.Reload{At: time.Now()},
	}
	for _, name := range s.limiter.Names() {
		s.source.Policies = append(s.source.Policies, admin.Policy{Name: name, Key: name})
	}
	return s
}

// ask sends a request to the front.
func (s *stack) ask(edit ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), "GET", "/", nil)
	for _, f := range edit {
		f(r)
	}
	w := httptest.NewRecorder()
	s.front.ServeHTTP(w, r)
	return w
}

func from(addr string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr = net.JoinHostPort(addr, "1234") }
}

func field(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

// config returns a configuration of a server that shows the stack.
func (s *stack) config(l net.Listener) admin.Config {
	return admin.Config{
		Listener: l, Token: token, Watch: s.watch, Source: func() admin.Source { return s.source }, Timings: admin.NewTimings(),
		Logger: slog.New(slog.NewTextHandler(s.log, nil)),
	}
}

// loopback listens on a free port.
func loopback(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serve runs a server that shows the stack, and returns its address.
func (s *stack) serve(t testing.TB, edit ...func(*admin.Config)) string {
	t.Helper()
	cfg := s.config(loopback(t))
	for _, f := range edit {
		f(&cfg)
	}
	server, err := admin.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run(t, server)
	return "http://" + server.Addr().String()
}

// run serves until the end of the test.
func run(t testing.TB, server *admin.Server) {
	done := make(chan error, 1)
	go func() { done <- server.Serve() }()
	t.Cleanup(func() {
		server.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
}

// send sends a request to the server, with a body if it is not "".
func send(t testing.TB, method, url, body string, edit ...func(*http.Request)) *http.Response {
	t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, url, content)
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, f := range edit {
		f(r)
	}
	res, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	res.Body = io.NopCloser(bytes.NewReader(text))
	return res
}

var transport = &http.Transport{DisableKeepAlives: true}

// owner comes with the token.
func owner(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }

// text returns the body of an answer.
func text(t testing.TB, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// get asks for a value in JSON.
func get[V any](t testing.TB, url string, edit ...func(*http.Request)) V {
	t.Helper()
	return value[V](t, send(t, "GET", url, "", edit...))
}

// value reads the JSON of an answer.
func value[V any](t testing.TB, res *http.Response) V {
	t.Helper()
	var v V
	body := text(t, res)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s: %s", res.Status, body)
	}
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return v
}

package httpmw_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// A policy of the limiter under test.
type policy struct {
	name   string
	limit  bucket.Limit
	dryRun bool
}

// perKey is an honest limiter without bounds: a bucket for each policy and key,
// all or nothing, and a clock that the test sets.
type perKey struct {
	policies []policy

	mu      sync.Mutex
	now     time.Time
	buckets []map[string]*bucket.Bucket
	seen    [][]string // the keys of each request
	last    []bucket.Decision
	settled [][]int // the costs of each Settle
}

func newPerKey(policies ...policy) *perKey {
	l := &perKey{policies: policies, now: time.Unix(1_700_000_000, 0)}
	for range policies {
		l.buckets = append(l.buckets, map[string]*bucket.Bucket{})
	}
	return l
}

func (l *perKey) Names() []string {
	var names []string
	for _, p := range l.policies {
		names = append(names, p.name)
	}
	return names
}

func (l *perKey) DecideEach(into []bucket.Decision, costs []int, keys ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	allowed := true
	ask := func(f func(*bucket.Bucket, int) bucket.Decision) {
		for i, p := range l.policies {
			if costs[i] < 0 {
				into[i] = bucket.Decision{Allowed: true}
				continue
			}
			d := f(l.bucket(i, keys[i]), costs[i])
			if p.dryRun {
				d.DryRun, d.Allowed = true, true
			}
			allowed = allowed && d.Allowed
			into[i] = d
		}
	}
	ask(func(b *bucket.Bucket, n int) bucket.Decision { return b.Peek(l.now, n) })
	if allowed {
		ask(func(b *bucket.Bucket, n int) bucket.Decision { return b.Take(l.now, n) })
	}
	l.seen = append(l.seen, append([]string(nil), keys...))
	l.last = append([]bucket.Decision(nil), into...)
	return allowed
}

func (l *perKey) PeekEach(into []bucket.Decision, costs []int, keys ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	allowed := true
	for i, p := range l.policies {
		if into[i] = (bucket.Decision{Allowed: true}); costs[i] >= 0 {
			into[i] = l.bucket(i, keys[i]).Peek(l.now, costs[i])
		}
		if p.dryRun {
			into[i].DryRun, into[i].Allowed = true, true
		}
		allowed = allowed && into[i].Allowed
	}
	return allowed
}

func (l *perKey) Settle(costs []int, keys ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, n := range costs {
		if n > 0 {
			l.bucket(i, keys[i]).Charge(l.now, n)
		}
		if n < 0 {
			l.bucket(i, keys[i]).Refund(l.now, -n)
		}
	}
	l.settled = append(l.settled, append([]int(nil), costs...))
}

// bucket returns the bucket of a key under the i-th policy.
func (l *perKey) bucket(i int, key string) *bucket.Bucket {
	b := l.buckets[i][key]
	if b == nil {
		var err error
		if b, err = bucket.New(l.policies[i].limit); err != nil {
			panic(err)
		}
		l.buckets[i][key] = b
	}
	return b
}

// sleep lets time pass.
func (l *perKey) sleep(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = l.now.Add(d)
}

// lastKey returns the key of the last request for the first policy.
func (l *perKey) lastKey() string { return l.seen[len(l.seen)-1][0] }

// scripted is a limiter that always says the same.
type scripted struct {
	names     []string
	decisions []bucket.Decision
	allowed   bool
}

func (l scripted) Names() []string { return l.names }

func (l scripted) DecideEach(into []bucket.Decision, _ []int, _ ...string) bool {
	copy(into, l.decisions)
	return l.allowed
}

func (l scripted) PeekEach(into []bucket.Decision, _ []int, _ ...string) bool {
	copy(into, l.decisions)
	return l.allowed
}

func (l scripted) Settle([]int, ...string) {}

// logLines collects what is logged.
type logLines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logLines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logLines) count() int { return strings.Count(l.text(), "\n") }

func (l *logLines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// byIP has each policy of l keyed by address.
func byIP(l httpmw.Limiter) map[string]httpmw.Key {
	keys := map[string]httpmw.Key{}
	for _, name := range l.Names() {
		keys[name] = httpmw.ByIP()
	}
	return keys
}

// limited is a handler behind a middleware, and what a test looks at.
type limited struct {
	*httpmw.Middleware
	http.Handler
	calls int // requests that passed
	log   *logLines
}

// limit puts l in front of a handler that answers 200. Keys default to ByIP.
func limit(t testing.TB, l httpmw.Limiter, cfg httpmw.Config) *limited {
	t.Helper()
	s := &limited{log: &logLines{}}
	if cfg.Keys == nil {
		cfg.Keys = byIP(l)
	}
	if cfg.Logger == nil {
		cfg.Logger = s.log.logger()
	}
	m, err := httpmw.New(l, cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.Middleware = m
	s.Handler = m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.calls++
		w.WriteHeader(http.StatusOK)
	}))
	return s
}

// defaultLimiter is the limiter of most checks: five requests in five seconds.
func defaultLimiter() *perKey {
	return newPerKey(policy{name: "default", limit: bucket.Limit{Quota: 5, Window: 5 * time.Second}})
}

// get sends a GET, changed by edit.
func get(t testing.TB, h http.Handler, edit ...func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
	for _, f := range edit {
		f(r)
	}
	return send(t, h, r)
}

// send has h answer r, and checks what must hold of any answer.
func send(t testing.TB, h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	checkFields(t, w.Header())
	return w
}

// checkFields checks that the fields are Structured Fields in their one
// serialisation: parsed and written again they are the same.
func checkFields(t testing.TB, h http.Header) {
	t.Helper()
	for _, name := range []string{"RateLimit", "RateLimit-Policy"} {
		lines := h.Values(name)
		if len(lines) == 0 {
			continue
		}
		list, err := httpsfv.UnmarshalList(lines)
		if err != nil {
			t.Fatalf("%s: %q: %v", name, lines, err)
		}
		again, err := httpsfv.Marshal(list)
		if err != nil {
			t.Fatalf("%s: %q: %v", name, lines, err)
		}
		if got := strings.Join(lines, ", "); got != again {
			t.Fatalf("%s: %q is written again as %q", name, got, again)
		}
		for _, member := range list {
			if _, ok := member.(httpsfv.Item).Value.(string); !ok {
				t.Fatalf("%s: %q: the value of an item is not a String", name, lines)
			}
		}
	}
}

// want compares a response with a status and with fields, "" for absent ones.
func want(t testing.TB, w *httptest.ResponseRecorder, status int, fields ...string) {
	t.Helper()
	if w.Code != status {
		t.Errorf("status %d, want %d", w.Code, status)
	}
	for i := 0; i < len(fields); i += 2 {
		lines := w.Header().Values(fields[i])
		if got := strings.Join(lines, " | "); got != fields[i+1] || got == "" && len(lines) > 0 {
			t.Errorf("%s: %q, want %q", fields[i], lines, fields[i+1])
		}
	}
}

func from(addr string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr = addr }
}

func field(name string, lines ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = lines }
}

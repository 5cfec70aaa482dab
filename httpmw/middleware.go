package httpmw

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// A Limiter decides. A *weir.Limiter is one. It is safe for concurrent use.
type Limiter interface {
	// Names returns the names of the policies in order, always the same.
	Names() []string
	// Decide takes n tokens for each policy or, if one of them refuses, none,
	// and tells which. There is a key for each policy, in order; the decision
	// of the i-th is stored in into[i]. It keeps neither slice.
	Decide(into []bucket.Decision, n int, keys ...string) bool
}

// A Config says how a [Middleware] works.
type Config struct {
	// Keys has a key for each policy of the limiter, by the policy's name.
	Keys map[string]Key
	// IP finds a client's address. The zero value takes the peer's.
	IP ClientIP
	// Cost returns how many tokens a request takes; below 0 counts as 0, and a
	// request that costs 0 is never refused. It must not read the body. Nil
	// means that each request costs 1.
	Cost func(*http.Request) int
	// Refuse answers requests that are over a limit, in place of the problem
	// document with status 429. When it runs the header fields are set but for
	// those that describe a body. It has a second to read the body of the
	// request, should it want to. Nil means the problem document.
	Refuse http.Handler
	// HideFields leaves the RateLimit and RateLimit-Policy fields out, for
	// where an identity is unverified and what remains of its quota is nobody
	// else's business. Retry-After stays.
	HideFields bool
	// Logger gets what is wrong with the configuration, a few lines in the
	// life of a Middleware. No line holds an address, a key or a value that
	// came with a request. Nil means [slog.Default].
	Logger *slog.Logger
}

// A Middleware limits the requests to handlers. [New] makes one. It is safe
// for concurrent use.
type Middleware struct {
	limiter Limiter
	names   []string
	keys    []Key // by policy, as all that follows
	cost    func(*http.Request) int
	ip      ClientIP
	refuser http.Handler
	log     *slog.Logger
	fields  *fields // nil: hidden
	pool    sync.Pool

	badForwarded, unknownClient, failed atomic.Uint64

	// What has been logged and need not be again.
	saidForwarded, saidUnknown atomic.Bool
	saidNever                  []atomic.Bool
}

// New returns a Middleware, or an error that names what is wrong with cfg or
// with the limiter's policies, and what is allowed.
//
// The name of a policy goes into header fields: it starts with a letter or
// '*', has at most 64 characters and no others than letters, digits and
// !#$%&'*+-.^_`|~:/ (a Token of RFC 9651).
func New(l Limiter, cfg Config) (*Middleware, error) {
	if l == nil {
		return nil, errors.New("httpmw: the limiter is nil")
	}
	names := slices.Clone(l.Names())
	if err := checkNames(names); err != nil {
		return nil, err
	}
	keys, err := policyKeys(names, cfg.Keys)
	if err != nil {
		return nil, err
	}
	m := &Middleware{
		limiter:   l,
		names:     names,
		keys:      keys,
		cost:      cfg.Cost,
		ip:        cfg.IP,
		refuser:   cfg.Refuse,
		log:       cfg.Logger,
		saidNever: make([]atomic.Bool, len(names)),
	}
	if m.log == nil {
		m.log = slog.Default()
	}
	if !cfg.HideFields {
		m.fields = newFields(names)
	}
	m.pool.New = func() any { return newScratch(m) }
	return m, nil
}

// policyKeys returns the keys in the order of the policies.
func policyKeys(names []string, byName map[string]Key) ([]Key, error) {
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("httpmw: Keys has a key for policy %q, which the limiter does not have: want %s",
				clip(name), quoteAll(names))
		}
	}
	keys := make([]Key, len(names))
	for i, name := range names {
		key, ok := byName[name]
		if !ok {
			return nil, fmt.Errorf("httpmw: Keys has no key for policy %q: want one for each of %s", name, quoteAll(names))
		}
		if err := key.check(); err != nil {
			return nil, fmt.Errorf("httpmw: key of policy %q: %w", name, err)
		}
		keys[i] = key
	}
	return keys, nil
}

// quoteAll lists names for an error message.
func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(quoted, ", ")
}

// Handler returns a handler that limits the requests to next. As a method
// value it is what routers call a middleware. It panics if next is nil.
//
// A request that the limiter allows goes to next with the RateLimit fields
// added to the header; whatever else is in the header stays, and the
// [http.ResponseWriter] is the one it came with. A request that the limiter
// refuses is answered without a look at its body. An HTTP/1 server of net/http
// nevertheless reads up to 256 KiB of it before it sends the answer, unless the
// client waits for "100 Continue", so such a client has a second to send it.
//
// A request that cannot be counted does not pass but is answered with status
// 503: one whose Key or Cost function panics, or that the limiter refuses
// without a policy that does.
func (m *Middleware) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("httpmw: Handler of a nil http.Handler")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.admit(w, r) {
			next.ServeHTTP(w, r)
		}
	})
}

// bodyTimeout is how long a client whose request does not pass may take to send
// its body.
const bodyTimeout = time.Second

// hurry makes the server give up on a body that does not come: it waits for it
// before it sends an answer, for ever if it has no ReadTimeout. It clears the
// deadline before the next request.
func hurry(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		// Where this is not supported there is nothing to wait for.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	}
}

// admit decides on a request, and answers it unless it may go on.
func (m *Middleware) admit(w http.ResponseWriter, r *http.Request) bool {
	s := m.pool.Get().(*scratch)
	if !m.identify(s, r) {
		m.release(s)
		hurry(w, r)
		unavailable(w, r)
		return false
	}
	allowed := m.limiter.Decide(s.decisions, s.cost, s.keys...)
	m.noteNever(r, s.decisions)
	switch {
	case allowed:
		m.addFields(w.Header(), s)
		m.release(s)
	case slices.ContainsFunc(s.decisions, violated):
		hurry(w, r)
		m.refuse(w, r, s) // releases s
	default:
		// Not for a quota: a limiter that is closed, say.
		m.release(s)
		m.noteFailure(r, "Limiter refused for no policy", "")
		hurry(w, r)
		unavailable(w, r)
	}
	return allowed
}

// identify fills in the keys and the cost of a request. It is false if that
// panicked.
func (m *Middleware) identify(s *scratch, r *http.Request) (ok bool) {
	step := 0
	defer func() {
		if ok {
			return
		}
		// Of the value only the type is logged: it may hold a credential.
		if v := recover(); v != nil {
			where := "Cost"
			if step < len(m.names) {
				where = "Key of policy " + m.names[step]
			}
			m.noteFailure(r, where+" panicked", fmt.Sprintf("%T", v))
		}
	}()
	s.r = r
	pre := preflight(r)
	for ; step < len(m.keys); step++ {
		b := s.buf[:0]
		if pre {
			b = append(b, tagPreflight)
		}
		b = m.keys[step].append(b, s)
		s.keys[step] = string(b)
		s.buf = b
	}
	s.cost = 1
	if m.cost != nil {
		s.cost = max(0, m.cost(r))
	}
	return true
}

// preflight tells whether r asks what a cross-origin request may do, as the
// Fetch standard defines it.
func preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions &&
		r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

package httpmw

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// A Limiter decides. A *weir.Limiter is one. It is safe for concurrent use.
type Limiter interface {
	// Names returns the names of the policies in order, always the same.
	Names() []string
	// DecideEach takes costs[i] tokens under the i-th policy or, if one of them
	// refuses, none under any, and tells which. There is a key for each policy,
	// in order; the decision of the i-th is stored in into[i]. A policy whose
	// cost is below 0 is not asked, and its decision is the zero one with
	// Allowed set; one whose cost is 0 allows. It keeps no slice.
	DecideEach(into []bucket.Decision, costs []int, keys ...string) bool
	// PeekEach stores what DecideEach would, and takes nothing. It keeps no
	// slice.
	PeekEach(into []bucket.Decision, costs []int, keys ...string) bool
	// Settle takes costs[i] tokens more under the i-th policy, whether they are
	// there or not, or gives -costs[i] back. It keeps no slice.
	Settle(costs []int, keys ...string)
}

// A Config says how a [Middleware] works.
type Config struct {
	// Keys has a key for each policy of the limiter, by the policy's name.
	Keys map[string]Key
	// IP finds a client's address. The zero value takes the peer's.
	IP ClientIP

	// Routes has patterns for policies that are not for all requests, by name:
	// those of [http.ServeMux], such as "POST /login", "/api/" or
	// "example.com/{tenant}/search". A policy is asked about a request that one
	// of them matches. It must not matter how a request is spelled, so they are
	// held against its path as it is and in canonical forms: decoded once and
	// without empty, "." and ".." segments and without a slash at the end; and
	// without what follows a ';' in a segment and with '\' as '/'. The host is
	// compared without its port and in lower case, and the method as it is and
	// in upper case. Where servers behind take a method from elsewhere, such as
	// X-HTTP-Method-Override or a field of a form, want patterns without one. A
	// policy without an entry is for all requests.
	//
	// So "/login", "/login/", "//login", "/./login", "/x/../login", "/%6Cogin",
	// "/login;a=b", "\login" and "/login?a=b" are one, and with FoldCase so is
	// "/LOGIN". Others are not: "/login.json", "/login.", "/login%00",
	// "/login%20", what is encoded twice, such as "/%256Cogin", and what an
	// outer handler or a server behind rewrites. Where the servers behind take
	// some of these for the same, want patterns for them too, or a wider one,
	// such as "POST /{page}". Around the very handler, behind the router, the
	// Middleware needs no pattern.
	Routes map[string][]string
	// FoldCase has the paths in Routes, InFlight and ExemptRoutes match in any
	// case, for where the servers behind do not tell "/login" from "/LOGIN".
	FoldCase bool
	// ExemptRoutes are patterns of requests that are not limited, such as
	// "GET /healthz". Only a path that can be read in one way is exempt: one
	// with an empty, "." or ".." segment, with a ';' or '\', or with more
	// encoded than must be is limited like any other. The method must be the
	// very one, and "/static/" exempts what is below it but not "/static".
	ExemptRoutes []string
	// Exempt are addresses of clients, as IP finds them, that are not limited.
	// A proxy's is not exempt if what it says of its client is not understood
	// or not believed. A prefix that holds every address is an error.
	Exempt []netip.Prefix

	// Cost returns how many tokens a request takes; below 0 counts as 0, and a
	// request that costs 0 is never refused. It must not read the body. Nil
	// means that each request costs 1.
	Cost func(*http.Request) int
	// Costs has functions in place of Cost for some policies, by name.
	Costs map[string]func(*http.Request) int
	// Settle has functions for policies under which it is known only after a
	// request what it cost, by name. What Cost says is taken before, so that
	// many requests at once do not get in before the first of them has ended;
	// then the difference is charged, into debt if need be, or given back. A
	// result below 0 counts as 0. See [CountStatus] and [CostFrom].
	//
	// Nothing is given back for a request whose context has ended before its
	// handler has, as when the client hangs up: it could otherwise make guesses
	// for nothing, by leaving before it is told that they are wrong. What is
	// above what was taken is charged nevertheless.
	//
	// What is given back may have been refilled meanwhile: up to what requests
	// that were in flight then get back passes on top of the burst. If the
	// function panics, what was taken stays taken.
	Settle map[string]func(Outcome) int
	// InFlight limits how many requests are served at once.
	InFlight []InFlight

	// Refuse answers requests that are over a limit, in place of the problem
	// document. When it runs the header fields are set but for those that
	// describe a body. It has a second to read the body of the request, should
	// it want to. Nil means the problem document or, for clients that prefer
	// these, a few words of HTML or of plain text, in at most 512 bytes. The
	// status then is 429 or, if all policies that refuse are ones with the key
	// [Global], 503.
	Refuse http.Handler
	// Denied, if not nil, is called for each request that is over a limit,
	// before it is answered and before the fields of Fields are set. It may set
	// other header fields, such as an id that the client can ask about, and
	// should be quick: who is over a limit has it called as often as they like.
	Denied func(w http.ResponseWriter, r *http.Request, why Denial)
	// Fields says in which forms a client is told about its quota. The zero
	// value means [Draft11].
	Fields FieldSet
	// PartitionKey returns the partition key (pk) of a request under a policy,
	// for clients that are told in which of several quotas they are: 1 to 64
	// bytes, printed in base64. What is longer is left out. It goes into the
	// response as it is, so it must not be an address or anything else that is
	// secret: see [HashPartition]. If it returns none, and if it is nil, none is
	// printed. It wants Fields with Draft11, and must not change its result.
	PartitionKey func(r *http.Request, policy string) []byte
	// NoFieldsOnRedirect takes the fields of Fields, whoever has set them, out
	// of responses with status 300 to 399: a client that has nothing left might
	// wait before it follows one.
	NoFieldsOnRedirect bool
	// ExposeFields adds Access-Control-Expose-Headers with the names of the
	// fields to responses to requests with an Origin field, so that scripts of
	// other origins can read them. That needs a CORS handler too, which should be
	// outside of the Middleware: one inside does not see refusals, and may set
	// that field anew.
	ExposeFields bool
	// Preflight says what becomes of CORS preflights. The zero value means
	// [PreflightApart].
	Preflight Preflight
	// Jitter adds up to a tenth, 60 seconds at most, to each Retry-After of at
	// least 10 seconds, at random, so that clients that were refused together
	// do not come back together.
	Jitter bool
	// FailOpen lets requests pass for which the function of a Key, of Cost or
	// Costs, or PartitionKey panics. No policy is asked about them and none of
	// InFlight counts them; Stats.Failed does, and the log tells of them. Who
	// can bring the panic about then has no limit at all. False, which is
	// fail-closed, has them answered with status 503. A limiter that refuses
	// for no policy, as one that is closed does, fails closed all the same.
	FailOpen bool
	// Logger gets what is wrong with the configuration, a few lines in the
	// life of a Middleware. No line holds an address, a key or a value that
	// came with a request. Nil means [slog.Default].
	Logger *slog.Logger
}

// A Middleware limits the requests to handlers. [New] makes one. It is safe
// for concurrent use.
type Middleware struct {
	limiter Limiter
	// By policy of the limiter and, behind those, by limit on requests at once.
	names    []string
	keys     []Key
	routes   []*routeSet // nil: all
	counts   []counts
	policies []terms  // of the former alone
	inFlight []*slots // of the latter

	exempt  *exemption // nil: none
	fold    bool       // of Config.FoldCase
	cost    func(*http.Request) int
	open    bool // of Config.FailOpen
	ip      ClientIP
	refuser http.Handler
	denied  func(http.ResponseWriter, *http.Request, Denial)
	log     *slog.Logger
	fields  *fields // nil: NoFields
	pool    sync.Pool

	badForwarded, unknownClient, failed, exempted, unsettled atomic.Uint64

	partitionKey  func(*http.Request, string) []byte
	hideRedirects bool
	exposed       string // value of Access-Control-Expose-Headers, "" for none
	preflights    Preflight
	random        func(n int64) int64 // below n; nil: no jitter
	htmlNames     []string
	global        []bool // all clients share the key

	warnings warnings
	watch    watch
}

// New returns a Middleware, or an error that names what is wrong with cfg or
// with the limiter's policies, and what is allowed. It is called at the start,
// and not for each request: see Misuse in the doc of the package.
//
// The name of a policy goes into header fields: it starts with a letter or
// '*', has at most 64 characters and no others than letters, digits and
// !#$%&'*+-.^_`|~:/ (a Token of RFC 9651).
func New(l Limiter, cfg Config) (*Middleware, error) {
	if l == nil {
		return nil, errors.New("httpmw: the limiter is nil")
	}
	if err := cfg.IP.check(); err != nil {
		return nil, fmt.Errorf("httpmw: %w", err)
	}
	m := &Middleware{
		limiter: l,
		fold:    cfg.FoldCase,
		cost:    cfg.Cost,
		open:    cfg.FailOpen,
		ip:      cfg.IP,
		refuser: cfg.Refuse,
		denied:  cfg.Denied,
		log:     cfg.Logger,
	}
	if err := m.limits(cfg); err != nil {
		return nil, err
	}
	if m.log == nil {
		m.log = slog.Default()
	}
	if err := m.tell(cfg); err != nil {
		return nil, err
	}
	m.watchOut()
	m.noteNew()
	m.pool.New = func() any { return newScratch(m) }
	return m, nil
}

// Handler returns a handler that limits the requests to next. As a method
// value it is what routers call a middleware. It panics if next is nil.
//
// A request that the limiter allows goes to next with the RateLimit fields
// added to the header; whatever else is in the header stays. The
// [http.ResponseWriter] is the one it came with, but where Settle or
// NoFieldsOnRedirect have to know what becomes of the request: then it is one
// before that, with the same optional interfaces. A request that the limiter
// refuses is answered without a look at its body. An HTTP/1 server of net/http
// nevertheless reads up to 256 KiB of it before it sends the answer, unless the
// client waits for "100 Continue", so such a client has a second to send it.
//
// A request that cannot be counted does not pass but is answered with status
// 503: one whose Key or Cost function panics, unless FailOpen lets it pass, or
// that the limiter refuses without a policy that does. If the handler panics,
// the panic goes on.
func (m *Middleware) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("httpmw: Handler of a nil http.Handler")
	}
	m.noteHandler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.preflights == PreflightSkip && preflight(r) {
			m.exempted.Add(1)
			next.ServeHTTP(w, r)
			return
		}
		if m.hideRedirects {
			w = m.withoutFieldsOnRedirect(w)
		}
		s := m.pool.Get().(*scratch)
		s.r = r
		switch {
		case m.exempt != nil && m.exempt.has(s):
			m.exempted.Add(1)
			m.release(s)
			next.ServeHTTP(w, r)
		case !m.admit(w, r, s): // releases s
		case s.entered || s.settles || s.marked:
			m.serve(next, w, s) // releases s
		default:
			m.release(s)
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

// admit decides on a request. Unless it may go on it answers it and releases s.
func (m *Middleware) admit(w http.ResponseWriter, r *http.Request, s *scratch) bool {
	if !m.identify(s, r) {
		if m.open {
			s.settles = false // nothing has been taken
			return true
		}
		m.release(s)
		hurry(w, r)
		unavailable(w, r)
		return false
	}
	m.countMissing(s)
	if slices.Contains(s.absences, refused) {
		m.release(s)
		hurry(w, r)
		unidentified.answer(w, r)
		return false
	}
	allowed := m.decide(s)
	m.count(s, allowed)
	m.noteNever(r, s.decisions)
	m.inspect(s)
	if m.nameless() {
		m.noteAgain(w, s, allowed)
	}
	switch {
	case allowed:
		m.addFields(w.Header(), s)
	case slices.ContainsFunc(s.decisions, violated):
		hurry(w, r)
		if m.denied != nil {
			m.denied(w, r, m.denial(s))
		}
		m.refuse(w, r, s) // releases s
	default:
		// Not for a quota: a limiter that is closed, say.
		m.release(s)
		m.noteFailure(r, false, "Limiter refused for no policy", "")
		hurry(w, r)
		unavailable(w, r)
	}
	return allowed
}

// identify fills in the keys and the costs of a request. It is false if that
// panicked.
func (m *Middleware) identify(s *scratch, r *http.Request) (ok bool) {
	where, of := "Key", 0
	defer func() {
		if ok {
			return
		}
		// Of the value only the type is logged: it may hold a credential.
		if v := recover(); v != nil {
			if of < len(m.names) {
				where += " of policy " + m.names[of]
			}
			m.noteFailure(r, m.open, where+" panicked", fmt.Sprintf("%T", v))
		}
	}()
	s.preflight = preflight(r) && m.preflights != PreflightCharge
	s.settles, s.entered = false, false
	shared := notAsked // what Cost says, once it is asked
	for ; of < len(m.names); of++ {
		s.costs[of], s.absences[of] = notAsked, present
		if m.routes[of] != nil && !m.routes[of].has(s.readForms()) {
			continue
		}
		if s.keys[of], s.absences[of] = s.keyOf(&m.keys[of]); s.absences[of] != skipped {
			s.costs[of] = 1
		}
	}
	for i, terms := range m.policies {
		switch {
		case s.costs[i] < 0:
			continue
		case terms.cost != nil:
			where, of = "Cost", i
			s.costs[i] = max(0, terms.cost(r))
		case m.cost != nil:
			if shared < 0 {
				where, of = "Cost", len(m.names)
				shared = max(0, m.cost(r))
			}
			s.costs[i] = shared
		}
		s.settles = s.settles || terms.settle != nil
	}
	if m.partitionKey != nil {
		where = "PartitionKey"
		for of = range s.partitions {
			m.partition(s, r, of)
		}
	}
	return true
}

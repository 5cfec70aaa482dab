package httpmw

import (
	"context"
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
)

// A Warning is a sign that a [Middleware] is not used as it should be: a limit
// that does not do what its owner thinks. It is logged once, when it is first
// seen, and stays in [Stats.Warnings].
type Warning struct {
	// Name tells what it is about: "untrusted-proxy", "private-client",
	// "busy-private-client", "unknown-peer", "cost-over-burst", "never-asked",
	// "charged-twice", "built-per-request", "one-key", "mixed-fields" or
	// "long-partition-key".
	//
	// A policy that charges a request twice is known by its name in the fields
	// of [Draft11]. Without them "charged-twice" is said only of one Middleware
	// that is around a handler twice, once such a request is in the sample of
	// one in eight.
	Name string
	// Policy is the policy that it is about, "" if that is none or all.
	Policy string
	// Message says what was seen and what to do about it. It holds nothing that
	// came with a request.
	Message string
}

// What there is to warn of.
type misuse int

const (
	warnUntrusted misuse = iota
	warnPrivate
	warnCrowd
	warnUnknown
	warnNever
	warnUnasked
	warnTwice
	warnBuilt
	warnMajority
	warnMixedDrafts
	warnPartition
	misuses // how many there are
)

var misuseTexts = [misuses]struct {
	level         slog.Level
	name, message string
}{
	warnUntrusted: {slog.LevelWarn, "untrusted-proxy",
		"X-Forwarded-For or Forwarded from a peer that is not a trusted proxy is ignored; " +
			"behind a proxy all clients share its bucket unless it is trusted: give its address to Config.IP (weir serve: --trust)"},
	warnPrivate: {slog.LevelWarn, "private-client",
		"a client has a private address and no proxy is trusted; if it is a proxy, all clients share its bucket: " +
			"give its address to Config.IP (weir serve: --trust)"},
	warnCrowd: {slog.LevelWarn, "busy-private-client",
		"about a quarter of the requests or more have one private or loopback address as their client's; if it is a proxy, " +
			"all clients behind it share its bucket: give its address to Config.IP too (weir serve: --trust)"},
	warnUnknown: {slog.LevelWarn, "unknown-peer",
		"peer without an address: such peers share one bucket; behind a proxy on a Unix socket have Config.IP trust it (weir serve: --trust unix)"},
	warnNever: {slog.LevelError, "cost-over-burst",
		"a request costs more than the burst, so it is never allowed: lower the cost or raise the burst"},
	warnUnasked: {slog.LevelWarn, "never-asked",
		"the policy was not asked once in 10000 requests: check its routes and exemptions, or drop it"},
	warnTwice: {slog.LevelWarn, "charged-twice",
		"a request was charged by the same policy twice: put the middleware around a handler once, not around the router and its routes"},
	warnBuilt: {slog.LevelWarn, "built-per-request",
		"New or Middleware.Handler is called again and again: call them once for each handler, at the start, and keep what they return"},
	warnMajority: {slog.LevelWarn, "one-key",
		"more than half of the requests under the policy have one key; if it is a proxy's address, give it to Config.IP (weir serve: --trust); " +
			"if many clients share the key, choose one that tells them apart"},
	warnMixedDrafts: {slog.LevelWarn, "mixed-fields",
		"a limiter outside has set RateLimit-Policy in another syntax, so this one's fields are left out: give both the same Config.Fields"},
	warnPartition: {slog.LevelWarn, "long-partition-key",
		"a partition key has more than 64 bytes and is not printed: have PartitionKey return a hash, as HashPartition does"},
}

// warnings keeps what has been warned of.
type warnings struct {
	said []atomic.Bool // by kind and policy
	mu   sync.Mutex
	list []Warning
}

// said is what tells whether there was a warning of a policy, or of none: -1.
func (m *Middleware) said(kind misuse, policy int) *atomic.Bool {
	return &m.warnings.said[int(kind)*(len(m.names)+1)+policy+1]
}

// warn logs a warning and keeps it, the first time. The policy is -1 if there is
// none.
func (m *Middleware) warn(r *http.Request, kind misuse, policy int, attrs ...slog.Attr) {
	if said := m.said(kind, policy); said.Load() || said.Swap(true) {
		return
	}
	text := &misuseTexts[kind]
	w := Warning{Name: text.name, Message: text.message}
	if policy >= 0 {
		w.Policy = m.names[policy]
		attrs = append([]slog.Attr{slog.String("policy", w.Policy)}, attrs...)
	}
	m.warnings.mu.Lock()
	m.warnings.list = append(m.warnings.list, w)
	m.warnings.mu.Unlock()
	ctx := context.Background()
	if r != nil {
		ctx = r.Context()
	}
	m.log.LogAttrs(ctx, text.level, text.message, attrs...)
}

// warned returns all warnings, the first first.
func (m *Middleware) warned() []Warning {
	m.warnings.mu.Lock()
	defer m.warnings.mu.Unlock()
	return slices.Clone(m.warnings.list)
}

// maxWraps is how many calls of Handler while requests are served are taken for
// routes that are added late.
const maxWraps = 100

// noteHandler warns if Handler is called for each request.
func (m *Middleware) noteHandler() {
	if m.watch.requests.Load() > 0 && m.watch.wraps.Add(1) > maxWraps {
		m.warn(nil, warnBuilt, -1)
	}
}

// noteNew warns of the limiter's hundredth Middleware, if the limiter counts
// them: each has limits in flight and warnings of its own.
func (m *Middleware) noteNew() {
	if counts, ok := m.limiter.(interface{ Attach() int }); ok && counts.Attach() == maxWraps {
		m.warn(nil, warnBuilt, -1)
	}
}

// A watch looks for misuse in a sample of requests, one in 8 or so: warnings
// can wait, and requests should not.
type watch struct {
	requests atomic.Int64 // looked at, and those passed over in between
	wraps    atomic.Int64
	votes    []votes // by policy of the limiter
	seed     maphash.Seed
	crowd    crowd
	marked   atomic.Pointer[scratch] // of a request that is with the handler, if any: see noteAgain
}

const (
	sampleGap  = 8     // on average
	unaskedMax = 10000 // requests
)

// watchOut sets up what its owner is warned of.
func (m *Middleware) watchOut() {
	m.warnings.said = make([]atomic.Bool, int(misuses)*(len(m.names)+1))
	m.watch.votes = make([]votes, len(m.policies))
	m.watch.seed = maphash.MakeSeed()
}

// asked returns how many requests the policy was asked about.
func (c *counts) asked() uint64 { return c.allowed.Load() + c.denied.Load() + c.spared.Load() }

// noteUnasked warns of policies that were not asked once in many requests. The
// count of the watch may fall short, since a pool forgets, and that of another
// policy may too.
func (m *Middleware) noteUnasked(s *scratch) {
	requests := uint64(m.watch.requests.Load())
	for i := range m.counts {
		requests = max(requests, m.counts[i].asked())
	}
	if requests < unaskedMax {
		return
	}
	for i := range m.counts {
		if m.counts[i].asked() == 0 {
			m.warn(s.r, warnUnasked, i)
		}
	}
}

// sampled tells whether the request is one to look at closely, and counts it.
// The gaps are random, so that no client is always or never in the sample.
func (s *scratch) sampled() bool {
	if s.skipped++; s.skipped < s.gap {
		return false
	}
	s.m.watch.requests.Add(int64(s.skipped))
	s.skipped, s.gap = 0, 1+rand.IntN(2*sampleGap-1)
	return true
}

// inspect looks for misuse in a request that has been decided on.
func (m *Middleware) inspect(s *scratch) {
	if !s.sampled() {
		return
	}
	m.noteUnasked(s)
	m.notePrivate(s)
	for i := range m.watch.votes {
		if v := &m.watch.votes[i]; !m.global[i] && s.costs[i] >= 0 && v.count(maphash.String(m.watch.seed, s.keys[i])) {
			m.warn(s.r, warnMajority, i)
		}
	}
}

// A round of votes.
const (
	voters   = 1024 // requests that choose a candidate, and as many that prove it
	majority = voters*11/20 + 1
)

// votes finds out whether more than half of the requests have one key, with
// nothing kept but a hash: Boyer and Moore's majority vote has the one
// candidate, and it is proved on the requests that follow. The proof asks for
// 55 %, so that chance does not pass half as more.
type votes struct {
	mu        sync.Mutex
	candidate uint64
	lead      int // of the candidate over all others
	seen      int
	proof     int
}

// count counts the key of a request, and tells whether it has the majority.
func (v *votes) count(key uint64) bool {
	if !v.mu.TryLock() {
		return false // another request is counted right now
	}
	defer v.mu.Unlock()
	v.seen++
	switch {
	case v.seen > voters:
		if key == v.candidate {
			v.proof++
		}
	case v.lead == 0:
		v.candidate, v.lead = key, 1
	case key == v.candidate:
		v.lead++
	default:
		v.lead--
	}
	if v.seen < 2*voters {
		return false
	}
	won := v.proof >= majority
	v.seen, v.lead, v.proof = 0, 0, 0
	return won
}

// trustsNobody tells whether no peer is believed in what it says of clients.
func (c ClientIP) trustsNobody() bool { return len(c.trusted) == 0 && !c.unix && !c.private }

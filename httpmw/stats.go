package httpmw

import (
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/seed-0c889b51/weir/bucket"
)

// Stats are counts of requests since the [Middleware] was made. Each is
// counted for what it says; together they need not be of one instant.
type Stats struct {
	// BadForwarded counts those from a trusted proxy whose X-Forwarded-For did
	// not lead to the client, because of something that is not an address or
	// because it is too long. They are limited as the last proxy found.
	BadForwarded uint64
	// UnknownClient counts those whose peer has no address, as on a Unix
	// socket. They are limited together.
	UnknownClient uint64
	// Failed counts those that could not be counted against their limits, and
	// were answered with status 503 or, with FailOpen, let pass: see
	// [Middleware.Handler].
	Failed uint64
	// Exempt counts those that were not limited, as ExemptRoutes, Exempt or
	// Preflight say.
	Exempt uint64
	// Unsettled counts those for which a Settle function panicked.
	Unsettled uint64
	// Policies has counts for each policy of the limiter, in their order, and
	// then for each of Config.InFlight.
	Policies []PolicyStats
	// Warnings are the signs of misuse, in the order in which they were first
	// seen.
	Warnings []Warning
}

// PolicyStats are the counts of one policy. It was asked about Allowed + Denied
// + Spared requests.
type PolicyStats struct {
	Name string
	// Allowed counts requests that passed, but for those in Denied.
	Allowed uint64
	// Denied counts requests that the policy refused, or would have but for a
	// dry run.
	Denied uint64
	// Spared counts requests that another policy refused and this one did not.
	Spared uint64
	// Missing counts requests without the identity that the policy's key asks
	// for, whatever then became of them. CORS preflights never have one and are
	// not counted.
	Missing uint64
	// InFlight is how many requests are being served now, of an InFlight.
	InFlight int
}

// counts are those of one policy.
type counts struct {
	allowed, denied, spared, missing atomic.Uint64
	_                                [32]byte // two policies' are on two cache lines
}

// count counts the decisions on the request in s.
func (m *Middleware) count(s *scratch, allowed bool) {
	for i := range s.decisions {
		c := &m.counts[i]
		switch d := &s.decisions[i]; {
		case s.costs[i] < 0:
		case d.Exceeded():
			c.denied.Add(1)
		case allowed:
			c.allowed.Add(1)
		default:
			c.spared.Add(1)
		}
	}
}

// countMissing counts the identities that the request in s does not have.
func (m *Middleware) countMissing(s *scratch) {
	if s.preflight {
		return
	}
	for i, a := range s.absences {
		if a != present {
			m.counts[i].missing.Add(1)
		}
	}
}

// Stats returns the counts.
func (m *Middleware) Stats() Stats {
	st := Stats{
		BadForwarded:  m.badForwarded.Load(),
		UnknownClient: m.unknownClient.Load(),
		Failed:        m.failed.Load(),
		Exempt:        m.exempted.Load(),
		Unsettled:     m.unsettled.Load(),
		Warnings:      m.warned(),
	}
	for i, name := range m.names {
		c := &m.counts[i]
		p := PolicyStats{
			Name: name, Allowed: c.allowed.Load(), Denied: c.denied.Load(), Spared: c.spared.Load(), Missing: c.missing.Load(),
		}
		if i >= len(m.policies) {
			p.InFlight = m.inFlight[i-len(m.policies)].now()
		}
		st.Policies = append(st.Policies, p)
	}
	return st
}

// noteAddr counts how the address of a client was found, and says once what
// looks like a proxy that is not configured.
func (m *Middleware) noteAddr(r *http.Request, how found) {
	switch how {
	case noAddr:
		m.unknownClient.Add(1)
		m.warn(r, warnUnknown, -1)
	case badForwarded:
		m.badForwarded.Add(1)
	case ignoredField:
		m.warn(r, warnUntrusted, -1)
	}
}

// noteNever says once for each policy that a request asked for more than it can
// ever allow: the cost or the burst is configured wrong.
func (m *Middleware) noteNever(r *http.Request, ds []bucket.Decision) {
	for i := range ds {
		if d := &ds[i]; d.RetryAfter == bucket.Never && !m.said(warnNever, i).Load() {
			m.warn(r, warnNever, i, slog.Int("burst", d.Limit.Burst))
		}
	}
}

// noteFailure counts a request that cannot be counted against its limits, and
// logs the first, second, fourth, eighth …: a client that can bring this about
// must not fill the log.
func (m *Middleware) noteFailure(r *http.Request, passes bool, what, value string) {
	n := m.failed.Add(1)
	if n&(n-1) != 0 {
		return
	}
	message := "a request could not be counted and was answered with 503"
	if passes {
		message = "a request could not be counted and passes without a limit"
	}
	m.log.LogAttrs(r.Context(), slog.LevelError, message,
		slog.String("cause", what), slog.String("type", value), slog.Uint64("times", n))
}

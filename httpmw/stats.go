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
	// Failed counts those answered with status 503 because they could not be
	// counted: see [Middleware.Handler].
	Failed uint64
}

// Stats returns the counts.
func (m *Middleware) Stats() Stats {
	return Stats{
		BadForwarded:  m.badForwarded.Load(),
		UnknownClient: m.unknownClient.Load(),
		Failed:        m.failed.Load(),
	}
}

// once tells whether it is the first time.
func once(said *atomic.Bool) bool { return !said.Load() && !said.Swap(true) }

// noteAddr counts how the address of a client was found, and says once what
// looks like a proxy that is not configured.
func (m *Middleware) noteAddr(r *http.Request, how found) {
	switch how {
	case noAddr:
		m.unknownClient.Add(1)
		if once(&m.saidUnknown) {
			m.log.WarnContext(r.Context(), "peer without an address: such peers share one bucket")
		}
	case badForwarded:
		m.badForwarded.Add(1)
	case ignoredField:
		if once(&m.saidForwarded) {
			m.log.WarnContext(r.Context(), "X-Forwarded-For from a peer that is not a trusted proxy is ignored; "+
				"behind a proxy all clients share its bucket unless it is trusted")
		}
	}
}

// noteNever says once for each policy that a request asked for more than it can
// ever allow: the cost or the burst is configured wrong.
func (m *Middleware) noteNever(r *http.Request, ds []bucket.Decision) {
	for i := range ds {
		if d := &ds[i]; d.RetryAfter == bucket.Never && once(&m.saidNever[i]) {
			m.log.LogAttrs(r.Context(), slog.LevelError, "a request costs more than the burst, so it is never allowed",
				slog.String("policy", m.names[i]), slog.Int("burst", d.Limit.Burst))
		}
	}
}

// noteFailure counts a request that cannot be counted against its limits, and
// logs the first, second, fourth, eighth …: a client that can bring this about
// must not fill the log.
func (m *Middleware) noteFailure(r *http.Request, what, value string) {
	n := m.failed.Add(1)
	if n&(n-1) != 0 {
		return
	}
	m.log.LogAttrs(r.Context(), slog.LevelError, "a request could not be counted and was answered with 503",
		slog.String("cause", what), slog.String("type", value), slog.Uint64("times", n))
}

package httpmw

import (
	"fmt"
	"log/slog"
	"net/http"
)

// serve has next answer a request of which there is something left to do when
// it is done: to settle what it cost, to give back its slots, or to take back
// its mark. It releases s.
func (m *Middleware) serve(next http.Handler, w http.ResponseWriter, s *scratch) {
	defer m.release(s)
	defer m.leave(s)
	if s.marked {
		defer m.unmark(s)
	}
	if !s.settles {
		next.ServeHTTP(w, s.r)
		return
	}
	m.serveAndSettle(next, w, s)
}

// serveAndSettle is serve for a request whose cost is to be settled.
func (m *Middleware) serveAndSettle(next http.Handler, w http.ResponseWriter, s *scratch) {
	r, returned := s.r, false
	rec, wrapped := record(w, r)
	defer func() {
		if returned {
			rec.begin()
			m.settle(s, Outcome{Request: r, Status: rec.status, Header: w.Header()}, rec.late)
			return
		}
		// The stack is still that of the panic when it goes on.
		v := recover()
		switch {
		case v != nil && v != http.ErrAbortHandler:
			rec.note(http.StatusInternalServerError)
		case rec.status == 0:
			rec.note(0)
		}
		m.settle(s, Outcome{Request: r, Status: rec.status, Header: w.Header()}, rec.late)
		if v != nil {
			panic(v)
		}
	}()
	next.ServeHTTP(wrapped, r)
	returned = true
}

// settle makes up for the difference between what was taken for a request and
// what it turned out to cost. The client may have gone before there was a status:
// it must not choose so what its request turns out to be, since a proxy answers
// 502 for it, whatever the server behind has said.
func (m *Middleware) settle(s *scratch, o Outcome, gone bool) {
	n, any := len(m.policies), false
	for i := range n {
		taken := s.costs[i]
		// What is not to be settled is as it should be. Nor is there anything
		// of a dry run that would have refused the request: it took nothing,
		// and the request would not have had an outcome.
		s.costs[i] = 0
		if taken < 0 || m.policies[i].settle == nil || s.decisions[i].Exceeded() {
			continue
		}
		o.Taken = taken
		cost, ok := m.costOf(i, o)
		if !ok {
			continue
		}
		if gone {
			cost = max(cost, taken)
		}
		s.costs[i] = cost - taken
		any = any || cost != taken
	}
	if any {
		m.limiter.Settle(s.costs[:n], s.keys[:n]...)
	}
}

// costOf asks what a request cost under the i-th policy. It is false if that
// panicked: what was taken then stays taken.
func (m *Middleware) costOf(i int, o Outcome) (cost int, ok bool) {
	defer func() {
		if ok {
			return
		}
		if v := recover(); v != nil {
			m.noteUnsettled(o.Request, m.names[i], fmt.Sprintf("%T", v))
		}
	}()
	return max(0, m.policies[i].settle(o)), true
}

// noteUnsettled counts a request whose cost could not be settled, and logs the
// first, second, fourth, eighth … of them.
func (m *Middleware) noteUnsettled(r *http.Request, policy, value string) {
	if n := m.unsettled.Add(1); n&(n-1) == 0 {
		m.log.LogAttrs(r.Context(), slog.LevelError, "Settle panicked, so what was taken for a request stays taken",
			slog.String("policy", policy), slog.String("type", value), slog.Uint64("times", n))
	}
}

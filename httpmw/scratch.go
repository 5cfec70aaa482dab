package httpmw

import (
	"crypto/sha256"
	"hash"
	"net/http"
	"net/netip"
	"sync/atomic"

	"github.com/seed-0c889b51/weir/bucket"
)

// A scratch is what one request needs while it is decided on.
type scratch struct {
	m         *Middleware
	r         *http.Request
	keys      []string  // by policy, and then by limit on requests at once, as all of these
	costs     []int     // notAsked: the policy has no part in it
	absences  []absence // what was missing
	decisions []bucket.Decision

	partitions [][]byte // partition keys; nil: none are printed

	buf  []byte
	body []byte

	preflight bool    // the request is one: set before keyOf
	absent    absence // what keyOf has found missing so far

	addr netip.Addr // of the client: see client
	how  found      // that was found

	forms   *forms // see readForms
	settles bool   // there is something to settle afterwards
	entered bool   // it holds slots

	marked bool           // by noteAgain, until unmark
	header atomic.Uintptr // where the header of the response is, if marked

	// The sample of misuse.go.
	skipped int // requests since the last that was looked at closely
	gap     int // how many there are to be

	sum   hash.Hash
	chunk [256]byte
}

func newScratch(m *Middleware) *scratch {
	s := &scratch{
		m:         m,
		keys:      make([]string, len(m.names)),
		costs:     make([]int, len(m.names)),
		absences:  make([]absence, len(m.names)),
		decisions: make([]bucket.Decision, len(m.names)),
		sum:       sha256.New(),
	}
	if m.partitionKey != nil {
		s.partitions = make([][]byte, len(m.names))
	}
	return s
}

// readForms returns the forms of the request. They are found once.
func (s *scratch) readForms() *forms {
	if s.forms == nil {
		s.forms = &forms{}
	}
	if s.forms.n == 0 {
		s.forms.read(s.r, s.m.fold)
	}
	return s.forms
}

// release gives s back without anything of the request in it.
func (m *Middleware) release(s *scratch) {
	s.r = nil
	s.addr, s.how = netip.Addr{}, unsought
	clear(s.keys)
	clear(s.decisions)
	clear(s.partitions)
	if s.forms != nil {
		s.forms.forget()
	}
	m.pool.Put(s)
}

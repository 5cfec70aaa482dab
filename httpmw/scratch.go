package httpmw

import (
	"crypto/sha256"
	"hash"
	"net/http"

	"github.com/seed-0c889b51/weir/bucket"
)

// A scratch is what one request needs while it is decided on.
type scratch struct {
	m         *Middleware
	r         *http.Request
	cost      int
	keys      []string
	decisions []bucket.Decision
	buf       []byte
	body      []byte

	ip    [1 + 16]byte // the client's address as part of a key
	ipLen int          // 0: not looked up yet

	sum   hash.Hash
	chunk [256]byte
}

func newScratch(m *Middleware) *scratch {
	return &scratch{
		m:         m,
		keys:      make([]string, len(m.names)),
		decisions: make([]bucket.Decision, len(m.names)),
		sum:       sha256.New(),
	}
}

// release gives s back without anything of the request in it.
func (m *Middleware) release(s *scratch) {
	s.r = nil
	s.ipLen = 0
	clear(s.keys)
	clear(s.decisions)
	m.pool.Put(s)
}

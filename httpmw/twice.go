package httpmw

import (
	"net/http"
	"reflect"
	"strings"
)

// A request that one policy charges twice is known by the policy's name in the
// header of the response, where what is outside has put it. Fields other than
// those of Draft11 have no names. There it is known by the header itself: it is
// that of a request which is with the handler behind the same Middleware right
// now.

// noteTwice warns of policies that are in the lines of RateLimit-Policy already.
func (m *Middleware) noteTwice(s *scratch, lines []string) {
	if m.fields.set&Draft11 == 0 {
		return // they have no names
	}
	for i, quoted := range m.fields.quoted {
		if m.fields.shown(i, &s.decisions[i]) == (shownLimit{}) || m.said(warnTwice, i).Load() {
			continue
		}
		for _, line := range lines {
			if hasItem(line, quoted) {
				m.warn(s.r, warnTwice, i)
				break
			}
		}
	}
}

// hasItem tells whether an item of a list begins with a quoted name; there may
// be one that has it as a parameter.
func hasItem(line, quoted string) bool {
	for start := 0; ; {
		at := strings.Index(line[start:], quoted)
		if at < 0 {
			return false
		}
		at += start
		if at == 0 || line[at-1] == ' ' {
			return true
		}
		start = at + len(quoted)
	}
}

// nameless tells whether the fields do not tell of policies by name.
func (m *Middleware) nameless() bool { return m.fields == nil || m.fields.set&Draft11 == 0 }

// noteAgain warns of policies that have charged the request in s before, if it
// is the one that is marked, and else marks it if it is in the sample and goes
// on. Of a request only the address of the response's header is kept, and only
// while the request is with the handler: no other response has that header then,
// however often a server or a test uses it again.
func (m *Middleware) noteAgain(w http.ResponseWriter, s *scratch, allowed bool) {
	outer := m.watch.marked.Load()
	sampled := s.skipped == 0
	if outer == nil && !sampled {
		return
	}
	header := reflect.ValueOf(w.Header()).Pointer()
	switch {
	case header == 0:
	case outer != nil && outer.header.Load() == header:
		for i := range s.costs {
			if s.costs[i] > 0 && outer.costs[i] > 0 {
				m.warn(s.r, warnTwice, i)
			}
		}
	case sampled && allowed:
		s.marked = true
		s.header.Store(header)
		m.watch.marked.Store(s)
	}
}

// unmark takes back the mark of noteAgain.
func (m *Middleware) unmark(s *scratch) {
	s.marked = false
	s.header.Store(0)
	m.watch.marked.CompareAndSwap(s, nil) // there may be a later one
}

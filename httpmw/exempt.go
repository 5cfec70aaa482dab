package httpmw

import (
	"fmt"
	"net/netip"
)

// An exemption is of requests that no policy is asked about.
type exemption struct {
	routes   *routeSet // nil: none
	prefixes []netip.Prefix
}

// newExemption returns the exemption that a Config asks for, nil if none.
func newExemption(patterns []string, prefixes []netip.Prefix, fold bool) (*exemption, error) {
	if len(patterns) == 0 && len(prefixes) == 0 {
		return nil, nil
	}
	e := &exemption{}
	if len(patterns) > 0 {
		var err error
		if e.routes, err = newRouteSet(patterns, fold); err != nil {
			return nil, fmt.Errorf("httpmw: ExemptRoutes: %w", err)
		}
	}
	for i, p := range prefixes {
		p, err := normalPrefix(p)
		if err != nil {
			return nil, fmt.Errorf("httpmw: Exempt, prefix %d of %d: %w", i+1, len(prefixes), err)
		}
		e.prefixes = append(e.prefixes, p)
	}
	return e, nil
}

// has tells whether the request in s is exempt.
//
// Where a limit holds for each reading of a request, an exemption holds only
// for a path that there are no two readings of. And it does not hold for a
// client whose address is that of a proxy only because what the proxy says of
// its client was not understood, or not believed.
func (e *exemption) has(s *scratch) bool {
	if e.routes != nil {
		if f := s.readForms(); f.plain && e.routes.hasExactly(f) {
			return true
		}
	}
	if len(e.prefixes) == 0 {
		return false
	}
	addr := s.client()
	if s.how != asPeer && s.how != asForwarded {
		return false
	}
	for _, p := range e.prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

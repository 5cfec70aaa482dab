package httpmw

import (
	"net/netip"
	"sync"
)

// prefixShared is where providers number the clients of their NAT, and clouds
// their load balancers and pods (RFC 6598).
var prefixShared = netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10)

// inside tells whether an address is one that nobody has on the Internet, but
// for those of the machine itself.
func inside(addr netip.Addr) bool {
	return addr.IsPrivate() || addr.IsLinkLocalUnicast() || prefixShared.Contains(addr)
}

// notePrivate warns of clients with an address that looks like a proxy's. Of
// interest are only those that a key is made of.
func (m *Middleware) notePrivate(s *scratch) {
	switch {
	case s.how == unsought:
	case m.ip.trustsNobody() && inside(s.addr):
		m.warn(s.r, warnPrivate, -1)
	case m.watch.crowd.count(s.addr):
		m.warn(s.r, warnCrowd, -1)
	}
}

// crowdRound is how many requests of the sample make a round of a crowd.
const crowdRound = 256

// A crowd finds out whether about a quarter of the requests or more come from
// one address inside. The first such address of a round is the one that is
// counted in it: chance draws it as often as it has requests.
//
// Those of the machine itself must not be all that there are: that is a
// developer, or if it is a proxy, "one-key" tells.
type crowd struct {
	mu     sync.Mutex
	addr   netip.Addr
	same   int
	local  int // from the machine itself
	within int // the round
}

// count counts a request from an address, and tells whether that ends a round
// with a crowd.
func (c *crowd) count(addr netip.Addr) bool {
	if !c.mu.TryLock() {
		return false // another request is counted right now
	}
	defer c.mu.Unlock()
	c.within++
	if addr.IsLoopback() {
		c.local++
	}
	if !c.addr.IsValid() && (inside(addr) || addr.IsLoopback()) {
		c.addr = addr
	}
	if c.addr.IsValid() && c.addr == addr {
		c.same++
	}
	if c.within < crowdRound {
		return false
	}
	crowded := c.same >= crowdRound/4 && (!c.addr.IsLoopback() || crowdRound-c.local >= crowdRound/16)
	c.addr, c.same, c.local, c.within = netip.Addr{}, 0, 0, 0
	return crowded
}

package httpmw

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// A ClientIP finds the address of the client of a request. The zero value
// takes the address of the peer, and limits IPv6 clients by their /64.
// [NewClientIP] makes others. It is safe for concurrent use.
type ClientIP struct {
	bits    int // 0: defaultBits
	trusted []netip.Prefix
}

const (
	defaultBits = 64 // the smallest network that a site gives to a host (RFC 4291, RIPE-690)
	minBits     = 32 // a whole provider
	sixToFour   = 48 // of 2002::/16, where one IPv4 address has a /48 (RFC 3056)
)

var prefix6to4 = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x02}), 16)

// NewClientIP returns a ClientIP that believes X-Forwarded-For from the trusted
// proxies, and from no other peer, and that limits IPv6 clients by their
// network of ipv6Prefix bits, from 32 to 128; 64 is usual, 56 is what many
// homes get. IPv4 clients are limited by address, those of 6to4 by /48 at most.
//
// Only addresses of your own proxies belong in the list, since whoever has one
// of them can claim any address. Host bits do not matter, and IPv4 in IPv6
// notation (::ffff:10.0.0.0/104) is IPv4. A prefix that holds every address is
// an error.
func NewClientIP(ipv6Prefix int, trusted ...netip.Prefix) (ClientIP, error) {
	if ipv6Prefix < minBits || ipv6Prefix > 128 {
		return ClientIP{}, fmt.Errorf("httpmw: IPv6 prefix /%d is out of range: want %d to 128 bits", ipv6Prefix, minBits)
	}
	c := ClientIP{bits: ipv6Prefix}
	for i, p := range trusted {
		p, err := normalPrefix(p)
		if err != nil {
			return ClientIP{}, fmt.Errorf("httpmw: trusted proxy %d of %d: %w", i+1, len(trusted), err)
		}
		c.trusted = append(c.trusted, p)
	}
	return c, nil
}

// normalPrefix returns p as the addresses that it is held against are: IPv4 as
// IPv4.
func normalPrefix(p netip.Prefix) (netip.Prefix, error) {
	if !p.IsValid() {
		return p, fmt.Errorf("the prefix is not valid: want an address and its number of bits, such as 10.0.0.0/8")
	}
	given := p
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return p, fmt.Errorf("%v is only in part IPv4 in IPv6 notation: want 96 to 128 bits, or IPv4 notation", given)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p.Bits() == 0 {
		return p, fmt.Errorf("%v is every address there is, so any client could claim any: want the addresses of your proxies", given)
	}
	return p, nil
}

// Addr returns the address of the client of r: the peer's or, if the peer is a
// trusted proxy, the first from the right in X-Forwarded-For that is not one.
// If that field has something else than an address there, it is the last
// trusted proxy's: what a client writes into the field never counts, for it
// stands further left. At most 64 elements and 8 KiB of the field are read.
//
// IPv4 in IPv6 notation is returned as IPv4, and no address has a zone. It is
// false if the peer has no address, as on a Unix socket.
func (c ClientIP) Addr(r *http.Request) (netip.Addr, bool) {
	addr, found := c.find(r)
	return addr, found != noAddr
}

// TrustsPeer tells whether the peer that sent r is one of the trusted proxies,
// so that what it says of the client may be believed.
func (c ClientIP) TrustsPeer(r *http.Request) bool {
	if len(c.trusted) == 0 {
		return false
	}
	peer, ok := parseAddr(r.RemoteAddr)
	return ok && c.trusts(peer)
}

// How an address was found.
type found int

const (
	noAddr       found = iota // it was not
	asPeer                    // it is the peer's
	asForwarded               // from X-Forwarded-For
	badForwarded              // X-Forwarded-For could not be followed to its end
	ignoredField              // it is the peer's; X-Forwarded-For is there and was not read
)

// find is Addr, and tells how.
func (c ClientIP) find(r *http.Request) (netip.Addr, found) {
	peer, ok := parseAddr(r.RemoteAddr)
	if !ok {
		return netip.Addr{}, noAddr
	}
	lines := r.Header["X-Forwarded-For"]
	if len(lines) == 0 {
		return peer, asPeer
	}
	if !c.trusts(peer) {
		return peer, ignoredField
	}
	addr, ok := c.walk(peer, lines)
	if !ok {
		return addr, badForwarded
	}
	return addr, asForwarded
}

// trusts tells whether addr is that of a trusted proxy.
func (c ClientIP) trusts(addr netip.Addr) bool {
	for _, p := range c.trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// network returns the IPv6 network that addr is limited by.
func (c ClientIP) network(addr netip.Addr) netip.Addr {
	bits := c.bits
	if bits == 0 {
		bits = defaultBits
	}
	if prefix6to4.Contains(addr) {
		bits = min(bits, sixToFour)
	}
	p, _ := addr.Prefix(bits) // the bits are in range, the address has no zone
	return p.Addr()
}

// parseAddr reads an address as it is found in RemoteAddr and in
// X-Forwarded-For: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1],
// [2001:db8::1]:80. A zone means something only on the machine that wrote it,
// and is cut off. An IPv4 address in any notation is returned as one.
func parseAddr(s string) (netip.Addr, bool) {
	if s == "" {
		return netip.Addr{}, false
	}
	colon := strings.IndexByte(s, ':')
	v6 := colon >= 0
	switch {
	case s[0] == '[':
		end := strings.IndexByte(s, ']')
		if end < 0 || !v6 || colon > end {
			return netip.Addr{}, false
		}
		if rest := s[end+1:]; rest != "" && (rest[0] != ':' || !isPort(rest[1:])) {
			return netip.Addr{}, false
		}
		s = s[1:end]
	case v6 && strings.IndexByte(s[colon+1:], ':') < 0:
		if !isPort(s[colon+1:]) {
			return netip.Addr{}, false
		}
		s, v6 = s[:colon], false
	}
	if v6 {
		// Before parsing: netip would remember every zone it is shown.
		if addr, zone, ok := strings.Cut(s, "%"); ok {
			if zone == "" {
				return netip.Addr{}, false
			}
			s = addr
		}
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}

// isPort tells whether s is a decimal number below 65536.
func isPort(s string) bool {
	if s == "" || len(s) > 5 {
		return false
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		n = 10*n + int(s[i]-'0')
	}
	return n < 1<<16
}

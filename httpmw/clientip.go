package httpmw

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// A ClientIP finds the address of the client of a request, in one place and no
// other. The zero value takes the address of the peer, and limits IPv6 clients
// by their /64. The others read one header field:
//
//   - [NewClientIP]: X-Forwarded-For, through the proxies that are trusted
//   - [NewForwardedIP]: Forwarded (RFC 7239), likewise
//   - [NewHeaderIP]: a field with one address, such as X-Real-IP
//   - [NewHopsIP]: X-Forwarded-For, behind a known number of trusted proxies
//   - [NewPrivateHopsIP]: the same, where nobody but the proxies can connect
//
// Whichever it is, it reads no other field, and none that a peer sends that is
// not trusted. A ClientIP is safe for concurrent use.
type ClientIP struct {
	bits    int // 0: defaultBits
	source  source
	hops    int    // of fromHops
	field   string // of fromField, in the form that http.Header keys have
	trusted []netip.Prefix
	unix    bool // peers on a Unix socket are trusted
	private bool // every peer is trusted
}

// A source is where the address is taken from.
type source int

const (
	fromList      source = iota // X-Forwarded-For, or the peer if none is trusted
	fromForwarded               // Forwarded
	fromField                   // a field with one address
	fromHops                    // the n-th of X-Forwarded-For from the right
)

const (
	fieldXForwardedFor = "X-Forwarded-For"
	fieldForwarded     = "Forwarded"
)

const (
	defaultBits = 64 // the smallest network that a site gives to a host (RFC 4291, RIPE-690)
	minBits     = 32 // a whole provider
)

// NewClientIP returns a ClientIP that believes X-Forwarded-For from the trusted
// proxies, and from no other peer, and that limits IPv6 clients by their
// network of ipv6Prefix bits, from 32 to 128; 64 is usual, 56 is what many
// homes get, 48 a site. IPv4 clients are limited by address, those of 6to4 by
// /48 at most. Without a trusted proxy it is the address of the peer.
//
// The address is the first from the right that is not a trusted proxy's. If
// something else than an address stands there, it is the last trusted proxy's:
// what a client writes into the field never counts, for it stands further left.
// At most 64 elements and 8 KiB of the field are read.
//
// Only addresses of your own proxies belong in the list, since whoever has one
// of them can claim any address. Host bits do not matter, and IPv4 in IPv6
// notation (::ffff:10.0.0.0/104) is IPv4. A prefix that holds every address is
// an error.
func NewClientIP(ipv6Prefix int, trusted ...netip.Prefix) (ClientIP, error) {
	return newClientIP(fromList, ipv6Prefix, trusted)
}

// NewForwardedIP is [NewClientIP] with the Forwarded field (RFC 7239) in place
// of X-Forwarded-For. The walk stops at an element that has no address: none
// at all, "unknown", an obfuscated one ("_x"), or one against the grammar. It
// also stops before a field line with a quotation mark that is never closed,
// or of more than what is left of the 8 KiB.
func NewForwardedIP(ipv6Prefix int, trusted ...netip.Prefix) (ClientIP, error) {
	return newClientIP(fromForwarded, ipv6Prefix, trusted)
}

// NewHeaderIP returns a ClientIP that takes the address from the field of that
// name, such as X-Real-IP or CF-Connecting-IP, if a trusted proxy sends it.
// That proxy must set the field for every request, for else it passes on what
// a client claims. The last line counts. If it is not one address, the proxy's
// own is taken. For the prefixes see [NewClientIP].
//
// Fields that are lists, X-Forwarded-For and Forwarded, are an error.
func NewHeaderIP(ipv6Prefix int, name string, trusted ...netip.Prefix) (ClientIP, error) {
	field := http.CanonicalHeaderKey(name)
	switch {
	case !isToken(name):
		return ClientIP{}, fmt.Errorf("httpmw: header name %q: want letters, digits and !#$%%&'*+-.^_`|~", clip(name))
	case field == fieldXForwardedFor:
		return ClientIP{}, fmt.Errorf("httpmw: header name %q: it is a list; want NewClientIP or NewHopsIP", name)
	case field == fieldForwarded:
		return ClientIP{}, fmt.Errorf("httpmw: header name %q: it is a list; want NewForwardedIP", name)
	}
	c, err := newClientIP(fromField, ipv6Prefix, trusted)
	c.field = field
	return c, err
}

// NewHopsIP returns a ClientIP for a service behind so many proxies, 1 to 64,
// of which only the addresses of the nearest are known. It takes the element of
// X-Forwarded-For with that number from the right, and the peer's address if
// there are fewer, or if that is not an address, or if the peer is not one of
// the trusted. Empty elements do not count. A number too high has clients
// choose their address. For the prefixes see [NewClientIP].
func NewHopsIP(ipv6Prefix, hops int, trusted ...netip.Prefix) (ClientIP, error) {
	if hops < 1 || hops > maxElements {
		return ClientIP{}, fmt.Errorf("httpmw: %d hops are out of range: want the number of proxies, 1 to %d", hops, maxElements)
	}
	c, err := newClientIP(fromHops, ipv6Prefix, trusted)
	c.hops = hops
	return c, err
}

// NewPrivateHopsIP is [NewHopsIP] that trusts every peer, on a Unix socket
// too. It is for a listener that nobody but your proxies can connect to: anyone
// else who can claims any address.
func NewPrivateHopsIP(ipv6Prefix, hops int) (ClientIP, error) {
	c, err := NewHopsIP(ipv6Prefix, hops)
	if err != nil {
		return c, err
	}
	c.private = true
	return c, nil
}

// TrustUnix returns a ClientIP that also trusts every peer on a Unix socket,
// which has no address to trust it by. The permissions of the socket say who
// that may be.
func (c ClientIP) TrustUnix() ClientIP {
	c.unix = true
	return c
}

func newClientIP(from source, ipv6Prefix int, trusted []netip.Prefix) (ClientIP, error) {
	if ipv6Prefix < minBits || ipv6Prefix > 128 {
		return ClientIP{}, fmt.Errorf("httpmw: IPv6 prefix /%d is out of range: want %d to 128 bits", ipv6Prefix, minBits)
	}
	c := ClientIP{bits: ipv6Prefix, source: from}
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

// check returns an error if c can never do what it was made for.
func (c ClientIP) check() error {
	if c.source != fromList && len(c.trusted) == 0 && !c.unix && !c.private {
		return fmt.Errorf("IP reads %s, but trusts no peer to send it: want the addresses of your proxies or TrustUnix", c.reads())
	}
	return nil
}

// reads returns the name of the field that c reads, as http.Header has it.
func (c *ClientIP) reads() string {
	switch c.source {
	case fromForwarded:
		return fieldForwarded
	case fromField:
		return c.field
	default:
		return fieldXForwardedFor
	}
}

// Addr returns the address of the client of r: the peer's or, if the peer is
// trusted, the one that is found as the constructor of c says.
//
// IPv4 in IPv6 notation is returned as IPv4, and no address has a zone. It is
// false if there is none: the peer has no address, as on a Unix socket, and is
// not trusted or has not sent one.
func (c ClientIP) Addr(r *http.Request) (netip.Addr, bool) {
	addr, _ := c.find(r)
	return addr, addr.IsValid()
}

// TrustsPeer tells whether the peer that sent r is trusted, so that what it
// says of the client may be believed.
func (c ClientIP) TrustsPeer(r *http.Request) bool {
	peer, _ := parseAddr(r.RemoteAddr)
	return c.trustsPeer(r, peer)
}

// How an address was found.
type found int

const (
	unsought     found = iota // it has not been looked up
	asPeer                    // it is the peer's
	noAddr                    // the peer has none
	asForwarded               // from the field
	badForwarded              // the field could not be followed to its end
	ignoredField              // as for the peer; a field of a proxy is there and was not read
)

// find is Addr, and tells how. Without an address it returns the zero one.
func (c *ClientIP) find(r *http.Request) (netip.Addr, found) {
	peer, _ := parseAddr(r.RemoteAddr)
	if !c.trustsPeer(r, peer) {
		if len(r.Header[c.reads()]) > 0 || len(r.Header[fieldXForwardedFor]) > 0 || len(r.Header[fieldForwarded]) > 0 {
			return peer, ignoredField
		}
		return peer, ofPeer(peer)
	}
	lines := r.Header[c.reads()]
	if len(lines) == 0 {
		return peer, ofPeer(peer)
	}
	var addr netip.Addr
	var ok bool
	switch c.source {
	case fromForwarded:
		addr, ok = c.walkForwarded(peer, lines)
	case fromField:
		addr, ok = only(peer, lines[len(lines)-1])
	case fromHops:
		addr, ok = hop(peer, lines, c.hops)
	default:
		addr, ok = c.walk(peer, lines)
	}
	if !ok {
		return addr, badForwarded
	}
	return addr, asForwarded
}

func ofPeer(peer netip.Addr) found {
	if peer.IsValid() {
		return asPeer
	}
	return noAddr
}

// only returns the address that a line consists of, and the peer's if it does
// not.
func only(peer netip.Addr, line string) (netip.Addr, bool) {
	if addr, ok := parseAddr(strings.Trim(line, " \t")); ok {
		return addr, true
	}
	return peer, false
}

// trustsPeer tells whether the peer with that address, if any, is trusted.
func (c *ClientIP) trustsPeer(r *http.Request, peer netip.Addr) bool {
	return c.private || c.trusts(peer) || c.unix && !peer.IsValid() && onUnixSocket(r)
}

// trusts tells whether addr is that of a trusted proxy.
func (c *ClientIP) trusts(addr netip.Addr) bool {
	for _, p := range c.trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// onUnixSocket tells whether r came over a Unix socket. If the server does not
// say, it is by the look of the peer: such a socket has no name or a path, or
// an abstract name that is written with '@'.
func onUnixSocket(r *http.Request) bool {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return local.Network() == "unix"
	}
	return r.RemoteAddr == "" || r.RemoteAddr[0] == '@' || r.RemoteAddr[0] == '/'
}

// network returns the IPv6 network that addr is limited by.
func (c *ClientIP) network(addr netip.Addr) netip.Addr {
	bits := c.bits
	if bits == 0 {
		bits = defaultBits
	}
	return network6(addr, bits)
}

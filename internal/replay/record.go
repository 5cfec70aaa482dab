package replay

import (
	"bytes"
	"errors"
	"net/netip"
)

// A record is what a line says of a request. Its slices are parts of the line,
// or of what the parser keeps until it reads the next.
type record struct {
	at     int64  // nanoseconds since 1970
	client []byte // as it is written
	user   []byte // empty if there is none
	path   []byte // the target of the request, with what follows a '?'
}

// A parser reads a line, without its end, into r. The error is one of few, so
// that a log full of mistakes costs nothing; errNoRequest is of a line that is
// none of a request and no mistake.
type parser func(line []byte, r *record) error

var (
	errNoRequest = errors.New("it is not of a request")
	errNoClient  = errors.New("it names no client")
	errLong      = errors.New("it is longer than 1 MiB")
)

// Kinds of clients, that a key begins with.
const (
	tagText byte = iota
	tagIPv4
	tagIPv6
	tagUser
	tagPath
	tagGlobal
)

// appendClient appends the key of a client: its address, or of IPv6 the network
// of so many bits, as httpmw.ClientIP has it. What is not an address counts as
// it is written, as where a log has hashes in place of addresses.
func appendClient(b, client []byte, bits int) []byte {
	if a, ok := readIPv4(client); ok {
		return append(b, tagIPv4, a[0], a[1], a[2], a[3])
	}
	addr, ok := readAddr(client)
	switch {
	case !ok:
		return append(append(b, tagText), client...)
	case addr.Is4():
		a := addr.As4()
		return append(append(b, tagIPv4), a[:]...)
	}
	a := networkOf(addr, bits).Addr().As16()
	return append(append(b, tagIPv6), a[:]...)
}

// prefix6to4 holds the addresses of hosts that have an IPv4 address, and with it
// 2^80 of IPv6 (RFC 3056).
var prefix6to4 = netip.MustParsePrefix("2002::/16")

// networkOf returns the network that an IPv6 client is limited by.
func networkOf(addr netip.Addr, bits int) netip.Prefix {
	if prefix6to4.Contains(addr) {
		bits = min(bits, 48)
	}
	p, _ := addr.Prefix(bits) // the bits are in range, the address has no zone
	return p
}

// readIPv4 reads an address in dotted decimals, and nothing else.
func readIPv4(b []byte) (a [4]byte, ok bool) {
	part, n, length := 0, 0, 0
	for _, c := range b {
		switch {
		case '0' <= c && c <= '9':
			if length > 0 && n == 0 || length == 3 { // 010 is not 10 to all
				return a, false
			}
			n = n*10 + int(c-'0')
			length++
		case c == '.' && length > 0 && n < 256 && part < 3:
			a[part] = byte(n)
			part, n, length = part+1, 0, 0
		default:
			return a, false
		}
	}
	if part != 3 || length == 0 || n > 255 {
		return a, false
	}
	a[3] = byte(n)
	return a, true
}

// readAddr reads an address of either family, in brackets or not, with a port
// or not. Neither zone nor port is part of it, and IPv4 in IPv6 is IPv4.
func readAddr(b []byte) (netip.Addr, bool) {
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 || end+1 < len(b) && !isPort(b[end+1:]) {
			return netip.Addr{}, false
		}
		b = b[1:end]
	} else if colon := bytes.IndexByte(b, ':'); colon >= 0 && bytes.IndexByte(b[colon+1:], ':') < 0 {
		if !isPort(b[colon:]) {
			return netip.Addr{}, false
		}
		b = b[:colon]
	}
	if zone := bytes.IndexByte(b, '%'); zone >= 0 {
		b = b[:zone]
	}
	const longest = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")
	if len(b) > longest {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(string(b))
	if err != nil {
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}

// isPort tells whether b is a colon and a port.
func isPort(b []byte) bool {
	if len(b) < 2 || len(b) > 6 || b[0] != ':' {
		return false
	}
	n, ok := digits(b[1:])
	return ok && n < 1<<16
}

// clientName returns a client as the one that its key stands for is written.
func clientName(client []byte, bits int) string {
	addr, ok := readAddr(client)
	switch {
	case !ok:
		return string(client)
	case addr.Is4() || bits == 128:
		return addr.String()
	}
	return networkOf(addr, bits).String()
}

// missing tells whether a field of a log stands for nothing.
func missing(b []byte) bool { return len(b) == 0 || len(b) == 1 && b[0] == '-' }

package httpmw

import (
	"net/netip"
	"strings"
)

// parseAddr reads an address as it is found in RemoteAddr and in
// X-Forwarded-For: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1],
// [2001:db8::1]:80. A zone means something only on the machine that wrote it,
// and is cut off. An IPv4 address in any notation is returned as one.
func parseAddr(s string) (netip.Addr, bool) {
	if s == "" || s[0] == '@' || s[0] == '/' { // as of a Unix socket: not worth an error
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
			if zone == "" || strings.ContainsAny(zone, " \t[]\"") { // two addresses, say
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

const sixToFour = 48 // bits of 2002::/16 where one IPv4 address has a /48 (RFC 3056)

var prefix6to4 = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x02}), 16)

// network6 returns the IPv6 network of so many bits that addr is in; one of
// 6to4 is a /48 at most.
func network6(addr netip.Addr, bits int) netip.Addr {
	if prefix6to4.Contains(addr) {
		bits = min(bits, sixToFour)
	}
	p, _ := addr.Prefix(bits) // the bits are in range, the address has no zone
	return p.Addr()
}

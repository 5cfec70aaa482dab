package httpmw

import (
	"net/netip"
	"strings"
)

// Bounds of a walk. net/http takes header values of almost 1 MB.
const (
	maxElements  = 64
	maxForwarded = 8 << 10 // bytes
)

// walk follows the lines of X-Forwarded-For from the right, as they were
// appended, and returns the first address that is not a trusted proxy, or the
// last that is one. It is false if it came upon something that is not an
// address, or upon its bounds, and so stopped at a trusted proxy.
//
// Several lines are one list (RFC 9110, 5.3), and its empty elements count for
// nothing. The rule is that of nginx with real_ip_recursive on.
func (c ClientIP) walk(peer netip.Addr, lines []string) (netip.Addr, bool) {
	client := peer
	elements, bytes := maxElements, maxForwarded
	for i := len(lines) - 1; i >= 0; i-- {
		line, more := lines[i], true
		for more && c.trusts(client) {
			view := line[max(0, len(line)-bytes):]
			comma := strings.LastIndexByte(view, ',')
			if elements == 0 || comma < 0 && len(view) < len(line) {
				return client, false
			}
			element := view[comma+1:]
			elements--
			bytes = max(0, bytes-len(element)-1)
			if more = comma >= 0; more {
				line = line[:len(line)-len(element)-1]
			}
			if element = strings.Trim(element, " \t"); element == "" {
				continue
			}
			addr, ok := parseAddr(element)
			if !ok {
				return client, false
			}
			client = addr
		}
	}
	return client, true
}

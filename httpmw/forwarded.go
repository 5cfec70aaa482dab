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

// A backwards reads a list from the right, as it was appended to. Several lines
// are one list, and its empty elements count for nothing (RFC 9110, 5.3 and
// 5.6.1).
type backwards struct {
	lines    []string // not begun yet
	line     string   // what is left of the one that is
	more     bool     // there is an element in it, if only an empty one
	elements int      // that may still be read, empty ones too
	bytes    int      // likewise
}

func newBackwards(lines []string) backwards {
	return backwards{lines: lines, elements: maxElements, bytes: maxForwarded}
}

// next returns the next element that is not empty, "" if there is none. It is
// false if the bounds do not let it tell.
func (l *backwards) next() (string, bool) {
	for {
		if !l.more {
			if len(l.lines) == 0 {
				return "", true
			}
			last := len(l.lines) - 1
			l.lines, l.line, l.more = l.lines[:last], l.lines[last], true
		}
		view := l.line[max(0, len(l.line)-l.bytes):]
		comma := strings.LastIndexByte(view, ',')
		if l.elements == 0 || comma < 0 && len(view) < len(l.line) {
			return "", false
		}
		element := view[comma+1:]
		l.elements--
		l.bytes = max(0, l.bytes-len(element)-1)
		if l.more = comma >= 0; l.more {
			l.line = l.line[:len(l.line)-len(element)-1]
		}
		if element = strings.Trim(element, " \t"); element != "" {
			return element, true
		}
	}
}

// walk follows the lines of X-Forwarded-For from the peer, which is trusted,
// and returns the first address that is not a trusted proxy, or the last that
// is one. It is false if it came upon something that is not an address, or upon
// its bounds, and so stopped at a trusted proxy.
//
// The rule is that of nginx with real_ip_recursive on.
func (c *ClientIP) walk(peer netip.Addr, lines []string) (netip.Addr, bool) {
	client, list := peer, newBackwards(lines)
	for {
		element, ok := list.next()
		if element == "" {
			return client, ok
		}
		addr, ok := parseAddr(element)
		if !ok {
			return client, false
		}
		if client = addr; !c.trusts(client) {
			return client, true
		}
	}
}

// hop returns the address that is the n-th from the right in the lines. If
// there is none it is false, and returns the peer's.
func hop(peer netip.Addr, lines []string, n int) (netip.Addr, bool) {
	list := newBackwards(lines)
	for {
		element, _ := list.next()
		if element == "" {
			return peer, false
		}
		if n--; n == 0 {
			return only(peer, element)
		}
	}
}

package httpmw

import (
	"net/netip"
	"strings"
)

// walkForwarded is walk for the lines of Forwarded (RFC 7239).
//
// A line is split from the left, since only so it is known what is quoted, and
// all of it must fit into the bounds. Lines are split each by itself: whoever
// writes one cannot quote what the next one appends.
func (c *ClientIP) walkForwarded(peer netip.Addr, lines []string) (netip.Addr, bool) {
	client := peer
	elements, bytes := maxElements, maxForwarded
	for i := len(lines) - 1; i >= 0; i-- {
		line := lines[i]
		if len(line) > bytes {
			return client, false
		}
		bytes -= len(line)
		var last [maxElements]string
		n, ok := splitLast(&last, line)
		if !ok {
			return client, false
		}
		for n--; n >= 0; n-- {
			if elements == 0 {
				return client, false
			}
			elements--
			element := last[n%maxElements]
			if element == "" {
				continue
			}
			addr, ok := forOf(element)
			if !ok {
				return client, false
			}
			if client = addr; !c.trusts(client) {
				return client, true
			}
		}
	}
	return client, true
}

// splitLast splits a line at its commas and returns the number of elements. The
// i-th of them, trimmed, is stored at i modulo the length of last, so that the
// last of them are there. It is false if a quotation mark is not closed.
func splitLast(last *[maxElements]string, line string) (int, bool) {
	for n := 0; ; n++ {
		element, rest, more, ok := cutUnquoted(line, ',')
		if !ok {
			return 0, false
		}
		last[n%maxElements] = element
		if !more {
			return n + 1, true
		}
		line = rest
	}
}

// cutUnquoted cuts s at the first sep that is not in a quoted string and trims
// what is before it. It is found if there is one, and not ok if a quotation
// mark is not closed before.
func cutUnquoted(s string, sep byte) (before, after string, found, ok bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == sep && !quoted:
			return strings.Trim(s[:i], " \t"), s[i+1:], true, true
		}
	}
	return strings.Trim(s, " \t"), "", false, !quoted
}

// forOf returns the address in the "for" parameter of an element. It is false
// if there is none, or more than one, or if the element is against the grammar:
// then it is better not believed at all than read in another way than by the
// proxy behind. Only blanks around a semicolon are let pass.
func forOf(element string) (netip.Addr, bool) {
	var client netip.Addr
	for more := true; more; {
		var pair string
		pair, element, more, _ = cutUnquoted(element, ';')
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		value, ok := unquote(value)
		if !ok || !isToken(name) {
			return netip.Addr{}, false
		}
		if !strings.EqualFold(name, "for") {
			continue
		}
		if client.IsValid() {
			return netip.Addr{}, false
		}
		if client, ok = parseNode(value); !ok {
			return netip.Addr{}, false
		}
	}
	return client, client.IsValid()
}

// unquote returns the value of a parameter, which is a token or a quoted
// string.
func unquote(s string) (string, bool) {
	if s == "" || s[0] != '"' {
		return s, isToken(s)
	}
	s = s[1:]
	end := strings.IndexAny(s, `"\`)
	if end < 0 {
		return "", false
	}
	if s[end] == '"' {
		return s[:end], end == len(s)-1
	}
	var b strings.Builder // nobody escapes what is in an address
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), i == len(s)-1
		case '\\':
			if i++; i == len(s) {
				return "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", false
}

// parseNode reads an address as RFC 7239, 6, has it: IPv6 in brackets, and a
// port that may be an obfuscated one.
func parseNode(s string) (netip.Addr, bool) {
	ports := 1 // colons that there may be but for those of IPv6
	if i := strings.Index(s, ":_"); i >= 0 && isObfuscated(s[i+1:]) {
		s, ports = s[:i], 0
	}
	rest := s
	if strings.HasPrefix(s, "[") {
		_, rest, _ = strings.Cut(s, "]")
	}
	if strings.Count(rest, ":") > ports {
		return netip.Addr{}, false
	}
	return parseAddr(s)
}

// isObfuscated tells whether s is an obfuscated identifier of RFC 7239, 6.3.
func isObfuscated(s string) bool {
	for i := 1; i < len(s); i++ {
		if c := s[i]; !isAlpha(c) && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return len(s) > 1 && s[0] == '_'
}

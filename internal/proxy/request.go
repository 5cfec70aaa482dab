package proxy

import (
	"net/http"
	"net/netip"
	"strings"
)

// check returns what is wrong with a request that net/http lets pass and that
// means one thing here and could mean another to an upstream. Nil is nothing.
func check(r *http.Request) *trouble {
	switch u := r.URL; {
	case r.Method == http.MethodConnect:
		return &noTunnel // a 200 would end the framing of messages
	case r.Method == "PRI":
		return &noHTTP2 // net/http lets the preface of HTTP/2 pass
	case u.Opaque != "":
		return &badTarget // x:http://other/path would be sent as http://other/path
	case u.Path == "*" && r.Method != http.MethodOptions:
		return &badTarget // would be sent as /*
	case u.User != nil, u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https":
		return &badTarget
	case !validHost(r.Host):
		return &badHost
	}
	for _, v := range r.Header["Upgrade"] {
		if strings.ContainsFunc(v, func(c rune) bool { return c < ' ' || c > '~' }) {
			return &badUpgrade
		}
	}
	return nil
}

// validHost tells whether a Host is empty, which it may be in HTTP/1.0, or a
// name or an address with or without a port. RFC 3986 allows more in a name;
// nobody's has it, and it is what servers read differently.
func validHost(host string) bool {
	if strings.HasPrefix(host, "[") {
		address, port, ok := strings.Cut(host[1:], "]")
		addr, err := netip.ParseAddr(address)
		return ok && err == nil && addr.Is6() && addr.Zone() == "" && validPort(port)
	}
	name, _, _ := strings.Cut(host, ":")
	return !strings.ContainsFunc(name, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-._~", c))
	}) && (name != "" || host == "") && validPort(host[len(name):])
}

// validPort tells whether what follows a host is nothing, or a colon and at
// most a port.
func validPort(text string) bool {
	digits, ok := strings.CutPrefix(text, ":")
	return (ok || text == "") && len(digits) <= 5 && strings.Trim(digits, "0123456789") == ""
}

// carriesHTTP tells whether a client asks to go on with HTTP in another form on
// the same connection. Behind an upgrade to it requests would pass without
// being counted.
func carriesHTTP(upgrade []string) bool {
	for _, line := range upgrade {
		for protocol := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(protocol)), "/")
			if name == "h2c" || name == "h2" || name == "http" || name == "tls" {
				return true
			}
		}
	}
	return false
}

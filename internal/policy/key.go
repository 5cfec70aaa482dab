package policy

import (
	"fmt"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-0c889b51/weir/internal/nearest"
)

// A Kind is one way to tell who a request counts for.
type Kind string

// The kinds there are.
const (
	IP     Kind = "ip"     // the client's address, or the network it is in
	User   Kind = "user"   // the user that a trusted proxy names
	Header Kind = "header" // the value of a request header field
	Cookie Kind = "cookie" // the value of a cookie
	Bearer Kind = "bearer" // the token of Authorization: Bearer
	Basic  Kind = "basic"  // the user of Authorization: Basic, unverified
	Path   Kind = "path"   // the URL's path
	Global Kind = "global" // all requests together
)

// kinds is all of them, in the order in which they are offered.
var kinds = []string{string(IP), string(User), string(Header), string(Cookie), string(Bearer), string(Basic),
	string(Path), string(Global)}

const wantKey = "want ip, ip/BITS, user, header:NAME, cookie:NAME, bearer, basic, path, global, or several joined by '+', such as ip+path"

// Bounds of the bits of an IPv6 network, which are those of httpmw.ByNetwork.
const minBits, maxBits = 32, 128

// named tells whether a kind comes with a name.
func (k Kind) named() bool { return k == Header || k == Cookie }

// A Part is a kind, with the name of the header field or the cookie, or the
// bits of the network.
type Part struct {
	Kind Kind
	Name string // canonical for Header, as given for Cookie, else ""
	Bits int    // of an IP: 32 to 128 of the IPv6 network, 0 is the address
}

// String returns the part as [Parse] reads it.
func (p Part) String() string {
	if p.Kind.named() {
		return string(p.Kind) + ":" + p.Name
	}
	if p.Bits > 0 {
		return string(p.Kind) + "/" + strconv.Itoa(p.Bits)
	}
	return string(p.Kind)
}

// A Key is who a request counts for: one part or several different ones, that
// count together.
type Key []Part

// String returns the key as [Parse] reads it.
func (k Key) String() string {
	parts := make([]string, len(k))
	for i, p := range k {
		parts[i] = p.String()
	}
	return strings.Join(parts, "+")
}

// Has tells whether a part of the key is of that kind.
func (k Key) Has(kind Kind) bool {
	return slices.ContainsFunc(k, func(p Part) bool { return p.Kind == kind })
}

// Evadable tells whether a client has a fresh bucket under the key whenever it
// likes, since it can make up some part of it.
func (k Key) Evadable() bool {
	return slices.ContainsFunc(k, func(p Part) bool { return p.Kind != IP && p.Kind != User && p.Kind != Global })
}

// keyOf reads the key that the words, one or more, begin with.
func keyOf(words []string, want string) (Key, error) {
	if c := words[0][0]; '0' <= c && c <= '9' {
		return nil, fmt.Errorf("%s stands where the key should: %s", quote(words[0]), want)
	}
	if len(words) > 1 && strings.HasPrefix(words[1], "+") {
		return nil, fmt.Errorf("key %s: want no space at a '+', such as ip+path", quote(words[0]+" "+words[1]))
	}
	return parseKey(words[0])
}

func parseKey(text string) (Key, error) {
	var key Key
	for part := range strings.SplitSeq(text, "+") {
		if part == "" {
			return nil, fmt.Errorf("key %s has nothing on one side of a '+': want keys on both, such as ip+path", quote(text))
		}
		p, err := parsePart(part)
		if err != nil {
			return nil, err
		}
		if slices.Contains(key, p) {
			return nil, fmt.Errorf("key %s has %s twice: want different keys", quote(text), quote(p.String()))
		}
		if p.Kind == IP && key.Has(IP) {
			return nil, fmt.Errorf("key %s has two networks of the client's address, of which one is in the other: want one", quote(text))
		}
		key = append(key, p)
	}
	if len(key) > 1 && key.Has(Global) {
		return nil, fmt.Errorf("key %s joins global, which is the same for all requests: want it alone, or left out", quote(text))
	}
	return key, nil
}

func parsePart(text string) (Part, error) {
	before, name, hasName := strings.Cut(text, ":")
	word, bits, hasBits := strings.Cut(before, "/")
	kind := Kind(strings.ToLower(word))
	if !slices.Contains(kinds, string(kind)) {
		return Part{}, fmt.Errorf("key %s: %s%s", quote(before), wantKey, nearest.Hint(word, kinds))
	}
	if !kind.named() {
		if hasName {
			return Part{}, fmt.Errorf("key %s: %s takes no name: want %q", quote(text), kind, kind)
		}
		if hasBits {
			return networkOf(kind, text, bits)
		}
		return Part{Kind: kind}, nil
	}
	if hasBits {
		return Part{}, fmt.Errorf("key %s: want %s:NAME, such as %s", quote(text), kind, example(kind))
	}
	if name == "" {
		return Part{}, fmt.Errorf("key %s has no name: want %s:NAME, such as %s", quote(text), kind, example(kind))
	}
	if kind == Cookie {
		if !isToken(name) {
			return Part{}, fmt.Errorf("cookie name %s: want letters, digits and !#$%%&'*-.^_`|~", quote(name))
		}
		return Part{Kind: Cookie, Name: name}, nil
	}
	name, err := HeaderName(name)
	if err != nil {
		return Part{}, err
	}
	return Part{Kind: Header, Name: name}, nil
}

// networkOf reads a kind with the bits of a network.
func networkOf(kind Kind, text, bits string) (Part, error) {
	if kind != IP {
		return Part{}, fmt.Errorf("key %s: %s takes no network: want %q", quote(text), kind, kind)
	}
	n, err := strconv.Atoi(bits)
	if err != nil || n < minBits || n > maxBits || strconv.Itoa(n) != bits {
		return Part{}, fmt.Errorf("key %s: want ip/BITS with the bits of an IPv6 network, %d to %d, such as ip/48 (IPv4 counts by address)",
			quote(text), minBits, maxBits)
	}
	return Part{Kind: IP, Bits: n}, nil
}

func example(kind Kind) string {
	if kind == Cookie {
		return "cookie:session"
	}
	return "header:X-Api-Key"
}

// HeaderName returns the canonical form of the name of a request header field
// that a request can be told by, or an error that says what is wrong with it.
func HeaderName(name string) (string, error) {
	if !isToken(name) {
		return "", fmt.Errorf("header name %s: want letters, digits and !#$%%&'*-.^`|~", quote(name))
	}
	if strings.Contains(name, "_") {
		return "", fmt.Errorf("header name %s: fields with a '_' in the name are dropped, since some servers take it for a '-': want another name",
			quote(name))
	}
	name = textproto.CanonicalMIMEHeaderKey(name)
	switch name {
	case "Host", "Trailer", "Transfer-Encoding", "Connection", "Content-Length":
		return "", fmt.Errorf("header name %q is part of the connection, not of who sends the request: want another name", name)
	}
	return name, nil
}

// isToken tells whether s is a token of RFC 9110 (5.6.2) without a '+', which
// joins keys.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

// quote quotes a value for an error message of one line, cut short.
func quote(s string) string {
	if len(s) > 64 {
		return strconv.QuoteToASCII(s[:64]) + "..."
	}
	return strconv.QuoteToASCII(s)
}

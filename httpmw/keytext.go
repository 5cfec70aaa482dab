package httpmw

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
)

// shownDigest is how many bytes of a digest are in the text of a key: few
// enough that nobody takes it for the credential, enough to tell a million keys
// apart.
const shownDigest = 8

// KeyText returns a key that the [Limiter] was told, as text for the owner of
// the server: one line of printable ASCII.
//
//	203.0.113.7                  an address
//	2001:db8:0:1::/64            an IPv6 network, of Config.IP or [ByNetwork]
//	header 6ab1c84bfd9a02e1      a credential: the kind, and the beginning of a hash
//	"alice"                      the value of [Func]
//	path "/login"                [Path]
//	everybody                    [Global]
//	203.0.113.7 + path "/login"  a [Join]
//	none, from 203.0.113.7       an identity is missing: the address in its place
//	preflight of 203.0.113.7     a CORS preflight
//
// Of a value or path of more than 64 bytes there is the beginning of a hash,
// and so there is, after "long", of whole keys of more than 64 bytes where they
// are from a limiter that keeps a hash of these.
func (m *Middleware) KeyText(key string) string {
	if rest, ok := strings.CutPrefix(key, "long\x00"); ok { // of a weir.Limiter
		return "long " + digestText(rest)
	}
	var b strings.Builder
	if rest, ok := strings.CutPrefix(key, string(tagPreflight)); ok {
		b.WriteString("preflight of ")
		key = rest
	}
	key = strings.TrimPrefix(key, string(tagJoin))
	if key == "" {
		return b.String() + `""`
	}
	for first := true; key != ""; first = false {
		if !first {
			b.WriteString(" + ")
		}
		n := partLength(key)
		if n > len(key) {
			b.WriteString(strconv.QuoteToASCII(clip(key))) // of no Key
			break
		}
		m.writePart(&b, key[0], key[1:n])
		key = key[n:]
	}
	return b.String()
}

// writePart writes one part of a key, as long as its tag says.
func (m *Middleware) writePart(b *strings.Builder, tag byte, value string) {
	switch tag {
	case tagIPv4:
		b.WriteString(addrText(value))
	case tagIPv6:
		b.WriteString(networkText(value, m.ip.bitsOf(value)))
	case tagNetwork4, tagNetwork6:
		b.WriteString(networkText(value[1:], int(value[0])))
	case tagUnknown:
		b.WriteString("no address")
	case tagMissing:
		b.WriteString("none, from ")
		m.writePart(b, value[0], value[1:])
	case tagShared:
		b.WriteString("none")
	case tagFunc:
		b.WriteString(strconv.QuoteToASCII(value[1:]))
	case tagPath:
		b.WriteString("path " + strconv.QuoteToASCII(value[1:]))
	case tagGlobal:
		b.WriteString("everybody")
	default:
		b.WriteString(digestKinds[tag] + " " + digestText(value))
	}
}

// digestKinds are what keys are called of which only a digest is known.
var digestKinds = map[byte]string{
	tagHeader: "header", tagCookie: "cookie", tagBearer: "bearer", tagBasic: "basic", tagCert: "certificate",
	tagLongFunc: "long value", tagLongPath: "long path",
}

func digestText(digest string) string {
	return hex.EncodeToString([]byte(digest[:min(len(digest), shownDigest)]))
}

// addrText returns an address of 4 or 16 bytes.
func addrText(value string) string {
	addr, _ := netip.AddrFromSlice([]byte(value))
	return addr.String()
}

// networkText returns a network, or an address if it has all its bits.
func networkText(value string, bits int) string {
	if bits == 8*len(value) {
		return addrText(value)
	}
	return addrText(value) + "/" + strconv.Itoa(bits)
}

// bitsOf returns the length of the IPv6 network that a client with an address
// in it is limited by.
func (c *ClientIP) bitsOf(value string) int {
	bits := c.bits
	if bits == 0 {
		bits = defaultBits
	}
	if addr, _ := netip.AddrFromSlice([]byte(value)); prefix6to4.Contains(addr) {
		return min(bits, sixToFour)
	}
	return bits
}

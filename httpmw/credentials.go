package httpmw

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strings"
)

// Bearer returns the key of the token in an Authorization field of the scheme
// Bearer (RFC 6750), in any case of the scheme. The token is treated as a
// credential: only a hash of it is in the key.
//
// A request without the field, with another scheme, with more than one field,
// or with a token that is not one word is limited by its client's address.
//
// A client can make tokens up, and gets a new one with each refresh. Behind
// the check of a token, [Func] with its subject is the better key.
func Bearer() Key { return Key{tag: tagBearer} }

// BasicUser returns the key of the user in an Authorization field of the scheme
// Basic (RFC 7617), whatever the password. Only a hash of the name is in the
// key. The case of the scheme and how many blanks follow it do not matter, nor,
// as many servers have it, does what is in the base64 but no part of it: other
// characters, padding that is missing, and '-' and '_' for '+' and '/'.
//
// A request without the field, with another scheme, with more than one field,
// or with an empty name is limited by its client's address.
//
// Nobody has checked the password, so whoever knows the name can use up the
// quota of the user: mount the limit behind that check, or join the key with
// [ByIP].
func BasicUser() Key { return Key{tag: tagBasic} }

// ClientCert returns the key of the client's TLS certificate, of which only a
// hash is in the key. A certificate counts only if the server has verified it,
// that is with tls.RequireAndVerifyClientCert or tls.VerifyClientCertIfGiven;
// a renewed one is another. A request without one is limited by its client's
// address.
func ClientCert() Key { return Key{tag: tagCert} }

// ByNetwork returns the key of the network that the client's address is in, of
// so many bits: 8 to 32 of IPv4, and 32 to 128 of IPv6, where 6to4 counts as
// /48 at most. It is for a second policy, with a larger limit, beside one by
// [ByIP]: who owns a /48 owns 65,536 networks of 64 bits, and a bucket for
// each, but under ByNetwork(24, 48) no more than one. Peers without an
// address, such as those on a Unix socket, share a bucket.
func ByNetwork(ipv4Bits, ipv6Bits int) Key {
	return Key{tag: tagNetwork, bits4: ipv4Bits, bits6: ipv6Bits}
}

// bearerToken returns the token of r, "" if there is none.
func bearerToken(r *http.Request) string {
	scheme, token := cutBlank(headerValue(r, fieldAuthorization))
	if !strings.EqualFold(scheme, "Bearer") || strings.ContainsAny(token, blanks) {
		return ""
	}
	return token
}

// basicUser returns the user of r, "" if there is none.
func basicUser(r *http.Request) string {
	scheme, encoded := cutBlank(headerValue(r, fieldAuthorization))
	if !strings.EqualFold(scheme, "Basic") {
		return ""
	}
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		decoded = decodeLoosely(encoded)
	}
	user, _, ok := bytes.Cut(decoded, []byte{':'})
	if !ok {
		return ""
	}
	return string(user)
}

// decodeLoosely decodes base64 as servers do that take what is against the
// standard: a client must not be without a name here that has one there.
func decodeLoosely(encoded string) []byte {
	encoded = strings.Map(func(c rune) rune {
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '+', c == '/':
			return c
		case c == '-':
			return '+'
		case c == '_':
			return '/'
		}
		return -1
	}, encoded)
	decoded, _ := base64.RawStdEncoding.DecodeString(encoded) // but for a last character that is not a byte
	return decoded
}

// clientCert returns the certificate of the client, nil if there is none or if
// it has not been verified.
func clientCert(r *http.Request) []byte {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.VerifiedChains[0]) == 0 {
		return nil
	}
	return r.TLS.VerifiedChains[0][0].Raw
}

// appendNetwork appends the network of the client's address.
func appendNetwork(b []byte, s *scratch, k *Key) []byte {
	addr := s.client()
	switch {
	case !addr.IsValid():
		return append(b, tagUnknown)
	case addr.Is4():
		p, _ := addr.Prefix(k.bits4) // the bits are in range
		a := p.Addr().As4()
		return append(append(b, tagNetwork4, byte(k.bits4)), a[:]...)
	default:
		a := network6(addr, k.bits6).As16()
		return append(append(b, tagNetwork6, byte(k.bits6)), a[:]...)
	}
}

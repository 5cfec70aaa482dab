package httpmw

import (
	"errors"
	"fmt"
	"net/http"
)

// A Key says who a request is from. It is a plain value that may be used in
// any number of places. The zero Key is not valid: use one of the functions.
//
// A request without the identity is limited by its client's address, in
// another bucket than those of [ByIP], unless [Key.OrRefuse], [Key.OrShared] or
// [Key.OrSkip] say otherwise.
type Key struct {
	tag          byte
	absent       absence
	bits4, bits6 int
	name         string
	f            func(*http.Request) string
	parts        []Key
}

// Tags are the first byte of an encoded key. After each but the last two comes
// a number of bytes that the tag and what follows it determine, so that no
// encoding is the beginning of another: a sequence of them, which is what a
// join is, can be read in one way only.
const (
	tagIPv4      = '4' // the address, 4 bytes
	tagIPv6      = '6' // the network, 16 bytes
	tagUnknown   = 'u' // nothing: a peer without an address
	tagNetwork4  = 'n' // a number of bits, and the network, 4 bytes
	tagNetwork6  = 'N' // a number of bits, and the network, 16 bytes
	tagMissing   = 'm' // an address as by the first three, in place of an identity that is missing
	tagShared    = 's' // nothing: all identities that are missing
	tagHeader    = 'h' // a digest
	tagCookie    = 'c' // a digest
	tagBearer    = 'b' // a digest
	tagBasic     = 'a' // a digest
	tagCert      = 't' // a digest
	tagFunc      = 'f' // a length, and the value
	tagLongFunc  = 'F' // a digest
	tagPath      = 'p' // a length, and the path
	tagLongPath  = 'P' // a digest
	tagGlobal    = 'g' // nothing
	tagJoin      = 'j' // the parts, none of them a join; only at the beginning of a key
	tagPreflight = 'o' // any of the above, for a CORS preflight; only at the beginning

	tagIP      = 'i' // of a Key only: encoded as one of the first three
	tagNetwork = 'w' // of a Key only: encoded as a network, or as unknown
)

const (
	maxPlain = 64 // bytes of a value that is kept as it is
	maxParts = 16 // of a Join: bounds a key at 16 × 66 + 2 bytes

	minNetwork4 = 8 // bits: the largest network that was ever given to one owner
)

// ByIP returns the key of the client's address, as Config.IP finds it: an IPv4
// address, or the network of an IPv6 address. Peers without an address, such
// as those on a Unix socket, share one bucket.
func ByIP() Key { return Key{tag: tagIP} }

// Header returns the key of the request header field with that name, in any
// case. The value is treated as a credential: only a hash of it is in the key.
// Blanks around it do not matter and, of an Authorization or
// Proxy-Authorization field, neither do the case of the scheme and how many
// spaces and tabs there are between its words.
//
// A request without the field, with an empty one, or with more than one (the
// next server might take another one of them) is limited by its client's
// address.
func Header(name string) Key {
	return Key{tag: tagHeader, name: http.CanonicalHeaderKey(name)}
}

// Cookie returns the key of the cookie with that name. The value is treated as
// a credential: only a hash of it is in the key. Of the value it does not matter
// whether it is in quotes or which of its characters are percent-encoded, since
// many servers decode it: it is decoded once, if it can be.
//
// A request without the cookie, with an empty one, or with more than one of
// that name is limited by its client's address.
func Cookie(name string) Key { return Key{tag: tagCookie, name: name} }

// Path returns the key of the URL's path in one canonical form: decoded once,
// with '\' as '/', without what follows a ';' in a segment, without empty, "."
// and ".." segments and without a slash at the end. The query is no part of it,
// and case matters.
//
// A client chooses the path, so a limit by path alone is one that clients share
// and that made up paths evade. Usually it is joined with another key.
func Path() Key { return Key{tag: tagPath} }

// Global returns the key that all requests have in common.
func Global() Key { return Key{tag: tagGlobal} }

// Func returns the key of what f returns, such as a user's name or a tenant.
// Up to 64 bytes it is in the key as it is, else a hash of it. If f returns
// "" the request is limited by its client's address. If f panics the request
// is answered with status 503. For a credential as the client sent it use
// [Bearer], [Header] or [Cookie], which hash it at any length.
func Func(f func(*http.Request) string) Key { return Key{tag: tagFunc, f: f} }

// Join returns the key of all the keys together, at most 16: requests share a
// bucket if each of the keys is the same. In place of an identity that is
// missing stands the client's address, if the key does not say otherwise.
func Join(keys ...Key) Key {
	// Flat, so that the parts are bounded whatever is nested.
	k := Key{tag: tagJoin}
	for _, part := range keys {
		if part.tag != tagJoin || len(part.parts) == 0 {
			k.parts = append(k.parts, part)
			continue
		}
		for _, p := range part.parts {
			if p.absent == present && p.canMiss() {
				p.absent = part.absent
			}
			k.parts = append(k.parts, p)
		}
	}
	return k
}

// check returns an error unless k is a valid key.
func (k Key) check() error {
	switch k.tag {
	case 0:
		return errors.New("it is the zero Key: want ByIP, Header, Bearer, Func or another of the functions that return one")
	case tagHeader:
		if !isToken(k.name) {
			return fmt.Errorf("header name %q: want letters, digits and !#$%%&'*+-.^_`|~", clip(k.name))
		}
		if k.name == "Host" {
			return errors.New(`header name "Host": net/http keeps the host out of the header; want Func and Request.Host`)
		}
	case tagCookie:
		if !isToken(k.name) {
			return fmt.Errorf("cookie name %q: want letters, digits and !#$%%&'*+-.^_`|~", clip(k.name))
		}
	case tagNetwork:
		if k.bits4 < minNetwork4 || k.bits4 > 32 {
			return fmt.Errorf("ByNetwork of %d bits of IPv4: want %d to 32", k.bits4, minNetwork4)
		}
		if k.bits6 < minBits || k.bits6 > 128 {
			return fmt.Errorf("ByNetwork of %d bits of IPv6: want %d to 128", k.bits6, minBits)
		}
	case tagFunc:
		if k.f == nil {
			return errors.New("the function of Func is nil")
		}
	case tagJoin:
		if len(k.parts) < 1 || len(k.parts) > maxParts {
			return fmt.Errorf("Join of %d keys: want 1 to %d", len(k.parts), maxParts)
		}
		for i, p := range k.parts {
			if err := p.check(); err != nil {
				return fmt.Errorf("part %d of Join: %w", i+1, err)
			}
		}
	}
	return k.checkAbsent()
}

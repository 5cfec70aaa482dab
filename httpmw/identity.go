package httpmw

import (
	"encoding/binary"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"strings"
)

// keyOf returns the encoded key of the request in s, and what is to become of
// the request: if it is skipped or refused, there is no key.
func (s *scratch) keyOf(k *Key) (string, absence) {
	s.absent = present
	s.buf = s.buf[:0]
	if s.preflight {
		s.buf = append(s.buf, tagPreflight)
	}
	s.buf = k.append(s.buf, s, present)
	if s.absent >= skipped {
		return "", s.absent
	}
	return string(s.buf), s.absent
}

// append appends the encoded key of the request in s. If the identity is
// missing it is as k says, or else as outer does.
func (k *Key) append(b []byte, s *scratch, outer absence) []byte {
	absent := k.absent
	if absent == present {
		absent = outer
	}
	switch k.tag {
	case tagHeader:
		return s.appendCredential(b, k, headerValue(s.r, k.name), absent)
	case tagCookie:
		return s.appendCredential(b, k, cookieValue(s.r, k.name), absent)
	case tagBearer:
		return s.appendCredential(b, k, bearerToken(s.r), absent)
	case tagBasic:
		return s.appendCredential(b, k, basicUser(s.r), absent)
	case tagCert:
		if der := clientCert(s.r); len(der) > 0 {
			s.beginDigest(tagCert, "", len(der))
			s.sum.Write(der)
			return s.endDigest(append(b, tagCert))
		}
		return s.appendMissing(b, absent)
	case tagFunc:
		if v := k.f(s.r); v != "" {
			return appendValue(b, s, tagFunc, tagLongFunc, v)
		}
		return s.appendMissing(b, absent)
	case tagPath:
		return appendValue(b, s, tagPath, tagLongPath, canonicalPath(rooted(s.r.URL.Path)))
	case tagGlobal:
		return append(b, tagGlobal)
	case tagJoin:
		b = append(b, tagJoin)
		for i := range k.parts {
			b = k.parts[i].append(b, s, absent)
		}
		return b
	default: // tagIP, tagNetwork
		if !s.client().IsValid() {
			s.miss(absent)
		}
		if k.tag == tagNetwork {
			return appendNetwork(b, s, k)
		}
		return appendIP(b, s)
	}
}

// appendIP appends the client's address. The tag of an address is its family,
// never its spelling.
func appendIP(b []byte, s *scratch) []byte {
	addr := s.client()
	switch {
	case !addr.IsValid():
		return append(b, tagUnknown)
	case addr.Is4():
		a := addr.As4()
		return append(append(b, tagIPv4), a[:]...)
	default:
		a := s.m.ip.network(addr).As16()
		return append(append(b, tagIPv6), a[:]...)
	}
}

// client returns the client's address, the zero one if it has none. It is
// looked up, and counted, once for each request.
func (s *scratch) client() netip.Addr {
	if s.how == unsought {
		s.addr, s.how = s.m.ip.find(s.r)
		s.m.noteAddr(s.r, s.how)
		if !s.addr.IsValid() && s.how != noAddr {
			s.m.noteAddr(s.r, noAddr)
		}
	}
	return s.addr
}

// appendValue appends a value as it is or, if it is long, a digest of it.
func appendValue(b []byte, s *scratch, short, long byte, v string) []byte {
	if len(v) <= maxPlain {
		return append(append(b, short, byte(len(v))), v...)
	}
	return s.appendDigest(append(b, long), long, "", "", v)
}

// appendCredential appends a digest of a value that must not be seen.
func (s *scratch) appendCredential(b []byte, k *Key, v string, absent absence) []byte {
	if v == "" {
		return s.appendMissing(b, absent)
	}
	scheme := ""
	if k.tag == tagHeader && (k.name == fieldAuthorization || k.name == "Proxy-Authorization") {
		if before, after := cutBlank(v); after != "" {
			scheme, v = before, oneBlank(after)
		}
	}
	return s.appendDigest(append(b, k.tag), k.tag, k.name, scheme, v)
}

// headerValue returns the value of a header field, "" unless there is just one.
func headerValue(r *http.Request, name string) string {
	if lines := r.Header[name]; len(lines) == 1 {
		return textproto.TrimString(lines[0])
	}
	return ""
}

// cutBlank cuts v at its first blanks, whether they are spaces or tabs: servers
// do not tell one from the other, nor how many there are.
func cutBlank(v string) (before, after string) {
	i := strings.IndexAny(v, blanks)
	if i < 0 {
		return v, ""
	}
	return v[:i], strings.TrimLeft(v[i:], blanks)
}

// oneBlank returns v with a space in place of each run of blanks.
func oneBlank(v string) string {
	if !strings.Contains(v, "  ") && strings.IndexByte(v, '\t') < 0 {
		return v
	}
	return strings.Join(strings.FieldsFunc(v, func(c rune) bool { return c == ' ' || c == '\t' }), " ")
}

const blanks = " \t"

// cookieValue returns the value of a cookie, "" unless there is just one. Many
// servers decode it, so that each escape is a spelling of the same value; one
// that does not decode is taken as it is.
func cookieValue(r *http.Request, name string) string {
	cookies := r.CookiesNamed(name)
	if len(cookies) != 1 {
		return ""
	}
	v := cookies[0].Value // without quotes round it
	if decoded, err := url.PathUnescape(v); err == nil {
		v = decoded
	}
	if len(v) > 1 && v[0] == '"' && v[len(v)-1] == '"' {
		v = v[1 : len(v)-1]
	}
	return v
}

const fieldAuthorization = "Authorization"

const digestSize = 16

// appendDigest appends a digest of a value: the scheme in lower case, a space
// and v, or v alone if there is no scheme.
func (s *scratch) appendDigest(b []byte, kind byte, name, scheme, v string) []byte {
	length := len(v)
	if scheme != "" {
		length += len(scheme) + 1
	}
	s.beginDigest(kind, name, length)
	if scheme != "" {
		s.hash(scheme, true)
		s.hash(" ", false)
	}
	s.hash(v, false)
	return s.endDigest(b)
}

// beginDigest begins a digest: 128 bits of SHA-256 over kind, name and the
// value of so many bytes that is to follow, each marked off from the next. The
// digest is the same in every process, so that a limit outlives a restart.
func (s *scratch) beginDigest(kind byte, name string, length int) {
	s.sum.Reset()
	s.chunk[0], s.chunk[1] = kind, 0
	s.sum.Write(s.chunk[:2])
	s.hash(name, false)
	s.chunk[0] = 0
	binary.BigEndian.PutUint64(s.chunk[1:], uint64(length))
	s.sum.Write(s.chunk[:9])
}

// endDigest appends the digest.
func (s *scratch) endDigest(b []byte) []byte {
	b = append(b, s.sum.Sum(s.chunk[:0])[:digestSize]...)
	// The pool keeps s: leave nothing of the value in it.
	s.sum.Reset()
	clear(s.chunk[:])
	return b
}

// hash feeds a string to the hash, piece by piece so as not to copy it.
func (s *scratch) hash(v string, lower bool) {
	for len(v) > 0 {
		n := copy(s.chunk[:], v)
		v = v[n:]
		if lower {
			for i, c := range s.chunk[:n] {
				if 'A' <= c && c <= 'Z' {
					s.chunk[i] = c | 0x20
				}
			}
		}
		s.sum.Write(s.chunk[:n])
	}
}

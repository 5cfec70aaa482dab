package httpmw

import (
	"encoding/binary"
	"net/http"
	"net/textproto"
	"path"
	"strings"
)

// append appends the encoded key of the request in s.
func (k Key) append(b []byte, s *scratch) []byte {
	switch k.tag {
	case tagHeader:
		return appendCredential(b, s, k, headerValue(s.r, k.name))
	case tagCookie:
		return appendCredential(b, s, k, cookieValue(s.r, k.name))
	case tagFunc:
		if v := k.f(s.r); v != "" {
			return appendValue(b, s, tagFunc, tagLongFunc, v)
		}
		return appendMissing(b, s)
	case tagPath:
		return appendValue(b, s, tagPath, tagLongPath, canonicalPath(s.r))
	case tagGlobal:
		return append(b, tagGlobal)
	case tagJoin:
		b = append(b, tagJoin)
		for _, part := range k.parts {
			b = part.append(b, s)
		}
		return b
	default: // tagIP
		return appendIP(b, s)
	}
}

// appendMissing appends what stands for an identity that r does not have.
func appendMissing(b []byte, s *scratch) []byte {
	return appendIP(append(b, tagMissing), s)
}

// appendIP appends the client's address. The tag of an address is its family,
// never its spelling.
func appendIP(b []byte, s *scratch) []byte {
	if s.ipLen == 0 {
		s.ipLen = len(s.m.appendAddr(s.ip[:0], s.r))
	}
	return append(b, s.ip[:s.ipLen]...)
}

// appendAddr looks up the client's address.
func (m *Middleware) appendAddr(b []byte, r *http.Request) []byte {
	addr, found := m.ip.find(r)
	m.noteAddr(r, found)
	switch {
	case found == noAddr:
		return append(b, tagUnknown)
	case addr.Is4():
		a := addr.As4()
		return append(append(b, tagIPv4), a[:]...)
	default:
		a := m.ip.network(addr).As16()
		return append(append(b, tagIPv6), a[:]...)
	}
}

// appendValue appends a value as it is or, if it is long, a digest of it.
func appendValue(b []byte, s *scratch, short, long byte, v string) []byte {
	if len(v) <= maxPlain {
		return append(append(b, short, byte(len(v))), v...)
	}
	return s.appendDigest(append(b, long), long, "", "", v)
}

// appendCredential appends a digest of a value that must not be seen.
func appendCredential(b []byte, s *scratch, k Key, v string) []byte {
	if v == "" {
		return appendMissing(b, s)
	}
	scheme := ""
	if k.tag == tagHeader && (k.name == "Authorization" || k.name == "Proxy-Authorization") {
		if before, after, ok := strings.Cut(v, " "); ok {
			scheme, v = before, strings.TrimLeft(after, " ")
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

// cookieValue returns the value of a cookie, "" unless there is just one.
func cookieValue(r *http.Request, name string) string {
	if cookies := r.CookiesNamed(name); len(cookies) == 1 {
		return cookies[0].Value
	}
	return ""
}

// canonicalPath returns the one form of all the spellings of a path. The server
// has decoded it once.
func canonicalPath(r *http.Request) string {
	p := r.URL.Path
	if p == "" || p[0] != '/' {
		p = "/" + p
	}
	return path.Clean(p)
}

const digestSize = 16

// appendDigest appends 128 bits of SHA-256 over kind, name and value, each
// marked off from the next. The value is the scheme in lower case, a space and
// v, or v alone if there is no scheme. The digest is the same in every process,
// so that a limit outlives a restart.
func (s *scratch) appendDigest(b []byte, kind byte, name, scheme, v string) []byte {
	length := len(v)
	if scheme != "" {
		length += len(scheme) + 1
	}
	s.sum.Reset()
	s.chunk[0], s.chunk[1] = kind, 0
	s.sum.Write(s.chunk[:2])
	s.hash(name, false)
	s.chunk[0] = 0
	binary.BigEndian.PutUint64(s.chunk[1:], uint64(length))
	s.sum.Write(s.chunk[:9])
	if scheme != "" {
		s.hash(scheme, true)
		s.hash(" ", false)
	}
	s.hash(v, false)
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

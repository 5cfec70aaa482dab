package replay

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf8"
)

var (
	errJSON      = errors.New("it is not one JSON object")
	errCaddyTime = errors.New(`it has no "ts" that is a time`)
)

// A caddy reads what Caddy logs as JSON, an object a line:
//
//	{"ts":1431857103.5,"request":{"client_ip":"192.0.2.1","uri":"/a?b"},"user_id":"alice","status":200}
//
// The client is client_ip, else remote_ip, else remote_addr.
type caddy struct {
	clock commonClock
	text  []byte // of strings that had escapes
}

// maxDepth bounds how deep objects may be in each other.
const maxDepth = 64

func (p *caddy) parse(line []byte, r *record) error {
	p.text = p.text[:0]
	var clientIP, remoteIP, remoteAddr, logger []byte
	hasTime, hasRequest := false, false
	*r = record{}
	s := scanner{b: line, text: &p.text}
	s.object(func(name []byte) {
		switch string(name) {
		case "ts":
			var err error
			r.at, err = readTime(s.scalar(), &p.clock)
			hasTime = err == nil
		case "logger":
			logger = s.scalar()
		case "user_id":
			r.user = s.scalar()
		case "request":
			if hasRequest = s.peek() == '{'; !hasRequest {
				s.skip()
				return
			}
			clientIP, remoteIP, remoteAddr, r.path = nil, nil, nil, nil
			s.object(func(name []byte) {
				switch string(name) {
				case "client_ip":
					clientIP = s.scalar()
				case "remote_ip":
					remoteIP = s.scalar()
				case "remote_addr":
					remoteAddr = s.scalar()
				case "uri":
					r.path = s.scalar()
				default:
					s.skip()
				}
			})
		default:
			s.skip()
		}
	})
	s.space()
	switch {
	case s.bad || s.i < len(s.b):
		return errJSON
	case !hasRequest, string(logger) == "http.log.error": // which repeats what another line is of
		return errNoRequest
	case !hasTime:
		return errCaddyTime
	}
	for _, client := range [][]byte{clientIP, remoteIP, remoteAddr} {
		if r.client = client; !missing(client) {
			return nil
		}
	}
	return errNoClient
}

// A scanner goes through a line of JSON. After a mistake it is bad, and at the
// end.
type scanner struct {
	b    []byte
	i    int
	deep int
	bad  bool
	text *[]byte
}

func (s *scanner) fail() {
	s.bad, s.i = true, len(s.b)
}

// space skips what is between values.
func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\t' || s.b[s.i] == '\r' || s.b[s.i] == '\n') {
		s.i++
	}
}

// peek returns the first byte of the next value, 0 at the end.
func (s *scanner) peek() byte {
	if s.space(); s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

// want skips a byte that must be next.
func (s *scanner) want(c byte) {
	if s.peek() != c || s.bad {
		s.fail()
		return
	}
	s.i++
}

// object goes through an object. For each member value is called, which must go
// over its value.
func (s *scanner) object(value func(name []byte)) {
	if s.deep++; s.deep > maxDepth {
		s.fail()
		return
	}
	s.want('{')
	if s.peek() != '}' {
		for !s.bad {
			if s.peek() != '"' {
				s.fail()
				return
			}
			name := s.string()
			s.want(':')
			if !s.bad {
				value(name)
			}
			if s.peek() != ',' {
				break
			}
			s.i++
		}
	}
	s.want('}')
	s.deep--
}

// skip goes over a value.
func (s *scanner) skip() {
	switch s.peek() {
	case '{':
		s.object(func([]byte) { s.skip() })
	case '[':
		if s.deep++; s.deep > maxDepth {
			s.fail()
			return
		}
		s.i++
		if s.peek() != ']' {
			for !s.bad {
				s.skip()
				if s.peek() != ',' {
					break
				}
				s.i++
			}
		}
		s.want(']')
		s.deep--
	case '"':
		s.raw()
	default:
		s.scalar()
	}
}

// scalar returns the text of a string or a number. Of true, false and null it is
// empty, and likewise of objects and arrays, which are gone over.
func (s *scanner) scalar() []byte {
	switch c := s.peek(); {
	case c == '"':
		return s.string()
	case c == '{' || c == '[':
		s.skip()
		return nil
	}
	start := s.i
	for s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-' || s.b[s.i] == '.' || '0' <= s.b[s.i] && s.b[s.i] <= '9' || 'a' <= s.b[s.i]|0x20 && s.b[s.i]|0x20 <= 'z') {
		s.i++
	}
	word := s.b[start:s.i]
	switch string(word) {
	case "true", "false", "null":
		return nil
	}
	if !isNumber(word) {
		s.fail()
		return nil
	}
	return word
}

// isNumber tells whether b is a number of JSON (RFC 8259).
func isNumber(b []byte) bool {
	if len(b) > 0 && b[0] == '-' {
		b = b[1:]
	}
	whole := run(b)
	if whole == 0 || b[0] == '0' && whole > 1 {
		return false
	}
	if b = b[whole:]; len(b) > 0 && b[0] == '.' {
		n := run(b[1:])
		if n == 0 {
			return false
		}
		b = b[1+n:]
	}
	if len(b) > 0 && b[0]|0x20 == 'e' {
		b = b[1:]
		if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
			b = b[1:]
		}
		n := run(b)
		return n > 0 && n == len(b)
	}
	return len(b) == 0
}

// run returns how many digits b begins with.
func run(b []byte) int {
	n := 0
	for n < len(b) && '0' <= b[n] && b[n] <= '9' {
		n++
	}
	return n
}

// raw goes over a string, and returns it as it is written, without its quotes.
// Most are so short that looking at each byte is the fastest.
func (s *scanner) raw() (text []byte, escaped bool) {
	start := s.i + 1
	for i := start; i < len(s.b); i++ {
		switch s.b[i] {
		case '"':
			s.i = i + 1
			return s.b[start:i], escaped
		case '\\':
			escaped = true
			i++ // whatever comes is part of it
		}
	}
	s.fail()
	return nil, false
}

// string returns a string.
func (s *scanner) string() []byte {
	raw, escaped := s.raw()
	if !escaped {
		return raw
	}
	start := len(*s.text)
	for len(raw) > 0 {
		if raw[0] != '\\' {
			n := bytes.IndexByte(raw, '\\')
			if n < 0 {
				n = len(raw)
			}
			*s.text = append(*s.text, raw[:n]...)
			raw = raw[n:]
			continue
		}
		value, size := escape(raw)
		if size == 0 {
			s.fail()
			return nil
		}
		*s.text = utf8.AppendRune(*s.text, value)
		raw = raw[size:]
	}
	return (*s.text)[start:]
}

// escape returns what an escape stands for, and its size, 0 if it is none.
func escape(b []byte) (rune, int) {
	if len(b) < 2 {
		return 0, 0
	}
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if i := bytes.IndexByte([]byte(from), b[1]); i >= 0 {
		return rune(to[i]), 2
	}
	high, ok := unicode16(b)
	if !ok {
		return 0, 0
	}
	const surrogates, half = 0xd800, 0x400
	if high < surrogates || high >= surrogates+half {
		return high, 6 // a low surrogate alone is written as U+FFFD
	}
	low, ok := unicode16(b[6:])
	if !ok || low < surrogates+half || low >= surrogates+2*half {
		return utf8.RuneError, 6
	}
	return (high-surrogates)<<10 + (low - surrogates - half) + 0x10000, 12
}

// unicode16 reads \uXXXX.
func unicode16(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(n), err == nil
}

package httpmw

import (
	"net/http"
	"strings"
)

// A form is a media type that a refusal can have.
type form int

// In the order in which they are preferred if the client does not mind.
const (
	formJSON form = iota // application/problem+json
	formHTML
	formPlain
)

func (f form) contentType() string {
	switch f {
	case formHTML:
		return "text/html; charset=utf-8"
	case formPlain:
		return "text/plain; charset=utf-8"
	default:
		return "application/problem+json"
	}
}

// Bounds of what is read of Accept. Browsers send some 150 bytes.
const (
	maxAccept = 1 << 10 // bytes of a line
	maxRanges = 32
)

// formOf returns the form that a client prefers by its Accept field (RFC 9110,
// 12.5.1): HTML or plain text if it wants that more than the problem document,
// else that, even if it wants none of them.
func formOf(r *http.Request) form {
	lines := r.Header["Accept"]
	if len(lines) == 0 {
		return formJSON
	}
	// For each form the quality by the most specific range that matches.
	var quality, specific [3]int
	ranges := maxRanges
	for _, line := range lines {
		if len(line) > maxAccept {
			line = line[:maxAccept]
		}
		for line != "" && ranges > 0 {
			var element string
			element, line, _ = strings.Cut(line, ",")
			ranges--
			media, q := mediaRange(element)
			if q < 0 {
				continue
			}
			for f := range quality {
				s := form(f).matches(media)
				if s > specific[f] || s == specific[f] && s > 0 && q > quality[f] {
					specific[f], quality[f] = s, q
				}
			}
		}
	}
	best := formJSON
	for f := formHTML; f <= formPlain; f++ {
		if quality[f] > quality[best] {
			best = f
		}
	}
	return best
}

// matches returns how specific the media range is for the form, 0 if it does
// not match. Who asks for JSON can read a problem document.
func (f form) matches(media string) int {
	major, exact := "text/*", ""
	switch f {
	case formHTML:
		exact = "text/html"
	case formPlain:
		exact = "text/plain"
	default:
		major, exact = "application/*", "application/problem+json"
		if strings.EqualFold(media, "application/json") {
			return 3
		}
	}
	switch {
	case strings.EqualFold(media, exact):
		return 4
	case strings.EqualFold(media, major):
		return 2
	case media == "*/*":
		return 1
	}
	return 0
}

// mediaRange returns the media range of an element of Accept and its quality
// in thousandths, below 0 if it is malformed. Other parameters count for nothing.
func mediaRange(element string) (media string, q int) {
	media, rest, more := strings.Cut(element, ";")
	q = 1000
	for more {
		var param string
		param, rest, more = strings.Cut(rest, ";")
		name, value, _ := strings.Cut(strings.Trim(param, " \t"), "=")
		if strings.EqualFold(name, "q") {
			q = qvalue(value)
		}
	}
	return strings.Trim(media, " \t"), q
}

// qvalue reads a weight: 0 or 1, and up to three decimals, in thousandths. It is
// below 0 if s is not one.
func qvalue(s string) int {
	if s == "" || len(s) > len("0.000") || s[0] != '0' && s[0] != '1' || len(s) > 1 && s[1] != '.' {
		return -1
	}
	q, unit := int(s[0]-'0')*1000, 100
	for i := 2; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return -1
		}
		q += int(s[i]-'0') * unit
		unit /= 10
	}
	if q > 1000 {
		return -1
	}
	return q
}

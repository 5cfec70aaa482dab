package replay

import (
	"bytes"
	"errors"
)

var (
	errCommon  = errors.New(`it is not like: 192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 12`)
	errRequest = errors.New("it has no request in quotes after the time")
)

// A combined reads the common log format, the combined one, which begins as that
// does, and these with the host before them:
//
//	192.0.2.1 - alice [17/May/2015:10:05:03 +0000] "GET /a?b HTTP/1.1" 200 12 ...
type combined struct{ clock commonClock }

func (p *combined) parse(line []byte, r *record) error {
	space := bytes.IndexByte(line, ' ')
	if space < 0 {
		return errCommon
	}
	open := bytes.Index(line[space:], []byte(" ["))
	if open < 0 {
		return errCommon
	}
	open += space
	at, ok := p.clock.read(line[open+2:])
	for !ok || open+2+commonTime >= len(line) || line[open+2+commonTime] != ']' {
		// A user may have a name such as "a [b".
		next := bytes.Index(line[open+1:], []byte(" ["))
		if next < 0 {
			return errCommonTime
		}
		open += 1 + next
		at, ok = p.clock.read(line[open+2:])
	}
	if at < minTime || at >= maxTime {
		return errTimeRange
	}
	r.at, r.client, r.user = at, line[:space], nil
	if who := line[space:open]; len(who) > 0 { // " IDENT USER"
		ident := who[1:]
		if end := bytes.IndexByte(ident, ' '); end >= 0 {
			ident, r.user = ident[:end], ident[end+1:]
		}
		if second, user := ident, r.user; isAddr(second) && !isAddr(r.client) { // after the host that was asked for
			r.client, r.user = second, nil
			if end := bytes.IndexByte(user, ' '); end >= 0 {
				r.user = user[end+1:]
			}
		}
	}
	if missing(r.client) {
		return errNoClient
	}
	if missing(r.user) {
		r.user = nil
	}
	rest := line[open+2+commonTime+1:]
	if len(rest) < 2 || rest[0] != ' ' || rest[1] != '"' {
		return errRequest
	}
	request, ok := quoted(rest[2:])
	if !ok {
		return errRequest
	}
	r.path = target(request)
	return nil
}

func isAddr(b []byte) bool {
	if _, ok := readIPv4(b); ok {
		return true
	}
	if bytes.IndexByte(b, ':') < 0 {
		return false
	}
	_, ok := readAddr(b)
	return ok
}

// quoted returns what stands before the next quotation mark that has no
// backslash before it.
func quoted(b []byte) ([]byte, bool) {
	for from := 0; ; {
		end := bytes.IndexByte(b[from:], '"')
		if end < 0 {
			return nil, false
		}
		end += from
		slashes := 0
		for end-slashes > 0 && b[end-slashes-1] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return b[:end], true
		}
		from = end + 1
	}
}

// target returns the second word of a request, empty if there is none.
func target(request []byte) []byte {
	space := bytes.IndexByte(request, ' ')
	if space < 0 {
		return nil
	}
	rest := request[space+1:]
	if end := bytes.LastIndexByte(rest, ' '); end >= 0 {
		return rest[:end]
	}
	return rest
}

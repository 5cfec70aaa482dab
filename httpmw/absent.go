package httpmw

import (
	"fmt"
	"net/http"
)

// An absence is what becomes of a request without the identity that a key asks
// for. Of several parts of a key the highest counts.
type absence uint8

const (
	present   absence = iota // of a request: nothing is absent. Of a key: as by default
	byAddress                // the default
	shared
	skipped
	refused
)

// OrRefuse returns a key like k under which a request without the identity is
// answered with status 400, and not counted against any limit. It replaces what
// [Key.OrShared] or [Key.OrSkip] had set.
//
// A CORS preflight never has credentials, and is limited by its client's
// address instead. Where an address is what is missing, as under [ByIP], there
// is none to fall back to.
//
// Of a [Join] this and the others set what happens if any part is missing that
// does not say so itself. If parts say different things, OrRefuse goes before
// OrSkip, and that before the others.
func (k Key) OrRefuse() Key { return k.or(refused) }

// OrShared returns a key like k under which all requests without the identity
// share one bucket, for a small quota of the anonymous, say: one client of them
// can use it up for all. A CORS preflight is limited by its client's address.
func (k Key) OrShared() Key { return k.or(shared) }

// OrSkip returns a key like k under which a request without the identity is not
// limited by the policy. Use it where another policy limits those: otherwise
// leaving the credential out is the way round the limit.
func (k Key) OrSkip() Key { return k.or(skipped) }

func (k Key) or(a absence) Key {
	k.absent = a
	return k
}

// checkAbsent returns an error if it is set what should happen without an
// identity that every request has.
func (k Key) checkAbsent() error {
	if k.absent == present || k.canMiss() {
		return nil
	}
	return fmt.Errorf("no request is without its %s: want a key without OrRefuse, OrShared or OrSkip", k.what())
}

// canMiss tells whether there are requests without the identity.
func (k Key) canMiss() bool {
	for _, part := range k.parts {
		if part.canMiss() {
			return true
		}
	}
	return k.tag != tagPath && k.tag != tagGlobal && k.tag != tagJoin
}

// what names a key for an error message.
func (k Key) what() string {
	switch k.tag {
	case tagPath:
		return "Path"
	case tagGlobal:
		return "Global"
	default:
		return "Join of Path and Global"
	}
}

// appendMissing appends what stands for an identity that the request does not
// have.
func (s *scratch) appendMissing(b []byte, a absence) []byte {
	switch s.miss(a) {
	case shared:
		return append(b, tagShared)
	case byAddress:
		return appendIP(append(b, tagMissing), s)
	default:
		return b // the key is not used
	}
}

// miss notes that an identity is missing, and returns what becomes of it.
func (s *scratch) miss(a absence) absence {
	if a == present || a != skipped && preflight(s.r) {
		a = byAddress
	}
	s.absent = max(s.absent, a)
	return a
}

// unidentified is the answer to a request without the identity that it must
// have. It says nothing of which that is.
var unidentified = problem{
	status: http.StatusBadRequest,
	title:  "Bad Request",
	detail: "This request does not say who it is from, or says so in a form that is not valid.",
}

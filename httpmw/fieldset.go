package httpmw

import (
	"fmt"
	"strings"
)

// A FieldSet says in which forms a client is told about its quota. It is a set
// of the constants below, joined with |. The zero value means [Draft11].
//
// At most one of Draft11, Draft7 and Draft6 can be in a set: they use the same
// names of fields for values that differ in syntax. XRateLimit goes with each
// of them. NoFields goes with none.
//
// Only Draft11 can tell of several policies. The other forms list all of them
// in RateLimit-Policy, if they have it, and otherwise tell of one: of a request
// that may go on the policy with the least available, of a refusal the one that
// refuses longest. Their reset then is the Retry-After.
type FieldSet uint8

const (
	// Draft11 is RateLimit and RateLimit-Policy in the syntax of
	// draft-ietf-httpapi-ratelimit-headers-11, which is that of 08 to 10 too:
	//
	//	RateLimit-Policy: "ip";q=100;w=60
	//	RateLimit: "ip";r=50;t=30
	Draft11 FieldSet = 1 << iota
	// Draft7 is the same two fields in the syntax of revision 07 alone:
	//
	//	RateLimit-Policy: 100;w=60
	//	RateLimit: limit=100, remaining=50, reset=30
	Draft7
	// Draft6 is the fields of revision 06, and of 04 and 05 too:
	//
	//	RateLimit-Policy: 100;w=60
	//	RateLimit-Limit: 100
	//	RateLimit-Remaining: 50
	//	RateLimit-Reset: 30
	Draft6
	// XRateLimit is the fields that many services had before there was a
	// draft, in the manner of GitHub: the reset is a time in seconds since
	// 1970 in UTC, rounded up.
	//
	//	X-RateLimit-Limit: 100
	//	X-RateLimit-Remaining: 50
	//	X-RateLimit-Reset: 1700000030
	//
	// With Draft11 beside it some parsers find nothing: ratelimit-header-parser
	// of npm (0.1.0) takes RateLimit first, whatever its syntax, and makes NaN
	// of it. For its users set XRateLimit alone.
	XRateLimit
	// NoFields is none of them, for where an identity is unverified and what
	// remains of its quota is nobody else's business. Retry-After stays.
	NoFields

	drafts = Draft11 | Draft7 | Draft6
)

// fieldSetNames are in the order of the bits.
var fieldSetNames = [...]string{"Draft11", "Draft7", "Draft6", "XRateLimit", "NoFields"}

// String returns the names of the constants in the set, such as
// "Draft11|XRateLimit".
func (s FieldSet) String() string {
	if s == 0 {
		s = Draft11
	}
	var parts []string
	for i, name := range fieldSetNames {
		if s&(1<<i) != 0 {
			parts = append(parts, name)
			s &^= 1 << i
		}
	}
	if s != 0 {
		parts = append(parts, fmt.Sprintf("FieldSet(%d)", uint8(s)))
	}
	return strings.Join(parts, "|")
}

// normalize returns the set with its default, or an error that says what
// cannot go together.
func (s FieldSet) normalize() (FieldSet, error) {
	if s == 0 {
		return Draft11, nil
	}
	if draft := s & drafts; draft&(draft-1) != 0 {
		return 0, fmt.Errorf("httpmw: Fields is %v: want at most one of Draft11, Draft7 and Draft6, "+
			"which give the same fields different values", s)
	}
	if s&NoFields != 0 && s != NoFields {
		return 0, fmt.Errorf("httpmw: Fields is %v: want NoFields alone, or without it", s)
	}
	if s >= NoFields<<1 {
		return 0, fmt.Errorf("httpmw: Fields is %v: want Draft11, Draft7, Draft6, XRateLimit and NoFields only", s)
	}
	return s, nil
}

package httpmw

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// The fields of draft 06, and those of GitHub, are a prefix and these.
const (
	prefixDraft6 = "Ratelimit-"
	prefixX      = "X-Ratelimit-"

	suffixLimit     = "Limit"
	suffixRemaining = "Remaining"
	suffixReset     = "Reset"
)

// headerNames returns the fields of the set as http.Header has them.
func (s FieldSet) headerNames() []string {
	var names []string
	if s&(Draft11|Draft7) != 0 {
		names = append(names, fieldRateLimit)
	}
	if s&drafts != 0 {
		names = append(names, fieldRateLimitPolicy)
	}
	if s&Draft6 != 0 {
		names = append(names, prefixDraft6+suffixLimit, prefixDraft6+suffixRemaining, prefixDraft6+suffixReset)
	}
	if s&XRateLimit != 0 {
		names = append(names, prefixX+suffixLimit, prefixX+suffixRemaining, prefixX+suffixReset)
	}
	return names
}

// appendOldPolicy appends a policy as the drafts before 08 have it, in a list
// that begins at start. They have no limits on requests at once.
func appendOldPolicy(b []byte, start int, l shownLimit) []byte {
	if l.window == 0 {
		return b
	}
	if len(b) > start {
		b = append(b, ", "...)
	}
	b = appendParameter(b, "", int64(l.quota))
	return appendParameter(b, ";w=", ceilSeconds(l.window))
}

// single returns the policy that the forms for one policy tell of, -1 if there
// is none: of those that refused the one that does so longest, else the one
// with least available, and of several the one that refills slowest.
func (f *fields) single(ds []bucket.Decision, refused bool) int {
	best, least, longest := -1, 0, int64(0)
	for i := range ds {
		d := &ds[i]
		if f.shown(i, d) == (shownLimit{}) {
			continue
		}
		r, t := 0, int64(d.RetryAfter)
		switch {
		case refused && !violated(*d), !refused && i >= f.rates:
			continue
		case !refused:
			r, t = available(d), effectiveWindow(d)
		}
		if best < 0 || r < least || r == least && t > longest {
			best, least, longest = i, r, t
		}
	}
	return best
}

// addSingle sets the fields of the forms that tell of one policy. A refusal is
// told with its Retry-After, 0 if it has none.
//
// These fields cannot be there twice. Of a request that may go on, those of a
// limiter outside of this one stay if they have no more left.
func (m *Middleware) addSingle(h http.Header, s *scratch, refused bool, retry int64) {
	f := m.fields
	if f.set&(Draft7|Draft6) != 0 {
		if policies := f.policy(s.decisions); policies != "" && !m.addPolicies(h, []string{policies}, s) {
			return
		}
	}
	i := f.single(s.decisions, refused)
	if i < 0 {
		return
	}
	d := &s.decisions[i]
	limit, remaining, reset := int64(d.Limit.Quota), int64(available(d)), retry
	if reset == 0 {
		reset = effectiveWindow(d)
	}
	if f.set&Draft7 != 0 && (refused || !tells(h, fieldRateLimit, remaining)) {
		b := appendParameter(s.buf[:0], "limit=", limit)
		b = appendParameter(b, ", remaining=", remaining)
		b = appendParameter(b, ", reset=", reset)
		h[fieldRateLimit], s.buf = []string{string(b)}, b
	}
	if f.set&Draft6 != 0 && (refused || !tells(h, prefixDraft6+suffixRemaining, remaining)) {
		s.setThree(h, prefixDraft6+suffixLimit, prefixDraft6+suffixRemaining, prefixDraft6+suffixReset, limit, remaining, reset)
	}
	if f.set&XRateLimit != 0 && (refused || !tells(h, prefixX+suffixRemaining, remaining)) {
		now := time.Now()
		reset += now.Unix()
		if now.Nanosecond() > 0 {
			reset++
		}
		s.setThree(h, prefixX+suffixLimit, prefixX+suffixRemaining, prefixX+suffixReset, limit, remaining, reset)
	}
}

// setThree sets three fields, each with its number.
func (s *scratch) setThree(h http.Header, limitName, remainingName, resetName string, limit, remaining, reset int64) {
	b := appendParameter(s.buf[:0], "", limit)
	first := len(b)
	b = appendParameter(b, "", remaining)
	second := len(b)
	b = appendParameter(b, "", reset)
	text := string(b)
	values := []string{text[:first], text[first:second], text[second:]}
	h[limitName], h[remainingName], h[resetName] = values[0:1:1], values[1:2:2], values[2:3:3]
	s.buf = b
}

// tells tells whether the header has the field already, of a limiter outside,
// with no more than remaining in it.
func tells(h http.Header, name string, remaining int64) bool {
	old := h[name]
	if len(old) == 0 {
		return false
	}
	text := old[len(old)-1]
	if _, after, ok := strings.Cut(text, "remaining="); ok { // draft 07
		text, _, _ = strings.Cut(after, ",")
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return err == nil && n <= remaining
}

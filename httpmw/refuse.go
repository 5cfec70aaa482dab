package httpmw

import (
	"net/http"
	"strconv"

	"github.com/seed-0c889b51/weir/bucket"
)

// Problem types of draft-ietf-httpapi-ratelimit-headers-11, section 5.
const (
	problemQuota = `{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded",` +
		`"title":"Quota Exceeded","status":429,"detail":"`
	problemReduced = `{"type":"https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",` +
		`"title":"Temporary Reduced Capacity","status":503,` +
		`"detail":"The server cannot count this request against its quota."}`
)

// refuse answers a request that is over a limit, and releases s.
func (m *Middleware) refuse(w http.ResponseWriter, r *http.Request, s *scratch) {
	h := w.Header()
	retry := retryAfter(s.decisions)
	s.body = m.appendProblem(s.body[:0], s.decisions, retry)

	// All that is made up for this answer is one string, cut up.
	b := s.buf[:0]
	if m.fields != nil {
		b = m.fields.appendRefused(b, s.decisions)
	}
	limitEnd := len(b)
	if retry > 0 {
		b = strconv.AppendInt(b, retry, 10)
	}
	retryEnd := len(b)
	b = strconv.AppendInt(b, int64(len(s.body)), 10)
	s.buf = b
	text := string(b)
	values := []string{text[:limitEnd], "", text[limitEnd:retryEnd], text[retryEnd:], "no-store", "nosniff", "application/problem+json"}

	if limitEnd > 0 {
		addField(h, fieldRateLimit, values[0:1:1])
	}
	if m.fields != nil {
		if values[1] = m.fields.policy(s.decisions); values[1] != "" {
			addField(h, fieldRateLimitPolicy, values[1:2:2])
		}
	}
	if retry > 0 {
		h[fieldRetryAfter] = values[2:3:3]
	} else {
		delete(h, fieldRetryAfter)
	}
	h[fieldCacheControl] = values[4:5:5] // RFC 6585, 4: a 429 must not be stored
	h[fieldNosniff] = values[5:6:6]
	if m.refuser != nil {
		m.release(s)
		m.refuser.ServeHTTP(w, r)
		return
	}
	h[fieldContentType] = values[6:7:7]
	setLength(h, values[3:4:4])
	w.WriteHeader(http.StatusTooManyRequests)
	if r.Method != http.MethodHead {
		w.Write(s.body)
	}
	m.release(s)
}

// retryAfter returns after how many seconds the request would be allowed, 0 if
// no wait helps.
func retryAfter(ds []bucket.Decision) int64 {
	var longest int64
	for i := range ds {
		if d := &ds[i]; violated(*d) {
			if d.RetryAfter == bucket.Never {
				return 0
			}
			longest = max(longest, ceilSeconds(d.RetryAfter))
		}
	}
	return longest
}

// appendProblem appends the body of a refusal. Nothing in it comes from the
// request, and nothing in a valid name needs an escape.
func (m *Middleware) appendProblem(b []byte, ds []bucket.Decision, retry int64) []byte {
	b = append(b, problemQuota...)
	switch retry {
	case 0:
		b = append(b, "This request asks for more than the quota ever has. It will not be served later either."...)
	case 1:
		b = append(b, "The quota is used up. Try again in 1 second."...)
	default:
		b = append(b, "The quota is used up. Try again in "...)
		b = strconv.AppendInt(b, retry, 10)
		b = append(b, " seconds."...)
	}
	b = append(b, `","violated-policies":[`...)
	start := len(b)
	for i := range ds {
		if violated(ds[i]) {
			if len(b) > start {
				b = append(b, ',')
			}
			b = append(b, '"')
			b = append(b, m.names[i]...)
			b = append(b, '"')
		}
	}
	return append(b, "]}"...)
}

// unavailable answers a request that could not be counted.
func unavailable(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set(fieldCacheControl, "no-store")
	h.Set(fieldNosniff, "nosniff")
	h.Set(fieldContentType, "application/problem+json")
	h.Del(fieldRetryAfter)
	setLength(h, []string{strconv.Itoa(len(problemReduced))})
	w.WriteHeader(http.StatusServiceUnavailable)
	if r.Method != http.MethodHead {
		w.Write([]byte(problemReduced))
	}
}

// setLength sets the length of the body, unless something outside has said
// that it will encode it: the length is then another.
func setLength(h http.Header, length []string) {
	if len(h[fieldContentEncoding]) > 0 {
		delete(h, fieldContentLength)
		return
	}
	h[fieldContentLength] = length
}

package httpmw

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"

	"github.com/seed-0c889b51/weir/bucket"
)

// refuse answers a request that is over a limit, and releases s.
func (m *Middleware) refuse(w http.ResponseWriter, r *http.Request, s *scratch) {
	h := w.Header()
	m.exposeFields(h, r)
	retry := m.jittered(retryAfter(s.decisions))
	p, form := m.problemOf(s.decisions, retry), formOf(r)
	s.body = m.appendRefusal(s.body[:0], form, p, s.decisions, retry)

	// All that is made up for this answer is one string, cut up.
	b := s.buf[:0]
	f := m.fields
	told := f != nil && f.set&Draft11 != 0
	if told {
		b = f.appendRefused(b, s.decisions, s.partitions)
	}
	limitEnd := len(b)
	if retry > 0 {
		b = strconv.AppendInt(b, retry, 10)
	}
	retryEnd := len(b)
	b = strconv.AppendInt(b, int64(len(s.body)), 10)
	lengthEnd := len(b)
	if told && s.partitions != nil {
		b = f.appendPolicies(b, s.decisions, s.partitions)
	}
	s.buf = b
	text := string(b)
	values := []string{text[:limitEnd], text[lengthEnd:], text[limitEnd:retryEnd], text[retryEnd:lengthEnd],
		"no-store", "nosniff", form.contentType()}

	if told {
		if s.partitions == nil {
			values[1] = f.policy(s.decisions)
		}
		if (values[1] == "" || m.addPolicies(h, values[1:2:2], s)) && limitEnd > 0 {
			if retry > 0 && latestWindow(h[fieldRateLimit]) > retry {
				// Of a limiter outside, which let the request pass. Retry-After
				// must not be before the end of a window that is told of.
				delete(h, fieldRateLimit)
			}
			addField(h, fieldRateLimit, values[0:1:1])
		}
	}
	if f != nil && f.set != Draft11 {
		m.addSingle(h, s, true, retry)
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
	w.WriteHeader(p.status)
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

// maxJitter is the most seconds that are added to a wait.
const maxJitter = 60

// jittered returns a wait in seconds with up to a tenth of it added at random,
// so that clients refused together do not come back together. A wait of less
// than 10 seconds stays as it is.
func (m *Middleware) jittered(retry int64) int64 {
	most := min(retry/10, maxJitter)
	if m.random == nil || most == 0 {
		return retry
	}
	return retry + m.random(most+1)
}

// random returns a number from 0 to n−1.
func random(n int64) int64 { return rand.Int64N(n) }

// problemOf returns the problem of a refusal. If all clients together have used
// up what there is, it is the server that is short: status 503 and not 429
// (RFC 6585), unless no wait helps this request.
func (m *Middleware) problemOf(ds []bucket.Decision, retry int64) *problem {
	if retry == 0 {
		return &quotaExceeded
	}
	for i := range ds {
		if violated(ds[i]) && !m.global[i] {
			return &quotaExceeded
		}
	}
	return &reducedCapacity
}

// isGlobal tells whether all clients share the key.
func (k Key) isGlobal() bool {
	if k.tag == tagJoin {
		return len(k.parts) > 0 && !slices.ContainsFunc(k.parts, func(p Key) bool { return !p.isGlobal() })
	}
	return k.tag == tagGlobal
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

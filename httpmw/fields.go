package httpmw

import (
	"math/bits"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// Names of header fields in the form that http.Header keys have.
const (
	fieldRateLimit       = "Ratelimit"
	fieldRateLimitPolicy = "Ratelimit-Policy"
	fieldRetryAfter      = "Retry-After"
	fieldCacheControl    = "Cache-Control"
	fieldContentType     = "Content-Type"
	fieldContentLength   = "Content-Length"
	fieldContentEncoding = "Content-Encoding"
	fieldNosniff         = "X-Content-Type-Options"
)

// fields writes RateLimit and RateLimit-Policy in the syntax of
// draft-ietf-httpapi-ratelimit-headers-11, the only place that knows it.
type fields struct {
	quoted []string // names as Strings of RFC 9651
	// Limits of a policy may differ from key to key. The field values for
	// those seen last are kept here, each at the index that its limits hash to.
	lines [64]atomic.Pointer[policyLine]
}

// A policyLine is a value of RateLimit-Policy.
type policyLine struct {
	limits []shownLimit
	text   string
}

// A shownLimit is what a client sees of a limit. The zero value is not shown.
type shownLimit struct {
	quota  int
	window time.Duration
}

func newFields(names []string) *fields {
	f := &fields{quoted: make([]string, len(names))}
	for i, name := range names {
		f.quoted[i] = `"` + name + `"` // nothing in a valid name needs an escape
	}
	return f
}

// shown returns what the client sees of the limit that decided. A dry run is
// invisible to it, and so is a policy that has no limit.
func shown(d *bucket.Decision) shownLimit {
	if d.DryRun || d.Limit.Quota < 1 || d.Limit.Window <= 0 {
		return shownLimit{}
	}
	return shownLimit{d.Limit.Quota, d.Limit.Window}
}

// policy returns the value of RateLimit-Policy, "" if there is none.
func (f *fields) policy(ds []bucket.Decision) string {
	hash := uint64(len(ds))
	for i := range ds {
		l := shown(&ds[i])
		hash = (hash ^ uint64(l.quota) ^ bits.RotateLeft64(uint64(l.window), 32)) * 0x9e3779b97f4a7c15
	}
	slot := &f.lines[hash>>(64-6)]
	if line := slot.Load(); line != nil && line.of(ds) {
		return line.text
	}
	line := f.newLine(ds)
	slot.Store(line)
	return line.text
}

// of tells whether the line is that of the limits in ds.
func (line *policyLine) of(ds []bucket.Decision) bool {
	for i := range ds {
		if line.limits[i] != shown(&ds[i]) {
			return false
		}
	}
	return true
}

func (f *fields) newLine(ds []bucket.Decision) *policyLine {
	line := &policyLine{limits: make([]shownLimit, len(ds))}
	var b []byte
	for i := range ds {
		l := shown(&ds[i])
		if line.limits[i] = l; l == (shownLimit{}) {
			continue
		}
		b = f.appendName(b, 0, i)
		b = append(b, ";q="...)
		b = strconv.AppendInt(b, int64(l.quota), 10)
		b = append(b, ";w="...)
		b = strconv.AppendInt(b, ceilSeconds(l.window), 10)
	}
	line.text = string(b)
	return line
}

// appendName begins the item of the i-th policy in a list that begins at start.
func (f *fields) appendName(b []byte, start, i int) []byte {
	if len(b) > start {
		b = append(b, ", "...)
	}
	return append(b, f.quoted[i]...)
}

// appendAllowed appends the value of RateLimit for a request that may go on:
// all policies, and for each what is left and how soon it may be used up
// without going over the rate.
func (f *fields) appendAllowed(b []byte, ds []bucket.Decision) []byte {
	start := len(b)
	for i := range ds {
		d := &ds[i]
		if shown(d) == (shownLimit{}) {
			continue
		}
		b = f.appendName(b, start, i)
		b = appendRemaining(b, available(d))
		b = appendWindow(b, effectiveWindow(d))
	}
	return b
}

// appendRefused appends the value of RateLimit for a refusal: only the policies
// that refused. The window of another one could end after Retry-After, which
// then would be too early in the terms of the draft.
func (f *fields) appendRefused(b []byte, ds []bucket.Decision) []byte {
	start := len(b)
	for i := range ds {
		d := &ds[i]
		if !violated(*d) || shown(d) == (shownLimit{}) {
			continue
		}
		b = f.appendName(b, start, i)
		b = appendRemaining(b, available(d))
		if d.RetryAfter != bucket.Never {
			b = appendWindow(b, ceilSeconds(d.RetryAfter))
		}
	}
	return b
}

// violated tells whether the policy is one for which the request was refused.
func violated(d bucket.Decision) bool { return d.Exceeded() && !d.DryRun }

func appendRemaining(b []byte, r int) []byte {
	return strconv.AppendInt(append(b, ";r="...), int64(r), 10)
}

func appendWindow(b []byte, t int64) []byte {
	return strconv.AppendInt(append(b, ";t="...), t, 10)
}

// available is the available quota that a client is told: never more than the
// quota of the policy, even where the burst is.
func available(d *bucket.Decision) int { return max(0, min(d.Remaining, d.Limit.Quota)) }

// effectiveWindow is the time in whole seconds within which a client that was
// allowed should use no more than what is available: as long as that takes to
// refill, so that a client that reckons a rate from the two gets no more than
// the rate of the limit. If nothing is available it is the time to the next
// token.
func effectiveWindow(d *bucket.Decision) int64 {
	quota, window := uint64(d.Limit.Quota), uint64(d.Limit.Window)
	if r := available(d); r > 0 {
		// r is at most the quota, so the quotient is at most the window.
		hi, lo := bits.Mul64(uint64(r), window)
		q, rem := bits.Div64(hi, lo, quota*uint64(time.Second))
		if rem > 0 {
			q++
		}
		return int64(q)
	}
	// The bucket is full ResetAfter from now, and had one token less than all
	// of Burst−1 refills before that.
	burst := d.Limit.Burst
	if burst < 1 {
		burst = d.Limit.Quota
	}
	hi, lo := bits.Mul64(uint64(burst-1), window)
	if hi >= quota {
		return 1 // a refill of more than 500 years: not a normalized limit
	}
	refill, _ := bits.Div64(hi, lo, quota)
	if refill >= uint64(max(0, d.ResetAfter)) {
		return 1
	}
	return ceilSeconds(d.ResetAfter - time.Duration(refill))
}

// ceilSeconds returns d, which is more than 0, in seconds, rounded up: neither a
// window nor a wait of 0 seconds can be told.
func ceilSeconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}

// addFields adds the fields of a request that may go on.
func (m *Middleware) addFields(h http.Header, s *scratch) {
	if m.fields == nil {
		return
	}
	s.buf = m.fields.appendAllowed(s.buf[:0], s.decisions)
	if len(s.buf) == 0 {
		return
	}
	values := []string{string(s.buf), m.fields.policy(s.decisions)}
	addField(h, fieldRateLimit, values[0:1:1])
	addField(h, fieldRateLimitPolicy, values[1:2:2])
}

// addField adds a field line, behind those that are already there: of another
// limiter outside of this one.
func addField(h http.Header, name string, value []string) {
	if old := h[name]; len(old) > 0 {
		value = append(old, value...)
	}
	h[name] = value
}

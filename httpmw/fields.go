package httpmw

import (
	"encoding/base64"
	"math/bits"
	"net/http"
	"strconv"
	"strings"
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

// fields writes what a client is told about its quota in the forms of a
// [FieldSet]. This file and fields_single.go are the only places that know
// them: here is draft 11, there are the forms that tell of one policy.
type fields struct {
	set    FieldSet
	quoted []string // names as Strings of RFC 9651
	rates  int      // from this one on, the items count requests at once: no window
	own    []string // the fields that the set has, but for Retry-After
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

// newFields returns the writer of a normalized set, nil if it is none. The
// names are in the order of the decisions that it will be given; those from
// index rates on are of limits on requests at once, whose decisions have a
// Limit with a Quota and nothing else.
func newFields(set FieldSet, names []string, rates int) *fields {
	if set == NoFields {
		return nil
	}
	f := &fields{set: set, quoted: make([]string, len(names)), rates: rates, own: set.headerNames()}
	for i, name := range names {
		f.quoted[i] = `"` + name + `"` // nothing in a valid name needs an escape
	}
	return f
}

// shown returns what the client sees of the limit that decided. A dry run is
// invisible to it, and so is a policy that has no limit.
func (f *fields) shown(i int, d *bucket.Decision) shownLimit {
	if d.DryRun || d.Limit.Quota < 1 {
		return shownLimit{}
	}
	if i >= f.rates {
		return shownLimit{quota: d.Limit.Quota}
	}
	if d.Limit.Window <= 0 {
		return shownLimit{}
	}
	return shownLimit{d.Limit.Quota, d.Limit.Window}
}

// policy returns the value of RateLimit-Policy, "" if there is none.
func (f *fields) policy(ds []bucket.Decision) string {
	hash := uint64(len(ds))
	for i := range ds {
		l := f.shown(i, &ds[i])
		hash = (hash ^ uint64(l.quota) ^ bits.RotateLeft64(uint64(l.window), 32)) * 0x9e3779b97f4a7c15
	}
	slot := &f.lines[hash>>(64-6)]
	if line := slot.Load(); line != nil && f.isOf(line, ds) {
		return line.text
	}
	line := &policyLine{limits: make([]shownLimit, len(ds)), text: string(f.appendPolicies(nil, ds, nil))}
	for i := range ds {
		line.limits[i] = f.shown(i, &ds[i])
	}
	slot.Store(line)
	return line.text
}

// isOf tells whether the line is that of the limits in ds.
func (f *fields) isOf(line *policyLine, ds []bucket.Decision) bool {
	for i := range ds {
		if line.limits[i] != f.shown(i, &ds[i]) {
			return false
		}
	}
	return true
}

// appendPolicies appends the value of RateLimit-Policy. There is a partition
// key for each policy, or none at all.
func (f *fields) appendPolicies(b []byte, ds []bucket.Decision, partitions [][]byte) []byte {
	start := len(b)
	for i := range ds {
		l := f.shown(i, &ds[i])
		switch {
		case l == (shownLimit{}):
			continue
		case f.set&Draft11 == 0:
			b = appendOldPolicy(b, start, l)
			continue
		}
		b = f.appendName(b, start, i)
		b = appendParameter(b, ";q=", int64(l.quota))
		if i < f.rates {
			b = appendParameter(b, ";w=", ceilSeconds(l.window))
		} else {
			b = append(b, `;qu="concurrent-requests"`...)
		}
		b = appendPartition(b, partitions, i)
	}
	return b
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
func (f *fields) appendAllowed(b []byte, ds []bucket.Decision, partitions [][]byte) []byte {
	start := len(b)
	for i := range ds {
		d := &ds[i]
		if f.shown(i, d) == (shownLimit{}) {
			continue
		}
		b = f.appendName(b, start, i)
		b = appendParameter(b, ";r=", int64(available(d)))
		if i < f.rates {
			b = appendParameter(b, ";t=", effectiveWindow(d))
		}
		b = appendPartition(b, partitions, i)
	}
	return b
}

// appendRefused appends the value of RateLimit for a refusal: only the policies
// that refused. The window of another one could end after Retry-After, which
// then would be too early in the terms of the draft.
func (f *fields) appendRefused(b []byte, ds []bucket.Decision, partitions [][]byte) []byte {
	start := len(b)
	for i := range ds {
		d := &ds[i]
		if !violated(*d) || f.shown(i, d) == (shownLimit{}) {
			continue
		}
		b = f.appendName(b, start, i)
		b = appendParameter(b, ";r=", int64(available(d)))
		if d.RetryAfter != bucket.Never {
			b = appendParameter(b, ";t=", ceilSeconds(d.RetryAfter))
		}
		b = appendPartition(b, partitions, i)
	}
	return b
}

// violated tells whether the policy is one for which the request was refused.
func violated(d bucket.Decision) bool { return d.Exceeded() && !d.DryRun }

// maxInteger is the largest Integer of RFC 9651. No normalized limit comes near.
const maxInteger = 999_999_999_999_999

// appendParameter appends a parameter, given with its semicolon and equals sign.
func appendParameter(b []byte, name string, v int64) []byte {
	return strconv.AppendInt(append(b, name...), min(v, maxInteger), 10)
}

// appendPartition appends the partition key of the i-th policy as a Byte
// Sequence, if it has one.
func appendPartition(b []byte, partitions [][]byte, i int) []byte {
	if i >= len(partitions) || len(partitions[i]) == 0 {
		return b
	}
	b = append(b, ";pk=:"...)
	b = base64.StdEncoding.AppendEncode(b, partitions[i])
	return append(b, ':')
}

// addFields adds the fields of a request that may go on.
func (m *Middleware) addFields(h http.Header, s *scratch) {
	f := m.fields
	m.exposeFields(h, s.r)
	if f == nil {
		return
	}
	if f.set&Draft11 == 0 {
		m.addSingle(h, s, false, 0)
		return
	}
	b := f.appendAllowed(s.buf[:0], s.decisions, s.partitions)
	if len(b) > 0 {
		end := len(b)
		if s.partitions != nil {
			b = f.appendPolicies(b, s.decisions, s.partitions)
		}
		text := string(b)
		values := []string{text[:end], text[end:]}
		if s.partitions == nil {
			values[1] = f.policy(s.decisions)
		}
		if m.addPolicies(h, values[1:2:2], s) {
			addField(h, fieldRateLimit, values[0:1:1])
		}
	}
	s.buf = b
	if f.set&XRateLimit != 0 {
		m.addSingle(h, s, false, 0)
	}
}

// addPolicies adds the line of RateLimit-Policy, behind those of other limiters
// outside of this one. It is false, and does nothing, if those are in a syntax
// that does not go with it: the list of both could be read by nobody.
func (m *Middleware) addPolicies(h http.Header, value []string, s *scratch) bool {
	old := h[fieldRateLimitPolicy]
	if len(old) > 0 {
		if strings.HasPrefix(old[0], `"`) != (m.fields.set&Draft11 != 0) {
			m.warn(s.r, warnMixedDrafts, -1)
			return false
		}
		m.noteTwice(s, old)
		value = append(old, value...)
	}
	h[fieldRateLimitPolicy] = value
	return true
}

// addField adds a field line, behind those that are already there: of another
// limiter outside of this one.
func addField(h http.Header, name string, value []string) {
	if old := h[name]; len(old) > 0 {
		value = append(old, value...)
	}
	h[name] = value
}

// tell sets up what clients are told.
func (m *Middleware) tell(cfg Config) error {
	set, err := cfg.Fields.normalize()
	if err != nil {
		return err
	}
	if err := cfg.Preflight.check(); err != nil {
		return err
	}
	if err := checkPartition(cfg.PartitionKey, set); err != nil {
		return err
	}
	m.fields = newFields(set, m.names, len(m.policies))
	m.partitionKey = cfg.PartitionKey
	m.hideRedirects = cfg.NoFieldsOnRedirect
	m.preflights = cfg.Preflight
	if cfg.ExposeFields {
		m.exposed = set.exposedNames()
	}
	if cfg.Jitter {
		m.random = random
	}
	m.htmlNames = htmlNames(m.names)
	m.global = make([]bool, len(m.names))
	for i := range m.keys {
		m.global[i] = m.keys[i].isGlobal()
	}
	return nil
}

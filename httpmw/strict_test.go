package httpmw_test

import (
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// A strict policy is told as what it is, so many in a window, and a client that
// reckons a rate from r and t gets no more than what is refilled: less than the
// quota in a window.
func TestFieldsOfStrictLimits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		limit         string
		first, second string // of RateLimit, of the first requests
	}{
		{"100/min strict", "r=9;t=6", "r=8;t=6"},              // 9 take 6 s at 90 a minute
		{"100/min strict burst 40", "r=39;t=39", "r=38;t=38"}, // at 60 a minute
		{"100/min strict burst 99", "r=98;t=5880", "r=97;t=5820"},
		{"2/s strict", "r=0;t=1", "r=0;t=1"},
	} {
		l, err := bucket.ParseLimit(tt.limit)
		if err != nil {
			t.Fatal(err)
		}
		s := limit(t, newPerKey(policy{name: "a", limit: l}), httpmw.Config{})
		policyField := `"a";q=100;w=60`
		if l.Quota == 2 {
			policyField = `"a";q=2;w=1`
		}
		want(t, get(t, s), 200, "RateLimit", `"a";`+tt.first, "RateLimit-Policy", policyField)
		status := 200
		if l.Burst == 1 {
			status = 429
		}
		want(t, get(t, s), status, "RateLimit", `"a";`+tt.second, "RateLimit-Policy", policyField)
	}
}

// A decision that no valid limit makes is told somehow, and is no panic.
func TestFieldsOfStrictLimitsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, l := range []bucket.Limit{
		{Quota: 5, Window: time.Hour, Burst: 5, Strict: true},
		{Quota: 5, Window: 1<<63 - 1, Burst: 4, Strict: true},
		{Quota: 1<<31 - 1, Window: 1<<63 - 1, Burst: 1<<31 - 2, Strict: true},
		{Quota: 5, Window: time.Hour, Burst: 500, Strict: true},
	} {
		d := bucket.Decision{Allowed: true, Limit: l, Remaining: l.Burst}
		get(t, limit(t, oneDecision{d}, httpmw.Config{}))
		d.Remaining, d.ResetAfter = 0, time.Hour
		get(t, limit(t, oneDecision{d}, httpmw.Config{}))
	}
}

// oneDecision makes one decision.
type oneDecision struct{ d bucket.Decision }

func (a oneDecision) Names() []string { return []string{"a"} }

func (a oneDecision) DecideEach(into []bucket.Decision, _ []int, _ ...string) bool {
	into[0] = a.d
	return a.d.Allowed
}

func (a oneDecision) PeekEach(into []bucket.Decision, _ []int, _ ...string) bool {
	into[0] = a.d
	return a.d.Allowed
}

func (a oneDecision) Settle([]int, ...string) {}

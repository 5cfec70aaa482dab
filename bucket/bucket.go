package bucket

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Bucket is one token bucket. It is safe for concurrent use. The zero Bucket
// denies everything; [New] makes one with a limit. It must not be copied.
//
// The methods take the time as an argument. Within a bucket time never runs
// backwards: a reading earlier than that of the latest change or Take counts as
// that one. Without this, goroutines that read the clock before they get to the
// bucket would mint tokens (golang/go#65508). Peek, State and Debt may be asked
// about the future; that moves nothing.
type Bucket struct {
	mu   sync.Mutex
	lim  rate.Limiter
	rule Rule
	last time.Time // the latest reading of a Take or of a change
}

// New returns a full bucket, or an error that names the field, the value and
// the bound if l is not valid.
func New(l Limit) (*Bucket, error) {
	l, err := l.Normalize()
	if err != nil {
		return nil, err
	}
	b := &Bucket{}
	b.Reuse(l)
	return b, nil
}

// Limit returns the limit of the bucket, normalized.
func (b *Bucket) Limit() Limit {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rule.limit
}

// Take takes n tokens at time t if they are all there, and otherwise none.
// An n below 1 takes nothing and is allowed.
func (b *Bucket) Take(t time.Time, n int) Decision {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.clamp(t)
	allowed := n < 1 || b.lim.AllowN(at, n)
	return b.decision(t, at, n, b.lim.TokensAt(at), allowed)
}

// Peek returns what Take would return at time t, and takes nothing: Remaining
// and ResetAfter are those of the bucket as it is.
func (b *Bucket) Peek(t time.Time, n int) Decision {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.seen(t)
	tokens := b.lim.TokensAt(at)
	return b.decision(t, at, n, tokens, b.rule.has(tokens, n))
}

// Refund gives n tokens back at time t, up to a full bucket. An n below 1
// gives nothing.
func (b *Bucket) Refund(t time.Time, n int) {
	if n < 1 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	// A negative n in ReserveN is not documented to give tokens back. It does,
	// in debt too, and a test of this package would tell if it ceased to.
	b.lim.ReserveN(b.clamp(t), -n)
}

// seen returns t, or the latest reading if that is later.
func (b *Bucket) seen(t time.Time) time.Time {
	if t.Before(b.last) {
		return b.last
	}
	return t
}

// clamp is seen, and makes the result the latest reading.
func (b *Bucket) clamp(t time.Time) time.Time {
	b.last = b.seen(t)
	return b.last
}

// decision is the answer at the instant at, to a caller whose clock says t, to a
// request for n tokens, after which there are so many.
func (b *Bucket) decision(t, at time.Time, n int, tokens float64, allowed bool) (d Decision) {
	if allowed {
		b.rule.answer(&d, true, tokens)
	} else {
		b.rule.denied(&d, n, tokens, func(later time.Duration) float64 { return b.lim.TokensAt(at.Add(later)) })
	}
	d.seenFrom(at.Sub(t))
	return d
}

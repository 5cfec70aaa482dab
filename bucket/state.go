package bucket

import (
	"fmt"
	"math"
	"time"

	"golang.org/x/time/rate"
)

// A State is what a bucket holds at one instant. A full bucket and no bucket
// are the same thing.
type State struct {
	// At is the instant.
	At time.Time
	// Tokens is how many tokens there are, at most the burst. Below 0 it is
	// what waiters have reserved beyond what is there.
	Tokens float64
}

// State returns what the bucket holds at time t.
func (b *Bucket) State(t time.Time) State {
	b.mu.Lock()
	defer b.mu.Unlock()
	t = b.seen(t)
	return State{At: t, Tokens: b.lim.TokensAt(t)}
}

// Restore makes the bucket hold s.Tokens at s.At, exactly: it then decides as
// the bucket did from which s was taken. More tokens than the burst are cut to
// it, a debt of more than 100 years to 100 years, and a NaN is taken as no
// tokens. Time starts anew at s.At.
func (b *Bucket) Restore(s State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(s.At, s.Tokens)
}

// Debt returns how long after t the bucket is full again, rounded up to a
// nanosecond. It is 0 for a full bucket. Together with the limit it is the
// whole state of a bucket as one number, which is also its expiry.
func (b *Bucket) Debt(t time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.seen(t)
	return later(b.rule.limit.timeOf(float64(b.rule.limit.Burst)-b.lim.TokensAt(at)), at.Sub(t))
}

// RestoreDebt makes the bucket full again debt after t. A debt below 0 is a
// full bucket.
func (b *Bucket) RestoreDebt(t time.Time, debt time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(t, float64(b.rule.limit.Burst)-b.rule.limit.tokensIn(max(debt, 0)))
}

// Reuse makes b a full bucket with limit l, which must be normalized, as if it
// were new. It does not allocate.
func (b *Bucket) Reuse(l Limit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rule = newRule(l)
	b.fill(time.Time{}, float64(l.Burst))
}

// SetLimit changes the limit at time t, and how says what becomes of the tokens.
// On an error nothing changes.
func (b *Bucket) SetLimit(t time.Time, l Limit, how Change) error {
	l, err := l.Normalize()
	if err != nil {
		return err
	}
	if !how.Valid() {
		return fmt.Errorf("bucket: change %d is unknown: want KeepUsed, KeepFraction or StartOver", how)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if l == b.rule.limit {
		return nil
	}
	t = b.clamp(t)
	tokens := how.carry(b.lim.TokensAt(t), b.rule.limit, l)
	b.rule = newRule(l)
	b.fill(t, tokens)
	return nil
}

// fill makes the limiter hold exactly so many tokens at time t under b.limit,
// through the public methods of rate.Limiter alone: one second at a rate of f
// per second, begun with nothing, makes f tokens, without rounding.
func (b *Bucket) fill(t time.Time, tokens float64) {
	burst := float64(b.rule.limit.Burst)
	if math.IsNaN(tokens) {
		tokens = 0
	}
	tokens = max(min(tokens, burst), -maxRefill*b.rule.rate)
	owed := 0 // whole tokens to reserve once there are f
	f := tokens
	if tokens < 0 {
		owed = int(min(math.Ceil(-tokens), maxCount))
		f = max(tokens+float64(owed), 0)
	}
	before := t.Add(-time.Second)
	b.last = t
	b.lim = rate.Limiter{}
	b.lim.SetLimitAt(before, rate.Limit(f))
	b.lim.SetBurstAt(before, max(b.rule.limit.Burst, owed, int(math.Ceil(f))))
	b.lim.SetLimitAt(t, rate.Limit(b.rule.rate))
	if owed > 0 {
		b.lim.ReserveN(t, owed)
	}
	b.lim.SetBurstAt(t, b.rule.limit.Burst)
}

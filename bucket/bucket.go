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
	mu    sync.Mutex
	lim   rate.Limiter
	limit Limit
	rate  float64   // of limit: tokens a second
	last  time.Time // the latest reading of a Take or of a change
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
	return b.limit
}

// Take takes n tokens at time t if they are all there, and otherwise none.
// An n below 1 takes nothing and is allowed.
func (b *Bucket) Take(t time.Time, n int) Decision {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.clamp(t)
	allowed := n < 1 || b.lim.AllowN(at, n)
	return b.decision(at, n, b.lim.TokensAt(at), allowed).seenFrom(t, at)
}

// Peek returns what Take would return at time t, and takes nothing: Remaining
// and ResetAfter are those of the bucket as it is.
func (b *Bucket) Peek(t time.Time, n int) Decision {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.seen(t)
	tokens := b.lim.TokensAt(at)
	allowed := n < 1 || n <= b.limit.Burst && b.until(float64(n)-tokens) == 0
	return b.decision(at, n, tokens, allowed).seenFrom(t, at)
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

// seenFrom makes a decision taken at the instant at count from t, the reading
// of a caller whose clock is behind.
func (d Decision) seenFrom(t, at time.Time) Decision {
	if behind := at.Sub(t); behind > 0 {
		d.RetryAfter = later(d.RetryAfter, behind)
		d.ResetAfter = later(d.ResetAfter, behind)
	}
	return d
}

// later adds to a wait, if there is one and it ever ends.
func later(wait, behind time.Duration) time.Duration {
	if wait <= 0 || wait > Never-behind {
		return wait
	}
	return wait + behind
}

// until returns how long it takes to refill so many tokens, rounded down, as
// rate.Limiter has it: to it, tokens that are less than a nanosecond away are
// there.
func (b *Bucket) until(tokens float64) time.Duration {
	if tokens <= 0 {
		return 0
	}
	ns := tokens / b.rate * float64(time.Second)
	if !(ns < float64(Never)) { // the zero bucket: its rate is 0
		return Never
	}
	return time.Duration(ns)
}

// decision is the answer to a request for n tokens at time t, after which
// there are so many tokens.
func (b *Bucket) decision(t time.Time, n int, tokens float64, allowed bool) Decision {
	if b.limit.Burst == 0 {
		d := Decision{Allowed: allowed, ResetAfter: Never}
		if !allowed {
			d.RetryAfter = Never
		}
		return d
	}
	d := Decision{
		Allowed:    allowed,
		Limit:      b.limit,
		Remaining:  b.whole(tokens),
		ResetAfter: b.until(float64(b.limit.Burst) - tokens),
	}
	switch {
	case allowed:
	case n > b.limit.Burst:
		d.RetryAfter = Never
	default:
		d.RetryAfter = b.retryAfter(t, float64(n), tokens)
	}
	return d
}

// whole returns how many tokens could be taken, given what TokensAt says.
func (b *Bucket) whole(tokens float64) int {
	n := int(max(0, tokens))
	if n < b.limit.Burst && b.until(float64(n+1)-tokens) == 0 {
		n++
	}
	return n
}

// retryAfter returns the shortest time after t, when there are so many tokens,
// at which there are n.
//
// The division gives it up to rounding. Because an answer a nanosecond early
// would be a lie, it is then held against what the limiter will say: it must
// have the tokens at the answer and not have them just before.
func (b *Bucket) retryAfter(t time.Time, n, tokens float64) time.Duration {
	has := func(d time.Duration) bool { return d >= 0 && b.until(n-b.lim.TokensAt(t.Add(d))) == 0 }
	d := b.until(n - tokens)
	if d == Never {
		return Never
	}
	if has(d) && !has(d-1) {
		return d
	}
	// The limiter's tokens never fall as time goes on, so there is one border.
	// Find it between a time without and a time with the tokens.
	without, with := d, d
	for step := time.Duration(1); has(without); step *= 2 {
		without -= step
	}
	for step := time.Duration(1); !has(with); step *= 2 {
		with += step
	}
	for with-without > 1 {
		if mid := without + (with-without)/2; has(mid) {
			with = mid
		} else {
			without = mid
		}
	}
	return with
}

package bucket

import (
	"math"
	"time"
)

// A Level is what a bucket holds, put away in 16 bytes: the two numbers that
// change in a rate.Limiter, tokens and the instant at which they were counted.
// It is for those who keep many buckets under few limits: a [Rule] decides on a
// Level as a [Bucket] decides on itself, to the last bit. What a Rule can not
// do, a Bucket does: see [Bucket.Unpack] and [Bucket.Pack].
//
// Instants are counted from an origin that is the caller's choice, by a clock
// that never runs backwards. A reading earlier than that of the latest change
// counts as that one.
//
// A Level has no lock and may be copied. The zero Level is empty at the origin.
type Level struct {
	tokens float64
	last   time.Duration
}

// longAgo is before all instants, and not so early that the time since then
// overflows.
const longAgo time.Duration = math.MinInt64 / 2

// Full returns the level of a full bucket.
func (r *Rule) Full() Level { return Level{r.burst, longAgo} }

// Owing returns the level of a bucket that is full again debt after at; of a
// full one if debt is below 0.
func (r *Rule) Owing(at, debt time.Duration) Level {
	if debt <= 0 {
		return r.Full()
	}
	return Level{max(r.burst-r.limit.tokensIn(debt), -maxRefill*r.rate), at}
}

// Debt returns how long after at the level is full again, rounded up to a
// nanosecond. It is 0 for a full one. See [Bucket.Debt].
func (r *Rule) Debt(l Level, at time.Duration) time.Duration {
	seen := max(at, l.last)
	return later(r.limit.timeOf(r.burst-r.tokens(l, seen)), seen-at)
}

// Remaining returns how many tokens could be taken at an instant.
func (r *Rule) Remaining(l Level, at time.Duration) int {
	return r.whole(r.tokens(l, max(at, l.last)))
}

// Has tells whether n tokens could be taken at an instant.
func (r *Rule) Has(l Level, at time.Duration, n int) bool {
	return r.has(r.tokens(l, max(at, l.last)), n)
}

// Allow takes n tokens at an instant if they are all there, and otherwise none,
// and tells which. An n below 1 takes nothing and is allowed.
func (r *Rule) Allow(l *Level, at time.Duration, n int) bool {
	at = max(at, l.last)
	tokens := r.tokens(*l, at)
	if !r.has(tokens, n) {
		return false
	}
	if n > 0 {
		*l = Level{tokens - float64(n), at}
	}
	return true
}

// Take is Allow with the whole decision, which it stores in d; see [Bucket.Take].
func (r *Rule) Take(d *Decision, l *Level, at time.Duration, n int) bool {
	seen := max(at, l.last)
	tokens := r.tokens(*l, seen)
	if !r.has(tokens, n) {
		r.denial(d, *l, seen, n, tokens)
	} else {
		if n > 0 {
			tokens -= float64(n)
			*l = Level{tokens, seen}
		}
		r.answer(d, true, tokens)
	}
	d.seenFrom(seen - at)
	return d.Allowed
}

// Peek is what Take would be, and takes nothing: Remaining and ResetAfter are
// those of the level as it is.
func (r *Rule) Peek(d *Decision, l Level, at time.Duration, n int) bool {
	seen := max(at, l.last)
	tokens := r.tokens(l, seen)
	if !r.has(tokens, n) {
		r.denial(d, l, seen, n, tokens)
	} else {
		r.answer(d, true, tokens)
	}
	d.seenFrom(seen - at)
	return d.Allowed
}

// denial stores the answer to a request for n tokens at an instant at which
// there are so many.
func (r *Rule) denial(d *Decision, l Level, at time.Duration, n int, tokens float64) {
	r.denied(d, n, tokens, func(after time.Duration) float64 { return r.tokens(l, at+after) })
}

// tokens returns how many there are at an instant that is not before l.last. It
// does what TokensAt of rate.Limiter does, in the same order, since every
// rounding counts.
func (r *Rule) tokens(l Level, at time.Duration) float64 {
	// A variable, so that no processor adds without rounding the product.
	refilled := (at - l.last).Seconds() * r.rate
	if l.tokens += refilled; l.tokens > r.burst {
		return r.burst
	}
	return l.tokens
}

// Unpack makes b the bucket with this limit and level. Instants count from
// origin.
func (b *Bucket) Unpack(r *Rule, l Level, origin time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rule = *r
	b.fill(origin.Add(l.last), l.tokens)
}

// Pack returns the level of b at an instant, counted from origin.
func (b *Bucket) Pack(at time.Duration, origin time.Time) Level {
	s := b.State(origin.Add(at))
	return Level{s.Tokens, s.At.Sub(origin)}
}

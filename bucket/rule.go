package bucket

import (
	"time"
)

// A Rule is a limit made ready to decide: it answers for any number of buckets
// that are kept as a [Level] each. It does not change, so it is safe for
// concurrent use. The zero Rule denies everything; [NewRule] makes one with a
// limit.
type Rule struct {
	limit Limit
	rate  float64 // tokens a second
	burst float64
	// hair is what is refilled in two nanoseconds. More than this is at least a
	// nanosecond away, which need not be divided to be known.
	hair float64
}

// NewRule returns a rule, or an error that names the field, the value and the
// bound if l is not valid.
func NewRule(l Limit) (Rule, error) {
	l, err := l.Normalize()
	if err != nil {
		return Rule{}, err
	}
	return newRule(l), nil
}

// newRule is NewRule for a limit that is normalized.
func newRule(l Limit) Rule {
	rate := l.Rate()
	return Rule{limit: l, rate: rate, burst: float64(l.Burst), hair: rate * 2e-9}
}

// Limit returns the limit, normalized.
func (r *Rule) Limit() Limit { return r.limit }

// until returns how long it takes to refill so many tokens, rounded down, as
// rate.Limiter has it: to it, tokens that are less than a nanosecond away are
// there.
func (r *Rule) until(tokens float64) time.Duration {
	if tokens <= 0 {
		return 0
	}
	ns := tokens / r.rate * float64(time.Second)
	if !(ns < float64(Never)) { // the zero rule: its rate is 0
		return Never
	}
	return time.Duration(ns)
}

// near tells whether it takes no time to refill so many tokens.
func (r *Rule) near(tokens float64) bool { return tokens <= r.hair && r.until(tokens) == 0 }

// has tells whether n tokens may be taken where there are so many. An n below 1
// always may.
func (r *Rule) has(tokens float64, n int) bool {
	return n < 1 || n <= r.limit.Burst && r.near(float64(n)-tokens)
}

// answer stores in d the answer to a request, after which there are so many
// tokens. That of the zero rule is Never to everything.
func (r *Rule) answer(d *Decision, allowed bool, tokens float64) {
	d.Allowed, d.DryRun = allowed, false
	d.Limit = r.limit
	d.Remaining = r.whole(tokens)
	d.RetryAfter = 0
	if d.ResetAfter = Never; r.limit.Burst > 0 {
		d.ResetAfter = r.until(r.burst - tokens)
	}
}

// denied is answer to a request for n tokens that were not there; later says
// how many there will be.
func (r *Rule) denied(d *Decision, n int, tokens float64, later func(time.Duration) float64) {
	r.answer(d, false, tokens)
	if d.RetryAfter = Never; n <= r.limit.Burst {
		d.RetryAfter = r.retryAfter(float64(n), tokens, later)
	}
}

// whole returns how many tokens could be taken where there are so many.
func (r *Rule) whole(tokens float64) int {
	n := int(max(0, tokens))
	if n < r.limit.Burst && r.near(float64(n+1)-tokens) {
		n++
	}
	return n
}

// retryAfter returns the shortest time after which there are n tokens where
// there are so many.
//
// The division gives it up to rounding. Because an answer a nanosecond early
// would be a lie, it is then held against what will be said: the tokens must be
// there at the answer and not just before.
func (r *Rule) retryAfter(n, tokens float64, later func(time.Duration) float64) time.Duration {
	has := func(d time.Duration) bool { return d >= 0 && r.near(n-later(d)) }
	d := r.until(n - tokens)
	if d == Never {
		return Never
	}
	if has(d) && !has(d-1) {
		return d
	}
	// The tokens never fall as time goes on, so there is one border. Find it
	// between a time without and a time with the tokens.
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

// seenFrom makes a decision count from the reading of a caller whose clock is
// behind by so much; below 0 is not behind.
func (d *Decision) seenFrom(behind time.Duration) {
	if behind > 0 {
		d.RetryAfter = later(d.RetryAfter, behind)
		d.ResetAfter = later(d.ResetAfter, behind)
	}
}

// later adds to a wait, if there is one and it ever ends.
func later(wait, behind time.Duration) time.Duration {
	if wait <= 0 || wait > Never-behind {
		return wait
	}
	return wait + behind
}

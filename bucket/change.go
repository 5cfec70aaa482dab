package bucket

import "time"

// A Change says what becomes of the buckets when a limit changes. What waiters
// have reserved stays reserved in any case.
type Change uint8

const (
	// KeepUsed: tokens used stay used. Ten used under the old limit are ten
	// used under the new one; so a higher burst gives its increment at once.
	// What was used beyond the new burst is forgotten, so that a lower limit
	// locks nobody out for longer than one refill.
	KeepUsed Change = iota
	// KeepFraction: a bucket that is half full is half full after the change.
	KeepFraction
	// StartOver: buckets are full after the change.
	StartOver
)

// Valid tells whether c is one of the constants.
func (c Change) Valid() bool { return c <= StartOver }

// String returns the name of the constant in words.
func (c Change) String() string {
	switch c {
	case KeepUsed:
		return "keep used"
	case KeepFraction:
		return "keep fraction"
	case StartOver:
		return "start over"
	}
	return "unknown"
}

// Rescale converts a debt, the time until a bucket is full again, from one
// limit to another. Both limits are normalized. It is 0 for a debt below 0.
func (c Change) Rescale(debt time.Duration, from, to Limit) time.Duration {
	if debt <= 0 || from == to {
		return max(debt, 0)
	}
	tokens := c.carry(float64(from.Burst)-from.tokensIn(debt), from, to)
	return to.timeOf(float64(to.Burst) - tokens)
}

// carry converts the tokens of a bucket from one limit to another.
func (c Change) carry(tokens float64, from, to Limit) float64 {
	reserved := max(0, -tokens)
	burst := float64(to.Burst)
	used := float64(from.Burst) - max(0, tokens)
	switch c {
	case KeepFraction:
		if used > 0 {
			used *= burst / float64(from.Burst)
		}
	case StartOver:
		used = 0
	}
	return burst - min(used, burst) - reserved
}

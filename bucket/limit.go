package bucket

import (
	"fmt"
	"math"
	"time"
)

// Bounds of a [Limit]. They keep every quantity that is derived from a limit
// finite, and within 32 bits where it is counted in an int.
const (
	maxCount  = math.MaxInt32           // of Quota and of Burst
	maxWindow = 366 * 24 * time.Hour    // a leap year
	maxRate   = float64(time.Second)    // tokens a second: one per nanosecond, the finest a clock can tell apart
	maxRefill = 100 * 365 * 24 * 3600.0 // seconds to fill an empty bucket: well within a time.Duration
)

// Bounds of a strict [Limit], within which no rounding adds up to a request more
// than the quota. A request passes up to a nanosecond early, so that a tenth of a
// token is gained at most; and each of the requests of a window rounds a level of
// up to the burst by 2⁻⁵³ of it, which is less than half a token in all.
const (
	maxStrict     = 1 << 26 // of Quota
	maxStrictRate = 1e8     // tokens a second
)

// A Limit allows Quota requests per Window, and Burst of them at once.
//
// Refill is continuous: a Limit of 60 a minute gives back one token a second.
// So the most that passes in a stretch of time t is Burst + Quota·t/Window, and in
// one Window it is Burst + Quota. Where that is too much the limit can be Strict:
// then no more than Quota passes in any Window.
//
// The zero Limit is not valid. Limits in which every field is equal are equal;
// [Limit.Normalize] gives the form in which Burst is always set.
type Limit struct {
	// Quota is how many tokens are refilled in a Window, from 1 to 2³¹−1.
	Quota int
	// Window is the time in which Quota tokens are refilled: more than 0, at
	// most 366 days.
	Window time.Duration
	// Burst is how many tokens the bucket holds, from 1 to 2³¹−1. 0 means as many
	// as Quota, or for a strict limit a tenth of that, rounded up.
	Burst int
	// Strict has the bucket refilled so much less that no stretch of time that
	// is a Window long, both ends in it, sees more than Quota requests: Quota−Burst
	// in a Window, so that a full bucket and what comes meanwhile are Quota. So
	// Burst is at most Quota−1, and the Quota itself at most 2²⁶ and 10⁸ a second.
	// Of a Quota of 1 the Burst is 1, and the next request may pass just after a
	// Window, by some nanoseconds.
	//
	// That holds for what a bucket lets through while its limit is the same, but
	// not for what is charged to it in another way ([Bucket.Charge]).
	Strict bool
}

// PerSecond returns a limit of n requests a second with a burst of n.
func PerSecond(n int) Limit { return Limit{Quota: n, Window: time.Second, Burst: n} }

// PerMinute returns a limit of n requests a minute with a burst of n.
func PerMinute(n int) Limit { return Limit{Quota: n, Window: time.Minute, Burst: n} }

// PerHour returns a limit of n requests an hour with a burst of n.
func PerHour(n int) Limit { return Limit{Quota: n, Window: time.Hour, Burst: n} }

// PerDay returns a limit of n requests in 24 hours with a burst of n.
func PerDay(n int) Limit { return Limit{Quota: n, Window: 24 * time.Hour, Burst: n} }

// Normalize returns l with Burst set, or an error that names the field, its
// value and its bound if l is not valid.
//
// Besides the bounds of the fields, the rate is at most one token a
// nanosecond, and an empty bucket must fill within 100 years.
func (l Limit) Normalize() (Limit, error) {
	if l.Quota < 1 || l.Quota > maxCount {
		return Limit{}, fmt.Errorf("bucket: quota %d is out of range: want 1 to %d", l.Quota, maxCount)
	}
	if l.Window <= 0 || l.Window > maxWindow {
		return Limit{}, fmt.Errorf("bucket: window %v is out of range: want more than 0s, at most 366 days (%v)", l.Window, maxWindow)
	}
	if l.Burst == 0 {
		l.Burst = l.defaultBurst()
	}
	if l.Burst < 1 || l.Burst > maxCount {
		return Limit{}, fmt.Errorf("bucket: burst %d is out of range: want 1 to %d, or 0 for the quota", l.Burst, maxCount)
	}
	if l.Strict {
		if err := l.checkStrict(); err != nil {
			return Limit{}, err
		}
	}
	if rate := l.Rate(); rate > maxRate {
		return Limit{}, fmt.Errorf("bucket: rate %.3g per second (quota %d in %v) is out of range: want at most %.3g, one per nanosecond",
			rate, l.Quota, l.Window, maxRate)
	}
	if s := float64(l.Burst) / l.Rate(); s > maxRefill {
		return Limit{}, fmt.Errorf("bucket: burst %d at %s takes %.0f years to refill: want at most 100",
			l.Burst, Limit{Quota: l.Sustained(), Window: l.Window, Burst: l.Sustained()}, s/(maxRefill/100))
	}
	return l, nil
}

// checkStrict returns an error unless what Strict promises can be kept.
func (l Limit) checkStrict() error {
	if l.Quota > maxStrict {
		return fmt.Errorf("bucket: quota %d of a strict limit is out of range: want 1 to %d", l.Quota, maxStrict)
	}
	if most := max(1, l.Quota-1); l.Burst > most {
		return fmt.Errorf("bucket: burst %d of a strict limit of %d is out of range: want 1 to %d, so that something is left to refill, or 0 for a tenth of the quota",
			l.Burst, l.Quota, most)
	}
	if rate := l.Rate(); rate > maxStrictRate {
		return fmt.Errorf("bucket: rate %.3g per second of a strict limit is out of range: want at most %.3g, one in 10ns", rate, maxStrictRate)
	}
	return nil
}

// defaultBurst is what a Burst of 0 stands for.
func (l Limit) defaultBurst() int {
	if l.Strict {
		return l.Quota/10 + min(l.Quota%10, 1)
	}
	return l.Quota
}

// Sustained returns how many tokens are refilled in a Window, which is what
// passes in the long run: Quota or, of a normalized strict limit, Quota−Burst
// (1 if Quota is 1).
func (l Limit) Sustained() int {
	if l.Strict && l.Quota > 1 {
		return l.Quota - l.Burst
	}
	return l.Quota
}

// Rate returns how many tokens are refilled in a second by a normalized limit.
// It is 0 for the zero Limit.
func (l Limit) Rate() float64 {
	if l.Window <= 0 {
		return 0
	}
	window := l.Window
	if l.Strict && l.Quota == 1 {
		// Two requests a Window apart would both be in it. They are just further
		// apart than what passes early, and than what is lost by rounding.
		window += 2 + window>>48
	}
	return float64(l.Sustained()) / window.Seconds()
}

// Refill returns how long a normalized limit takes to fill an empty bucket,
// rounded up to a nanosecond. It is 0 for the zero Limit.
func (l Limit) Refill() time.Duration { return l.timeOf(float64(l.Burst)) }

// timeOf returns how long it takes to refill so many tokens, rounded up.
func (l Limit) timeOf(tokens float64) time.Duration {
	if tokens <= 0 || l.Quota <= 0 {
		return 0
	}
	ns := math.Ceil(tokens / l.Rate() * float64(time.Second))
	if ns >= math.MaxInt64 {
		return Never
	}
	return time.Duration(ns)
}

// tokensIn returns how many tokens are refilled in d.
func (l Limit) tokensIn(d time.Duration) float64 { return d.Seconds() * l.Rate() }

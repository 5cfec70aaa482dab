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

// A Limit allows Quota requests per Window, and Burst of them at once.
//
// Refill is continuous: a Limit of 60 a minute gives back one token a second.
// So the most that passes in a stretch of time t is Burst + Quota·t/Window.
//
// The zero Limit is not valid. Limits in which every field is equal are equal;
// [Limit.Normalize] gives the form in which Burst is always set.
type Limit struct {
	// Quota is how many tokens are refilled in a Window, from 1 to 2³¹−1.
	Quota int
	// Window is the time in which Quota tokens are refilled: more than 0, at
	// most 366 days.
	Window time.Duration
	// Burst is how many tokens the bucket holds, from 1 to 2³¹−1.
	// 0 means as many as Quota.
	Burst int
}

// PerSecond returns a limit of n requests a second with a burst of n.
func PerSecond(n int) Limit { return Limit{n, time.Second, n} }

// PerMinute returns a limit of n requests a minute with a burst of n.
func PerMinute(n int) Limit { return Limit{n, time.Minute, n} }

// PerHour returns a limit of n requests an hour with a burst of n.
func PerHour(n int) Limit { return Limit{n, time.Hour, n} }

// PerDay returns a limit of n requests in 24 hours with a burst of n.
func PerDay(n int) Limit { return Limit{n, 24 * time.Hour, n} }

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
		l.Burst = l.Quota
	}
	if l.Burst < 1 || l.Burst > maxCount {
		return Limit{}, fmt.Errorf("bucket: burst %d is out of range: want 1 to %d, or 0 for the quota", l.Burst, maxCount)
	}
	if rate := l.Rate(); rate > maxRate {
		return Limit{}, fmt.Errorf("bucket: rate %.3g per second (quota %d in %v) is out of range: want at most %.3g, one per nanosecond",
			rate, l.Quota, l.Window, maxRate)
	}
	if s := float64(l.Burst) / l.Rate(); s > maxRefill {
		return Limit{}, fmt.Errorf("bucket: burst %d at %s takes %.0f years to refill: want at most 100",
			l.Burst, Limit{l.Quota, l.Window, l.Quota}, s/(maxRefill/100))
	}
	return l, nil
}

// Rate returns how many tokens are refilled in a second. It is 0 for the zero
// Limit.
func (l Limit) Rate() float64 {
	if l.Window <= 0 {
		return 0
	}
	return float64(l.Quota) / l.Window.Seconds()
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

package policy

import (
	"fmt"
	"math/big"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// Worst says in words the most that a limit lets through: what comes at once,
// what comes after that, and how much of both one window can see, which is the
// burst and the quota (a full bucket, and what is refilled meanwhile), or for a
// strict limit the quota. The limit is normalized.
func Worst(l bucket.Limit) string {
	return fmt.Sprintf("at most %d at once, then %s; never more than %d in any %s",
		l.Burst, pace(l), WorstIn(l, l.Window), windowWord(l.Window))
}

// WorstIn returns how many requests a limit lets through at most in a stretch of
// time of that length, both ends in it: a full bucket, and what is refilled
// meanwhile. The limit is normalized.
func WorstIn(l bucket.Limit, d time.Duration) int64 {
	if l.Strict && d == l.Window {
		return int64(l.Quota)
	}
	refilled := new(big.Int).Mul(big.NewInt(int64(l.Sustained())), big.NewInt(int64(d)))
	refilled.Div(refilled, big.NewInt(int64(l.Window)))
	return int64(l.Burst) + refilled.Int64()
}

// pace says how fast tokens come back.
func pace(l bucket.Limit) string {
	quota := time.Duration(l.Sustained())
	if l.Window%quota == 0 {
		return "one every " + durationWord(l.Window/quota)
	}
	every := float64(l.Window) / float64(quota)
	if every < float64(time.Microsecond) {
		return fmt.Sprintf("about %.3g every microsecond", float64(time.Microsecond)/every)
	}
	// Three digits say enough.
	unit := time.Duration(1)
	for d := time.Duration(every); d >= 1000; d /= 10 {
		unit *= 10
	}
	return "about one every " + durationWord(time.Duration(every).Round(unit))
}

// durationWord returns a duration in ASCII, without what is zero at its end.
func durationWord(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= time.Microsecond && d < time.Millisecond:
		return fmt.Sprintf("%gus", float64(d)/float64(time.Microsecond))
	case d%day == 0:
		if d == day {
			return "day"
		}
		return fmt.Sprintf("%d days", d/day)
	case d%time.Hour == 0:
		if d == time.Hour {
			return "hour"
		}
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d%time.Minute == 0:
		if d == time.Minute {
			return "minute"
		}
		if d < time.Hour {
			return fmt.Sprintf("%d minutes", d/time.Minute)
		}
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d == time.Second:
		return "second"
	}
	return d.String()
}

// windowWord returns a window as it follows "in any".
func windowWord(d time.Duration) string {
	if d == 7*24*time.Hour {
		return "week"
	}
	return durationWord(d)
}

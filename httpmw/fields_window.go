package httpmw

import (
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// available is the available quota that a client is told: never more than the
// quota of the policy, even where the burst is.
func available(d *bucket.Decision) int { return max(0, min(d.Remaining, d.Limit.Quota)) }

// effectiveWindow is the time in whole seconds within which a client that was
// allowed should use no more than what is available: as long as that takes to
// refill, so that a client that reckons a rate from the two gets no more than
// the rate of the limit; of a strict limit that is less than the quota in a
// window. If nothing is available it is the time to the next token.
func effectiveWindow(d *bucket.Decision) int64 {
	quota, window := uint64(max(1, d.Limit.Sustained())), uint64(d.Limit.Window)
	if r := available(d); r > 0 {
		// Of a limit that is not strict r is at most what is refilled, so that the
		// quotient is at most the window.
		hi, lo := bits.Mul64(uint64(r), window)
		if hi >= quota {
			return ceilSeconds(d.Limit.Window) // a refill of more than 500 years: not a normalized limit
		}
		ns, rem := bits.Div64(hi, lo, quota)
		if rem > 0 {
			ns++
		}
		return ceilSeconds(time.Duration(min(ns, math.MaxInt64)))
	}
	// The bucket is full ResetAfter from now, and had one token less than all
	// of Burst−1 refills before that.
	burst := d.Limit.Burst
	if burst < 1 {
		burst = d.Limit.Quota
	}
	hi, lo := bits.Mul64(uint64(burst-1), window)
	if hi >= quota {
		return 1 // a refill of more than 500 years: not a normalized limit
	}
	refill, _ := bits.Div64(hi, lo, quota)
	if refill >= uint64(max(0, d.ResetAfter)) {
		return 1
	}
	return ceilSeconds(d.ResetAfter - time.Duration(refill))
}

// ceilSeconds returns d, which is more than 0, in seconds, rounded up: neither a
// window nor a wait of 0 seconds can be told.
func ceilSeconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}

// latestWindow returns the last end of a window that lines of RateLimit tell of.
func latestWindow(lines []string) int64 {
	var latest int64
	for _, line := range lines {
		for {
			_, after, ok := strings.Cut(line, ";t=")
			if !ok {
				break
			}
			end := 0
			for end < len(after) && '0' <= after[end] && after[end] <= '9' {
				end++
			}
			if t, err := strconv.ParseInt(after[:end], 10, 64); err == nil {
				latest = max(latest, t)
			}
			line = after[end:]
		}
	}
	return latest
}

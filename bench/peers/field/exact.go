package field

import (
	"time"

	"golang.org/x/time/rate"
)

// BucketAdmits tells which of the requests at these instants, in order and after
// a rest, a token bucket allows. It asks a rate.Limiter, one request after the
// other and at given times, as which it is exact.
func BucketAdmits(at []time.Duration, l Limit) []bool {
	b := rate.NewLimiter(rate.Limit(perSecond(l)), l.Quota)
	start := time.Unix(1_000_000_000, 0)
	allowed := make([]bool, len(at))
	for i, t := range at {
		allowed[i] = b.AllowN(start.Add(t), 1)
	}
	return allowed
}

// LogAdmits tells which of the requests at these instants, in order, are allowed
// where no stretch shorter than a window, wherever it starts, may see more than
// the quota, and as many as may be are allowed.
func LogAdmits(at []time.Duration, l Limit) []bool {
	allowed := make([]bool, len(at))
	var log []time.Duration
	for i, t := range at {
		for len(log) > 0 && t-log[0] >= l.Window {
			log = log[1:]
		}
		if allowed[i] = len(log) < l.Quota; allowed[i] {
			log = append(log, t)
		}
	}
	return allowed
}

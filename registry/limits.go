package registry

import (
	"sync"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

const (
	// maxLimits is how many different limits a debt can be told to be under:
	// seven bits, less 0, which says that it is not known, and restoredLimit.
	maxLimits = 1<<7 - 2
	// restoredLimit is for debts from Restore that are under a limit which only
	// the key can tell.
	restoredLimit = maxLimits + 1
)

// A tier is a limit that keys are under.
type tier struct {
	limit  bucket.Limit
	number uint8 // in the limitList
}

// A limitList numbers the limits that a registry has had. It only grows. Limits
// beyond the 126th have the number 0.
type limitList struct {
	how bucket.Change // from one limit to another

	mu      sync.RWMutex
	numbers map[bucket.Limit]uint8
	limits  []bucket.Limit // [0] is none
}

// add returns a limit with its number.
func (l *limitList) add(limit bucket.Limit) tier {
	l.mu.RLock()
	number, ok := l.numbers[limit]
	l.mu.RUnlock()
	if ok {
		return tier{limit, number}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if number, ok = l.numbers[limit]; ok || len(l.limits) > maxLimits {
		return tier{limit, number}
	}
	if l.numbers == nil {
		l.numbers = map[bucket.Limit]uint8{}
		l.limits = make([]bucket.Limit, 1)
	}
	number = uint8(len(l.limits))
	l.numbers[limit] = number
	l.limits = append(l.limits, limit)
	return tier{limit, number}
}

// convert returns a debt under the limit with that number as one under another.
// Under a limit that is not known it keeps its length,
// but for what is beyond one refill.
func (l *limitList) convert(d time.Duration, number uint8, to bucket.Limit) time.Duration {
	if number == 0 {
		return min(d, to.Refill())
	}
	l.mu.RLock()
	from := l.limits[number]
	l.mu.RUnlock()
	return l.how.Rescale(d, from, to)
}

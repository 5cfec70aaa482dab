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

// A tier is a limit that keys are under. It does not change.
type tier struct {
	rule   bucket.Rule
	number uint8 // in the limitList
}

// terms are what a registry goes by, and what can be changed of it: each change
// makes new ones.
type terms[K comparable] struct {
	tier            // of keys that have none of their own
	serial   uint32 // of the terms that a registry had, modulo 2³²
	limitFor func(K) bucket.Limit
	dryRun   bool
	how      bucket.Change
	dry      chan<- struct{}
}

// A limitList numbers the limits that a registry has had. It only grows. Limits
// beyond the 126th have the number 0.
type limitList struct {
	mu      sync.RWMutex
	byLimit map[bucket.Limit]*tier
	tiers   []*tier // by number; [0] is none
}

// add returns a limit, which must be valid, with its number.
func (l *limitList) add(limit bucket.Limit) (*tier, error) {
	l.mu.RLock()
	t := l.byLimit[limit]
	l.mu.RUnlock()
	if t != nil {
		return t, nil
	}
	rule, err := bucket.NewRule(limit)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if t = l.byLimit[rule.Limit()]; t != nil {
		return t, nil
	}
	t = &tier{rule: rule}
	if l.byLimit == nil {
		l.byLimit = map[bucket.Limit]*tier{}
		l.tiers = make([]*tier, 1)
	}
	if len(l.tiers) <= maxLimits {
		t.number = uint8(len(l.tiers))
		l.byLimit[rule.Limit()] = t
		l.tiers = append(l.tiers, t)
	}
	return t, nil
}

// convert returns a debt under the limit with that number as one under another.
// Under a limit that is not known it keeps its length,
// but for what is beyond one refill.
func (l *limitList) convert(d time.Duration, number uint8, to bucket.Limit, how bucket.Change) time.Duration {
	if number == 0 {
		return min(d, to.Refill())
	}
	l.mu.RLock()
	from := l.tiers[number].rule.Limit()
	l.mu.RUnlock()
	return how.Rescale(d, from, to)
}

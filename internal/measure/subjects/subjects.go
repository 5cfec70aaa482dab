// Package subjects has what weir measures of itself, and the floors beside it:
// what the parts of a decision take at least.
package subjects

import (
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/internal/measure"
	"github.com/seed-0c889b51/weir/registry"
)

// Names of subjects that others refer to.
const (
	Weir      = "weir"         // registry.Registry.Allow
	Take      = "weir-take"    // registry.Registry.Take, the whole decision
	Limiter   = "weir-limiter" // weir.Limiter.Allow, one policy, nothing on disk
	TwoLimits = "weir-two"     // registry.Group.Decide, two limits, all or nothing
	Noop      = "noop"         // nothing: what the harness takes

	MutexMapName = "rate.Limiter-map"
)

// Of returns the limit of a workload as weir has it.
func Of(l measure.Limit) bucket.Limit {
	return bucket.Limit{Quota: l.Quota, Window: l.Window, Burst: l.Burst}
}

func newRegistry(w *measure.Workload) (*registry.Registry[string], error) {
	return registry.New(registry.Config[string]{Limit: Of(w.Limit), Size: w.Capacity})
}

// Ours returns weir in the ways that it can be asked.
func Ours() []measure.Subject {
	ours := func(name, about string, make func(w *measure.Workload) (measure.Decide, func(), error)) measure.Subject {
		return measure.Subject{Name: name, About: about, Kind: measure.Ours, Keyed: true, Bounded: true, Make: make}
	}
	return []measure.Subject{
		ours(Weir, "registry.Registry.Allow: one limit, yes or no", func(w *measure.Workload) (measure.Decide, func(), error) {
			r, err := newRegistry(w)
			if err != nil {
				return nil, nil, err
			}
			return r.Allow, nil, nil
		}),
		ours(Take, "registry.Registry.Take: the whole decision, with what is left and when to come back", func(w *measure.Workload) (measure.Decide, func(), error) {
			r, err := newRegistry(w)
			if err != nil {
				return nil, nil, err
			}
			return func(key string) bool {
				d := r.Take(key, 1)
				return d.Allowed && d.RetryAfter == 0 // all of it is needed
			}, nil, nil
		}),
		ours(Limiter, "weir.Limiter.Allow: the whole limiter, one policy, nothing on disk unless snapshots are said", func(w *measure.Workload) (measure.Decide, func(), error) {
			l, err := weir.New(weir.Config{Policies: []weir.Policy{{Name: "ip", Limit: Of(w.Limit), Size: w.Capacity}}})
			if err != nil {
				return nil, nil, err
			}
			return func(key string) bool { return l.Allow(key) }, func() { l.Close() }, nil
		}),
		ours(TwoLimits, "registry.Group.Decide: two limits on one request, all or nothing", func(w *measure.Workload) (measure.Decide, func(), error) {
			first, err := newRegistry(w)
			if err != nil {
				return nil, nil, err
			}
			second, err := newRegistry(w)
			if err != nil {
				return nil, nil, err
			}
			g, err := registry.NewGroup(first, second)
			if err != nil {
				return nil, nil, err
			}
			return func(key string) bool {
				var into [2]bucket.Decision
				return g.Decide(into[:], 1, key, key)
			}, nil, nil
		}),
	}
}

// Floors returns what decides nothing, or nothing by key: the harness alone, a
// reading of the clock, a lock, a hash, look-ups, and rate.Limiter for one key
// and for all keys in a map under one lock.
func Floors() []measure.Subject {
	floor := func(name, about string, keyed bool, make func(w *measure.Workload) measure.Decide) measure.Subject {
		return measure.Subject{
			Name: name, About: about, Kind: measure.Floor, Keyed: keyed, NeverDenies: true,
			Make: func(w *measure.Workload) (measure.Decide, func(), error) { return make(w), nil, nil },
		}
	}
	limiters := floor("rate.Limiter", "one rate.Limiter, without keys", false, func(w *measure.Workload) measure.Decide {
		l := newLimiter(w.Limit)
		return func(string) bool { return l.Allow() }
	})
	limiters.NeverDenies = false
	return []measure.Subject{
		floor(Noop, "nothing: what the harness takes", true, func(*measure.Workload) measure.Decide {
			return func(string) bool { return true }
		}),
		floor("clock", "time.Now", false, func(*measure.Workload) measure.Decide {
			return func(string) bool { return !time.Now().IsZero() }
		}),
		floor("clock-monotonic", "time.Since, which reads one clock in place of two", false, func(*measure.Workload) measure.Decide {
			base := time.Now()
			return func(string) bool { return time.Since(base) >= 0 }
		}),
		floor("mutex", "a lock and an unlock of one sync.Mutex", false, func(*measure.Workload) measure.Decide {
			var mu sync.Mutex
			n := 0
			return func(string) bool {
				mu.Lock()
				n++
				ok := n > 0
				mu.Unlock()
				return ok
			}
		}),
		floor("atomic-add", "one atomic addition", false, func(*measure.Workload) measure.Decide {
			var n atomic.Int64
			return func(string) bool { return n.Add(1) > 0 }
		}),
		floor("maphash", "maphash.String of the key", true, func(*measure.Workload) measure.Decide {
			seed := maphash.MakeSeed()
			return func(key string) bool { return maphash.String(seed, key) != 0 }
		}),
		floor("map-lookup", "a look-up of the key in a map that nobody writes", true, func(w *measure.Workload) measure.Decide {
			m := make(map[string]int, w.Keys)
			for i := range w.Keys {
				m[w.Key(i)] = i + 1
			}
			return func(key string) bool { return m[key] > 0 }
		}),
		limiters,
		MutexMap(),
	}
}

// MutexMap returns what most people write: a map of rate.Limiters under one
// lock. It is as much a peer as a floor, and forgets no key.
func MutexMap() measure.Subject {
	return measure.Subject{
		Name: MutexMapName, About: "rate.Limiters in a map under one lock, which forgets no key", Kind: measure.Peer, Keyed: true,
		Make: func(w *measure.Workload) (measure.Decide, func(), error) {
			if w.Limit.Window <= 0 {
				return nil, nil, fmt.Errorf("window %v: want more than 0s", w.Limit.Window)
			}
			var mu sync.Mutex
			limiters := map[string]*rate.Limiter{}
			return func(key string) bool {
				mu.Lock()
				l := limiters[key]
				if l == nil {
					l = newLimiter(w.Limit)
					limiters[key] = l
				}
				mu.Unlock()
				return l.Allow()
			}, nil, nil
		},
	}
}

func newLimiter(l measure.Limit) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(float64(l.Quota)/l.Window.Seconds()), l.Burst)
}

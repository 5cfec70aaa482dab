package httpmw

import (
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// An InFlight limits how many requests are served at once, and so what slow
// requests can hold, which a rate does not. It is told to clients as a policy
// with the unit "concurrent-requests" and without a window.
//
// A request that goes to the handler is in flight until the handler returns or
// panics, whatever became of the client or, by Hijack, of the connection. A
// request that is refused, by this or any other limit, is not.
type InFlight struct {
	// Name is its name, with the bounds of a policy's, and no policy's.
	Name string
	// Key says whose requests are counted together. With [Global] it is the
	// server's capacity that is limited, and a refusal has the status 503.
	Key Key
	// Max is how many requests there may be at once, from 1 to 2³¹−1.
	Max int
	// RetryAfter is what a client that is refused is told to wait, rounded up
	// to seconds: up to 366 days. 0 means a second.
	RetryAfter time.Duration
	// Routes are the patterns of the requests that it is for, as in
	// Config.Routes. Nil means all requests.
	Routes []string
}

// maxWindow bounds a time, as package bucket does.
const maxWindow = 366 * 24 * time.Hour

// check returns an error that says what is wrong with f but for its name.
func (f InFlight) check() error {
	if f.Max < 1 || f.Max > maxCount {
		return fmt.Errorf("max %d is out of range: want 1 to %d requests at once", f.Max, maxCount)
	}
	if f.RetryAfter < 0 || f.RetryAfter > maxWindow {
		return fmt.Errorf("retry after %v is out of range: want more than 0s, at most 366 days, or 0 for 1s", f.RetryAfter)
	}
	if err := f.Key.check(); err != nil {
		return fmt.Errorf("key: %w", err)
	}
	return nil
}

const slotShards = 32 // more gain little

// slots counts the requests in flight. Only keys that have some are kept.
type slots struct {
	limit bucket.Limit // told: Max as its quota, and no window
	retry time.Duration
	seed  maphash.Seed

	shards [slotShards]slotShard
}

type slotShard struct {
	mu   sync.Mutex
	held map[string]int // requests in flight, by key
	_    [48]byte       // keeps the locks of two shards off one cache line
}

func newSlots(f InFlight) *slots {
	s := &slots{limit: bucket.Limit{Quota: f.Max}, retry: f.RetryAfter, seed: maphash.MakeSeed()}
	if s.retry == 0 {
		s.retry = time.Second
	}
	for i := range s.shards {
		s.shards[i].held = map[string]int{}
	}
	return s
}

// shard returns the shard of a key.
func (s *slots) shard(key string) *slotShard {
	return &s.shards[maphash.String(s.seed, key)%slotShards]
}

// decision is the answer to a request of a key that has held slots. The shard
// of the key is locked.
func (s *slots) decision(held int) bucket.Decision {
	d := bucket.Decision{Allowed: held < s.limit.Quota, Limit: s.limit, Remaining: s.limit.Quota - held}
	if !d.Allowed {
		d.RetryAfter = s.retry
	}
	return d
}

// leave gives back the slot of a request.
func (s *slots) leave(key string) {
	shard := s.shard(key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.held[key]--; shard.held[key] == 0 {
		delete(shard.held, key)
	}
}

// now returns how many requests are in flight.
func (s *slots) now() int {
	n := 0
	for i := range s.shards {
		shard := &s.shards[i]
		shard.mu.Lock()
		for _, held := range shard.held {
			n += held
		}
		shard.mu.Unlock()
	}
	return n
}

// decide asks the limits on requests at once and then the limiter, and has the
// request go by all of them or by none. The limits on requests at once stay
// locked meanwhile, in their order, so that nobody is refused for a slot that
// is then not taken. If one of them is full the limiter is not asked.
func (m *Middleware) decide(s *scratch) bool {
	n := len(m.policies)
	if len(m.inFlight) == 0 {
		return m.limiter.DecideEach(s.decisions, s.costs, s.keys...)
	}
	locked := 0
	defer func() {
		for i := range locked {
			if s.costs[n+i] > 0 {
				m.inFlight[i].shard(s.keys[n+i]).mu.Unlock()
			}
		}
	}()
	free := true
	for i, table := range m.inFlight {
		if s.costs[n+i] > 0 {
			shard := table.shard(s.keys[n+i])
			shard.mu.Lock()
			d := table.decision(shard.held[s.keys[n+i]])
			s.decisions[n+i] = d
			free = free && d.Allowed
		} else {
			s.decisions[n+i] = bucket.Decision{Allowed: true}
		}
		locked++
	}
	if !free {
		// The answer names all that refuse, and when the last of them would not.
		m.limiter.PeekEach(s.decisions[:n], s.costs[:n], s.keys[:n]...)
		return false
	}
	if !m.limiter.DecideEach(s.decisions[:n], s.costs[:n], s.keys[:n]...) {
		return false
	}
	for i, table := range m.inFlight {
		if s.costs[n+i] > 0 {
			table.shard(s.keys[n+i]).held[s.keys[n+i]]++
			s.decisions[n+i].Remaining--
			s.entered = true
		}
	}
	return true
}

// leave gives back the slots of a request that went by decide.
func (m *Middleware) leave(s *scratch) {
	n := len(m.policies)
	for i, table := range m.inFlight {
		if s.costs[n+i] > 0 {
			table.leave(s.keys[n+i])
		}
	}
}

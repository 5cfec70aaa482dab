package registry

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

const (
	setSize    = 8  // slots that a hash may be in
	stripeSets = 64 // sets under one lock
)

// A debtTable keeps what evicted and restored keys owe: a fixed number of
// slots in sets of eight, each under the hash of its key and with the instant
// at which the key's bucket is full again. That instant is also when the slot
// is free. When all eight of a set are taken the one that is full soonest gives
// way. So to displace a large debt takes eight keys of the same set that owe as
// much, and the hash does not let anyone choose a set.
//
// Instants count from Registry.base. A key is either in its shard or in the
// table; it moves under the lock of its shard, and the stripe's lock is the
// last that is taken.
type debtTable struct {
	stripes []stripe

	walks   uint32        // begun, modulo 2³²
	walking atomic.Uint32 // the number of the walk under way, or 0
	all     atomic.Bool   // it wants all slots, not only those marked
}

type stripe struct {
	mu    sync.Mutex
	slots []slot
	used  int // slots taken, those that are over among them
	dirty int // slots to be saved

	kept, recalled, dropped uint64
	droppedSeconds          float64

	// A walk goes through the shards first. A slot that moves to a shard that
	// was walked already, before the walk comes to this stripe, is noted here.
	moved  []slot
	walked uint32 // the last walk that came to this stripe

	_ [64]byte
}

// A slot's when is the instant, rounded up to a multiple of 1,024 ns, with the
// number of the limit that it was reckoned under and three flags in the lower
// bits. 0 is a free slot.
type slot struct {
	hash uint64
	when int64
}

const (
	flagDirty    = 1
	flagLowered  = 2
	flagRestored = 4
	limitShift   = 3
	limitMask    = restoredLimit << limitShift
	lowBits      = flagDirty | flagLowered | flagRestored | limitMask
)

// A debt is the content of a slot.
type debt struct {
	at       time.Duration
	limit    uint8 // see limitList
	dirty    bool
	lowered  bool
	restored bool // by Restore, and not changed since
}

func (s slot) debt() debt {
	return debt{
		at:       time.Duration(s.when &^ lowBits),
		limit:    uint8(s.when & limitMask >> limitShift),
		dirty:    s.when&flagDirty != 0,
		lowered:  s.when&flagLowered != 0,
		restored: s.when&flagRestored != 0,
	}
}

// over tells whether a slot may be used for another: it is free, or its bucket
// is full and the file does not say otherwise.
func (s slot) over(now time.Duration) bool {
	return s.when == 0 || s.when&flagLowered == 0 && s.debt().at <= now
}

func newSlot(hash uint64, d debt) slot {
	// At the origin an instant would look like a free slot.
	when := (max(int64(d.at), 1) + lowBits) &^ lowBits
	when |= int64(d.limit) << limitShift
	if d.dirty {
		when |= flagDirty
	}
	if d.lowered {
		when |= flagLowered
	}
	if d.restored {
		when |= flagRestored
	}
	return slot{hash, when}
}

func (t *debtTable) init(slots int) {
	sets := (slots + setSize - 1) / setSize
	n := 1 << bits.Len(uint((sets-1)/stripeSets)) // a power of two, at least sets/stripeSets
	t.stripes = make([]stripe, n)
	all := make([]slot, sets*setSize)
	for i := range t.stripes {
		mine := sets / n
		if i < sets%n {
			mine++
		}
		mine *= setSize
		t.stripes[i].slots, all = all[:mine:mine], all[mine:]
	}
}

// lock returns the stripe of a hash, locked, and the set of the hash.
func (t *debtTable) lock(hash uint64) (*stripe, []slot) {
	s := &t.stripes[hash&uint64(len(t.stripes)-1)]
	s.mu.Lock()
	return s, s.set(hash)
}

// set returns the slots that a hash may be in.
func (s *stripe) set(hash uint64) []slot {
	set, _ := bits.Mul64(hash, uint64(len(s.slots)/setSize))
	return s.slots[set*setSize:][:setSize]
}

// put keeps the debt of a key that is evicted.
func (t *debtTable) put(hash uint64, d debt, now time.Duration) {
	s, set := t.lock(hash)
	defer s.mu.Unlock()
	for i := range set {
		if sl := &set[i]; sl.hash == hash && sl.when != 0 {
			// The key was in its shard, so this is the debt of another with the
			// same hash. The larger one stands for both.
			if old := sl.debt(); old.at > d.at {
				d.at, d.limit = old.at, old.limit
			}
			s.put(sl, newSlot(hash, d))
			return
		}
	}
	if s.insert(set, newSlot(hash, d), now) {
		s.kept++
	}
}

// restore makes each debt that of its hash, whatever it was before. Of several
// for one hash the last holds.
func (t *debtTable) restore(blocks [][]slot, now time.Duration) {
	// Stripe by stripe, so that the memory at work fits the processor's caches:
	// a counting sort.
	stripes := uint64(len(t.stripes))
	ends := make([]int, stripes)
	for _, block := range blocks {
		for i := range block {
			ends[block[i].hash&(stripes-1)]++
		}
	}
	sum := 0
	for i, n := range ends {
		ends[i], sum = sum, sum+n
	}
	sorted := make([]slot, sum)
	for _, block := range blocks {
		for _, sl := range block {
			end := &ends[sl.hash&(stripes-1)]
			sorted[*end] = sl
			*end++
		}
	}
	for i, start := 0, 0; i < len(ends); i, start = i+1, ends[i] {
		if start == ends[i] {
			continue
		}
		s := &t.stripes[i]
		s.mu.Lock()
		for _, sl := range sorted[start:ends[i]] {
			s.restore(sl, now)
		}
		s.mu.Unlock()
	}
}

// restore puts one slot in the place of those with its hash.
func (s *stripe) restore(to slot, now time.Duration) {
	set := s.set(to.hash)
	for i := range set {
		if sl := &set[i]; sl.hash == to.hash {
			s.put(sl, slot{})
		}
	}
	if to.debt().at > now {
		s.insert(set, to, now)
	}
}

// insert finds room for a slot in its set and tells whether it did. Where there
// is none, the smallest debt gives way, the new one or another, and is counted.
func (s *stripe) insert(set []slot, to slot, now time.Duration) bool {
	into := &set[0]
	for i := range set {
		if set[i].over(now) {
			into = &set[i]
			break
		}
		if set[i].when < into.when {
			into = &set[i]
		}
	}
	if !into.over(now) && into.when > to.when {
		s.drop(to.debt(), now)
		return false
	}
	s.drop(into.debt(), now)
	s.put(into, to)
	return true
}

// drop counts a debt that is forgotten.
func (s *stripe) drop(d debt, now time.Duration) {
	if d.at > now {
		s.dropped++
		s.droppedSeconds += (d.at - now).Seconds()
	}
}

// put writes a slot and keeps the counts.
func (s *stripe) put(sl *slot, to slot) {
	if sl.when != 0 {
		s.used--
		s.dirty -= int(sl.when & flagDirty)
	}
	if to.when != 0 {
		s.used++
		s.dirty += int(to.when & flagDirty)
	}
	*sl = to
}

// recall takes a debt out of the table. If a walk is under way that has not come
// to it yet, it is noted for the walk, and recall returns the walk's number.
func (t *debtTable) recall(hash uint64, now time.Duration) (d debt, noted uint32, ok bool) {
	s, set := t.lock(hash)
	defer s.mu.Unlock()
	for i := range set {
		sl := &set[i]
		if sl.hash != hash || sl.when == 0 {
			continue
		}
		d = sl.debt()
		if walk := t.walking.Load(); walk != 0 && walk != s.walked && (d.dirty || t.all.Load()) {
			s.moved = append(s.moved, *sl)
			noted = walk
		}
		s.put(sl, slot{})
		if d.at > now {
			s.recalled++
		}
		return d, noted, true
	}
	return debt{}, 0, false
}

// peek returns the debt of a hash, if there is one.
func (t *debtTable) peek(hash uint64) (d debt, ok bool) {
	s, set := t.lock(hash)
	defer s.mu.Unlock()
	for _, sl := range set {
		if sl.hash == hash && sl.when != 0 {
			return sl.debt(), true
		}
	}
	return debt{}, false
}

// beginWalk starts to note what moves. There is one walk at a time.
func (t *debtTable) beginWalk(all bool) (walk uint32) {
	t.walks++
	t.all.Store(all)
	t.walking.Store(t.walks)
	return t.walks
}

// endWalk forgets what was noted for stripes that the walk never came to.
func (t *debtTable) endWalk(walk uint32) {
	t.walking.Store(0)
	for i := range t.stripes {
		if s := &t.stripes[i]; s.walked != walk {
			s.mu.Lock()
			s.moved = nil
			s.mu.Unlock()
		}
	}
}

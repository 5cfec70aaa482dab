package registry

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/seed-0c889b51/weir/bucket"
)

const slabSize = 128 // entries allocated at once

// A shard keeps a part of the keys under a lock. simplelru and not lru.Cache,
// because that calls back on eviction only after it has unlocked: a miss in
// between would find the key neither here nor in the debt table, and get a
// full bucket.
type shard[K comparable] struct {
	mu    sync.Mutex
	size  int
	saved bool // by someone who reads what has changed
	lru   *simplelru.LRU[K, *entry]

	// Entries are never freed: that of an evicted key is used again for the
	// next. All that there are can be walked here in slices, as the LRU's own
	// list can not.
	slabs [][]entry
	used  int // entries of all slabs that have had a key

	changed []*entry // those that are listed

	allowed, denied, evicted uint64

	_ [64]byte // keeps the locks of two shards off one cache line
}

// An entry is the bucket of a key that is in memory.
type entry struct {
	bucket  bucket.Bucket
	hash    uint64
	base    *tier  // see placing
	number  uint8  // of the bucket's limit, in the limitList
	dirty   bool   // taken from or given to since it was last saved
	lowered bool   // given to since it was last saved
	dry     bool   // see Registry.spent
	back    bool   // restored and not touched since, see Registry.Credit
	listed  bool   // in shard.changed
	noted   uint64 // the walk that has it from the debt table already, see recall
}

func (s *shard[K]) init(size int, saved bool) error {
	s.size, s.saved = size, saved
	lru, err := simplelru.NewLRU[K, *entry](size, nil)
	s.lru = lru
	return err
}

// find returns key's entry, now the one used last. It returns nil if there is
// none or it was placed under a limit that is no longer in force.
func (s *shard[K]) find(key K, base *tier) *entry {
	e, ok := s.lru.Get(key)
	if !ok || e.base != base {
		return nil
	}
	return e
}

// place returns key's entry, bringing it into memory if it is not there: with
// what it owes, or full. The shard is locked.
func (r *Registry[K]) place(s *shard[K], key K, p placing, now time.Time) *entry {
	if e, ok := s.lru.Get(key); ok {
		e.use(r.limits.how, p, now)
		return e
	}
	var e *entry
	if s.lru.Len() < s.size {
		e = s.fresh()
	} else {
		_, e, _ = s.lru.RemoveOldest()
		r.retire(s, e, now)
	}
	e.hash, e.base, e.number, e.noted, e.dry = p.hash, p.base, p.tier.number, 0, false
	e.bucket.Reuse(p.tier.limit)
	owed, noted, ok := r.debts.recall(p.hash, r.since(now))
	if d := r.owes(owed, ok, p.tier.limit, now); d > 0 {
		e.bucket.RestoreDebt(now, d)
	}
	if ok {
		e.noted = noted
		if owed.dirty {
			s.touch(e)
		}
		e.lowered = e.lowered || owed.lowered
	}
	e.back = owed.restored
	s.lru.Add(key, e)
	return e
}

// fresh returns an entry that has never had a key.
func (s *shard[K]) fresh() *entry {
	slab, i := s.used/slabSize, s.used%slabSize
	if slab == len(s.slabs) {
		s.slabs = append(s.slabs, make([]entry, min(slabSize, s.size-s.used)))
	}
	s.used++
	return &s.slabs[slab][i]
}

// retire moves what an evicted key owes to the debt table.
func (r *Registry[K]) retire(s *shard[K], e *entry, now time.Time) {
	s.evicted++
	at := r.since(now) + e.bucket.Debt(now)
	// A full bucket is nothing, unless it was given tokens and the file still
	// says otherwise.
	if at > r.since(now) || e.dirty && e.lowered {
		r.debts.put(e.hash, debt{at: at, limit: e.number, dirty: e.dirty, lowered: e.lowered, restored: e.back}, r.since(now))
	}
	e.dirty, e.lowered = false, false
}

// use brings an entry under the limit of p.
func (e *entry) use(how bucket.Change, p placing, now time.Time) {
	if e.base == p.base {
		return
	}
	e.base, e.number = p.base, p.tier.number
	// The limit is normalized and the change valid, so there is no error.
	_ = e.bucket.SetLimit(now, p.tier.limit, how)
}

// touch notes that an entry is to be saved.
func (s *shard[K]) touch(e *entry) {
	e.back = false
	if e.dirty || !s.saved {
		return
	}
	e.dirty = true
	if !e.listed {
		e.listed = true
		s.changed = append(s.changed, e)
	}
}

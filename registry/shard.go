package registry

import (
	"sync"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

const slabSize = 128 // entries allocated at once

// A shard keeps a part of the keys under a lock: to find a key, to take from its
// bucket and to evict another are one critical section.
type shard[K comparable] struct {
	// What a hit writes is on one cache line, which goes from one processor to
	// the next, and what it only reads on others, which all can have.
	mu              sync.Mutex
	allowed, denied uint64
	_               [64 - 24]byte

	size  int
	saved bool // by someone who reads what has changed
	used  int  // entries that have a key
	index index
	// Entries are never freed: that of an evicted key is used again for the
	// next. Being by number, they can be walked in slices.
	slabs []*[slabSize]entry[K]

	order   order
	evicted uint64
	bucket  bucket.Bucket // see unpack
	changed []*entry[K]

	_ [64]byte // keeps the locks of two shards apart
}

// An entry is the bucket of a key that is in memory. With a string for a key it
// is a cache line long.
type entry[K comparable] struct {
	key   K
	hash  uint64 // Config.Hash of it
	tier  *tier
	level bucket.Level
	base  uint32 // serial of the registry's terms under which tier was found
	noted uint32 // the walk that has it from the debt table already, see recall
	turn  turn
	flags uint8
}

const (
	dirty   = 1 << iota // taken from or given to since it was last saved
	lowered             // given to since it was last saved
	dry                 // see Registry.spent
	back                // restored and not touched since, see Registry.Credit
	listed              // in shard.changed
	again               // used since it came, see order
	regular             // see order
)

func (e *entry[K]) is(flag uint8) bool { return e.flags&flag != 0 }

func (s *shard[K]) init(size int, saved bool) error {
	s.size, s.saved = size, saved
	s.index.places = make([]uint64, firstPlaces)
	return s.order.init(size)
}

// entry returns the entry with that number.
func (s *shard[K]) entry(slot uint32) *entry[K] {
	return &s.slabs[slot/slabSize][slot%slabSize]
}

// look returns key's entry and its number, or nil.
func (s *shard[K]) look(key K, h uint64) (*entry[K], uint32) {
	for i := s.index.start(h); ; i = (i + 1) & s.index.mask() {
		slot, maybe, more := s.index.at(i, h)
		if maybe {
			if e := s.entry(slot); e.key == key {
				return e, slot
			}
		}
		if !more {
			return nil, 0
		}
	}
}

// find returns key's entry, now one of those used last. It returns nil if there
// is none or it was placed under a limit that is no longer in force.
func (s *shard[K]) find(key K, h uint64, base *terms[K]) *entry[K] {
	e, slot := s.look(key, h)
	if e == nil || e.base != base.serial {
		return nil
	}
	s.use(e, slot)
	return e
}

// place returns key's entry, bringing it into memory if it is not there: with
// what it owes, or full. The shard is locked.
func (r *Registry[K]) place(s *shard[K], key K, p placing[K], at time.Duration) *entry[K] {
	e, slot := s.look(key, p.mark)
	if e != nil {
		r.under(s, e, p, at)
		s.use(e, slot)
		return e
	}
	e, slot = r.room(s, at)
	*e = entry[K]{key: key, hash: p.hash, tier: p.tier, base: p.base.serial, level: p.tier.rule.Full(), flags: e.flags & listed}
	s.index.add(p.mark, slot)
	owed, noted, ok := r.debts.recall(p.hash, at)
	s.arrive(e, slot, ok)
	e.level = p.tier.rule.Owing(at, r.owes(owed, ok, p.tier.rule.Limit(), at))
	if ok {
		e.noted = noted
		if owed.dirty {
			s.touch(e)
		}
		if owed.lowered {
			e.flags |= lowered
		}
	}
	if owed.restored {
		e.flags |= back
	}
	return e
}

// room returns an entry for another key, that of the key whose turn it is to go
// if there are as many as there may be.
func (r *Registry[K]) room(s *shard[K], at time.Duration) (*entry[K], uint32) {
	if s.used < s.size {
		slot := uint32(s.used)
		if int(slot/slabSize) == len(s.slabs) {
			s.slabs = append(s.slabs, new([slabSize]entry[K]))
		}
		s.used++
		return s.entry(slot), slot
	}
	slot := s.leave()
	e := s.entry(slot)
	r.retire(s, e, at)
	s.index.remove(r.mark(e.key), slot)
	return e, slot
}

// retire moves what an evicted key owes to the debt table.
func (r *Registry[K]) retire(s *shard[K], e *entry[K], at time.Duration) {
	s.evicted++
	debt := e.tier.rule.Debt(e.level, at)
	// A full bucket is nothing, unless it was given tokens and the file still
	// says otherwise.
	if debt > 0 || e.is(dirty) && e.is(lowered) {
		d := debtOf(e)
		d.at = at + debt
		r.debts.put(e.hash, d, at)
	}
}

// debtOf returns what a slot of the debt table keeps of an entry besides when
// its bucket is full.
func debtOf[K comparable](e *entry[K]) debt {
	return debt{limit: e.tier.number, dirty: e.is(dirty), lowered: e.is(lowered), restored: e.is(back)}
}

// under brings an entry under the limit of p.
func (r *Registry[K]) under(s *shard[K], e *entry[K], p placing[K], at time.Duration) {
	if e.base == p.base.serial {
		return
	}
	e.base = p.base.serial
	b := r.unpack(s, e)
	// The limit is normalized and the change valid, so there is no error.
	_ = b.SetLimit(r.base.Add(at), p.tier.rule.Limit(), p.base.how)
	e.level, e.tier = b.Pack(at, r.base), p.tier
}

// unpack returns an entry's bucket, for what a level alone does not do. It is
// good until the next is unpacked, or the shard unlocked.
func (r *Registry[K]) unpack(s *shard[K], e *entry[K]) *bucket.Bucket {
	s.bucket.Unpack(&e.tier.rule, e.level, r.base)
	return &s.bucket
}

// touch notes that an entry is to be saved.
func (s *shard[K]) touch(e *entry[K]) {
	e.flags &^= back
	if e.is(dirty) || !s.saved {
		return
	}
	e.flags |= dirty
	if !e.is(listed) {
		e.flags |= listed
		s.changed = append(s.changed, e)
	}
}

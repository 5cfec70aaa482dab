package registry

import (
	"iter"
	"time"
)

const walkSize = 256 // entries looked at in one hold of a lock

// A record is what a snapshot keeps of a key.
type record struct {
	hash uint64
	debt time.Duration
}

// Changed yields the keys that were taken from or given to since they were
// last yielded, each as its hash ([Config.Hash]) and the time from at until its
// bucket is full again, and marks them as saved. What happens after the walk
// has begun may be in it or not; what happened before is. A lock is held for
// some hundred keys at a time, never during yield. One walk waits for another,
// so that yield must not begin one.
//
// A debt that is over within least is left out, unless tokens were given back:
// then what was yielded earlier for the key would be too much, and the debt is
// yielded even if it is 0. Where a hash is yielded twice the later one holds.
//
// If the iteration is broken off, or what it yielded is lost, the next must be
// All. A registry without a Config.Hash keeps no such marks and yields nothing.
func (r *Registry[K]) Changed(at time.Time, least time.Duration) iter.Seq2[uint64, time.Duration] {
	return func(yield func(uint64, time.Duration) bool) {
		r.walk.Lock()
		defer r.walk.Unlock()
		w := walk{at: at, least: least, yield: yield}
		defer r.debts.endWalk(r.debts.beginWalk(false))
		for i := range r.shards {
			s := &r.shards[i]
			for more := true; more; {
				s.mu.Lock()
				n := max(len(s.changed)-walkSize, 0)
				now := r.now()
				for _, e := range s.changed[n:] {
					if e.listed = false; e.dirty {
						r.save(&w, e, now)
					}
				}
				clear(s.changed[n:])
				s.changed, more = s.changed[:n], n > 0
				s.mu.Unlock()
				if !w.flush() {
					return
				}
			}
		}
		r.walkDebts(&w, false)
	}
}

// All yields all keys that owe something, and those that Changed would, in the
// manner of Changed. It is for a snapshot that replaces the earlier ones.
func (r *Registry[K]) All(at time.Time, least time.Duration) iter.Seq2[uint64, time.Duration] {
	return func(yield func(uint64, time.Duration) bool) {
		r.walk.Lock()
		defer r.walk.Unlock()
		w := walk{at: at, least: least, yield: yield}
		defer r.debts.endWalk(r.debts.beginWalk(true))
		for i := range r.shards {
			s := &r.shards[i]
			for slab, more := 0, true; more; slab++ {
				s.mu.Lock()
				now := r.now()
				for j := range s.slab(slab) {
					r.save(&w, &s.slabs[slab][j], now)
				}
				more = slab+1 < len(s.slabs)
				s.mu.Unlock()
				if !w.flush() {
					return
				}
			}
		}
		r.walkDebts(&w, true)
	}
}

// slab returns the entries of a slab that have a key.
func (s *shard[K]) slab(i int) []entry {
	if i >= len(s.slabs) {
		return nil
	}
	return s.slabs[i][:min(len(s.slabs[i]), s.used-i*slabSize)]
}

// walkDebts yields what is in the debt table, all of it or what is marked, and
// what has been recalled from it since the walk began.
func (r *Registry[K]) walkDebts(w *walk, all bool) {
	limit := r.rescaling()
	walk := r.debts.walking.Load()
	for i := range r.debts.stripes {
		s := &r.debts.stripes[i]
		s.mu.Lock()
		now := r.since(r.now())
		add := func(sl slot) {
			w.add(sl.hash, r.base.Add(sl.debt().at).Sub(w.at), sl.debt().lowered)
		}
		s.rescale(now, limit)
		for _, sl := range s.moved {
			add(sl)
		}
		s.moved, s.walked = nil, walk
		if s.used > 0 && (all || s.dirty > 0) {
			for j := range s.slots {
				sl := &s.slots[j]
				if sl.when == 0 || !all && sl.when&flagDirty == 0 {
					continue
				}
				add(*sl)
				if d := sl.debt(); d.at > now {
					s.set(sl, newSlot(sl.hash, debt{at: d.at}))
				} else {
					s.set(sl, slot{})
				}
			}
		}
		s.mu.Unlock()
		if !w.flush() {
			return
		}
	}
}

// save adds an entry to the walk and marks it as saved.
func (r *Registry[K]) save(w *walk, e *entry, now time.Time) {
	r.settle(e, now)
	w.add(e.hash, now.Sub(w.at)+e.bucket.Debt(now), e.lowered)
	e.dirty, e.lowered = false, false
}

// A walk gathers records under a lock and yields them without.
type walk struct {
	at      time.Time
	least   time.Duration
	yield   func(uint64, time.Duration) bool
	records []record
}

func (w *walk) add(hash uint64, debt time.Duration, lowered bool) {
	if lowered || debt > max(w.least, 0) {
		w.records = append(w.records, record{hash, max(debt, 0)})
	}
}

func (w *walk) flush() bool {
	for _, rec := range w.records {
		if !w.yield(rec.hash, rec.debt) {
			return false
		}
	}
	w.records = w.records[:0]
	return true
}

// Restore notes that the key with that hash owes debt from now on: it waits in
// the debt table until the key comes again. A later call for the same hash
// replaces an earlier one, by nothing if debt is 0. It is for the start, before
// there are requests.
func (r *Registry[K]) Restore(hash uint64, debt time.Duration) {
	now := r.since(r.now())
	r.debts.restore(hash, now+debt, now, r.rescaling())
}

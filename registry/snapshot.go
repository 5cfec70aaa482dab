package registry

import (
	"iter"
	"runtime"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
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
// The times are those under the limit that Changed returns, which was in force
// when it was called. Only with a LimitFor they are each under the key's own.
//
// A debt that is over within least is left out, unless tokens were given back:
// then what was yielded earlier for the key would be too much, and the debt is
// yielded even if it is 0. Where a hash is yielded twice the later one holds.
//
// If the iteration is broken off, or what it yielded is lost, the next must be
// All. A registry without a Config.Hash keeps no such marks and yields nothing.
func (r *Registry[K]) Changed(at time.Time, least time.Duration) (bucket.Limit, iter.Seq2[uint64, time.Duration]) {
	return r.newWalk(at, least, false)
}

// All yields all keys that owe something, and those that Changed would, in the
// manner of Changed. It is for a snapshot that replaces the earlier ones.
func (r *Registry[K]) All(at time.Time, least time.Duration) (bucket.Limit, iter.Seq2[uint64, time.Duration]) {
	return r.newWalk(at, least, true)
}

func (r *Registry[K]) newWalk(at time.Time, least time.Duration, all bool) (bucket.Limit, iter.Seq2[uint64, time.Duration]) {
	base := r.terms.Load()
	limit := base.rule.Limit()
	return limit, func(yield func(uint64, time.Duration) bool) {
		r.walk.Lock()
		defer r.walk.Unlock()
		w := walk{at: at, least: least, how: base.how, yield: yield, number: r.debts.beginWalk(all)}
		if base.limitFor == nil {
			w.under, w.limit = &limit, base.number
		}
		defer r.debts.endWalk(w.number)
		for i := range r.shards {
			visit := r.walkChanged
			if all {
				visit = r.walkShard
			}
			if !visit(&w, &r.shards[i]) {
				return
			}
		}
		r.walkDebts(&w, all)
	}
}

// walkChanged yields the keys in memory that are marked.
func (r *Registry[K]) walkChanged(w *walk, s *shard[K]) bool {
	var later []*entry[K]
	for more := true; more; {
		s.mu.Lock()
		n := max(len(s.changed)-walkSize, 0)
		now := r.now()
		for _, e := range s.changed[n:] {
			e.flags &^= listed
			if e.is(dirty) && !r.save(w, e, now) {
				later = append(later, e)
			}
		}
		clear(s.changed[n:])
		s.changed, more = s.changed[:n], n > 0
		if !more {
			for _, e := range later {
				if e.is(dirty) && !e.is(listed) {
					e.flags |= listed
					s.changed = append(s.changed, e)
				}
			}
		}
		s.mu.Unlock()
		if !w.flush() {
			return false
		}
	}
	return true
}

// walkShard yields all keys in memory.
func (r *Registry[K]) walkShard(w *walk, s *shard[K]) bool {
	for slab, more := 0, true; more; slab++ {
		s.mu.Lock()
		now := r.now()
		for j := range s.slab(slab) {
			r.save(w, &s.slab(slab)[j], now)
		}
		more = slab+1 < len(s.slabs)
		s.mu.Unlock()
		if !w.flush() {
			return false
		}
	}
	return true
}

// slab returns the entries of a slab that have a key.
func (s *shard[K]) slab(i int) []entry[K] {
	if i >= len(s.slabs) {
		return nil
	}
	return s.slabs[i][:min(slabSize, s.used-i*slabSize)]
}

// walkDebts yields what is in the debt table, all of it or what is marked, and
// before it what has been recalled from there since the walk began.
func (r *Registry[K]) walkDebts(w *walk, all bool) {
	for i := range r.debts.stripes {
		s := &r.debts.stripes[i]
		s.mu.Lock()
		now := r.now()
		add := func(sl slot) {
			d := sl.debt()
			left := d.at - now
			if w.under != nil && d.limit != w.limit {
				left = r.limits.convert(left, d.limit, *w.under, w.how)
			}
			w.add(sl.hash, r.base.Add(now).Sub(w.at)+left, d.lowered)
		}
		for _, sl := range s.moved {
			add(sl)
		}
		s.moved, s.walked = nil, w.number
		if s.used > 0 && (all || s.dirty > 0) {
			for j := range s.slots {
				sl := &s.slots[j]
				if sl.when == 0 || !all && sl.when&flagDirty == 0 {
					continue
				}
				add(*sl)
				if d := sl.debt(); d.at > now {
					s.put(sl, newSlot(sl.hash, debt{at: d.at, limit: d.limit, restored: d.restored}))
				} else {
					s.put(sl, slot{})
				}
			}
		}
		s.mu.Unlock()
		if !w.flush() {
			return
		}
	}
}

// save adds an entry to the walk and marks it as saved. It does neither, and
// returns false, if the walk has the entry as it was in the debt table, to be
// yielded later: what was older would then hold.
func (r *Registry[K]) save(w *walk, e *entry[K], at time.Duration) bool {
	if e.noted == w.number {
		return false
	}
	left := e.tier.rule.Debt(e.level, at)
	if w.under != nil && e.tier.number != w.limit {
		left = r.limits.convert(left, e.tier.number, *w.under, w.how)
	}
	w.add(e.hash, r.base.Add(at).Sub(w.at)+left, e.is(lowered))
	e.flags &^= dirty | lowered
	return true
}

// A walk gathers records under a lock and yields them without.
type walk struct {
	number  uint32
	at      time.Time
	least   time.Duration
	under   *bucket.Limit // that debts are converted to; nil leaves each under its own
	limit   uint8         // its number
	how     bucket.Change
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
	// A walk is long work that nobody waits for. Where all processors are busy,
	// those who decide would wait for one until the scheduler takes it away.
	runtime.Gosched()
	return true
}

package registry

import (
	"iter"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// Restore notes that the keys with these hashes owe these debts from now on:
// they wait in the debt table until the keys come again. A debt is under the
// registry's limit, or with a LimitFor under the key's, where what is beyond one
// refill as of now is cut. A debt replaces an earlier one of the same hash, by
// nothing if it is 0. It is for the start, before there are requests. What debts
// yields is owed from the end of it on.
func (r *Registry[K]) Restore(debts iter.Seq2[uint64, time.Duration]) {
	d := debt{limit: restoredLimit, restored: true}
	if terms := r.terms.Load(); terms.limitFor == nil {
		d.limit = terms.number
	}
	const blockSize = 1 << 14 // blocks, and not one slice that is copied as it grows
	var blocks [][]slot
	var block []slot
	for hash, owed := range debts {
		if len(block) == cap(block) {
			block = make([]slot, 0, blockSize)
			blocks = append(blocks, nil)
		}
		block = append(block, slot{hash, int64(owed)})
		blocks[len(blocks)-1] = block
	}
	now := r.now()
	for _, block := range blocks {
		for i, sl := range block {
			block[i].when = 0 // nothing is owed
			if sl.when > 0 {
				d.at = now + time.Duration(sl.when)
				block[i] = newSlot(sl.hash, d)
			}
		}
	}
	r.restored.Store(int64(now))
	r.debts.restore(blocks, now)
}

// Credit makes what was restored owe less by so much: it has turned out that
// more time had passed before the start. Keys that have taken something since
// keep what they owe, as do those that were not restored. A later call has no
// effect on what an earlier one had.
func (r *Registry[K]) Credit(more time.Duration) {
	for i := range r.shards {
		s := &r.shards[i]
		for slab, last := 0, false; !last; slab++ {
			s.mu.Lock()
			now := r.now()
			for j := range s.slab(slab) {
				if e := &s.slab(slab)[j]; e.is(back) {
					rule := &e.tier.rule
					e.level = rule.Owing(now, rule.Debt(e.level, now)-more)
					e.flags |= lowered
					s.touch(e)
				}
			}
			last = slab+1 >= len(s.slabs)
			s.mu.Unlock()
		}
	}
	for i := range r.debts.stripes {
		s := &r.debts.stripes[i]
		s.mu.Lock()
		for j := range s.slots {
			sl := &s.slots[j]
			if d := sl.debt(); d.restored {
				s.put(sl, newSlot(sl.hash, debt{at: max(d.at-more, 0), limit: d.limit, dirty: true, lowered: true}))
			}
		}
		s.mu.Unlock()
	}
}

// RestoreOthers notes that every key of which the registry knows nothing had an
// empty bucket at a time, such as the start after a loss of the state. A later
// call replaces an earlier one; the zero time takes it back. What is given to
// such a key by Reset or Refund is forgotten if the key is evicted.
func (r *Registry[K]) RestoreOthers(empty time.Time) {
	r.empty.Store(&empty)
}

// owes returns what a key owes that is not in memory, given what the debt table
// has of it.
func (r *Registry[K]) owes(owed debt, ok bool, limit bucket.Limit, at time.Duration) time.Duration {
	if ok && owed.limit == restoredLimit {
		// What is beyond one refill is cut as of when it was restored.
		then := time.Duration(r.restored.Load())
		return min(owed.at-then, limit.Refill()) - (at - then)
	}
	if ok {
		return r.limits.convert(owed.at-at, owed.limit, limit, r.terms.Load().how)
	}
	if empty := r.empty.Load(); empty != nil && !empty.IsZero() {
		return limit.Refill() - r.base.Add(at).Sub(*empty)
	}
	return 0
}

package registry

import (
	"iter"

	"github.com/seed-0c889b51/weir/bucket"
)

// Keys yields the keys in memory, in no certain order, each with what Peek of
// one token would return. It brings no key into memory and keeps none there. A
// lock is held for some hundred keys at a time, never during yield; a key that
// comes or goes meanwhile may be yielded or not. Keys that were evicted are not
// known any more, but for the hash of those that owe something.
func (r *Registry[K]) Keys() iter.Seq2[K, bucket.Decision] {
	type seen struct {
		key      K
		decision bucket.Decision
	}
	return func(yield func(K, bucket.Decision) bool) {
		batch := make([]seen, 0, slabSize)
		for i := range r.shards {
			s := &r.shards[i]
			for slab, more := 0, true; more; slab++ {
				batch = batch[:0]
				s.mu.Lock()
				at := r.now()
				for j := range s.slab(slab) {
					e := &s.slab(slab)[j]
					batch = append(batch, seen{key: e.key})
					r.peek(&batch[len(batch)-1].decision, e, at, 1)
				}
				more = slab+1 < len(s.slabs)
				s.mu.Unlock()
				for _, k := range batch {
					if !yield(k.key, k.decision) {
						return
					}
				}
			}
		}
	}
}

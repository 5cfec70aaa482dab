package persist

import (
	"math/bits"
	"slices"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

func (f *File) load(want func(policy string, saved bucket.Limit) bool, record func(policy string, hash uint64, debt time.Duration)) Restored {
	now := f.line.at(f.now().mono)
	res := f.restored
	end := ends(f.index.policies)
	// The chunks of each policy, newest first.
	held := map[string][]*chunk{}
	var names []string
	for i := len(f.index.chunks) - 1; i >= 0; i-- {
		c := &f.index.chunks[i]
		if c.raw == nil {
			continue
		}
		name := f.index.policies[c.policy].name
		if end(c) > now && !slices.Contains(names, name) {
			names = append(names, name)
		}
		// Even if it is over: it may override what is older.
		held[name] = append(held[name], c)
	}
	slices.Sort(names)
	for _, name := range names {
		ids := f.index.versions(name)
		limit := f.index.policies[ids[len(ids)-1]].limit
		if !want(name, limit) {
			for _, c := range held[name] {
				if end(c) > now {
					res.Kept += c.count
				}
			}
			continue
		}
		n := 0
		for _, c := range held[name] {
			n += c.count
		}
		seen := newHashSet(n)
		refill := int64(limit.Refill())
		before := res.Records
		for _, c := range held[name] {
			c.each(func(hash uint64, full int64) {
				if !seen.add(hash) {
					return
				}
				debt := convert(f.index.policies, ids, c.policy, full) - now
				if debt = min(debt, refill); debt > 0 {
					record(name, hash, time.Duration(debt))
					res.Records++
				}
			})
			c.raw = nil
		}
		if res.Records > before {
			res.Policies++
		}
	}
	return res
}

// A hashSet is a set of numbers that are hashes already, which makes it several
// times as fast as a map.
type hashSet struct {
	slots []uint64
	shift int
	zero  bool // 0 marks a free slot, so it is kept apart
}

// newHashSet returns a set with room for n.
func newHashSet(n int) *hashSet {
	size := bits.Len(uint(n) | 7) // to at most half full
	return &hashSet{slots: make([]uint64, 2<<size), shift: 63 - size}
}

// add adds h and tells whether it was not there.
func (s *hashSet) add(h uint64) bool {
	if h == 0 {
		was := s.zero
		s.zero = true
		return !was
	}
	// Spread by a multiplication, for owners whose hashes are not.
	for i := h * 0x9e3779b97f4a7c15 >> s.shift; ; i++ {
		switch at := &s.slots[i&uint64(len(s.slots)-1)]; *at {
		case h:
			return false
		case 0:
			*at = h
			return true
		}
	}
}

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
		sieve := newSieve(n)
		for _, c := range held[name] {
			c.each(func(hash uint64, _ int64) { sieve.mark(hash) })
		}
		seen := newHashSet(2 * sieve.again)
		refill := int64(limit.Refill())
		before := res.Records
		for _, c := range held[name] {
			c.each(func(hash uint64, full int64) {
				if sieve.mayRepeat(hash) && !seen.add(hash) {
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

// A sieve tells hashes that come up once from those that may come up again. Most
// do once, and need not be kept in a set, which takes ten times the memory and is
// as much slower for being out of the processor's caches.
type sieve struct {
	once, twice []uint64 // bits
	shift       int
	again       int // how many were marked whose bit had been
}

// newSieve returns a sieve for n hashes, with 8 to 16 bits for each.
func newSieve(n int) *sieve {
	size := bits.Len(uint(n)|7) + 3
	return &sieve{once: make([]uint64, 1<<(size-6)), twice: make([]uint64, 1<<(size-6)), shift: 64 - size}
}

// at returns the place of a hash, spread by a multiplication for owners whose
// hashes are not.
func (s *sieve) at(h uint64) (word uint64, bit uint64) {
	h = h * mixer >> s.shift
	return h >> 6, 1 << (h & 63)
}

// mark is called for each hash before the first call of mayRepeat.
func (s *sieve) mark(h uint64) {
	word, bit := s.at(h)
	if s.once[word]&bit != 0 {
		s.twice[word] |= bit
		s.again++
	}
	s.once[word] |= bit
}

// mayRepeat tells whether h may have been marked more than once.
func (s *sieve) mayRepeat(h uint64) bool {
	word, bit := s.at(h)
	return s.twice[word]&bit != 0
}

const mixer = 0x9e3779b97f4a7c15 // 2⁶⁴ over the golden ratio (Knuth)

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
	for i := h * mixer >> s.shift; ; i++ {
		switch at := &s.slots[i&uint64(len(s.slots)-1)]; *at {
		case h:
			return false
		case 0:
			*at = h
			return true
		}
	}
}

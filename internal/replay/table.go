package replay

import (
	"math"
	"slices"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// A slot is what is kept of a key.
type slot struct {
	hash   uint64
	level  bucket.Level
	need   need
	denied uint32
}

// A table has a slot for each key of a limit: up to a number of them. Keys are
// told apart by 64 bits of a seeded hash. When it is full, slots are put away
// that a new one would equal, and, if these are too few, others that come close;
// see sweep. Slots lie in pieces, so that the table can grow without a copy.
type table struct {
	most   int
	index  []mark // open addressing; its length is a power of two
	pieces [][]slot
	used   int
	hulls  hulls

	rule   bucket.Rule
	window time.Duration // of what needs are reckoned for
	quota  int

	away putAway
}

// A mark says which slot a hash has.
type mark struct {
	tag  uint32 // the upper half of the hash
	slot uint32 // its number and 1, 0 if there is none
}

// putAway is what is known of keys whose slots were put away.
type putAway struct {
	keys, hurt int64
	// forgiven were not full, so that one of them that comes again is denied too
	// little; early had not been away for a window, so that it seems to need less.
	forgiven, early int64
	quotas, bursts  map[uint32]int64
}

const pieceBits = 12 // slots in a piece

func newTable(most int, rule bucket.Rule) *table {
	l := rule.Limit()
	return &table{
		most: most, index: make([]mark, 1<<10), rule: rule, window: l.Window, quota: l.Quota,
		away: putAway{quotas: map[uint32]int64{}, bursts: map[uint32]int64{}},
	}
}

func (t *table) slot(i int) *slot { return &t.pieces[i>>pieceBits][i&(1<<pieceBits-1)] }

// find returns the slot of a key, which is made if there is none. It stays where
// it is until the next sweep.
func (t *table) find(hash uint64) *slot {
	mask := uint64(len(t.index) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		m := t.index[i]
		if m.slot == 0 {
			break
		}
		if m.tag == uint32(hash>>32) {
			if s := t.slot(int(m.slot - 1)); s.hash == hash {
				return s
			}
		}
	}
	return t.add(hash)
}

func (t *table) add(hash uint64) *slot {
	if 4*(t.used+1) > 3*len(t.index) {
		t.index = make([]mark, 2*len(t.index))
		for i := range t.used {
			t.enter(i)
		}
	}
	if t.used == len(t.pieces)<<pieceBits {
		t.pieces = append(t.pieces, make([]slot, 1<<pieceBits))
	}
	s := t.slot(t.used)
	*s = slot{hash: hash, level: t.rule.Full()}
	t.enter(t.used)
	t.used++
	return s
}

// enter enters a slot in the index.
func (t *table) enter(number int) {
	hash, mask := t.slot(number).hash, uint64(len(t.index)-1)
	i := hash & mask
	for t.index[i].slot != 0 {
		i = (i + 1) & mask
	}
	t.index[i] = mark{uint32(hash >> 32), uint32(number + 1)}
}

// sweep makes room if the table is full: for an eighth at least. First go those
// that a new slot would equal in all, then those whose bucket is full, then
// those whose buckets will be full soonest.
func (t *table) sweep(now time.Duration) {
	if t.used < t.most {
		return
	}
	want := max(1, t.most/8)
	idle := func(s *slot) bool { return now-t.hulls.latest(&s.need) >= t.window }
	if t.drop(func(s *slot) bool { return idle(s) && t.rule.Debt(s.level, now) == 0 }) >= want {
		return
	}
	want -= t.most - t.used
	gone := t.drop(func(s *slot) bool {
		full := t.rule.Debt(s.level, now) == 0
		if full && !idle(s) {
			t.away.early++
		}
		return full
	})
	if gone >= want {
		return
	}
	want -= gone
	debts := make([]time.Duration, t.used)
	for i := range debts {
		debts[i] = t.rule.Debt(t.slot(i).level, now)
	}
	slices.Sort(debts)
	border := debts[want-1]
	t.drop(func(s *slot) bool {
		if t.rule.Debt(s.level, now) > border {
			return false
		}
		t.away.forgiven++
		return true
	})
}

// drop puts away the slots of which gone is true, and returns how many.
func (t *table) drop(gone func(*slot) bool) int {
	kept := 0
	for i := range t.used {
		s := t.slot(i)
		if gone(s) {
			t.away.add(s)
			t.hulls.release(&s.need)
			continue
		}
		if kept != i {
			*t.slot(kept) = *s
		}
		kept++
	}
	dropped := t.used - kept
	t.used = kept
	if dropped > 0 {
		clear(t.index)
		for i := range kept {
			t.enter(i)
		}
	}
	return dropped
}

func (a *putAway) add(s *slot) {
	a.keys++
	if s.denied > 0 {
		a.hurt++
	}
	a.quotas[s.need.quota]++
	a.bursts[s.need.burst]++
}

// sum returns all keys as if they had been put away.
func (t *table) sum() putAway {
	all := t.away
	all.quotas, all.bursts = map[uint32]int64{}, map[uint32]int64{}
	for n, keys := range t.away.quotas {
		all.quotas[n] = keys
	}
	for n, keys := range t.away.bursts {
		all.bursts[n] = keys
	}
	for i := range t.used {
		all.add(t.slot(i))
	}
	return all
}

// count adds one, as far as there is room.
func count(n *uint32) {
	if *n < math.MaxUint32 {
		*n++
	}
}

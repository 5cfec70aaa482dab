package registry

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0c889b51/weir/bucket"
)

// slow is a limit under which every debt lasts.
var slow = bucket.Limit{Quota: 1, Window: 24 * time.Hour, Burst: 1 << 15}

// Every entry is in the order once, as a newcomer or as a regular, and in
// memory are as many keys as there may be.
func TestOrderIsOfAllEntries(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 40).Draw(t, "size")
		r, err := New(Config[int]{Limit: bucket.PerHour(1 << 20), Size: size, Debts: 8})
		if err != nil {
			t.Fatal(err)
		}
		s := &r.shards[0]
		keys := rapid.SampledFrom([]int{size, 2 * size, 20 * size}).Draw(t, "keys")
		for range rapid.IntRange(1, 500).Draw(t, "requests") {
			key := rapid.IntRange(0, keys).Draw(t, "key")
			r.Take(key, rapid.IntRange(0, 1).Draw(t, "n"))
			if e, _ := s.look(key, r.mark(key)); e == nil || e.key != key {
				t.Fatalf("key %d is not in memory just after its request", key)
			}
			seen := map[uint32]bool{}
			for _, slot := range s.order.regulars.Keys() {
				if seen[slot] = true; !s.entry(slot).is(regular) {
					t.Fatalf("entry %d is among the regulars and not marked", slot)
				}
			}
			slot := s.order.first
			for range s.order.newcomers {
				if e := s.entry(slot); seen[slot] || e.is(regular) {
					t.Fatalf("entry %d is there twice", slot)
				}
				seen[slot] = true
				slot = uint32(s.entry(slot).turn)
			}
			if len(seen) != s.used || s.used > size || s.index.taken != s.used {
				t.Fatalf("%d entries in order and %d in the index, of %d: size %d", len(seen), s.index.taken, s.used, size)
			}
		}
	})
}

// A flood of keys that come once leaves those in memory that come again and
// again, and takes no place that it does not need.
func TestFloodLeavesRegulars(t *testing.T) {
	t.Parallel()
	const size, rare = 1 << 10, 512
	r, err := New(Config[int]{Limit: slow, Size: size, Debts: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 * size {
		if r.Take(rare+i, 1); i%20 == 0 {
			r.Take(i/20%rare, 1) // each once in ten times the size
		}
	}
	// Once it is known who comes again, they are not lost any more.
	before := r.Stats()
	for i := range 20 * size {
		if r.Take(1<<30+i, 1); i%20 == 0 {
			r.Take(i/20%rare, 1)
		}
	}
	if st := r.Stats(); st.DebtsRecalled != before.DebtsRecalled || before.DebtsRecalled < rare || st.Evicted-before.Evicted != 20*size {
		t.Errorf("regulars were evicted by a flood: %+v, before %+v", st, before)
	}
}

// Regulars that come no more make room for others.
func TestRegularsGo(t *testing.T) {
	t.Parallel()
	const size = 1 << 10
	r, err := New(Config[int]{Limit: slow, Size: size, Debts: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	for generation := range 3 {
		var before Stats
		for round := range 30 {
			before = r.Stats()
			for key := range size / 2 {
				r.Take(generation*size+key, 1)
			}
			for key := range size {
				r.Take(-(generation*size*100 + round*size + key + 1), 1)
			}
		}
		if st := r.Stats(); st.DebtsRecalled-before.DebtsRecalled > size/50 {
			t.Errorf("generation %d: in the last round %d of %d keys were not in memory", generation, st.DebtsRecalled-before.DebtsRecalled, size/2)
		}
	}
}

// However many have come again, one arrival does not move them all, and one that
// has just come has time to come again.
func TestOneArrivalDoesLittle(t *testing.T) {
	t.Parallel()
	const size = 64
	r, err := New(Config[int]{Limit: slow, Size: size})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for key := range size {
			r.Take(key, 0)
		}
	}
	s := &r.shards[0]
	if r.Take(size, 0); s.order.regulars.Len() > maxPromoted {
		t.Errorf("one arrival made %d regulars, at most %d should be", s.order.regulars.Len(), maxPromoted)
	}
	for key := range 10 * size { // each comes twice at once
		r.Take(1000+key, 0)
		r.Take(1000+key, 0)
	}
	const newcomer = 10_000
	for key := range size / fewNewcomers {
		r.Take(newcomer+key, 0)
	}
	if e, _ := s.look(newcomer, r.mark(newcomer)); e == nil {
		t.Errorf("a newcomer was evicted by %d others", size/fewNewcomers-1)
	}
}

// Keys that are not equal to themselves have no bucket, and do no harm either.
func TestKeysUnlikeThemselves(t *testing.T) {
	t.Parallel()
	r, err := New(Config[float64]{Limit: slow, Size: 16})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		r.Take(math.NaN(), 1)
		r.Take(float64(i%8), 1)
	}
	s := &r.shards[0]
	if s.used != 16 || s.index.taken != 16 || len(s.index.places) > 64 {
		t.Errorf("%d entries, %d of %d places", s.used, s.index.taken, len(s.index.places))
	}
	if d := r.Peek(3, 1); d.Remaining != 1<<15-125 {
		t.Errorf("of another key %d remain, want %d", d.Remaining, 1<<15-125)
	}
}

// What is asked for now finds room where what was asked for once has it, also if
// nobody owes anything, so that nobody is known to have been there.
func TestOrderFollowsTheTimes(t *testing.T) {
	t.Parallel()
	const size = 64
	r, err := New(Config[int]{Limit: slow, Size: size})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for key := range size {
			r.Take(key, 0)
		}
	}
	missed := 0
	for round := range 200 {
		before := r.Stats().Evicted
		for key := range size / 2 {
			r.Take(1000+key, 0)
		}
		if round >= 100 {
			missed += int(r.Stats().Evicted - before)
		}
	}
	if missed > 0 {
		t.Errorf("of half as many keys as there is room for, %d requests found theirs evicted", missed)
	}
}

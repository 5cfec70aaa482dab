package replay

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0c889b51/weir/bucket"
)

// denies tells whether a limit denies one of the arrivals.
func denies(t *rapid.T, l bucket.Limit, arrivals []time.Duration) bool {
	rule, err := bucket.NewRule(l)
	if err != nil {
		t.Fatal(err)
	}
	level := rule.Full()
	for _, at := range arrivals {
		if !rule.Allow(&level, at, 1) {
			return true
		}
	}
	return false
}

// What is said to be needed denies nothing, and one less denies: for any
// arrivals, and at any time of them. Where it is a matter of a nanosecond or of
// rounding, as in the billionth part of a window, it may be either.
func TestNeedIsTheLeast(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		window := rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 37 * time.Second, time.Hour, day}).Draw(t, "window")
		unit := rapid.SampledFrom([]time.Duration{1, time.Millisecond, time.Second, window / 7, window}).Draw(t, "unit")
		quota := rapid.IntRange(1, 60).Draw(t, "quota")
		gaps := rapid.SliceOfN(rapid.OneOf(rapid.Just(0), rapid.IntRange(0, 3), rapid.IntRange(0, 200)), 1, 120).Draw(t, "gaps")
		var arrivals []time.Duration
		h, n := &hulls{}, &need{}
		at := time.Duration(rapid.Int64Range(0, 1<<60).Draw(t, "start"))
		for _, gap := range gaps {
			at += time.Duration(gap) * unit
			arrivals = append(arrivals, at)
			h.arrive(n, at, window, quota)
			if h.latest(n) != at {
				t.Fatalf("the last arrival was at %v, not at %v", h.latest(n), at)
			}
			if len(arrivals)%7 != 0 && len(arrivals) != len(gaps) {
				continue
			}
			hair := 2 + window>>48
			enough := func(quota, burst uint32) bucket.Limit {
				return bucket.Limit{Quota: int(quota), Window: window - hair, Burst: int(burst)}
			}
			like := func(quota, burst uint32) bucket.Limit {
				return bucket.Limit{Quota: int(quota), Window: window + hair, Burst: int(burst)}
			}
			if denies(t, enough(n.quota, n.quota), arrivals) {
				t.Fatalf("%d in %v is said to be enough and denies one of %v", n.quota, window, arrivals)
			}
			if n.quota > 1 && !denies(t, like(n.quota-1, n.quota-1), arrivals) {
				t.Fatalf("%d in %v is said to be needed, but one less is enough for %v", n.quota, window, arrivals)
			}
			if denies(t, enough(uint32(quota), n.burst), arrivals) {
				t.Fatalf("%d in %v with a burst of %d is said to be enough and denies one of %v", quota, window, n.burst, arrivals)
			}
			if n.burst > 1 && !denies(t, like(uint32(quota), n.burst-1), arrivals) {
				t.Fatalf("%d in %v is said to need a burst of %d, but one less is enough for %v", quota, window, n.burst, arrivals)
			}
		}
	})
}

// Traffic that grows ever faster keeps the most corners: they are few, and their
// room is given back.
func TestCornersAreFew(t *testing.T) {
	t.Parallel()
	h, n := &hulls{}, &need{}
	at, arrivals := time.Duration(0), 0
	for gap := 10 * time.Second; gap > time.Millisecond; gap = gap * 9 / 10 {
		for range 20 {
			at += gap
			h.arrive(n, at, time.Hour, 100)
			arrivals++
		}
	}
	if n.hull == 0 {
		t.Fatal("there is one corner: want some, or this tests nothing")
	}
	if corners := len(h.all[n.hull-1]); corners > 200 {
		t.Errorf("%d corners of %d arrivals", corners, arrivals)
	}
	h.arrive(n, at+time.Hour, time.Hour, 100)
	if n.hull != 0 || len(h.free) != 1 {
		t.Errorf("after a pause there are corners left, %d are free", len(h.free))
	}
	other := &need{}
	h.arrive(other, 0, time.Hour, 1)
	h.arrive(other, time.Second, time.Hour, 1)
	if other.hull != 1 || len(h.all) != 1 {
		t.Errorf("the room was not used again: number %d of %d", other.hull, len(h.all))
	}
}

// The numbers are near the ends of what there is, and nothing overflows.
func TestNeedAtTheEnds(t *testing.T) {
	t.Parallel()
	h := &hulls{}
	n := &need{next: math.MaxUint32 - 1, first: math.MaxUint32 - 2, quota: 3, waited: 1, burst: 1, since: math.MaxInt64 - 10}
	for i := range 6 {
		h.arrive(n, math.MaxInt64-10+time.Duration(i), 366*day, 1)
	}
	if n.quota != 7 || n.next != 4 {
		t.Errorf("quota %d after number %d: want 7 and 4", n.quota, n.next)
	}
	if short(most, most, 0, day) || !shortOf(2, 1, most, 0, day) {
		t.Error("the highest quota is short, or its burst is not")
	}
}

// What comes just when its token does is not short of it, and a second before it
// is.
func TestNeedAtTheBorder(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		gap          time.Duration
		quota, burst uint32
	}{
		{10 * time.Second, 6, 1}, // 6 in a minute: one every 10 s
		{9 * time.Second, 6, 4},  // of 30 in 261 s, 26 are refilled at 6 a minute
		{time.Minute, 1, 1},
		{59 * time.Second, 2, 1},
	} {
		h, n := &hulls{}, &need{}
		for i := range time.Duration(30) {
			h.arrive(n, i*tt.gap, time.Minute, 6)
		}
		if n.quota != tt.quota || n.burst != tt.burst {
			t.Errorf("one every %v needs %d, or a burst of %d at 6: want %d and %d", tt.gap, n.quota, n.burst, tt.quota, tt.burst)
		}
	}
}

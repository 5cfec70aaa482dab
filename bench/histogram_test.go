package bench

import (
	"math"
	"math/bits"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A histogram counts durations in slots whose width grows with them: below 64
// ns each has its own, and above that 64 slots share what lies between one power
// of two and the next. So a quantile is at most 1/64 above the true one. It
// takes 30 kB however many durations it holds. The zero histogram is empty.
type histogram struct {
	slots [(64 - slotBits) << slotBits]uint64
	count uint64
	max   time.Duration
}

const slotBits = 6

// add counts a duration; one below 0 counts as 0.
func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.slots[slotOf(uint64(d))]++
	h.count++
	h.max = max(h.max, d)
}

// merge counts all that other has counted.
func (h *histogram) merge(other *histogram) {
	for i, n := range other.slots {
		h.slots[i] += n
	}
	h.count += other.count
	h.max = max(h.max, other.max)
}

// quantile returns the least duration that at least the part q of all do not
// exceed, or up to 1/64 more. That of an empty histogram is 0.
func (h *histogram) quantile(q float64) time.Duration {
	left := rank(q, h.count)
	for i, n := range h.slots {
		if n >= left {
			return min(lastOf(i), h.max)
		}
		left -= n
	}
	return h.max
}

// rank returns which of n in order is the quantile, from 1.
func rank(q float64, n uint64) uint64 { return max(uint64(math.Ceil(q*float64(n))), 1) }

func slotOf(ns uint64) int {
	shift := max(bits.Len64(ns)-1-slotBits, 0)
	return shift<<slotBits + int(ns>>shift)
}

// lastOf returns the longest duration of a slot.
func lastOf(slot int) time.Duration {
	shift := max(slot>>slotBits-1, 0)
	return time.Duration(slot-shift<<slotBits+1)<<shift - 1
}

func TestHistogramAgainstSortedSamples(t *testing.T) {
	t.Parallel()
	quantiles := []float64{0, 0.5, 0.9, 0.99, 0.999, 0.9999, 1}
	rapid.Check(t, func(t *rapid.T) {
		samples := rapid.SliceOfN(rapid.Int64Range(0, math.MaxInt64), 1, 2000).Draw(t, "samples")
		split := rapid.IntRange(0, len(samples)).Draw(t, "split")
		shift := rapid.IntRange(0, 62).Draw(t, "shift")
		var h, rest histogram
		for i, s := range samples {
			samples[i] = s >> shift
			if i < split {
				h.add(time.Duration(samples[i]))
			} else {
				rest.add(time.Duration(samples[i]))
			}
		}
		h.merge(&rest)
		slices.Sort(samples)
		for _, q := range quantiles {
			want := samples[rank(q, uint64(len(samples)))-1]
			got := int64(h.quantile(q))
			if got < want || got-want > want/64 {
				t.Fatalf("quantile %v of %d is %d: want %d to %d", q, len(samples), got, want, want+want/64)
			}
		}
		if last := samples[len(samples)-1]; int64(h.max) != last || int64(h.quantile(1)) != last {
			t.Fatalf("max %d, quantile 1 %d: want %d", h.max, h.quantile(1), last)
		}
	})
}

func TestHistogramEdges(t *testing.T) {
	t.Parallel()
	var h histogram
	if got := h.quantile(0.5); got != 0 {
		t.Errorf("median of nothing is %v: want 0", got)
	}
	h.add(-5) // two readings of the clock can not do that, but what would come of it?
	h.add(math.MaxInt64)
	if h.quantile(0) != 0 || h.quantile(1) != math.MaxInt64 || h.count != 2 {
		t.Errorf("quantiles %v, %v of %d: want 0, %d of 2", h.quantile(0), h.quantile(1), h.count, int64(math.MaxInt64))
	}
	for _, row := range []struct {
		why  string
		q    float64
		n    uint64
		want uint64
	}{
		{"the smallest", 0, 10, 1},
		{"of an even number the lower one in the middle", 0.5, 10, 5},
		{"999 of 1000 do not exceed it", 0.999, 1000, 999},
		{"of few, the largest", 0.9999, 1000, 1000},
		{"the largest", 1, 10, 10},
	} {
		if got := rank(row.q, row.n); got != row.want {
			t.Errorf("%s: rank(%v, %d) is %d: want %d", row.why, row.q, row.n, got, row.want)
		}
	}
}

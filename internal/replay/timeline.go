package replay

import "time"

// A timeline counts requests over time, in bins of equal length. When there
// would be too many it makes them longer.
type timeline struct {
	from int64 // where the first begins
	step int   // of steps
	bins []bin
}

// A bin is what happened in one.
type bin struct {
	requests, denied, candidate int64 // denied by the limits, by the candidate
}

// maxBins is how many there are at most.
const maxBins = 512

// steps are the lengths of bins, each a multiple of the one before.
var steps = [...]int64{
	int64(time.Second), int64(5 * time.Second), int64(15 * time.Second), int64(time.Minute), int64(5 * time.Minute), int64(15 * time.Minute),
	int64(time.Hour), int64(6 * time.Hour), int64(day), int64(7 * day), int64(28 * day), int64(364 * day),
}

// at returns the bin of an instant, which must not be before the one before.
func (t *timeline) at(instant int64) *bin {
	if len(t.bins) == 0 {
		t.from = instant - instant%steps[0]
	}
	for (instant-t.from)/steps[t.step] >= maxBins {
		t.widen()
	}
	i := (instant - t.from) / steps[t.step]
	for int64(len(t.bins)) <= i {
		t.bins = append(t.bins, bin{})
	}
	return &t.bins[i]
}

// widen goes on to the next step. Bins begin at multiples of their length.
func (t *timeline) widen() {
	old, step := steps[t.step], steps[t.step+1]
	from := t.from - t.from%step
	var bins []bin
	for i, b := range t.bins {
		at := int((t.from + int64(i)*old - from) / step)
		for len(bins) <= at {
			bins = append(bins, bin{})
		}
		sum := &bins[at]
		sum.requests, sum.denied, sum.candidate = sum.requests+b.requests, sum.denied+b.denied, sum.candidate+b.candidate
	}
	t.from, t.step, t.bins = from, t.step+1, bins
}

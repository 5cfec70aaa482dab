package field

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// A grant is a request that was allowed at some instant between two.
type grant struct{ before, after time.Duration }

// overBucket returns by how many requests the grants certainly exceed what a
// token bucket allows: the most of all stretches of time, of the grants that
// lie wholly within one, less a quota and what flows in during it. For grants
// of a token bucket that is 0 or less.
func overBucket(grants []grant, l Limit) float64 {
	if len(grants) == 0 {
		return -float64(l.Quota)
	}
	rate := perSecond(l)
	starts := make([]time.Duration, len(grants))
	for i, g := range grants {
		starts[i] = g.before
	}
	slices.Sort(starts)
	// For a stretch from each start to the end that the loop is at: the grants
	// within, and what flows in until the start.
	within := newMaxima(len(starts))
	for i, s := range starts {
		within.add(i, i, rate*s.Seconds())
	}
	byEnd := slices.SortedFunc(slices.Values(grants), func(a, b grant) int { return cmp.Compare(a.after, b.after) })
	worst, last := math.Inf(-1), 0
	for _, g := range byEnd {
		// Of equal starts the last, so that one that is asked for has all of its grants.
		at, _ := slices.BinarySearch(starts, g.before+1)
		last = max(last, at-1)
		within.add(0, at-1, 1)
		worst = max(worst, within.max(last)-rate*g.after.Seconds())
	}
	return worst - float64(l.Quota)
}

// maxima is a row of numbers, 0 at first: a segment tree.
type maxima struct {
	leaves int
	most   []float64 // of the numbers below a node, with what was added to it
	added  []float64 // to all below a node
}

func newMaxima(n int) *maxima {
	leaves := 1
	for leaves < n {
		leaves *= 2
	}
	return &maxima{leaves, make([]float64, 2*leaves), make([]float64, 2*leaves)}
}

// add adds v to the numbers from one to another.
func (m *maxima) add(from, to int, v float64) { m.addBelow(1, 0, m.leaves-1, from, to, v) }

func (m *maxima) addBelow(node, low, high, from, to int, v float64) {
	if to < low || high < from {
		return
	}
	if from <= low && high <= to {
		m.most[node] += v
		m.added[node] += v
		return
	}
	middle := (low + high) / 2
	m.addBelow(2*node, low, middle, from, to, v)
	m.addBelow(2*node+1, middle+1, high, from, to, v)
	m.most[node] = max(m.most[2*node], m.most[2*node+1]) + m.added[node]
}

// max returns the largest of the first numbers up to one.
func (m *maxima) max(to int) float64 { return m.maxBelow(1, 0, m.leaves-1, to) }

func (m *maxima) maxBelow(node, low, high, to int) float64 {
	if high <= to {
		return m.most[node]
	}
	middle := (low + high) / 2
	most := m.maxBelow(2*node, low, middle, to)
	if to > middle {
		most = max(most, m.maxBelow(2*node+1, middle+1, high, to))
	}
	return most + m.added[node]
}

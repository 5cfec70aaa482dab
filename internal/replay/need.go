package replay

import (
	"math"
	"math/bits"
	"time"
)

// A need is the least limit that never denies a key, of those with a window of
// their own and a burst that is the quota, kept up to date arrival by arrival;
// and the least burst at a given quota.
//
// A bucket that holds q and is refilled q in a window w denies nothing just if
// for no two arrivals i ≤ j
//
//	j−i+1 > q + q·(t_j−t_i)/w,
//
// since a bucket is at its fullest before some i. So for the newest j the i
// counts for which q·t_i/w − i is the most. Seen as points (t, i) these are
// corners of the lower convex hull, further to the right for a higher q; and
// since q only grows, what is left of the corner for q can be forgotten. Mostly
// one corner is left: hulls has the others.
type need struct {
	since time.Duration // of the corner for quota
	first uint32        // its number, modulo 2³²
	next  uint32        // that of the next arrival
	hull  uint32        // where the other corners are in hulls, 0 if there are none
	quota uint32        // the least that is enough so far

	// At a given quota the corner is where the bucket was last full.
	full   time.Duration
	waited uint32 // arrivals since, that one included
	burst  uint32 // the least that is enough so far
}

// A corner is an arrival, by its time and its number.
type corner struct {
	at time.Duration
	n  uint32
}

// hulls has the corners of those needs that have more than one.
type hulls struct {
	all  [][]corner
	free []uint32
}

// most is the highest quota that a limit can have.
const most = math.MaxInt32

// arrive adds an arrival, which must not be before the one before, to the quota
// that is enough in window, and to the burst that is at the given quota.
func (h *hulls) arrive(n *need, at time.Duration, window time.Duration, quota int) {
	if n.quota == 0 { // the first
		n.since, n.quota, n.full, n.waited, n.burst = at, 1, at, 1, 1
		n.next = 1
		return
	}
	number := n.next
	n.next++
	h.add(n, corner{at, number})
	for h.forget(n, window); n.quota < most && short(number-n.first+1, n.quota, at-n.since, window); h.forget(n, window) {
		n.quota++
	}
	if above(n.waited, window, uint32(quota), at-n.full) {
		n.waited++
	} else {
		n.full, n.waited = at, 1
	}
	for n.burst < n.waited && shortOf(n.waited, n.burst, uint32(quota), at-n.full, window) {
		n.burst++
	}
}

// short tells whether a bucket of so much is short of a token for the last of
// so many arrivals within span.
func short(arrivals, quota uint32, span, window time.Duration) bool {
	return shortOf(arrivals, quota, quota, span, window)
}

// shortOf is short for a burst that is not the quota. As with the rest of weir,
// a token that is less than a nanosecond away is there.
func shortOf(arrivals, burst, quota uint32, span, window time.Duration) bool {
	if arrivals <= burst {
		return false
	}
	return !less(uint64(arrivals-burst), uint64(window), uint64(quota), uint64(span)+1)
}

// above tells whether so many tokens take longer than span to refill.
func above(tokens uint32, window time.Duration, quota uint32, span time.Duration) bool {
	return less(uint64(quota), uint64(span), uint64(tokens), uint64(window))
}

// less tells whether a·b < c·d.
func less(a, b, c, d uint64) bool {
	hi1, lo1 := bits.Mul64(a, b)
	hi2, lo2 := bits.Mul64(c, d)
	return hi1 < hi2 || hi1 == hi2 && lo1 < lo2
}

// add adds a corner on the right. The slope, which is arrivals by time, grows
// from each corner to the next.
func (h *hulls) add(n *need, c corner) {
	var list []corner
	if n.hull != 0 {
		list = h.all[n.hull-1]
	}
	last := corner{n.since, n.first}
	if len(list) > 0 {
		last = list[len(list)-1]
	}
	if last.at == c.at { // one that comes at the same time is never the corner
		return
	}
	for len(list) > 0 {
		before, last := corner{n.since, n.first}, list[len(list)-1]
		if len(list) > 1 {
			before = list[len(list)-2]
		}
		// Is the slope to the last one below that from it?
		if less(uint64(last.n-before.n), uint64(c.at-last.at), uint64(c.n-last.n), uint64(last.at-before.at)) {
			break
		}
		list = list[:len(list)-1]
	}
	if n.hull == 0 {
		if len(h.free) > 0 {
			n.hull = h.free[len(h.free)-1]
			h.free = h.free[:len(h.free)-1]
		} else {
			h.all = append(h.all, nil)
			n.hull = uint32(len(h.all))
		}
		list = h.all[n.hull-1][:0]
	}
	h.all[n.hull-1] = append(list, c)
}

// forget moves on to the corner for the quota.
func (h *hulls) forget(n *need, window time.Duration) {
	if n.hull == 0 {
		return
	}
	list, passed := h.all[n.hull-1], 0
	for passed < len(list) && !above(list[passed].n-n.first, window, n.quota, list[passed].at-n.since) {
		n.since, n.first = list[passed].at, list[passed].n
		passed++
	}
	if passed == 0 {
		return
	}
	list = list[:copy(list, list[passed:])]
	h.all[n.hull-1] = list
	if len(list) == 0 {
		h.release(n)
	}
}

// release gives the room of a need back.
func (h *hulls) release(n *need) {
	if n.hull == 0 {
		return
	}
	const much = 16 // corners: more are not kept for whoever comes next
	if list := h.all[n.hull-1]; cap(list) > much {
		h.all[n.hull-1] = nil
	} else {
		h.all[n.hull-1] = list[:0]
	}
	h.free = append(h.free, n.hull)
	n.hull = 0
}

// latest returns when the last arrival was.
func (h *hulls) latest(n *need) time.Duration {
	if n.hull == 0 {
		return n.since
	}
	list := h.all[n.hull-1]
	return list[len(list)-1].at
}

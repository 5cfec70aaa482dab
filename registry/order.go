package registry

import "github.com/hashicorp/golang-lru/v2/simplelru"

// An order says which key of a shard is to go when another comes. It orders the
// numbers of entries, and a key is found without it: to move one to the front of
// an LRU touches three entries, which costs more than the decision.
//
// Keys that have come once wait in a queue, newcomers, and those that have come
// again are regulars, in an LRU. A newcomer that gets to the end of the queue
// goes or, if it was used meanwhile, becomes a regular. So a flood of keys that
// come once passes through the queue and leaves the regulars where they are (as
// in S3-FIFO: Yang et al., SOSP 2023). A key that still owes something has been
// there before, and is a regular at once.
//
// simplelru and not lru.Cache, because that calls back on eviction only after
// it has unlocked: a miss in between would find the key neither here nor in the
// debt table, and get a full bucket.
type order struct {
	newcomers   int
	first, last uint32 // of the newcomers; the first is the next to go
	regulars    *simplelru.LRU[uint32, struct{}]
	arrivals    uint32 // of keys, modulo 2³²
}

// A turn is where an entry is in the order: for a newcomer the number of the
// entry behind it, for a regular how many keys had arrived when it was last
// moved to the front.
type turn uint32

const (
	fewNewcomers = 8 // an eighth of a shard is theirs in any case
	maxPromoted  = 8 // newcomers that become regulars in one eviction
	// maxAbsence is for how many arrivals a regular that does not come stays, as
	// a multiple of the shard.
	maxAbsence = 16
)

func (o *order) init(size int) (err error) {
	o.regulars, err = simplelru.NewLRU[uint32, struct{}](size, nil)
	return err
}

// arrive puts an entry in the order, in which it is not. It may be known to have
// been there before.
func (s *shard[K]) arrive(e *entry[K], slot uint32, known bool) {
	o := &s.order
	o.arrivals++
	if known {
		s.promote(e, slot)
		return
	}
	if o.newcomers == 0 {
		o.first = slot
	} else {
		s.entry(o.last).turn = turn(slot)
	}
	o.last = slot
	o.newcomers++
}

// promote makes an entry a regular.
func (s *shard[K]) promote(e *entry[K], slot uint32) {
	e.flags |= regular
	e.turn = turn(s.order.arrivals)
	s.order.regulars.Add(slot, struct{}{})
}

// use notes that an entry was used. A regular is moved to the front, unless it
// has been there since less than a quarter of the shard has arrived: it is then
// far from the end.
func (s *shard[K]) use(e *entry[K], slot uint32) {
	switch o := &s.order; {
	case !e.is(regular):
		e.flags |= again
	case o.arrivals-uint32(e.turn) >= uint32(s.size)/4:
		e.turn = turn(o.arrivals)
		o.regulars.Get(slot)
	}
}

// stale tells whether the regular that was used least lately has not been used
// for long. Without this, regulars of the past would leave newcomers an eighth
// of the shard for ever.
func (s *shard[K]) stale() bool {
	slot, _, _ := s.order.regulars.GetOldest()
	return s.order.arrivals-uint32(s.entry(slot).turn) > uint32(s.size)*maxAbsence
}

// leave takes the entry out of the order whose turn it is to go.
func (s *shard[K]) leave() uint32 {
	o := &s.order
	for range maxPromoted {
		if o.regulars.Len() > 0 && (o.newcomers <= s.size/fewNewcomers || s.stale()) {
			break
		}
		slot := o.first
		e := s.entry(slot)
		o.first = uint32(e.turn)
		o.newcomers--
		if !e.is(again) {
			return slot
		}
		s.promote(e, slot)
	}
	slot, _, _ := o.regulars.RemoveOldest()
	return slot
}

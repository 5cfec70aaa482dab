package registry

// An index finds the slot of a key by the key's hash: open addressing with
// linear probing. A place takes 8 bytes: half of the hash, by which it is found
// and moved without a look at the key, and the slot's number plus 1. A map of
// Go's would have the key in it once more and cost twice the time.
type index struct {
	places []uint64 // a power of two, at most three quarters taken
	taken  int
}

const firstPlaces = 8

// tag returns the half of a hash that an index goes by. The other chooses the
// shard.
func tag(hash uint64) uint32 { return uint32(hash >> 32) }

// start returns the place at which the search for a hash starts.
func (x *index) start(hash uint64) uint32 { return tag(hash) & x.mask() }

func (x *index) mask() uint32 { return uint32(len(x.places) - 1) }

// at returns what is at a place, if it may be that of the hash. It is not if
// there is no more to come.
func (x *index) at(place uint32, hash uint64) (slot uint32, maybe, more bool) {
	p := x.places[place]
	return uint32(p) - 1, uint32(p>>32) == tag(hash) && p != 0, p != 0
}

// add notes the slot of a hash. It is not there yet.
func (x *index) add(hash uint64, slot uint32) {
	if 4*(x.taken+1) > 3*len(x.places) {
		old := x.places
		x.places = make([]uint64, max(2*len(old), firstPlaces))
		for _, p := range old {
			if p != 0 {
				x.put(p)
			}
		}
	}
	x.put(uint64(tag(hash))<<32 | uint64(slot+1))
	x.taken++
}

func (x *index) put(p uint64) {
	i := uint32(p>>32) & x.mask()
	for x.places[i] != 0 {
		i = (i + 1) & x.mask()
	}
	x.places[i] = p
}

// remove forgets the slot of a hash, which is there. A key that is not equal to
// itself has another hash each time, so that its slot has to be searched for.
func (x *index) remove(hash uint64, slot uint32) {
	gap := x.start(hash)
	for x.places[gap] != 0 && uint32(x.places[gap]) != slot+1 {
		gap = (gap + 1) & x.mask()
	}
	for uint32(x.places[gap]) != slot+1 {
		gap = (gap + 1) & x.mask()
	}
	// What comes behind is moved up, but not past the place at which the search
	// for it starts.
	for i := gap; ; {
		i = (i + 1) & x.mask()
		p := x.places[i]
		if p == 0 {
			break
		}
		if start := uint32(p>>32) & x.mask(); (i-start)&x.mask() >= (i-gap)&x.mask() {
			x.places[gap], gap = p, i
		}
	}
	x.places[gap] = 0
	x.taken--
}

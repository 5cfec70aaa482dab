package registry

import (
	"testing"

	"pgregory.net/rapid"
)

// An index is a map from hashes to slots, in which several may share a hash,
// also where many would have the same place and it has grown.
func TestIndexIsAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := index{places: make([]uint64, firstPlaces)}
		model := map[uint32]uint64{} // slot to hash
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			slot := rapid.Uint32Range(0, 63).Draw(t, "slot")
			if hash, ok := model[slot]; ok {
				x.remove(hash, slot)
				delete(model, slot)
			} else {
				// Few tags, close to each other and round the end.
				hash := uint64(rapid.Uint32Range(0xfffffff8, 0xffffffff).Draw(t, "tag")+rapid.Uint32Range(0, 12).Draw(t, "more")) << 32
				x.add(hash, slot)
				model[slot] = hash
			}
			if x.taken != len(model) || 4*x.taken > 3*len(x.places) {
				t.Fatalf("%d of %d places taken by %d", x.taken, len(x.places), len(model))
			}
			for slot, hash := range model {
				if !x.holds(hash, slot) {
					t.Fatalf("slot %d of %x is not found in %x", slot, hash, x.places)
				}
			}
		}
		left := 0
		for _, p := range x.places {
			if p != 0 {
				left++
			}
		}
		if left != len(model) {
			t.Fatalf("%d places are taken, by %d", left, len(model))
		}
	})
}

func (x *index) holds(hash uint64, slot uint32) bool {
	for i := x.start(hash); ; i = (i + 1) & x.mask() {
		got, maybe, more := x.at(i, hash)
		if maybe && got == slot {
			return true
		}
		if !more {
			return false
		}
	}
}

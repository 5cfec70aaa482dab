package persist

import (
	"testing"

	"pgregory.net/rapid"
)

func TestHashSet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		// Few numbers, so that many are the same, and full ones.
		hashes := rapid.SliceOf(rapid.OneOf(rapid.Uint64Range(0, 20), rapid.Uint64())).Draw(t, "hashes")
		set := newHashSet(len(hashes))
		model := map[uint64]bool{}
		for _, h := range hashes {
			if got := set.add(h); got == model[h] {
				t.Fatalf("add(%d) = %v: want %v", h, got, !model[h])
			}
			model[h] = true
		}
	})
}

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

// What comes up again is never taken for what comes up once, and little the
// other way round; the set for it has the room that it needs.
func TestSieve(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 7, 1000, 100_000} {
		sieve := newSieve(n)
		for i := range n {
			sieve.mark(uint64(i) * mixer)
			if i%10 == 0 {
				sieve.mark(uint64(i) * mixer)
			}
		}
		may := 0
		for i := range n {
			repeats := sieve.mayRepeat(uint64(i) * mixer)
			if i%10 == 0 && !repeats {
				t.Fatalf("%d of %d came up twice, and is taken for one that did not", i, n)
			}
			if repeats {
				may++
			}
		}
		if may > 2*sieve.again {
			t.Errorf("%d of %d may repeat, and %d have: no room for them", may, n, sieve.again)
		}
		if may > n/2+1 {
			t.Errorf("%d of %d may repeat, want about a quarter", may, n)
		}
	}
}

package registry_test

import (
	"testing"
	"testing/synctest"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/registry"
)

func TestKeysAreThoseInMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 1000
		r := mustNew(t, registry.Config[int]{Limit: bucket.PerHour(10), Size: size})
		for range r.Keys() {
			t.Error("an empty registry has a key")
		}
		for key := range 2 * size {
			r.Take(key, 1+key%10)
		}
		before := r.Stats()
		seen := map[int]bool{}
		for key, d := range r.Keys() {
			if seen[key] {
				t.Errorf("key %d twice", key)
			}
			seen[key] = true
			if want := r.Peek(key, 1); d != want || d.Remaining != 9-key%10 {
				t.Errorf("key %d: %+v, want %+v", key, d, want)
			}
			r.Allow(key) // nothing is locked meanwhile
		}
		if len(seen) != before.Keys || before.Keys < size*8/10 {
			t.Errorf("%d keys yielded, %d are in memory", len(seen), before.Keys)
		}
		if after := r.Stats(); after.Evicted != before.Evicted || after.Keys != before.Keys {
			t.Errorf("looking changed what is in memory: %+v, before %+v", after, before)
		}
		n := 0
		for range r.Keys() {
			if n++; n == 3 {
				break
			}
		}
		if n != 3 {
			t.Errorf("broken off after 3 keys: %d", n)
		}
	})
}

package registry

import (
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
)

// What is to be saved of keys that come and go between two snapshots takes no
// more room than the keys that there are.
func TestListOfChangesIsBounded(t *testing.T) {
	t.Parallel()
	const size = 64
	r, err := New(Config[int]{Limit: bucket.PerDay(10), Size: size, Hash: func(key int) uint64 { return uint64(key) << 20 }})
	if err != nil {
		t.Fatal(err)
	}
	for key := range 100 * size {
		r.Take(key, 1)
	}
	for i := range r.shards {
		if s := &r.shards[i]; len(s.changed) > s.size {
			t.Errorf("shard %d: %d changes are listed of %d keys", i, len(s.changed), s.size)
		}
	}
}

// There are a few shards for those who decide at once, and as many as keep each
// small enough to be grown under its lock.
func TestShardCount(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]int{1: 1, 64: 1, 127: 1, 128: 2, 1 << 10: 16, 1 << 16: 32, 1 << 20: 32, 1 << 22: 32, 1 << 23: 64, 1 << 26: 512} {
		if got := shardCount(size); got != want {
			t.Errorf("%d shards for %d keys, want %d", got, size, want)
		}
	}
}

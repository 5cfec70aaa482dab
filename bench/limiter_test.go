package bench

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/persist"
)

const policyName = "ip"

// slow is a limit under which one token is a debt of 8.8 hours: nothing that is
// spent is over before a benchmark is.
var slow = bucket.Limit{Quota: 1000, Window: 366 * 24 * time.Hour}

// A kept is a limiter with one policy and a file. Nothing is written but when
// the benchmark says so.
type kept struct {
	*weir.Limiter
	path string
	keys int // of key(0) and so on
}

// openKept opens the limiter of a file, with room for so many keys.
func openKept(tb testing.TB, path string, keys int, limit bucket.Limit) *kept {
	tb.Helper()
	l, err := weir.New(weir.Config{
		Path:     path,
		Interval: 24 * time.Hour,
		Policies: []weir.Policy{{Name: policyName, Limit: limit, Size: roomFor(keys)}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return &kept{Limiter: l, path: path, keys: keys}
}

// newKept returns a limiter with so many keys in memory, all of which have
// taken one token and none of which is in the file yet.
func newKept(tb testing.TB, keys int, limit bucket.Limit) *kept {
	tb.Helper()
	k := openKept(tb, filepath.Join(tb.TempDir(), "state"), keys, limit)
	tb.Cleanup(func() {
		if err := k.Close(); err != nil {
			tb.Error(err)
		}
	})
	k.touch(tb, 0, keys)
	if st := k.Stats().Policies[0]; st.Keys != keys || st.Evicted > 0 {
		tb.Fatalf("%d keys in memory, %d evicted: want %d, none", st.Keys, st.Evicted, keys)
	}
	return k
}

// touch takes a token from n different keys, the from-th and those that are
// scattered behind it.
func (k *kept) touch(tb testing.TB, from, n int) {
	tb.Helper()
	for i := range n {
		if !k.Allow(key(scattered(from+i, k.keys))) {
			tb.Fatalf("key %d is denied", scattered(from+i, k.keys))
		}
	}
}

// save takes a snapshot and returns how long it took and how much it wrote.
func (k *kept) save(tb testing.TB) (took time.Duration, written int64) {
	tb.Helper()
	before := k.Stats()
	start := time.Now()
	err := k.Sync()
	took = time.Since(start)
	after := k.Stats()
	if err != nil || after.Saves != before.Saves+1 {
		tb.Fatalf("snapshot %d after %d: %v", after.Saves, before.Saves, err)
	}
	return took, after.Written - before.Written
}

// makeFullDue makes the next snapshot a full one. It is one after an error, so
// the file is away for a snapshot, which looks for it before it does anything.
func (k *kept) makeFullDue(tb testing.TB) {
	tb.Helper()
	away := k.path + ".away"
	if err := os.Rename(k.path, away); err != nil {
		tb.Fatal(err)
	}
	if err := k.Sync(); err == nil {
		tb.Fatal("a snapshot to a file that is away succeeded")
	}
	if err := os.Rename(away, k.path); err != nil {
		tb.Fatal(err)
	}
}

// check fails unless the file holds the debt of every key.
func (k *kept) check(tb testing.TB) {
	tb.Helper()
	file, err := persist.Read(k.path, persist.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	if p := file.Info().Policies; len(p) != 1 || p[0].Name != policyName || p[0].Live != k.keys {
		tb.Fatalf("the file holds %+v: want %d live debts of %q", p, k.keys, policyName)
	}
}

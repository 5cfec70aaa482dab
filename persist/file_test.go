package persist

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// A fakeClock stands for the clocks of a machine. It starts as one that was
// booted an hour ago and has a boot id.
type fakeClock struct {
	reading
}

func newClock() *fakeClock {
	return &fakeClock{reading{
		mono:   time.Now(),
		wall:   int64(20_000 * 24 * time.Hour),
		boot:   int64(time.Hour),
		bootID: [16]byte{1},
		synced: true,
	}}
}

func (c *fakeClock) read() reading { return c.reading }

// pass lets time pass on all clocks.
func (c *fakeClock) pass(d time.Duration) {
	c.mono = c.mono.Add(d)
	c.wall += int64(d)
	c.boot += int64(d)
}

var daily = bucket.PerDay(1000)

// A debts is what is owed, by hash.
type debts map[uint64]time.Duration

// section makes a section of d under a name, in the order of the hashes.
func section(name string, l bucket.Limit, d debts) Section {
	return Section{Policy: name, Limit: l, Records: d.all()}
}

func (d debts) all() iter.Seq2[uint64, time.Duration] {
	keys := slices.SortedFunc(maps.Keys(d), cmp.Compare)
	return func(yield func(uint64, time.Duration) bool) {
		for _, k := range keys {
			if !yield(k, d[k]) {
				return
			}
		}
	}
}

// many returns n debts of about d.
func many(n int, d time.Duration) debts {
	m := make(debts, n)
	for i := range n {
		m[uint64(i+1)*0x9e3779b97f4a7c15] = d + time.Duration(i)
	}
	return m
}

func mustOpen(t *testing.T, path string, cfg Config, c *fakeClock) *File {
	t.Helper()
	f, err := open(path, cfg, c.read)
	if err != nil {
		t.Fatalf("Open(%s): %v", path, err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func mustSave(t *testing.T, f *File, s Snapshot) Saved {
	t.Helper()
	saved, err := f.Save(s)
	if err != nil {
		t.Fatalf("Save: %v", err)
	}
	return saved
}

func mustClose(t *testing.T, f *File) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

// loadAll loads every policy.
func loadAll(f *File) (map[string]debts, Restored) {
	got := map[string]debts{}
	res := f.Load(
		func(policy string, _ bucket.Limit) bool { got[policy] = debts{}; return true },
		func(policy string, hash uint64, debt time.Duration) { got[policy][hash] = debt },
	)
	return got, res
}

// reopened closes f and returns what a next run loads, d later.
func reopened(t *testing.T, f *File, c *fakeClock, d time.Duration) (map[string]debts, Restored) {
	t.Helper()
	mustClose(t, f)
	c.pass(d)
	next := mustOpen(t, f.path, f.cfg, c)
	got, res := loadAll(next)
	mustClose(t, next)
	return got, res
}

// same fails unless each debt is the one wanted or at most slack more.
func same(t *testing.T, got, want debts, slack time.Duration) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d records came back: want %d", len(got), len(want))
	}
	for hash, w := range want {
		if g, ok := got[hash]; !ok || g < w || g > w+slack {
			t.Fatalf("debt of %x is %v (found: %v): want %v and at most %v more", hash, g, ok, w, slack)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	hundredYears := bucket.Limit{Quota: 1, Window: 365 * 24 * time.Hour, Burst: 100}
	tests := []struct {
		why   string
		limit bucket.Limit
		debts debts
		slack time.Duration
	}{
		{"a single bucket", daily, debts{7: time.Hour}, time.Microsecond},
		{"hashes at both ends", daily, debts{0: time.Hour, 1<<64 - 1: time.Minute}, time.Microsecond},
		{"debts of up to four seconds are exact", bucket.PerSecond(10), debts{1: 1, 2: 999_999_999, 3: time.Second}, 0},
		{"more than one chunk", daily, many(3*maxChunkRecords+1, time.Hour), time.Microsecond},
		{"more than one segment", daily, many(maxSegmentChunks*maxChunkRecords+1, time.Hour), time.Microsecond},
		{"the longest there is", hundredYears, debts{1: maxDebt, 2: time.Second}, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{}, c)
			saved := mustSave(t, f, Snapshot{Sections: []Section{section("a", tt.limit, tt.debts)}})
			if saved.Records != len(tt.debts) || saved.Bytes < int64(12*len(tt.debts)) {
				t.Errorf("Saved = %+v: want %d records in at least 12 bytes each", saved, len(tt.debts))
			}
			got, res := reopened(t, f, c, 0)
			same(t, got["a"], tt.debts, tt.slack)
			if res.Records != len(tt.debts) || res.Policies != 1 || res.New || res.Clean || res.MovedTo != "" {
				t.Errorf("Restored = %+v", res)
			}
		})
	}
}

// hashOf is a keyed hash as an owner might make it.
func hashOf(secret []byte, key string) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(key))
	return mac.Sum(nil)
}

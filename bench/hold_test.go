package bench

import (
	"hash/maphash"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/registry"
)

// A walk of a registry for a snapshot holds a lock while it gathers some
// records, and yields them without it. What it yields comes tens of nanoseconds
// apart, then, but for the first after a hold.
const shortestHold = time.Microsecond

// mostAtOnce is how many records a registry gathers in one hold at most: those
// of a stripe of its debt table.
const mostAtOnce = 512

// holds runs a walk and returns the times for which it yielded nothing, of a
// microsecond or more, with those before the first record and after the last.
// In each it held a lock at most as long, or one after another; or it was
// interrupted, which can not be told from a hold: they are upper bounds. It
// also returns the number of records. The holds are in room if it is enough,
// so that nothing is allocated meanwhile.
func holds(room []time.Duration, walk iter.Seq2[uint64, time.Duration]) (gaps []time.Duration, records int) {
	gaps = room[:0]
	base := time.Now()
	var last time.Duration
	note := func() {
		now := time.Since(base)
		if gap := now - last; gap >= shortestHold {
			gaps = append(gaps, gap)
			// What it took to note this is not of the next gap.
			now = time.Since(base)
		}
		last = now
	}
	for range walk {
		note()
		records++
	}
	note()
	return gaps, records
}

// BenchmarkLongestHold walks a registry as a snapshot does and reports for how
// long it holds a lock at most: the longest and the 999th of 1000 holds of a
// walk, the median of all walks, and the longest hold of any walk.
func BenchmarkLongestHold(b *testing.B) {
	keys := manyKeys()
	for _, row := range []struct {
		name    string
		size    int // keys in memory; the others are in the debt table
		debts   int // that it has room for
		changed int // of them between two walks
		all     bool
	}{
		{"in memory, all", roomFor(keys), mostAtOnce, 0, true},
		{"in memory, all changed", roomFor(keys), mostAtOnce, keys, false},
		{"in memory, one in 100 changed", roomFor(keys), mostAtOnce, keys / 100, false},
		{"debt table, all", keys / 100, 4 * keys, 0, true},
		{"debt table, all changed", keys / 100, 4 * keys, keys, false},
	} {
		b.Run(row.name, func(b *testing.B) {
			r := newRegistry(b, row.size, row.debts, slow)
			var from int
			touch := func(n int) {
				for i := range n {
					if !r.Allow(key(scattered(from+i, keys))) {
						b.Fatal("a key is denied")
					}
				}
				from += n
			}
			touch(keys)
			walk := r.Changed
			if row.all {
				walk = r.All
			}
			drain(r)
			var most, p999 series
			room := make([]time.Duration, 0, keys)
			for b.Loop() {
				b.StopTimer()
				touch(row.changed)
				b.StartTimer()
				_, records := walk(time.Now(), 0)
				gaps, n := holds(room, records)
				b.StopTimer()
				if want := expected(row.all, row.changed, keys); n < want-want/1000 || n > want || len(gaps) < n/mostAtOnce {
					b.Fatalf("%d records in %d gaps: want %d (or a few less, dropped from the debt table) and a gap before each %d at least", n, len(gaps), want, mostAtOnce)
				}
				slices.Sort(gaps)
				most = append(most, microseconds(gaps[len(gaps)-1]))
				p999 = append(p999, microseconds(gaps[rank(0.999, uint64(len(gaps)))-1]))
				b.StartTimer()
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(most.median(), "max-µs")
			b.ReportMetric(p999.median(), "p99.9-µs")
			b.ReportMetric(slices.Max(most), "max-of-all-µs")
		})
	}
}

func expected(all bool, changed, keys int) int {
	if all {
		return keys
	}
	return changed
}

// newRegistry returns an empty registry that is saved.
func newRegistry(tb testing.TB, size, debts int, limit bucket.Limit) *registry.Registry[string] {
	tb.Helper()
	seed := maphash.MakeSeed()
	r, err := registry.New(registry.Config[string]{
		Limit: limit,
		Size:  size,
		Debts: debts,
		Hash:  func(key string) uint64 { return maphash.String(seed, key) },
	})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// drain lets nothing be marked as changed.
func drain(r *registry.Registry[string]) {
	_, records := r.Changed(time.Now(), 0)
	for range records {
	}
}

// What is noted is what went by while nothing was yielded, each time, and
// nothing else: here each hold is known.
func TestHoldsAreMeasured(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why   string
		hold  []time.Duration // before each batch
		batch int
		want  []time.Duration
	}{
		{"holds before each batch, and after the last", []time.Duration{3000, 70_000, 5000, 2_000_000}, 128, []time.Duration{3000, 70_000, 5000, 2_000_000}},
		{"a hold in which nothing was gathered", []time.Duration{40_000}, 0, []time.Duration{40_000}},
		{"a pause of less than a microsecond is none", []time.Duration{999, 1000, 999, 999}, 128, []time.Duration{1000}},
		{"nothing", []time.Duration{0}, 0, nil},
	} {
		t.Run(row.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, n := holds(nil, func(yield func(uint64, time.Duration) bool) {
					for i, hold := range row.hold {
						time.Sleep(hold)
						for range row.batch {
							if i+1 < len(row.hold) && !yield(1, 1) {
								return
							}
						}
					}
				})
				if want := row.batch * (len(row.hold) - 1); !slices.Equal(got, row.want) || n != want {
					t.Errorf("%v, %d records: want %v, %d", got, n, row.want, want)
				}
			})
		})
	}
}

// The registry does gather in batches, of no more than is assumed, under a lock
// that it lets go of: what all keys are made to owe while one batch is yielded
// is in the records of the next, and not of this one.
func TestWalksHoldForBatches(t *testing.T) {
	t.Parallel()
	const keys = 3000
	token := slow.Window / time.Duration(slow.Quota)
	for _, row := range []struct {
		why string
		owe func(r *registry.Registry[string], tokens int) // each key, one more than before
	}{
		{"in memory", func(r *registry.Registry[string], _ int) {
			for i := range keys {
				r.Take(key(i), 1)
			}
		}},
		{"debt table", func(r *registry.Registry[string], tokens int) {
			r.Restore(func(yield func(uint64, time.Duration) bool) {
				for i := range keys {
					yield(uint64(i+1)*0x9e3779b97f4a7c15, time.Duration(tokens)*token)
				}
			})
		}},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			r := newRegistry(t, roomFor(keys), 4*roomFor(keys), slow)
			owed, n := 1, 0
			row.owe(r, owed)
			var sizes []int
			_, records := r.All(time.Now(), 0)
			for _, debt := range records {
				n++
				if has := int((debt + token/2) / token); has == owed {
					// The first of a batch: it was gathered after all came to owe this.
					sizes = append(sizes, 0)
					owed++
					row.owe(r, owed)
				} else if has != owed-1 {
					t.Fatalf("record %d owes %d tokens: want %d or, first of a batch, %d", n, has, owed-1, owed)
				}
				sizes[len(sizes)-1]++
			}
			if n != keys || slices.Max(sizes) > mostAtOnce {
				t.Errorf("%d records in batches of %v: want %d, at most %d in each", n, sizes, keys, mostAtOnce)
			}
		})
	}
}

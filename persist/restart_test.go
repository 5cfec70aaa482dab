package persist

import (
	"hash/maphash"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/registry"
)

// slotUnit is what the debt table of a registry, in which restored buckets wait
// for their keys, rounds a debt up to.
const slotUnit = 1024 * time.Nanosecond

// A limiter that is stopped and restarted at random instants, with time passing
// in between, decides like one that was never stopped: like a bucket.Bucket for
// each key, that is. What may differ is what a debt is rounded up by, with each
// restart: never down.
func TestRestartIsInvisible(t *testing.T) {
	t.Parallel()
	decisions, restarts := 250_000, 200 // at least, each of the four
	if testing.Short() {
		decisions, restarts = 10_000, 20
	}
	tests := []struct {
		why   string
		limit bucket.Limit
		size  int // of the registry
	}{
		{"a limit that refills in a second", bucket.PerSecond(50), 100},
		{"one that takes a minute", bucket.Limit{Quota: 60, Window: time.Minute, Burst: 17}, 100},
		{"one that gives a token in a minute and a half", bucket.Limit{Quota: 1000, Window: 24 * time.Hour, Burst: 12}, 100},
		{"with fewer keys in memory than there are", bucket.Limit{Quota: 100, Window: time.Hour, Burst: 10}, 8},
	}
	for i, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				d := &differential{
					limit: tt.limit, path: filepath.Join(dir, "state"), evicts: tt.size < keyCount,
					rand: rand.New(rand.NewPCG(11, uint64(i))), start: time.Now(), boots: 1, hash: maphash.MakeSeed(),
				}
				for range keyCount {
					b, err := bucket.New(tt.limit)
					if err != nil {
						t.Fatal(err)
					}
					d.never = append(d.never, b)
				}
				runs := 0
				for runs < restarts || d.allowed+d.denied < decisions {
					d.run(t, tt.size, decisions/restarts)
					runs++
				}
				if d.allowed < decisions/20 || d.denied < decisions/20 {
					t.Errorf("%d allowed, %d denied: want some of each", d.allowed, d.denied)
				}
				if d.unlike > decisions/500 {
					t.Errorf("%d decisions were unlike, at the border of a token: want next to none", d.unlike)
				}
				t.Logf("%d decisions, %d restarts, %v: %d allowed, %d denied, %d late by the rounding; the largest difference was %v",
					d.allowed+d.denied, runs, time.Since(d.start).Round(time.Second), d.allowed, d.denied, d.unlike, d.largest)
			})
		})
	}
}

const keyCount = 30

// A differential compares two limiters over many runs of one of them.
type differential struct {
	limit  bucket.Limit
	path   string
	evicts bool
	rand   *rand.Rand
	hash   maphash.Seed

	start  time.Time
	booted time.Duration // after start
	boots  byte

	never []*bucket.Bucket        // the one that is never stopped, by key
	slack [keyCount]time.Duration // that the other may owe more
	after [keyCount]time.Duration // until it admits, as it said last

	allowed, denied, unlike int
	largest                 time.Duration
}

// clocks are right and synchronised.
func (d *differential) clocks() reading {
	now := time.Now()
	run := now.Sub(d.start)
	return reading{
		mono: now, wall: int64(20_000*24*time.Hour + run),
		boot: int64(time.Hour + run - d.booted), bootID: [16]byte{d.boots}, synced: true,
	}
}

// run is one run of the limiter, from its start to what comes after its end.
func (d *differential) run(t *testing.T, size, decisions int) {
	f, err := open(d.path, Config{}, d.clocks)
	if err != nil {
		t.Fatal(err)
	}
	f.db.NoSync = true // nothing crashes here
	r, err := registry.New(registry.Config[int]{
		Limit: d.limit, Size: size, Debts: 1 << 12,
		Hash: func(key int) uint64 { return maphash.Comparable(d.hash, key) },
	})
	if err != nil {
		t.Fatal(err)
	}
	var res Restored
	r.Restore(func(yield func(uint64, time.Duration) bool) {
		res = f.Load(func(string, bucket.Limit) bool { return true },
			func(_ string, hash uint64, debt time.Duration) { yield(hash, debt) })
	})
	if res.MovedTo != "" || res.Skipped > 0 {
		t.Fatalf("Restored = %+v", res)
	}
	rounding := slotUnit + d.limit.Refill()>>32 + 2
	for key := range d.slack {
		d.slack[key] += rounding
	}
	full := false
	save := func(final bool) {
		now := time.Now()
		records := r.Changed
		if full || final && d.rand.IntN(2) == 0 {
			full, records = true, r.All
		}
		limit, seq := records(now, 0)
		saved := mustSave(t, f, Snapshot{At: now, Full: full, Final: final, Live: keyCount,
			Sections: []Section{{Policy: "a", Limit: limit, Records: seq}}})
		full = saved.CheckpointDue
	}
	left := 1 + d.rand.IntN(2*decisions)
	for left > 0 {
		for range min(left, 1+d.rand.IntN(decisions)) {
			left--
			d.decide(t, r)
		}
		save(false)
	}
	save(true)
	mustClose(t, f)
	// The machine is off, or only this process; for long, or hardly.
	time.Sleep(time.Duration(d.rand.Int64N(int64(d.limit.Refill()) >> d.rand.IntN(20))))
	if d.rand.IntN(3) == 0 {
		d.boots++
		d.booted = time.Since(d.start)
	}
}

// decide asks both about one request.
func (d *differential) decide(t *testing.T, r *registry.Registry[int]) {
	token := d.limit.Window / time.Duration(d.limit.Quota)
	key := d.rand.IntN(keyCount)
	switch d.rand.IntN(8) {
	case 0: // at the same instant as the one before
	case 1: // when it was told to come back, if nobody came meanwhile
		time.Sleep(min(d.after[key], d.limit.Refill()/keyCount))
	default:
		time.Sleep(time.Duration(d.rand.Int64N(int64(token) * 2 / keyCount)))
	}
	n := 1 + d.rand.IntN(2)
	now := time.Now()
	got, want := r.Take(key, n), d.never[key].Take(now, n)
	d.after[key] = want.RetryAfter
	if d.evicts {
		d.slack[key] += slotUnit + 2 // each time that it leaves the memory
	}
	const bit = 2 * time.Nanosecond // a limiter gives a token that is a nanosecond away
	switch {
	case got.Allowed == want.Allowed:
	case want.Allowed && got.RetryAfter <= d.slack[key]:
		d.never[key].Refund(now, n)
		want = d.never[key].Peek(now, n)
		d.unlike++
	case got.Allowed && want.RetryAfter <= bit:
		r.Refund(key, n)
		got = r.Peek(key, n)
		d.unlike++
	default:
		t.Fatalf("key %d: %+v: the limiter that was never stopped says %+v, with at most %v of rounding between them", key, got, want, d.slack[key])
	}
	more := got.ResetAfter - want.ResetAfter
	if more < -bit || more > d.slack[key] {
		t.Fatalf("key %d: owes %v: the limiter that was never stopped says %v, with at most %v of rounding between them", key, got.ResetAfter, want.ResetAfter, d.slack[key])
	}
	d.slack[key] = max(more, 0) + bit
	d.largest = max(d.largest, more)
	if got.Allowed {
		d.allowed++
	} else {
		d.denied++
	}
	if got.Limit != want.Limit {
		t.Fatalf("limits are %v and %v", got.Limit, want.Limit)
	}
}

package registry_test

import (
	"iter"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/registry"
)

// identity makes a key its own hash, well spread.
func identity(key int) uint64 { return uint64(key) * 0x9e3779b97f4a7c15 }

// records is a walk without its limit.
func records(walk func(time.Time, time.Duration) (bucket.Limit, iter.Seq2[uint64, time.Duration])) func(time.Time, time.Duration) iter.Seq2[uint64, time.Duration] {
	return func(at time.Time, least time.Duration) iter.Seq2[uint64, time.Duration] {
		_, seq := walk(at, least)
		return seq
	}
}

// collect is what a file does: the later record holds, and 0 is none.
func collect(into map[uint64]time.Duration, seq iter.Seq2[uint64, time.Duration]) map[uint64]time.Duration {
	for hash, debt := range seq {
		if into[hash] = debt; debt == 0 {
			delete(into, hash)
		}
	}
	return into
}

func TestChangedYieldsWhatChanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, registry.Config[int]{Limit: bucket.PerMinute(60), Hash: identity, Size: 2})
		changed := func(least time.Duration) map[uint64]time.Duration {
			return maps.Collect(records(r.Changed)(time.Now(), least))
		}
		expect := func(why string, got map[uint64]time.Duration, want map[int]time.Duration) {
			t.Helper()
			if len(got) != len(want) {
				t.Errorf("%s: %v, want %v", why, got, want)
			}
			for key, debt := range want {
				if d, ok := got[identity(key)]; !ok || d-debt < 0 || d-debt > 4*time.Microsecond {
					t.Errorf("%s: key %d owes %v (%v), want %v", why, key, d, ok, debt)
				}
			}
		}
		expect("nothing yet", changed(0), nil)
		r.Take(1, 10)
		r.Take(2, 20)
		r.Take(3, 30) // evicts 1
		r.Peek(4, 5)
		r.Take(5, 61) // denied; evicts 2
		expect("taken, evicted or not", changed(0), map[int]time.Duration{1: 10 * time.Second, 2: 20 * time.Second, 3: 30 * time.Second})
		expect("nothing since", changed(0), nil)
		r.Take(1, 5)
		expect("one that came back", changed(0), map[int]time.Duration{1: 15 * time.Second})
		r.Take(1, 1)
		r.Take(2, 10)
		time.Sleep(10 * time.Second)
		expect("with what is over soon left out", changed(10*time.Second), map[int]time.Duration{2: 20 * time.Second})
		r.Refund(2, 10)
		expect("but not after a refund", changed(time.Minute), map[int]time.Duration{2: 10 * time.Second})
		r.Reset(3)
		r.Allow(6)
		r.Take(6, 0) // came again, so that it is not the next to go
		r.Allow(7)   // evicts 3, which is full, and yet the file says otherwise
		expect("nor after a reset", changed(time.Minute), map[int]time.Duration{3: 0})
		expect("nothing since", changed(0), map[int]time.Duration{})
		at := time.Now()
		time.Sleep(time.Second)
		expect("all, seen from a second ago", maps.Collect(records(r.All)(at, 0)), map[int]time.Duration{1: 6 * time.Second, 2: 10 * time.Second, 6: time.Second, 7: time.Second})
		expect("all is not changed", changed(0), nil)
	})
}

func TestUnsavedRegistryKeepsNoMarks(t *testing.T) {
	t.Parallel()
	r := mustNew(t, registry.Config[int]{Limit: bucket.PerHour(60)})
	r.Allow(1)
	for range records(r.Changed)(time.Now(), 0) {
		t.Error("a registry without Hash yields changes")
	}
}

func TestRestoreReplaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, registry.Config[int]{Limit: bucket.PerMinute(60), Hash: identity})
		for _, rec := range []struct {
			key  int
			debt time.Duration
		}{{1, 10 * time.Second}, {2, 10 * time.Second}, {3, 10 * time.Second}, {2, 20 * time.Second}, {3, 0}, {4, -5}, {5, time.Hour}} {
			restore(r, identity(rec.key), rec.debt)
		}
		for key, want := range map[int]int{1: 50, 2: 40, 3: 60, 4: 60, 5: 0} {
			if d := r.Peek(key, 1); d.Remaining != want {
				t.Errorf("key %d: %+v, want %d remaining", key, d, want)
			}
		}
		if st := r.Stats(); st.Debts != 3 || st.DebtsRecalled != 0 || st.DebtsKept != 0 {
			t.Errorf("stats: %+v", st)
		}
	})
}

// Invariant 8: a registry that is saved and started anew at random instants,
// with time passing in between, decides as one that never stopped.
func TestRestartIsInvisible(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		restarts, decisions := 0, 0
		for seed := range 60 {
			rnd := newDice(seed)
			limit := bucket.Limit{Quota: rnd.between(1, 9), Window: time.Second, Burst: rnd.between(1, 9)}
			cfg := registry.Config[int]{Limit: limit, Hash: identity, Size: rnd.between(1, 30), Debts: 1 << 12}
			stopped, never := mustNew(t, cfg), mustNew(t, registry.Config[int]{Limit: limit})
			file := map[uint64]time.Time{} // when each is full again
			save := func(seq iter.Seq2[uint64, time.Duration], at time.Time) {
				for hash, debt := range seq {
					file[hash] = at.Add(debt)
				}
			}
			for step := range 2000 {
				time.Sleep(time.Duration(rnd.between(0, 60))*time.Millisecond + 1234567)
				switch at := time.Now(); rnd.between(0, 49) {
				case 0:
					save(records(stopped.Changed)(at, 0), at)
				case 1:
					clear(file)
					save(records(stopped.All)(at, 0), at)
				case 2:
					save(records(stopped.Changed)(at, 0), at)
					time.Sleep(time.Duration(rnd.between(0, 300)) * time.Millisecond)
					stopped = mustNew(t, cfg)
					for hash, full := range file {
						restore(stopped, hash, time.Until(full))
					}
					restarts++
				}
				key, n := rnd.between(0, 20), rnd.between(1, limit.Burst)
				if rnd.between(0, 20) == 0 {
					stopped.Refund(key, n)
					never.Refund(key, n)
				}
				got, want := stopped.Take(key, n), never.Take(key, n)
				decisions++
				if got.Allowed != want.Allowed {
					t.Fatalf("seed %d, step %d: Take(%d, %d) = %+v, want %+v", seed, step, key, n, got, want)
				}
			}
		}
		t.Logf("%d decisions, %d restarts", decisions, restarts)
	})
}

// What moves between memory and debt table while a snapshot walks is not
// missed: the file is never behind what was admitted before the snapshot.
func TestSnapshotMissesNothingUnderLoad(t *testing.T) {
	t.Parallel()
	const keys, rounds = 400, 30
	limit := bucket.Limit{Quota: 1, Window: day, Burst: 30000}
	r := mustNew(t, registry.Config[int]{Limit: limit, Hash: identity, Size: 100, Debts: 1 << 14})
	file := map[uint64]time.Duration{}
	for round := range rounds {
		// What each key owes at the least, before the walk begins.
		owed := map[int]time.Duration{}
		for key := range keys {
			r.Take(key, 1)
			owed[key] = r.Peek(key, 1).ResetAfter
		}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for g := range 2 {
			wg.Go(func() {
				rnd := newDice(round*10 + g)
				for {
					select {
					case <-stop:
						return
					default:
						r.Take(rnd.between(0, keys-1), limit.Burst+1) // denied: moves, changes nothing
					}
				}
			})
		}
		at := time.Now()
		if round%3 == 0 {
			clear(file)
			collect(file, records(r.All)(at, 0))
		} else {
			collect(file, records(r.Changed)(at, 0))
		}
		close(stop)
		wg.Wait()
		for key, want := range owed {
			if got := file[identity(key)]; got < want-time.Minute {
				t.Fatalf("round %d: key %d owes %v, the file has %v", round, key, want, got)
			}
		}
	}
}

// The same without luck: while a walk is at the keys in memory, everything in
// the debt table changes places with them, twice.
func TestWalkMissesNothingThatMoves(t *testing.T) {
	t.Parallel()
	const size = 100 // one shard
	for name, walk := range map[string]func(*registry.Registry[int]) iter.Seq2[uint64, time.Duration]{
		"changed": func(r *registry.Registry[int]) iter.Seq2[uint64, time.Duration] {
			return records(r.Changed)(time.Now(), 0)
		},
		"all": func(r *registry.Registry[int]) iter.Seq2[uint64, time.Duration] {
			_ = maps.Collect(records(r.Changed)(time.Now(), 0)) // so that nothing is marked
			return records(r.All)(time.Now(), 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := mustNew(t, registry.Config[int]{Limit: bucket.PerHour(60), Hash: identity, Size: size, Debts: 1 << 12})
				for key := range 2 * size {
					r.Allow(key)
				}
				seen := map[uint64]time.Duration{}
				for hash, debt := range walk(r) {
					if len(seen) == 0 {
						// Evicted keys come back: one that takes and goes again,
						// the others denied, so that nothing is marked for them.
						r.Allow(0)
						for key := range size {
							r.Take(1+key, 61)
						}
					}
					seen[hash] = debt
				}
				if len(seen) != 2*size {
					t.Errorf("%d keys of %d were yielded", len(seen), 2*size)
				}
				if got := seen[identity(0)].Round(time.Second); got != 2*time.Minute {
					t.Errorf("the key that went and came back is saved with a debt of %v, want the later 2m", got)
				}
			})
		})
	}
}

// What one walk noted about what moved is not news to the next.
func TestWalkForgetsWhatItNoted(t *testing.T) {
	t.Parallel()
	const size = 100
	for _, breakOff := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := mustNew(t, registry.Config[int]{Limit: bucket.PerHour(60), Hash: identity, Size: size, Debts: 1 << 12})
			for key := range 2 * size {
				r.Allow(key)
			}
			walk := records(r.Changed)(time.Now(), 0)
			if !breakOff {
				walk = records(r.All)(time.Now(), 0)
			}
			for hash := range walk {
				// The first that is yielded is in memory, the others from the
				// table are yielded after it was walked.
				if breakOff || hash == identity(0) {
					r.Take(0, 61) // comes back
				}
				if breakOff {
					break
				}
			}
			r.Take(0, 5)
			last := map[uint64]time.Duration{}
			collect(last, records(r.Changed)(time.Now(), 0))
			if got := last[identity(0)].Round(time.Second); got != 6*time.Minute {
				t.Errorf("broken off %v: the next walk says the key owes %v, want 6m", breakOff, got)
			}
		})
	}
}

func TestBrokenOffWalkIsMadeGoodByAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, registry.Config[int]{Limit: bucket.PerHour(60), Hash: identity, Size: 1000})
		for key := range 2000 {
			r.Allow(key)
		}
		seen := 0
		for range records(r.Changed)(time.Now(), 0) {
			if seen++; seen == 10 {
				break
			}
		}
		if got := len(maps.Collect(records(r.All)(time.Now(), 0))); got != 2000 {
			t.Errorf("All after a walk that was broken off: %d keys, want 2000", got)
		}
		if got := len(maps.Collect(records(r.Changed)(time.Now(), 0))); got != 0 {
			t.Errorf("Changed after All: %d keys, want 0", got)
		}
	})
}

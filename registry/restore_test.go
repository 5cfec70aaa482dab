package registry_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/registry"
)

// After a loss of the state, keys of which nothing is known start empty, and
// are refilled from that time on, whether they come or not.
func TestRestoreOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, registry.Config[string]{
			Limit: bucket.PerMinute(60),
			Size:  2,
			LimitFor: func(key string) bucket.Limit {
				if key == "gold" {
					return bucket.PerHour(7200)
				}
				return bucket.Limit{}
			},
			Hash: func(key string) uint64 { return uint64(key[0]) },
		})
		r.RestoreOthers(time.Now())
		restore(r, 'k', 10*time.Second)
		for key, want := range map[string]int{"a": 0, "known": 50, "gold": 0} {
			if d := r.Peek(key, 1); d.Remaining != want {
				t.Errorf("%s at once: %+v, want %d left", key, d, want)
			}
		}
		if d := r.Take("a", 1); d.Allowed || d.RetryAfter.Round(time.Microsecond) != time.Second {
			t.Errorf("a takes one at once: %+v", d)
		}
		time.Sleep(30 * time.Second)
		for key, want := range map[string]int{"a": 30, "b": 30, "gold": 60} {
			if d := r.Take(key, 0); d.Remaining != want {
				t.Errorf("%s after half a minute: %+v, want %d left", key, d, want)
			}
		}
		for i := range 10 {
			r.Take(fmt.Sprint(i), 0) // evicts all of them
		}
		if d := r.Take("a", 0); d.Remaining != 30 {
			t.Errorf("a after it was evicted: %+v, want 30 left", d)
		}
		r.Reset("new")
		if d := r.Take("new", 60); !d.Allowed {
			t.Errorf("a new key that was reset: %+v, want a full bucket", d)
		}
		time.Sleep(30 * time.Second)
		if d := r.Take("c", 60); !d.Allowed {
			t.Errorf("a new key after one refill: %+v, want a full bucket", d)
		}
		r.RestoreOthers(time.Now())
		r.RestoreOthers(time.Time{})
		if d := r.Take("d", 60); !d.Allowed {
			t.Errorf("taken back: %+v, want a full bucket", d)
		}
	})
}

// Time that turns out to have passed before the start is credited to what was
// restored, wherever it is, and to nothing else.
func TestCredit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, registry.Config[string]{
			Limit: bucket.PerHour(60), Size: 4, Hash: func(key string) uint64 { return uint64(key[0]) },
		})
		time.Sleep(time.Second)
		for _, key := range []string{"waits", "asked", "back", "took", "gave"} {
			restore(r, uint64(key[0]), 40*time.Minute)
		}
		restore(r, 'l', 10*time.Minute) // less than is credited
		r.Take("back", 60)              // is denied, and evicted
		r.Take("took", 5)
		r.Refund("gave", 5)
		r.Take("new", 30)
		r.Take("asked", 60) // is denied
		restore(r, 'm', 10*time.Minute)
		r.Take("m", 60)
		_, all := r.All(time.Now(), 0)
		for range all { // all of it is saved
		}
		r.Credit(15 * time.Minute)
		time.Sleep(time.Millisecond) // debts are rounded up
		for _, row := range []struct {
			key  string
			want int
			why  string
		}{
			{"waits", 35, "waits in the debt table"},
			{"back", 35, "was in memory meanwhile"},
			{"asked", 35, "was denied"},
			{"l", 60, "owes nothing any more"},
			{"m", 60, "nor does one that was denied"},
			{"took", 15, "what it took may be of that time"},
			{"gave", 25, "it has changed"},
			{"new", 30, "was not restored"},
			{"other", 60, "is not known"},
		} {
			if d := r.Peek(row.key, 1); d.Remaining != row.want {
				t.Errorf("%s: %+v, want %d left: %s", row.key, d, row.want, row.why)
			}
		}
		r.Credit(15 * time.Minute)
		if d := r.Peek("waits", 1); d.Remaining != 35 {
			t.Errorf("credited twice: %+v, want 35 left", d)
		}
		// What was yielded before is too long now.
		_, changed := r.Changed(time.Now(), 0)
		got := map[rune]time.Duration{}
		for hash, debt := range changed {
			got[rune(hash)] = debt.Round(time.Second)
		}
		for key, want := range map[rune]time.Duration{'w': 25 * time.Minute, 'a': 25 * time.Minute, 'b': 25 * time.Minute, 'l': 0, 'm': 0} {
			if debt, ok := got[key]; !ok || debt != want {
				t.Errorf("%c in the snapshot: %v, want %v", key, debt, want)
			}
		}
	})
}

// A key that runs dry is told of once, and again only if it has been half full
// meanwhile.
func TestDry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dry := make(chan struct{}, 1)
		told := func() bool {
			select {
			case <-dry:
				return true
			default:
				return false
			}
		}
		config := registry.Config[string]{Limit: bucket.PerMinute(60), Dry: dry, Hash: func(string) uint64 { return 1 }}
		r := mustNew(t, config)
		other := mustNew(t, registry.Config[string]{Limit: bucket.PerMinute(1)})
		g, err := registry.NewGroup(other, r)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			why  string
			wait time.Duration
			do   func()
			want bool
		}{
			{"all but one", 0, func() { r.Take("a", 59) }, false},
			{"more than there is", 0, func() { r.Take("a", 2) }, true},
			{"the last", 0, func() { r.Take("a", 1) }, false},
			{"a denial", 0, func() { r.Take("a", 1) }, false},
			{"each one that comes back", time.Second, func() { r.Take("a", 1) }, false},
			{"less than half a bucket", 29 * time.Second, func() { r.Take("a", 29) }, false},
			{"half a bucket at once", 30 * time.Second, func() { r.Take("a", 30) }, true},
			{"half a bucket in pieces", 30 * time.Second, func() { r.Take("a", 10); r.Take("a", 10); r.Take("a", 10) }, true},
			{"a whole one", time.Hour, func() { r.Take("a", 60) }, true},
			{"one who waits", 0, func() { r.Wait(t.Context(), "b", 60) }, true},
			{"one who waits for the next", 0, func() { r.Wait(t.Context(), "b", 1) }, false},
			{"in a group that denies it", 0, func() { other.Take("", 1); g.Decide(make([]bucket.Decision, 2), 60, "", "c") }, false},
			{"in a group", 0, func() { g.Decide(make([]bucket.Decision, 2), 60, "x", "c") }, false},
			{"in a group", time.Minute, func() { g.Decide(make([]bucket.Decision, 2), 1, "x", "c"); r.Take("c", 59) }, true},
			{"another key", 0, func() { r.Take("d", 60) }, true},
		} {
			time.Sleep(step.wait)
			if step.do(); told() != step.want {
				t.Errorf("%s: told %v, want %v", step.why, !step.want, step.want)
			}
		}
		for i := range 100 { // nobody reads, and nobody waits for that
			r.Take(fmt.Sprint(i), 60)
		}
		if !told() || told() {
			t.Error("many at once: want to be told once")
		}
		config.Dry = nil
		if d := mustNew(t, config).Take("a", 60); !d.Allowed {
			t.Errorf("nobody to tell: %+v", d)
		}
		config.Dry, config.Size, config.Hash = dry, 1, func(key string) uint64 { return uint64(key[0]) }
		r = mustNew(t, config)
		restore(r, 'b', 40*time.Second)
		if r.Take("a", 60); !told() {
			t.Error("one that is evicted next: not told")
		}
		if r.Take("b", 20); !told() {
			t.Error("one that follows one who ran dry: not told")
		}
		config.Dry, config.Hash, config.Limit = dry, nil, bucket.PerMinute(1)
		if mustNew(t, config).Take("a", 1); !told() {
			t.Error("a limit of one, without a hash: not told")
		}
	})
}

// What becomes of a bucket when the limit changes is the same wherever it is:
// in memory, in the debt table, or on its way into a snapshot.
func TestChange(t *testing.T) {
	t.Parallel()
	for how, want := range map[bucket.Change]int{bucket.KeepUsed: 170, bucket.KeepFraction: 140, bucket.StartOver: 200} {
		synctest.Test(t, func(t *testing.T) {
			r := mustNew(t, registry.Config[string]{
				Limit: bucket.PerDay(100), Change: how, Size: 1, Hash: func(key string) uint64 { return uint64(key[0]) },
			})
			r.Take("a", 30)
			r.Take("b", 30) // evicts a
			if err := r.SetLimit(bucket.PerDay(200)); err != nil {
				t.Fatal(err)
			}
			limit, all := r.All(time.Now(), 0)
			n := 0
			for hash, debt := range all {
				if got := limit.Burst - int(debt.Seconds()*limit.Rate()+0.5); got != want {
					t.Errorf("%v: %c has %d left in the snapshot, want %d", how, rune(hash), got, want)
				}
				n++
			}
			if n != 2 && how != bucket.StartOver {
				t.Errorf("%v: %d keys in the snapshot, want 2", how, n)
			}
			if d := r.Peek("a", 1); d.Remaining < want-1 || d.Remaining > want {
				t.Errorf("%v: from the debt table: %+v, want %d left", how, d, want)
			}
			if d := r.Take("b", 0); d.Remaining != want {
				t.Errorf("%v: in memory: %+v, want %d left", how, d, want)
			}
		})
	}
	if _, err := registry.New(registry.Config[string]{Limit: bucket.PerDay(1), Change: bucket.StartOver + 1}); err == nil {
		t.Error("a change that is none: no error")
	}
}

// restore restores one debt.
func restore[K comparable](r *registry.Registry[K], hash uint64, debt time.Duration) {
	r.Restore(func(yield func(uint64, time.Duration) bool) { yield(hash, debt) })
}

package weir_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/persist"
)

// renamed gives the only policy another name.
func renamed(name string, before ...string) func(cfg *weir.Config) {
	return func(cfg *weir.Config) {
		cfg.Policies[0].Name, cfg.Policies[0].PreviousNames = name, before
	}
}

func TestRenamedAndBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKept(t, weir.Config{Policies: []weir.Policy{{Name: "a", Limit: bucket.PerDay(100)}}})
		k.Take(10, "x")
		k.restart(renamed("b", "a"))
		k.Take(90, "x")
		k.restart(renamed("a", "b"))
		k.left("what was spent under the other name", 0, "x")
	})
}

func TestRenamedAndGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKept(t, weir.Config{Policies: []weir.Policy{{Name: "a", Limit: bucket.PerDay(100)}}})
		k.Take(100, "x")
		k.Take(100, "y")
		k.restart(renamed("b", "a"))
		if err := k.Reset("b", "x"); err != nil {
			t.Error(err)
		}
		k.restart(nil)
		k.left("reset under the new name", 100, "x")
		k.restart(func(cfg *weir.Config) { cfg.Policies[0].Limit = bucket.PerMinute(100) })
		time.Sleep(2 * time.Minute)
		for range 2 {
			k.restart(nil)
			k.left("paid back under a faster limit", 100, "y")
		}
	})
}

// A limit that is changed before the first snapshot of a run.
func TestSetLimitBeforeTheFirstSnapshot(t *testing.T) {
	t.Parallel()
	for how, want := range map[bucket.Change]int{bucket.KeepUsed: 0, bucket.KeepFraction: 25, bucket.StartOver: 50} {
		synctest.Test(t, func(t *testing.T) {
			k := newKept(t, weir.Config{Policies: []weir.Policy{{Name: "a", Limit: bucket.PerDay(100), Change: how}}})
			k.Take(50, "x")
			k.restart(nil)
			if err := k.SetLimit("a", bucket.PerDay(50)); err != nil {
				t.Fatal(err)
			}
			k.Take(1, "z")
			k.Sync()
			k.crash(func(cfg *weir.Config) { cfg.Policies[0].Limit = bucket.PerDay(50) })
			k.left(fmt.Sprint(how), want, "x")
		})
	}
}

// A limit that is changed and changed back between two snapshots.
func TestSetLimitThereAndBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKept(t, weir.Config{Policies: []weir.Policy{{Name: "a", Limit: bucket.PerDay(100), Change: bucket.StartOver}}})
		k.Take(100, "x")
		k.Sync()
		k.SetLimit("a", bucket.PerDay(50))
		k.Take(0, "x") // it changes over when it is looked at
		k.SetLimit("a", bucket.PerDay(100))
		k.Take(0, "x")
		k.left("in memory", 100, "x")
		k.Sync()
		k.crash(nil)
		k.left("after a crash", 100, "x")
	})
}

// A tier that is slower than the policy's limit.
func TestColdStartOfASlowTier(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKept(t, weir.Config{Policies: []weir.Policy{{
			Name: "a", Limit: bucket.PerMinute(60), ColdStart: weir.EmptyBuckets,
			LimitFor: func(string) bucket.Limit { return bucket.PerDay(1440) },
		}}})
		time.Sleep(150 * time.Second)
		k.left("two tokens are refilled", 2, "x")
		k.Sync()
		k.restart(nil)
		k.left("after a restart", 2, "x")
	})
}

// A start that fails for its configuration leaves no trace in the file.
func TestStartThatFails(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why    string
		before func(k *kept)
		want   int
	}{
		{"after a clean stop it is no crash", func(*kept) {}, 99},
		{"nor is a lost file found by it", func(k *kept) { os.Remove(k.cfg.Path) }, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			k := newKept(t, weir.Config{Policies: []weir.Policy{{Name: "a", Limit: bucket.PerDay(100), Crash: weir.Charge}}})
			k.Take(1, "x")
			if err := k.Close(); err != nil {
				t.Fatal(err)
			}
			row.before(k)
			k.cfg.Policies[0].ColdStart = weir.EmptyBuckets
			k.cfg.Policies[0].Size = -1
			if _, err := weir.New(k.cfg); err == nil || !strings.Contains(err.Error(), "size -1") {
				t.Fatalf("error %v", err)
			}
			k.cfg.Policies[0].Size = 0
			k.open()
			k.left(row.why, row.want, "x")
		})
	}
}

// One who asks for several tokens at a time runs dry with some left.
func TestRunDryOfSeveralTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKept(t, weir.Config{Interval: time.Hour, Policies: two(100, 1000)})
		for k.Take(3, "x", "x").Allowed {
		}
		time.Sleep(time.Second)
		k.crash(nil)
		k.left("denied a second ago", 1, "x", "y")
	})
}

// Those whose debts are not worth it use up no early snapshot of others.
func TestRunDryForNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKept(t, weir.Config{Edge: true, Policies: []weir.Policy{
			{Name: "fast", Limit: bucket.PerSecond(2)},
			{Name: "dry run", Limit: bucket.PerDay(2), DryRun: true},
			{Name: "login", Limit: bucket.PerDay(100)},
		}})
		for i := range 30 {
			name := fmt.Sprint("user ", i)
			k.Take(2, name, name, name)
			time.Sleep(time.Second)
		}
		if st := k.Stats(); st.Saves > 0 {
			t.Errorf("%+v, want no snapshot yet", st)
		}
		for i := range 50 {
			k.Take(2, fmt.Sprint(i), fmt.Sprint(i), "victim")
		}
		time.Sleep(time.Second)
		k.crash(nil)
		k.left("ran dry a second ago", 0, "new", "new", "victim")
	})
}

// A snapshot that turned out to write nothing is not one of those that are
// bounded.
func TestRunDryAndGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKept(t, weir.Config{Interval: time.Hour, Policies: two(5, 1000)})
		for i := range 20 {
			key := fmt.Sprint(i)
			k.Take(5, key, key)
			k.Refund(5, key, key)
			time.Sleep(time.Second)
		}
		k.Take(5, "x", "x")
		time.Sleep(time.Second)
		k.crash(nil)
		k.left("ran dry a second ago", 0, "x", "y")
	})
}

func TestBackOffEndsWithTheFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKept(t, weir.Config{Policies: []weir.Policy{{Name: "a", Limit: bucket.PerDay(100)}}})
		dir := filepath.Dir(k.cfg.Path)
		away := func(f func()) {
			t.Helper()
			if err := os.Rename(dir, dir+".away"); err != nil {
				t.Fatal(err)
			}
			f()
			if err := os.Rename(dir+".away", dir); err != nil {
				t.Fatal(err)
			}
		}
		// One save fails, and all is well again when a key runs dry.
		k.Take(1, "y")
		away(func() { time.Sleep(11 * time.Second) })
		time.Sleep(10 * time.Second)
		k.Take(100, "x")
		time.Sleep(time.Second)
		if st := k.Stats(); st.Age > time.Second || st.SaveError != nil {
			t.Errorf("a second after a key ran dry: %+v", st)
		}
		// A long fault, after which somebody else saves.
		away(func() {
			for range 16 {
				k.Take(1, "y")
				time.Sleep(time.Minute)
			}
		})
		if err := k.Sync(); err != nil {
			t.Fatal(err)
		}
		k.Take(1, "z")
		time.Sleep(11 * time.Second)
		if st := k.Stats(); st.Age > 2*time.Second {
			t.Errorf("an interval later: %+v", st)
		}
	})
}

// What the file has beyond what is live is checkpointed away.
func TestFileIsCheckpointed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKept(t, weir.Config{Policies: []weir.Policy{{Name: "a", Limit: bucket.PerDay(500)}}})
		for range 300 {
			for i := range 200 {
				k.Take(1, fmt.Sprint(i))
			}
			time.Sleep(10 * time.Second)
		}
		file, err := persist.Read(k.cfg.Path, persist.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if info := file.Info(); info.Records > 3000 {
			t.Errorf("300 snapshots of 200 keys: %+v, want some 2,000 records at most", info)
		}
	})
}

// The hash that stands for all others is no key's.
func TestNoKeyIsAllOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKept(t, weir.Config{Policies: []weir.Policy{{Name: "a", Limit: bucket.PerHour(60), ColdStart: weir.EmptyBuckets}}})
		time.Sleep(30 * time.Minute)
		k.Take(30, "x")
		k.restart(nil)
		k.left("one that has spent", 0, "x")
		k.left("one that is not known", 30, "y")
		if res := k.Restored(); res.Records != 2 {
			t.Errorf("restored %+v, want the key and all others", res)
		}
	})
}

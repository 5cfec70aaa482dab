package weir_test

import (
	"fmt"
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

package weir_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
)

// One who has just spent all is on disk within a second.
func TestRunDryIsSavedSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKept(t, weir.Config{Policies: two(100, 1000), Interval: time.Hour})
		k.Take(99, "a", "a")
		time.Sleep(time.Second)
		if st := k.Stats(); st.Saves != 0 || st.Age != time.Second {
			t.Errorf("not all is spent: %+v", st)
		}
		k.Take(1, "a", "a")
		time.Sleep(time.Second)
		if st := k.Stats(); st.Saves != 1 || st.Age >= time.Second {
			t.Errorf("all is spent: %+v", st)
		}
		k.crash(nil)
		k.left("after a crash", 0, "a", "a")
		k.left("another", 100, "b", "a")

		// An attacker with ever new keys cannot have a snapshot for each.
		for i := range 3 * 3600 {
			k.Take(100, fmt.Sprint(i), fmt.Sprint(i))
			time.Sleep(time.Second)
		}
		if st := k.Stats(); st.Saves < 12 || st.Saves > 16 {
			t.Errorf("%d snapshots in three intervals, want 10 and another one each interval", st.Saves)
		}
	})
}

// Those who run dry put no snapshot off.
func TestRunDryPutsNothingOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKept(t, weir.Config{Policies: two(1, 1000), Interval: 300 * time.Millisecond})
		for i := range 20 {
			k.Take(1, fmt.Sprint(i), "a")
			time.Sleep(50 * time.Millisecond)
		}
		if st := k.Stats(); st.Saves != 3 {
			t.Errorf("%d snapshots in three intervals", st.Saves)
		}
	})
}

// While snapshots fail, nobody who runs dry makes them more frequent.
func TestRunDryWaitsWhileSavingFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKept(t, weir.Config{Policies: two(1, 1000), Interval: time.Minute})
		away := filepath.Dir(k.cfg.Path) + ".away"
		if err := os.Rename(filepath.Dir(k.cfg.Path), away); err != nil {
			t.Fatal(err)
		}
		for i := range 600 {
			k.Take(1, fmt.Sprint(i), "a")
			time.Sleep(time.Second)
		}
		if st := k.Stats(); st.Saves != 0 || st.SaveErrors > 10 || st.Age != 600*time.Second {
			t.Errorf("%+v, want an error each interval at most", st)
		}
		if err := os.Rename(away, filepath.Dir(k.cfg.Path)); err != nil {
			t.Fatal(err)
		}
		if err := k.Sync(); err != nil {
			t.Error(err)
		}
		k.crash(nil)
		k.left("after the fault", 0, "599", "b")
	})
}

// A limit that refills within the interval costs no flash.
func TestEdgeSparesFlash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKept(t, weir.Config{Edge: true, Policies: []weir.Policy{{Name: "min", Limit: bucket.PerMinute(60)}}})
		var first int64 // the first says that there has been one
		for i := range 10 {
			k.Take(60, "a")
			time.Sleep(61 * time.Second)
			if i == 0 {
				first = k.Stats().Written
			}
		}
		if st := k.Stats(); st.Saves < 10 || st.Written != first {
			t.Errorf("%+v, the first %d bytes, want others that write nothing", st, first)
		}
		k.Take(20, "a")
		k.restart(nil)
		k.left("and a restart keeps it all the same", 40, "a")
	})
}

func TestEdge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKept(t, weir.Config{Edge: true, Policies: []weir.Policy{
			{Name: "min", Limit: bucket.PerMinute(60)}, {Name: "day", Limit: bucket.PerDay(1000)},
		}})
		k.Take(30, "a", "a")
		time.Sleep(59 * time.Second)
		if st := k.Stats(); st.Saves != 0 {
			t.Errorf("before a minute is over: %+v", st)
		}
		time.Sleep(2 * time.Second)
		if st := k.Stats(); st.Saves != 1 || st.Written == 0 {
			t.Errorf("after a minute: %+v", st)
		}
		k.Take(20, "a", "a")
		k.Sync() // does not write it
		k.restart(nil)
		k.left("a restart keeps all", 40, "a", "b")
		k.Sync()
		k.Take(30, "d", "d")
		k.Sync()
		k.crash(nil)
		k.left("a crash forgets what refills within the interval", 60, "d", "x")
		k.left("and nothing else", 60, "y", "e")
		if d := k.Peek(970, "y", "d"); d.Remaining != 60 {
			t.Errorf("%+v", d)
		}
	})
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

package weir_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
)

func TestColdStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKept(t, weir.Config{Policies: []weir.Policy{
			{Name: "cold", Limit: bucket.PerHour(60), ColdStart: weir.EmptyBuckets},
			{Name: "warm", Limit: bucket.PerDay(1000)},
		}})
		if !strings.Contains(k.log.String(), "policies=[cold]") {
			t.Errorf("not said: %s", k.log)
		}
		k.left("a new file", 0, "a", "a")
		k.crash(nil)
		k.left("a crash before the first snapshot", 0, "a", "a")
		time.Sleep(10 * time.Minute)
		k.Take(1, "a", "a")
		k.left("after a sixth of the refill", 9, "a", "a")
		k.Sync()
		k.crash(nil)
		k.left("a crash", 9, "a", "a")
		k.left("a crash, for one that never came", 10, "b", "b")
		k.restart(func(cfg *weir.Config) { cfg.Policies[0].Limit = bucket.PerHour(120) })
		k.left("twice the limit, for one that never came", 20, "b", "b")
		k.restart(func(cfg *weir.Config) {
			cfg.Policies[0].LimitFor = func(key string) bucket.Limit {
				if key == "gold" {
					return bucket.PerHour(1200)
				}
				return bucket.Limit{}
			}
		})
		k.crash(nil)
		k.left("a key with a limit of its own", 200, "gold", "b")
		k.left("and one without", 20, "b", "b")
		k.restart(func(cfg *weir.Config) { cfg.Policies[0].LimitFor = nil })
		k.left("none has a limit of its own", 20, "b", "b")
		time.Sleep(time.Hour)
		k.restart(nil)
		k.left("after the refill", 120, "b", "b")
		if strings.Contains(k.log.String(), "empty") {
			t.Errorf("after the refill: %s", k.log)
		}
		k.Take(1, "a", "a")
		k.restart(func(cfg *weir.Config) {
			if err := os.WriteFile(cfg.Path, bytes.Repeat([]byte("damage "), 10_000), 0o600); err != nil {
				t.Fatal(err)
			}
			os.Truncate(cfg.Path, 16<<10)
			content, _ := os.ReadFile(cfg.Path)
			clear(content[:4096])
			clear(content[4096:8192])
			os.WriteFile(cfg.Path, content, 0o600)
		})
		if k.Restored().Damage == "" {
			t.Fatalf("not damaged: %+v", k.Restored())
		}
		k.left("a damaged file", 0, "a", "a")
	})
}

func TestColdStartWithoutAFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := mustOpen(t, weir.Config{Policies: []weir.Policy{{Name: "cold", Limit: bucket.PerMinute(60), ColdStart: weir.EmptyBuckets}}})
		time.Sleep(30 * time.Second)
		if d := l.Peek(1, "a"); d.Remaining != 30 {
			t.Errorf("half a refill after the start: %+v", d)
		}
	})
}

// Where the limit is lowered meanwhile, nobody waits longer than one refill.
func TestColdStartThenALowerLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKept(t, weir.Config{Policies: []weir.Policy{{
			Name: "cold", Limit: bucket.PerDay(1000), ColdStart: weir.EmptyBuckets,
			LimitFor: func(string) bucket.Limit { return bucket.Limit{} },
		}}})
		k.restart(func(cfg *weir.Config) { cfg.Policies[0].Limit = bucket.PerMinute(60) })
		k.left("at once", 0, "a")
		time.Sleep(time.Minute)
		k.left("after a refill", 60, "a")
	})
}

// Without the choice, a lost file forgives.
func TestWarmStart(t *testing.T) {
	t.Parallel()
	k := newKept(t, weir.Config{Policies: two(5, 5)})
	k.Take(5, "a", "a")
	k.restart(func(cfg *weir.Config) { os.Remove(cfg.Path) })
	k.left("a file that is lost", 5, "a", "a")
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

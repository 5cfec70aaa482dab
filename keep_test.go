package weir_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
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

// A kept is a limiter with a file, which can crash.
type kept struct {
	*weir.Limiter
	t   *testing.T
	cfg weir.Config
	log *bytes.Buffer // since the last start
}

func newKept(t *testing.T, cfg weir.Config) *kept {
	t.Helper()
	k := &kept{t: t, cfg: cfg}
	k.cfg.Path = filepath.Join(t.TempDir(), "weir.db")
	k.open()
	return k
}

func (k *kept) open() {
	k.t.Helper()
	k.log = &bytes.Buffer{}
	k.cfg.Logger = slog.New(slog.NewTextHandler(k.log, nil))
	// A child that another test has just forked holds the lock until it is a
	// program of its own, and virtual time does not wait for that.
	for try := 0; ; try++ {
		l, err := weir.New(k.cfg)
		if errors.Is(err, persist.ErrLocked) && try < 1000 {
			continue
		}
		if err != nil {
			k.t.Fatal(err)
		}
		k.Limiter = l
		k.t.Cleanup(func() { l.Close() })
		return
	}
}

// restart starts a limiter with what the one before left, as changed.
func (k *kept) restart(change func(cfg *weir.Config)) {
	k.t.Helper()
	if err := k.Close(); err != nil {
		k.t.Fatal(err)
	}
	if change != nil {
		change(&k.cfg)
	}
	k.open()
}

// crash is restart with what is on disk now.
func (k *kept) crash(change func(cfg *weir.Config)) {
	k.t.Helper()
	dir := k.t.TempDir()
	for _, name := range []string{"weir.db", "weir.db.key"} {
		data, err := os.ReadFile(filepath.Join(filepath.Dir(k.cfg.Path), name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o600)
		}
		if err != nil {
			k.t.Fatal(err)
		}
	}
	os.Chmod(dir, 0o700)
	k.Close()
	k.cfg.Path = filepath.Join(dir, "weir.db")
	if change != nil {
		change(&k.cfg)
	}
	k.open()
}

// left checks what a key has left.
func (k *kept) left(why string, want int, keys ...string) {
	k.t.Helper()
	if d := k.Peek(1, keys...); d.Remaining != want {
		k.t.Errorf("%s: %+v, want %d left", why, d, want)
	}
}

func TestCrashPolicy(t *testing.T) {
	t.Parallel()
	for crash, want := range map[weir.Crash]int{weir.Accept: 70, weir.Charge: 0} {
		synctest.Test(t, func(t *testing.T) {
			k := newKept(t, weir.Config{Policies: []weir.Policy{
				{Name: "day", Limit: bucket.PerDay(100), Crash: crash},
			}})
			k.Take(30, "a")
			k.restart(nil)
			k.left("a restart", 70, "a")
			k.Sync()
			k.Take(50, "a")
			k.crash(nil)
			k.left("a crash", want, "a")
			k.left("one that owed nothing", 100, "b")
			if charged := strings.Contains(k.log.String(), "charged=[day]"); charged != (crash == weir.Charge) {
				t.Errorf("charged: %v; log: %s", charged, k.log)
			}
			k.restart(nil) // what was charged is in the file
			k.left("a crash and a restart", want, "a")
			if strings.Contains(k.log.String(), "charged") {
				t.Errorf("a restart: %s", k.log)
			}
			time.Sleep(24 * time.Hour)
			k.left("a day later", 100, "a")
			k.restart(nil)
			k.left("and a restart", 100, "a")
		})
	}
}

// With limits by key, what is charged is at most one refill of the key's own.
func TestCrashChargesTiers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKept(t, weir.Config{Policies: []weir.Policy{{
			Name: "user", Limit: bucket.PerHour(100), Crash: weir.Charge,
			LimitFor: func(key string) bucket.Limit {
				return map[string]bucket.Limit{"fast": bucket.PerMinute(60), "slow": bucket.PerDay(240), "slower": bucket.PerDay(240)}[key]
			},
		}}})
		for _, key := range []string{"fast", "slow", "other"} {
			k.Take(10, key)
		}
		k.Take(200, "slower")
		k.Sync()
		k.crash(nil)
		k.left("a refill faster than the policy's", 0, "fast")
		k.left("one that is slower owes as long as the policy's takes", 230, "slow")
		k.left("or more if it does already", 40, "slower")
		k.left("the policy's own", 0, "other")
		time.Sleep(time.Minute)
		k.left("after its refill", 60, "fast")
	})
}

func TestChangeOfLimit(t *testing.T) {
	t.Parallel()
	for how, want := range map[bucket.Change][3]int{
		bucket.KeepUsed:     {170, 20, 90},
		bucket.KeepFraction: {140, 35, 85},
		bucket.StartOver:    {200, 50, 100},
	} {
		synctest.Test(t, func(t *testing.T) {
			k := newKept(t, weir.Config{Policies: []weir.Policy{{Name: "day", Limit: bucket.PerDay(100), Change: how}}})
			limit := func(n int) func(cfg *weir.Config) {
				return func(cfg *weir.Config) { cfg.Policies[0].Limit = bucket.PerDay(n) }
			}
			for _, key := range []string{"a", "b", "c", "d"} {
				k.Take(30, key)
			}
			k.restart(limit(200))
			k.left(fmt.Sprint(how, ": a higher limit"), want[0], "a")
			k.restart(limit(100))
			if how == bucket.KeepUsed {
				k.left("and back", 70, "b")
			}
			k.restart(limit(100))
			if how == bucket.StartOver {
				k.left("start over: after the change", 100, "b")
				k.Take(30, "b")
			}
			k.Sync()
			// A change while running holds for what is in the file, too, even
			// if there is a crash soon after.
			if err := k.SetLimit("day", bucket.PerDay(50)); err != nil {
				t.Fatal(err)
			}
			k.left(fmt.Sprint(how, ": a lower limit"), want[1], "b")
			k.Take(1, "z")
			k.Sync()
			k.crash(limit(50))
			k.left(fmt.Sprint(how, ": a lower limit, and a crash"), want[1], "b")
			if t.Failed() {
				t.FailNow()
			}
		})
	}
}

func TestPreviousNames(t *testing.T) {
	t.Parallel()
	policy := func(name string, before ...string) weir.Policy {
		return weir.Policy{Name: name, PreviousNames: before, Limit: bucket.Limit{Quota: 1, Window: day, Burst: 100}}
	}
	with := func(policies ...weir.Policy) func(cfg *weir.Config) {
		return func(cfg *weir.Config) { cfg.Policies = policies }
	}
	k := newKept(t, weir.Config{Policies: []weir.Policy{policy("a")}})
	k.Take(10, "x")
	k.Take(20, "y")
	k.restart(with(policy("b")))
	k.left("another name", 100, "x")
	k.restart(with(policy("b", "a")))
	k.left("one that was another before", 90, "x")
	k.Take(5, "x")
	k.Sync()
	k.crash(nil)
	k.left("what is under the new name is newer", 85, "x")
	k.left("what has not been touched since", 80, "y")
	k.restart(with(policy("b")))
	k.left("all of it is under the new name, touched", 85, "x")
	k.left("or not", 80, "y")
	k.restart(with(policy("d", "a", "b", "c"), policy("other")))
	k.left("several names before", 85, "x", "x")
	k.restart(with(policy("d"), policy("a")))
	k.left("back to an old name: what it had then", 80, "y", "y")

	for want, policies := range map[string][]weir.Policy{
		`policy "b": previous name "a" is one of policy "a"`: {policy("a"), policy("b", "a")},
		`policy "b": previous name "b" is one of policy "b"`: {policy("b", "b")},
		`policy "c": previous name "a" is one of policy "b"`: {policy("b", "a"), policy("c", "a")},
		`policy "b": previous name "" is out of range`:       {policy("b", "")},
		`policy "b": crash 2 is unknown`:                     {{Name: "b", Limit: bucket.PerDay(1), Crash: weir.Charge + 1}},
		`policy "b": cold start 2 is unknown`:                {{Name: "b", Limit: bucket.PerDay(1), ColdStart: weir.EmptyBuckets + 1}},
	} {
		if _, err := weir.New(weir.Config{Policies: policies}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// The secret may be the application's: no file holds it then.
func TestSecretOfTheApplication(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "weir.db")
	cfg := weir.Config{Policies: two(5, 5), Path: path, Secret: bytes.Repeat([]byte{7}, 32)}
	l := mustOpen(t, cfg)
	l.Take(3, "a", "a")
	l.Close()
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Errorf("files: %v, want one", files)
	}
	l = mustOpen(t, cfg)
	if d := l.Peek(1, "a", "a"); d.Remaining != 2 {
		t.Errorf("after a restart: %+v, want 2 left", d)
	}
	l.Close()
	cfg.Secret = bytes.Repeat([]byte{8}, 32)
	l = mustOpen(t, cfg)
	if res := l.Restored(); res.Damage == "" || res.MovedTo == "" {
		t.Errorf("another secret: %+v", res)
	}
	l.Close()
	cfg.Secret = []byte("short")
	if _, err := weir.New(cfg); err == nil || !strings.Contains(err.Error(), "Secret has 5 bytes: want 32") {
		t.Errorf("a short secret: %v", err)
	}
	if _, err := persist.Read(path, persist.Config{Secret: bytes.Repeat([]byte{8}, 32)}); err != nil {
		t.Errorf("the file after the errors: %v", err)
	}
}

package weir_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/persist"
)

func TestChangedPoliciesKeepWhatWasUsed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "weir.db")
	run := func(policies []weir.Policy, f func(l *weir.Limiter)) {
		t.Helper()
		l := mustOpen(t, weir.Config{Policies: policies, Path: path})
		f(l)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	left := func(d bucket.Decision) int {
		// Debts are rounded up in the file, by a few milliseconds where a
		// bucket takes years to fill.
		return int(float64(d.Limit.Burst) - (d.ResetAfter-time.Minute).Seconds()*d.Limit.Rate())
	}
	run(two(100, 1000), func(l *weir.Limiter) { l.Take(30, "a", "b") })
	// The limit of one is changed, the other policy is dropped.
	run(two(50, 1)[:1], func(l *weir.Limiter) {
		if d := l.Peek(1, "a"); left(d) != 20 {
			t.Errorf("30 of 100 used, then a burst of 50: %+v, want 20 left", d)
		}
		if res := l.Restored(); res.Records != 1 || res.Kept != 1 || !res.Clean {
			t.Errorf("restored %+v, want 1 and 1 kept", res)
		}
		if err := l.SetLimit("ip", bucket.Limit{Quota: 1, Window: day, Burst: 200}); err != nil {
			t.Error(err)
		}
		l.Take(10, "a")
	})
	// It comes back, in another place.
	both := two(200, 1000)
	slices.Reverse(both)
	run(both, func(l *weir.Limiter) {
		into := make([]bucket.Decision, 2)
		l.Decide(into, 0, "b", "a")
		if left(into[0]) != 970 {
			t.Errorf("30 of 1000 used before the policy was away: %+v", into[0])
		}
		if left(into[1]) != 160 {
			t.Errorf("40 of 200 used: %+v", into[1])
		}
	})
}

// A rate that changes between two runs: what counts is what was used, not how
// long it would have taken to refill.
func TestChangedRateKeepsWhatWasUsed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "weir.db")
	policy := weir.Policy{Name: "ip", Limit: bucket.PerHour(1000)}
	l := mustOpen(t, weir.Config{Policies: []weir.Policy{policy}, Path: path})
	l.Take(300, "a")
	l.Close()
	policy.Limit = bucket.PerDay(1000)
	l = mustOpen(t, weir.Config{Policies: []weir.Policy{policy}, Path: path})
	if d := l.Peek(1, "a"); d.Remaining < 699 || d.Remaining > 701 {
		t.Errorf("300 of 1000 an hour used, then 1000 a day: %+v, want 700 left", d)
	}
	if err := l.SetLimit("ip", bucket.PerMinute(1000)); err != nil {
		t.Fatal(err)
	}
	l.Close() // a snapshot in which this has not changed but for its limit
	policy.Limit = bucket.PerDay(1000)
	l = mustOpen(t, weir.Config{Policies: []weir.Policy{policy}, Path: path})
	if d := l.Peek(1, "a"); d.Remaining < 690 || d.Remaining > 760 {
		t.Errorf("and after a time at 1000 a minute: %+v, want a little above 700 left", d)
	}
}

// Storage trouble of any kind changes no decision.
func TestFileThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "weir.db")
	first := mustOpen(t, weir.Config{Policies: two(5, 5), Path: path})
	first.Take(3, "a", "a")

	if _, err := weir.New(weir.Config{Policies: two(5, 5), Path: path}); !errors.Is(err, persist.ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("a file that is in use: %v", err)
	}
	if _, err := weir.Open(dir, two(5, 5)...); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a directory: %v", err)
	}
	if _, err := weir.Open(filepath.Join(path, "below", "a.file"), two(5, 5)...); err == nil {
		t.Error("a path below a file: no error")
	}
	if d := first.Take(3, "a", "a"); d.Allowed || d.Remaining != 2 {
		t.Errorf("meanwhile the first goes on: %+v", d)
	}
	if err := first.Sync(); err != nil {
		t.Errorf("and saves: %v", err)
	}
}

func TestDamagedFileIsKeptAsideAndTold(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "weir.db")
	l := mustOpen(t, weir.Config{Policies: two(5, 5), Path: path})
	l.Take(5, "a", "a")
	l.Close()
	if err := os.Truncate(path, 5000); err != nil {
		t.Fatal(err)
	}
	damaged, _ := os.ReadFile(path)

	var log bytes.Buffer
	l = mustOpen(t, weir.Config{Policies: two(5, 5), Path: path, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	res := l.Restored()
	if kept, err := os.ReadFile(res.MovedTo); err != nil || !bytes.Equal(kept, damaged) {
		t.Errorf("the damaged file is not at %q: %v", res.MovedTo, err)
	}
	if res.Damage == "" || !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), res.MovedTo) {
		t.Errorf("restored %+v, and the log says\n%s", res, &log)
	}
	if !l.Allow("a", "a") {
		t.Error("the limiter does not start anew")
	}
	l.Take(4, "a", "a")
	l.Close()
	if l = mustOpen(t, weir.Config{Policies: two(5, 5), Path: path}); l.Allow("a", "a") {
		t.Error("and the new file does not keep what is used")
	}
}

func TestCloseIsFinalAndSafe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "weir.db")
	l := mustOpen(t, weir.Config{Policies: two(5, 5), Path: path})
	l.Take(2, "a", "a")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := l.Sync(); !errors.Is(err, persist.ErrClosed) {
		t.Errorf("Sync after Close: %v", err)
	}
	if d := l.Take(3, "a", "a"); !d.Allowed || l.Allow("a", "a") {
		t.Errorf("after Close it does not go on deciding: %+v", d)
	}
	l = mustOpen(t, weir.Config{Policies: two(5, 5), Path: path})
	if d := l.Peek(1, "a", "a"); d.Remaining != 3 {
		t.Errorf("what came after Close was kept: %+v", d)
	}
	if err := mustOpen(t, weir.Config{Policies: two(1, 1)}).Close(); err != nil {
		t.Errorf("Close without a file: %v", err)
	}
}

// A file that was removed meanwhile is made anew by the final snapshot, with all
// that was ever spent.
func TestCloseMakesARemovedFileAnew(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "weir.db")
	l := mustOpen(t, weir.Config{Policies: two(5, 5), Path: path})
	l.Take(2, "a", "a")
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Skip(err) // Windows does not let go of it
	}
	l.Take(1, "b", "b")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, weir.Config{Policies: two(5, 5), Path: path})
	if a, b := l.Peek(1, "a", "a"), l.Peek(1, "b", "b"); a.Remaining != 3 || b.Remaining != 4 || !l.Restored().Clean {
		t.Errorf("%d and %d left, want 3 and 4; restored %+v", a.Remaining, b.Remaining, l.Restored())
	}
}

func TestSnapshotsAreTakenByThemselves(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "weir.db")
	synctest.Test(t, func(t *testing.T) {
		l := mustOpen(t, weir.Config{Policies: two(5, 5), Path: path, Interval: time.Minute})
		l.Take(2, "a", "a")
		time.Sleep(59 * time.Second)
		if st := l.Stats(); st.Saves != 0 {
			t.Errorf("before the interval is over: %+v", st)
		}
		time.Sleep(2 * time.Second)
		if st := l.Stats(); st.Saves != 1 || st.SaveErrors != 0 || time.Since(st.LastSaved) != time.Second || st.Written == 0 {
			t.Errorf("after it: %+v", st)
		}
		size := l.Stats().Written
		time.Sleep(time.Hour)
		if st := l.Stats(); st.Written != size {
			t.Errorf("with nothing to save %d bytes were written", st.Written-size)
		}
		l.Close()
	})
}

func TestFileHoldsNoKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := mustOpen(t, weir.Config{Policies: two(5, 5), Path: filepath.Join(dir, "weir.db")})
	var keys []string
	for i := range 1000 {
		ip, user := fmt.Sprintf("203.0.%d.%d", 113+i/250, i%250), fmt.Sprintf("user-%d@example.com", i)
		l.Allow(ip, user)
		keys = append(keys, ip, user)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			if bytes.Contains(content, []byte(key)) {
				t.Fatalf("%s holds the key %q", f.Name(), key)
			}
		}
	}
	if l = mustOpen(t, weir.Config{Policies: two(5, 5), Path: filepath.Join(dir, "weir.db")}); l.Restored().Records != 2000 {
		t.Errorf("restored %+v, want 2000", l.Restored())
	}
}

// Keys with a limit of their own keep what they have used under it: longer than
// the policy's limit takes to refill, and when that is changed.
func TestTiersSurviveARestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "weir.db")
	policy := weir.Policy{Name: "user", Limit: bucket.PerMinute(100), LimitFor: func(key string) bucket.Limit {
		switch {
		case strings.HasPrefix(key, "free"):
			return bucket.PerDay(100)
		case strings.HasPrefix(key, "gold"):
			return bucket.PerDay(10_000)
		}
		return bucket.Limit{}
	}}
	for run, tt := range []struct {
		base       bucket.Limit
		free, gold int // left at the start
	}{
		{bucket.PerMinute(100), 100, 10_000},
		{bucket.PerMinute(100), 0, 5_000},
		{bucket.PerHour(5), 0, 5_000},
		{bucket.PerMinute(100), 0, 5_000},
	} {
		policy.Limit = tt.base
		l := mustOpen(t, weir.Config{Policies: []weir.Policy{policy}, Path: path})
		if free, gold := l.Peek(1, "free 1").Remaining, l.Peek(1, "gold 1").Remaining; free != tt.free || gold != tt.gold {
			t.Errorf("run %d: %d and %d left, want %d and %d", run+1, free, gold, tt.free, tt.gold)
		}
		if run == 0 {
			l.Take(100, "free 1")
			l.Take(5_000, "gold 1")
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// A policy that ceases to have tiers: at most one refill is owed.
	policy.LimitFor = nil
	l := mustOpen(t, weir.Config{Policies: []weir.Policy{policy}, Path: path})
	if d := l.Peek(1, "free 1"); d.ResetAfter > time.Minute {
		t.Errorf("without tiers: %+v, want at most a minute to wait", d)
	}
}

// While snapshots are taken by everybody, a Close is still the end, and a clean
// one.
func TestCloseIsCleanWhileOthersSync(t *testing.T) {
	t.Parallel()
	for range 8 {
		path := filepath.Join(t.TempDir(), "weir.db")
		l := mustOpen(t, weir.Config{Policies: two(5, 5), Path: path})
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := 0; l.Sync() == nil; i++ {
					l.Allow(fmt.Sprint(g), fmt.Sprint(i))
				}
			})
		}
		for range 10 {
			l.Sync()
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if l = mustOpen(t, weir.Config{Policies: two(5, 5), Path: path}); !l.Restored().Clean {
			t.Fatal("a graceful Close is read as a crash")
		}
		l.Close()
	}
}

// Load on many more keys than fit into memory, snapshots all the while, and a
// restart: nothing that was spent is forgotten.
func TestNothingIsForgottenUnderLoad(t *testing.T) {
	t.Parallel()
	const keys, burst = 20_000, 10_000
	takes := 150_000
	if testing.Short() {
		takes = 30_000
	}
	path := filepath.Join(t.TempDir(), "weir.db")
	policy := weir.Policy{Name: "ip", Limit: bucket.Limit{Quota: 1, Window: day, Burst: burst}, Size: 1000, Debts: 1 << 20}
	var spent [keys]int
	for run := range 3 {
		l := mustOpen(t, weir.Config{Policies: []weir.Policy{policy}, Path: path, Interval: 20 * time.Millisecond})
		var wg sync.WaitGroup
		for g := range 2 { // each has keys of its own
			rnd := rand.New(rand.NewPCG(uint64(run), uint64(g)))
			wg.Go(func() {
				for range takes {
					if key := 2*rnd.IntN(keys/2) + g; l.Take(3, fmt.Sprint(key)).Allowed {
						spent[key] += 3
					}
				}
			})
		}
		wg.Wait()
		if st := l.Stats().Policies[0]; st.DebtsDropped > 0 {
			t.Fatalf("the test is about something else: %+v", st)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	l := mustOpen(t, weir.Config{Policies: []weir.Policy{policy}, Path: path})
	for key, n := range spent {
		if left := l.Peek(1, fmt.Sprint(key)).Remaining; left > burst-n {
			t.Fatalf("key %d spent %d of %d and has %d left", key, n, burst, left)
		}
	}
}

// A limit that is changed while a snapshot is taken: the file knows under which
// one its debts are.
func TestSetLimitDuringASnapshot(t *testing.T) {
	t.Parallel()
	for i := range 4 {
		path := filepath.Join(t.TempDir(), "weir.db")
		policies := []weir.Policy{{Name: "ip", Limit: bucket.PerDay(1000), Size: 1 << 17}, {Name: "user", Limit: bucket.PerDay(1000)}}
		l := mustOpen(t, weir.Config{Policies: policies, Path: path, Interval: time.Hour})
		l.Take(900, "x", "alice")
		for key := range 50_000 {
			l.Allow(fmt.Sprint(key), "bob")
		}
		done := make(chan error)
		go func() { done <- l.Sync() }()
		for range i * 2000 {
			l.Peek(1, "x", "y") // takes some time
		}
		if err := l.SetLimit("user", bucket.PerMinute(1000)); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		l.Close()
		l = mustOpen(t, weir.Config{Policies: policies, Path: path})
		if d := l.Peek(1, "y", "alice"); d.Remaining > 150 {
			t.Errorf("try %d: 900 of 1000 used, and %d are left", i, d.Remaining)
		}
		l.Close()
	}
}

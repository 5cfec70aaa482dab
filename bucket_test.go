package weir_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/persist"
)

const day = 24 * time.Hour

func Example() {
	limiter, err := weir.Open("", // the path of a file, and the counts outlive the process
		weir.Policy{Name: "ip", Limit: bucket.PerMinute(100)},
		weir.Policy{Name: "user", Limit: bucket.PerDay(1000)})
	if err != nil {
		panic(err)
	}
	defer limiter.Close()

	allowed := 0
	for limiter.Allow("203.0.113.7", "alice") {
		allowed++
	}
	d := limiter.Take(1, "203.0.113.7", "alice")
	fmt.Println(allowed, "allowed, then come back after", d.RetryAfter.Round(100*time.Millisecond))
	fmt.Println("from elsewhere alice is", limiter.Allow("198.51.100.1", "alice"))
	// Output:
	// 100 allowed, then come back after 600ms
	// from elsewhere alice is true
}

func ExampleOpen() {
	dir, _ := os.MkdirTemp("", "weir")
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "weir.db")
	policy := weir.Policy{Name: "user", Limit: bucket.PerDay(1000)}

	for range 3 { // three runs of a program
		limiter, err := weir.Open(path, policy)
		if err != nil {
			panic(err)
		}
		fmt.Println(limiter.Take(400, "alice").Allowed, limiter.Peek(1, "alice").Remaining)
		limiter.Close()
	}
	// Output:
	// true 600
	// true 200
	// false 200
}

func ExampleLimiter_Decide() {
	limiter, _ := weir.Open("",
		weir.Policy{Name: "ip", Limit: bucket.PerMinute(100)},
		weir.Policy{Name: "user", Limit: bucket.PerDay(1)})
	into := make([]bucket.Decision, 2)
	for range 2 {
		fmt.Println(limiter.Decide(into, 1, "203.0.113.7", "alice"), into[0].Remaining, into[1].Remaining)
	}
	// Output:
	// true 99 0
	// false 99 0
}

func ExampleLimiter_Wait() {
	limiter, _ := weir.Open("", weir.Policy{Name: "ip", Limit: bucket.PerSecond(1)})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	fmt.Println(limiter.Wait(ctx, 1, "203.0.113.7"))
	err := limiter.Wait(ctx, 1, "203.0.113.7")
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output:
	// <nil>
	// true
}

func ExampleLimiter_SetLimit() {
	limiter, _ := weir.Open("", weir.Policy{Name: "user", Limit: bucket.PerDay(1000)})
	limiter.Take(300, "alice")
	fmt.Println(limiter.SetLimit("user", bucket.PerDay(500)), limiter.Peek(1, "alice").Remaining)
	fmt.Println(limiter.SetLimit("usr", bucket.PerDay(500)))
	// Output:
	// <nil> 200
	// weir: there is no policy "usr": want one of ["user"]
}

func mustOpen(t testing.TB, cfg weir.Config) *weir.Limiter {
	t.Helper()
	l, err := weir.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// two are policies that do not refill while a test runs.
func two(ip, user int) []weir.Policy {
	return []weir.Policy{
		{Name: "ip", Limit: bucket.Limit{Quota: 1, Window: day, Burst: ip}},
		{Name: "user", Limit: bucket.Limit{Quota: 1, Window: day, Burst: user}},
	}
}

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	ip := weir.Policy{Name: "ip", Limit: bucket.PerMinute(1)}
	for want, cfg := range map[string]weir.Config{
		"policies: none is given":                           {},
		`policy 2: name "ip" is there twice`:                {Policies: []weir.Policy{ip, ip}},
		`policy 1: name "" is out of range: want 1 to 64`:   {Policies: []weir.Policy{{Limit: ip.Limit}}},
		`policy 1: name "xxx`:                               {Policies: []weir.Policy{{Name: strings.Repeat("x", 65), Limit: ip.Limit}}},
		`policy "a": registry: limit: bucket: quota 0 is o`: {Policies: []weir.Policy{{Name: "a"}}},
		`policy "a": registry: size -1 is out of range`:     {Policies: []weir.Policy{{Name: "a", Limit: ip.Limit, Size: -1}}},
		"interval 1ns is out of range: want 10ms to 24h":    {Policies: []weir.Policy{ip}, Interval: 1},
		"interval -1s is out of range":                      {Policies: []weir.Policy{ip}, Interval: -time.Second},
	} {
		path := filepath.Join(t.TempDir(), "weir.db")
		cfg.Path = path
		if _, err := weir.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
		// Nothing is left locked.
		l, err := weir.Open(path, ip)
		if err != nil {
			t.Errorf("and after that the file cannot be opened: %v", err)
			continue
		}
		l.Close()
	}
}

func TestWrongNumberOfKeysPanics(t *testing.T) {
	t.Parallel()
	l := mustOpen(t, weir.Config{Policies: two(1, 1)})
	defer func() {
		if recover() == nil {
			t.Error("one key for two policies: no panic")
		}
		if !l.Allow("a", "b") {
			t.Error("after the panic the limiter is charged, or stuck")
		}
	}()
	l.Allow("a")
}

func TestTakeReturnsTheDecisionThatCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := mustOpen(t, weir.Config{Policies: []weir.Policy{
			{Name: "min", Limit: bucket.PerMinute(5)},
			{Name: "day", Limit: bucket.PerDay(6)},
			{Name: "trial", Limit: bucket.PerDay(1), DryRun: true},
		}})
		take := func(n int) bucket.Decision { return l.Take(n, "a", "a", "a") }
		if d := take(3); !d.Allowed || d.Limit.Quota != 5 || d.Remaining != 2 || d.DryRun {
			t.Errorf("allowed: %+v, want the policy with 2 left", d)
		}
		if d := take(4); d.Allowed || d.Limit.Quota != 6 || d.Remaining != 3 {
			t.Errorf("denied by both: %+v, want the one that takes longer", d)
		}
		if d := l.Peek(3, "a", "a", "a"); d.Allowed || d.Limit.Quota != 5 {
			t.Errorf("denied by one: %+v", d)
		}
		if d := take(7); d.Allowed || d.RetryAfter != bucket.Never {
			t.Errorf("more than a burst: %+v", d)
		}
		l.Refund(2, "a", "a", "a")
		if d := l.Peek(1, "a", "a", "a"); d.Remaining != 4 {
			t.Errorf("after a refund of 2: %+v", d)
		}
		if err := l.Reset("min", "a"); err != nil || l.Peek(5, "a", "b", "c").Remaining != 5 {
			t.Errorf("after a reset: %v, %+v", err, l.Peek(5, "a", "b", "c"))
		}
		if err := l.Reset("hour", "a"); err == nil {
			t.Error("reset under a policy that there is not: no error")
		}
		st := l.Stats().Policies
		if st[2].Name != "trial" || !st[2].DryRun || st[2].Denied != 3 || st[1].Allowed != 1 || st[0].Limit != bucket.PerMinute(5) {
			t.Errorf("stats: %+v", st)
		}
	})
}

// Invariants 1 and 4 through the whole library, with a file that is written all
// the while.
func TestExactlyTheBurstUnderContention(t *testing.T) {
	t.Parallel()
	const burst = 16_000
	l := mustOpen(t, weir.Config{Policies: two(burst, 2*burst), Path: filepath.Join(t.TempDir(), "weir.db"), Interval: 10 * time.Millisecond})
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			for range 2 * burst / 64 {
				if l.Allow("hot", fmt.Sprint(g)) {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got := admitted.Load(); got != burst {
		t.Errorf("%d admitted of a burst of %d", got, burst)
	}
	for g := range 64 {
		if d := l.Peek(1, "other", fmt.Sprint(g)); d.Remaining < 0 {
			t.Errorf("user %d: %+v", g, d)
		}
	}
}

// Invariant 6.
func TestHitsDoNotAllocate(t *testing.T) {
	plenty := bucket.Limit{Quota: 1, Window: day, Burst: 30000}
	for name, policies := range map[string][]weir.Policy{
		"one policy":           {{Name: "ip", Limit: plenty}},
		"one policy, denied":   {{Name: "ip", Limit: bucket.PerDay(1)}},
		"two policies":         {{Name: "ip", Limit: plenty}, {Name: "user", Limit: plenty}},
		"two policies, denied": {{Name: "ip", Limit: plenty}, {Name: "user", Limit: bucket.PerDay(1)}},
		"three, one a dry run": {{Name: "ip", Limit: plenty}, {Name: "user", Limit: plenty}, {Name: "new", Limit: bucket.PerDay(1), DryRun: true}},
		"four policies":        {{Name: "a", Limit: plenty}, {Name: "b", Limit: plenty}, {Name: "c", Limit: plenty}, {Name: "d", Limit: plenty}},
	} {
		l := mustOpen(t, weir.Config{Policies: policies, Path: filepath.Join(t.TempDir(), "weir.db"), Interval: day})
		keys := []string{"203.0.113.7", "alice", "c", "d"}[:len(policies)]
		into := make([]bucket.Decision, len(policies))
		l.Allow(keys...)
		for what, f := range map[string]func(){
			"Allow":  func() { l.Allow(keys...) },
			"Take":   func() { l.Take(1, keys...) },
			"Decide": func() { l.Decide(into, 1, keys...) },
		} {
			if got := testing.AllocsPerRun(100, f); got != 0 {
				t.Errorf("%s: %s makes %v allocations, want 0", name, what, got)
			}
		}
	}
}

// Invariant 8 through the file: stopped and started at random, it decides as
// one that never stopped.
//
// Not in parallel: a child process of another test that has not come to its
// exec yet holds the lock of the file for a moment, and in the time of this
// test no moment is short enough.
func TestRestartIsInvisible(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weir.db")
	synctest.Test(t, func(t *testing.T) {
		policies := []weir.Policy{
			{Name: "ip", Limit: bucket.Limit{Quota: 7, Window: time.Second, Burst: 5}, Size: 16},
			{Name: "user", Limit: bucket.Limit{Quota: 3, Window: time.Second, Burst: 9}},
		}
		stopped := mustOpen(t, weir.Config{Policies: policies, Path: path})
		never := map[string]*bucket.Bucket{} // plain buckets
		plain := func(i, key int) *bucket.Bucket {
			name := fmt.Sprint(i, " ", key)
			if never[name] == nil {
				never[name], _ = bucket.New(policies[i].Limit)
			}
			return never[name]
		}
		rnd := rand.New(rand.NewPCG(4, 2))
		restarts := 0
		for step := range 20_000 {
			time.Sleep(time.Duration(rnd.IntN(40))*time.Millisecond + 1234567)
			now := time.Now()
			if rnd.IntN(200) == 0 {
				if err := stopped.Close(); err != nil {
					t.Fatal(err)
				}
				stopped = mustOpen(t, weir.Config{Policies: policies, Path: path})
				restarts++
				// The clock that goes on while a process is away is a real one,
				// and the time of this test is not.
				for _, b := range never {
					b.RestoreDebt(now, b.Debt(now)-stopped.Restored().Away)
				}
			}
			ip, user, n := rnd.IntN(40), rnd.IntN(10), 1+rnd.IntN(3)
			a, b := plain(0, ip), plain(1, user)
			keys := []string{fmt.Sprint(ip), fmt.Sprint(user)}
			if rnd.IntN(30) == 0 {
				stopped.Refund(n, keys...)
				a.Refund(now, n)
				b.Refund(now, n)
			}
			if rnd.IntN(300) == 0 {
				stopped.Reset("user", keys[1])
				b.RestoreDebt(now, 0)
			}
			want := a.Peek(now, n).Allowed && b.Peek(now, n).Allowed
			if want {
				a.Take(now, n)
				b.Take(now, n)
			}
			var got [2]bucket.Decision
			if stopped.Decide(got[:], n, keys...) != want || got[0].Remaining != a.Peek(now, 1).Remaining || got[1].Remaining != b.Peek(now, 1).Remaining {
				t.Fatalf("step %d, after %d restarts: %+v, want %v, %+v and %+v", step, restarts, got, want, a.Peek(now, n), b.Peek(now, n))
			}
		}
		if st := stopped.Stats(); restarts < 50 || st.SaveErrors > 0 {
			t.Errorf("%d restarts, %+v", restarts, st)
		}
	})
}

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

func TestLongKeysAreKeptShort(t *testing.T) {
	l := mustOpen(t, weir.Config{Policies: []weir.Policy{{Name: "key", Limit: bucket.PerDay(1), Size: 1000}}})
	long := strings.Repeat("x", 1<<20)
	if !l.Allow(long+"a") || !l.Allow(long+"b") || l.Allow(long+"a") {
		t.Error("long keys that differ in the last byte are not told apart, or not limited")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 500 {
		l.Allow(long + fmt.Sprint(i))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("500 keys of a megabyte hold %d bytes", grown)
	}
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

// The library links three modules and what they bring, and no more.
func TestLibraryLinksNothingElse(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}",
		".", "./bucket", "./registry", "./persist", "./httpmw").Output()
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{"github.com/seed-0c889b51/weir", "golang.org/x/time", "github.com/hashicorp/golang-lru/v2", "go.etcd.io/bbolt", "golang.org/x/sys"}
	for _, module := range strings.Fields(string(out)) {
		if !slices.Contains(allowed, module) {
			t.Errorf("the library links %s", module)
		}
	}
}

package weir_test

import (
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
	"github.com/seed-0c889b51/weir/httpmw"
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

// A middleware that is made for each request is noticed.
func TestMiddlewarePerRequest(t *testing.T) {
	t.Parallel()
	l := mustOpen(t, weir.Config{Policies: two(5, 5)[:1]})
	var warned []httpmw.Warning
	for range 200 {
		mw, err := httpmw.New(l, httpmw.Config{
			Keys: map[string]httpmw.Key{"ip": httpmw.ByIP()}, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		warned = append(warned, mw.Stats().Warnings...)
	}
	if len(warned) != 1 || warned[0].Name != "built-per-request" {
		t.Errorf("warnings %+v, want one", warned)
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
	// What the users were charged adds up to what was admitted, no more.
	used, into := 0, make([]bucket.Decision, 2)
	for g := range 64 {
		l.Decide(into, 0, "hot", fmt.Sprint(g))
		used += 2*burst - into[1].Remaining
	}
	if used != burst {
		t.Errorf("the users were charged %d for %d admitted", used, burst)
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
			// Evictions and restarts round up by a microsecond or so.
			const tolerance = time.Millisecond
			wantA, wantB := a.Peek(now, n), b.Peek(now, n)
			var got [2]bucket.Decision
			allowed := stopped.Decide(got[:], n, keys...)
			if allowed != (wantA.Allowed && wantB.Allowed) && max(wantA.RetryAfter, wantB.RetryAfter)+max(got[0].RetryAfter, got[1].RetryAfter) > tolerance {
				t.Fatalf("step %d, after %d restarts: %+v, want %+v and %+v", step, restarts, got, wantA, wantB)
			}
			if allowed {
				a.Reserve(now, n, bucket.Never)
				b.Reserve(now, n, bucket.Never)
			}
			for i, plain := range []*bucket.Bucket{a, b} {
				if off := got[i].ResetAfter - plain.Debt(now); off > tolerance || off < -tolerance {
					t.Fatalf("step %d, after %d restarts: limit %d is full after %v, want %v", step, restarts, i, got[i].ResetAfter, plain.Debt(now))
				}
			}
		}
		if st := stopped.Stats(); restarts < 50 || st.SaveErrors > 0 {
			t.Errorf("%d restarts, %+v", restarts, st)
		}
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

func ExampleLimiter_Keys() {
	l, _ := weir.Open("", weir.Policy{Name: "user", Limit: bucket.PerHour(3)})
	for range 5 {
		l.Allow("alice")
	}
	l.Allow("bob")
	keys, _ := l.Keys("user")
	for key, d := range keys {
		fmt.Println(key, d.Remaining)
	}
	_, err := l.Keys("ip")
	fmt.Println(err)
	// Unordered output:
	// alice 0
	// bob 2
	// weir: there is no policy "ip": want one of ["user"]
}

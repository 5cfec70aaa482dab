package weir_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
)

func ExampleLimiter_Reload() {
	l, _ := weir.Open("", weir.Policy{Name: "ip", Limit: bucket.PerHour(10)})
	l.Take(4, "192.0.2.1")
	next, err := l.Reload(
		weir.Policy{Name: "ip", Limit: bucket.PerHour(20)},
		weir.Policy{Name: "user", Limit: bucket.PerDay(100)})
	if err != nil {
		panic(err)
	}
	fmt.Println(next.Peek(1, "192.0.2.1", "alice").Remaining)
	_, err = next.Reload(weir.Policy{Name: "ip", Limit: bucket.PerHour(0)})
	fmt.Println(err)
	// Output:
	// 16
	// weir: policy "ip": limit: bucket: quota 0 is out of range: want 1 to 2147483647
}

// What was used stays used, whatever becomes of the policies around it.
func TestReloadKeepsBuckets(t *testing.T) {
	t.Parallel()
	perDay := func(name string, n int) weir.Policy { return weir.Policy{Name: name, Limit: bucket.PerDay(n)} }
	renamed := perDay("client", 10)
	renamed.PreviousNames = []string{"address", "ip"}
	tiers := perDay("ip", 10)
	tiers.LimitFor = func(string) bucket.Limit { return bucket.PerDay(50) }
	anew := perDay("ip", 20)
	anew.Change = bucket.StartOver
	for _, row := range []struct {
		why  string
		to   []weir.Policy
		left []int // under each, of which a has used 4 under ip and 30 under user
	}{
		{"nothing changes", []weir.Policy{perDay("ip", 10), perDay("user", 100)}, []int{6, 70}},
		{"in another order", []weir.Policy{perDay("user", 100), perDay("ip", 10)}, []int{70, 6}},
		{"a higher limit", []weir.Policy{perDay("ip", 30), perDay("user", 100)}, []int{26, 70}},
		{"a lower limit", []weir.Policy{perDay("ip", 5), perDay("user", 100)}, []int{1, 70}},
		{"another name", []weir.Policy{renamed, perDay("user", 100)}, []int{6, 70}},
		{"limits of their own", []weir.Policy{tiers, perDay("user", 100)}, []int{46, 70}},
		{"by choice anew", []weir.Policy{anew, perDay("user", 100)}, []int{20, 70}},
		{"one less", []weir.Policy{perDay("user", 100)}, []int{70}},
		{"one more", []weir.Policy{perDay("path", 3), perDay("ip", 10), perDay("user", 100)}, []int{3, 6, 70}},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "weir.db")
				l := openWith(t, path, perDay("ip", 10), perDay("user", 100))
				into := make([]bucket.Decision, 8)
				l.DecideEach(into, []int{4, 30}, "a", "a")
				l = mustReload(t, l, row.to...)
				left := func(l *weir.Limiter, when string) {
					t.Helper()
					l.PeekEach(into, make([]int, len(row.to)), keys(len(row.to))...)
					for i, want := range row.left {
						if into[i].Remaining != want {
							t.Errorf("%s: under %s %d are left, want %d", when, row.to[i].Name, into[i].Remaining, want)
						}
					}
				}
				left(l, "after the reload")
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				// The names that were are not needed to find it in the file.
				for i := range row.to {
					row.to[i].PreviousNames, row.to[i].Change = nil, bucket.KeepUsed
				}
				l = openWith(t, path, row.to...)
				left(l, "after a restart")
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

func keys(n int) []string { return strings.Split(strings.Repeat("a,", n)[:2*n-1], ",") }

func mustReload(t testing.TB, l *weir.Limiter, policies ...weir.Policy) *weir.Limiter {
	t.Helper()
	next, err := l.Reload(policies...)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// What a policy holds that is taken out is forgotten, on disk too.
func TestReloadForgetsWhatIsTakenOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "weir.db")
		both := []weir.Policy{{Name: "ip", Limit: bucket.PerDay(10)}, {Name: "user", Limit: bucket.PerDay(100)}}
		l := openWith(t, path, both...)
		l.Take(4, "a", "a")
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
		l = mustReload(t, l, both[1])
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
		l = mustReload(t, l, both...)
		if d := l.Peek(1, "a", "b"); d.Remaining != 10 {
			t.Errorf("a policy that is back: %+v", d)
		}
		l.Close()
		l = openWith(t, path, both...)
		defer l.Close()
		if d := l.Peek(1, "a", "b"); d.Remaining != 10 {
			t.Errorf("after a restart: %+v", d)
		}
		if d := l.Peek(1, "b", "a"); d.Remaining != 10 {
			t.Errorf("under ip b has %+v", d)
		}
	})
}

// After an error all is as it was, and the next reload works.
func TestReloadErrors(t *testing.T) {
	t.Parallel()
	ip := weir.Policy{Name: "ip", Limit: bucket.PerDay(10)}
	l := openWith(t, "", ip)
	l.Take(4, "a")
	for _, row := range []struct {
		policies []weir.Policy
		want     string
	}{
		{nil, "policies: none is given"},
		{[]weir.Policy{ip, ip}, `name "ip" is there twice`},
		{[]weir.Policy{{Name: "ip", Limit: bucket.PerDay(10), Size: 10}}, `policy "ip": size 0 can not become 10 while it runs: want a restart`},
		{[]weir.Policy{{Name: "ip", Limit: bucket.PerDay(10), Debts: 10}}, `policy "ip": debts 0 can not become 10 while it runs: want a restart`},
		{[]weir.Policy{{Name: "ip", Limit: bucket.PerDay(20)}, {Name: "user"}}, `policy "user": registry: limit: bucket: quota 0 is out of range`},
		{[]weir.Policy{{Name: "user", Limit: bucket.PerDay(20), Size: -1}}, `policy "user": registry: size -1 is out of range`},
		{[]weir.Policy{{Name: "ip", Limit: bucket.PerDay(20), Change: 99}}, `policy "ip": change 99 is unknown`},
		{[]weir.Policy{{Name: "ip", Limit: bucket.Limit{Quota: 1, Window: -1}}}, `policy "ip": limit: bucket: window -1ns is out of range`},
	} {
		next, err := l.Reload(row.policies...)
		if err == nil || !strings.HasPrefix(err.Error(), "weir: ") || !strings.Contains(err.Error(), row.want) || next != nil {
			t.Errorf("%+v: %v, want %q", row.policies, err, row.want)
		}
		if d := l.Peek(1, "a"); d.Remaining != 6 || d.Limit != bucket.PerDay(10) {
			t.Fatalf("after %v: %+v", err, d)
		}
	}
	if d := mustReload(t, l, ip).Peek(1, "a"); d.Remaining != 6 {
		t.Errorf("after the errors: %+v", d)
	}
}

// Reloads under load drop no request and refill no bucket, whether a request is
// decided by the limiter that was or by the one that is.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	const clients = 4
	reloads := 300
	if testing.Short() {
		reloads = 50
	}
	slow := func(burst int) bucket.Limit { return bucket.Limit{Quota: 1, Window: 24 * time.Hour, Burst: burst} }
	sets := [][]weir.Policy{
		{{Name: "ip", Limit: slow(1000)}},
		{{Name: "ip", Limit: slow(1000), LimitFor: func(string) bucket.Limit { return bucket.Limit{} }}},
		{{Name: "ip", Limit: slow(1000)}, {Name: "all", Limit: slow(1 << 15)}},
	}
	l, err := weir.New(weir.Config{Path: filepath.Join(t.TempDir(), "weir.db"), Policies: sets[0], Interval: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	type view struct {
		*weir.Limiter
		policies int
	}
	var now atomic.Pointer[view]
	now.Store(&view{l, 1})
	var admitted [clients]atomic.Int64
	var wg sync.WaitGroup
	done := make(chan struct{})
	for client := range clients {
		wg.Go(func() {
			key := fmt.Sprint("client ", client)
			for {
				v := now.Load()
				if v.Allow([]string{key, "all"}[:v.policies]...) {
					admitted[client].Add(1)
				}
				select {
				case <-done:
					return
				default:
					runtime.Gosched() // those who reload want a turn
				}
			}
		})
	}
	for i := range reloads {
		set := sets[i%len(sets)]
		l = mustReload(t, l, set...)
		now.Store(&view{l, len(set)})
	}
	close(done)
	wg.Wait()
	for client := range clients {
		last := now.Load()
		for last.Allow([]string{fmt.Sprint("client ", client), "all"}[:last.policies]...) {
			admitted[client].Add(1)
		}
		if got := admitted[client].Load(); got != 1000 {
			t.Errorf("client %d was admitted %d times, want the 1000 of its limit", client, got)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func openWith(t testing.TB, path string, policies ...weir.Policy) *weir.Limiter {
	t.Helper()
	return mustOpen(t, weir.Config{Path: path, Policies: policies})
}

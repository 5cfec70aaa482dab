package weir_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
)

func ExampleLimiter_DecideEach() {
	limiter, _ := weir.Open("",
		weir.Policy{Name: "requests", Limit: bucket.PerMinute(100)},
		weir.Policy{Name: "logins", Limit: bucket.PerMinute(5)})
	into := make([]bucket.Decision, 2)
	// A request that is no login:
	fmt.Println(limiter.DecideEach(into, []int{1, -1}, "203.0.113.7", ""), into[0].Remaining)
	// And one that is:
	fmt.Println(limiter.DecideEach(into, []int{1, 1}, "203.0.113.7", "alice"), into[0].Remaining, into[1].Remaining)
	// Output:
	// true 99
	// true 98 4
}

func ExampleLimiter_PeekEach() {
	l, _ := weir.Open("", weir.Policy{Name: "ip", Limit: bucket.PerHour(10)}, weir.Policy{Name: "user", Limit: bucket.PerHour(3)})
	into := make([]bucket.Decision, 2)
	for range 2 {
		fmt.Println(l.PeekEach(into, []int{-1, 4}, "", "alice"), into[1].Remaining)
	}
	// Output:
	// false 3
	// false 3
}

func ExampleLimiter_Settle() {
	limiter, _ := weir.Open("",
		weir.Policy{Name: "requests", Limit: bucket.PerDay(100)},
		weir.Policy{Name: "rows", Limit: bucket.PerDay(5000)})
	into := make([]bucket.Decision, 2)
	limiter.DecideEach(into, []int{1, 10}, "alice", "alice") // ten rows, it was thought
	limiter.Settle([]int{0, 3490}, "alice", "alice")         // 3500 it were
	limiter.DecideEach(into, []int{0, 0}, "alice", "alice")
	fmt.Println(into[0].Remaining, into[1].Remaining)
	// Output: 99 1500
}

// Each policy has its cost, keys of any length are the same to all methods, and
// a wrong number of costs is a mistake that shows at once.
func TestCostsByPolicy(t *testing.T) {
	t.Parallel()
	l := mustOpen(t, weir.Config{Policies: two(10, 20)})
	long := strings.Repeat("k", 1000)
	into := make([]bucket.Decision, 2)
	if !l.DecideEach(into, []int{3, -1}, long, "") || into[0].Remaining != 7 || into[1] != (bucket.Decision{Allowed: true}) {
		t.Errorf("%+v", into)
	}
	l.Settle([]int{6, 25}, long, "a")
	if l.DecideEach(into, []int{1, 1}, long, "a") || !into[0].Allowed || into[1].Allowed {
		t.Errorf("one is in debt: %+v", into)
	}
	if d := l.Peek(1, long, "b"); d.Remaining != 1 {
		t.Errorf("and the other was charged for it: %+v", d)
	}
	l.Settle([]int{-100, -3}, long, "a")
	if l.DecideEach(into, []int{10, 1}, long, "a") || !into[0].Allowed || into[1].RetryAfter.Round(time.Second) != 3*day {
		t.Errorf("given back, 2 are missing still: %+v", into)
	}
	for name, f := range map[string]func(){
		"DecideEach with too few costs": func() { l.DecideEach(into, []int{1}, "a", "b") },
		"Settle with too many":          func() { l.Settle([]int{1, 1, 1}, "a", "b") },
		"Settle with too few keys":      func() { l.Settle([]int{1, 1}, "a") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

// What is owed beyond what there was outlives a restart and a crash after a
// snapshot, up to one refill.
func TestSettledDebtSurvives(t *testing.T) {
	t.Parallel()
	for how, again := range map[string]func(k *kept){
		"a restart": func(k *kept) { k.restart(nil) },
		"a crash":   func(k *kept) { k.Sync(); k.crash(nil) },
	} {
		synctest.Test(t, func(t *testing.T) {
			k := newKept(t, weir.Config{Policies: []weir.Policy{{Name: "day", Limit: bucket.PerDay(24)}}})
			k.Settle([]int{20}, "some")
			k.Settle([]int{24}, "all")
			k.Settle([]int{24 + 12}, "more")
			k.Settle([]int{24 + 240}, "much more")
			again(k)
			k.left(how, 4, "some")
			for _, row := range []struct {
				key  string
				wait time.Duration
			}{
				{"all", time.Hour},
				{"more", time.Hour}, // what is beyond one refill is forgiven
				{"much more", time.Hour},
			} {
				if d := k.Peek(1, row.key); d.Allowed || d.RetryAfter.Round(time.Minute) != row.wait {
					t.Errorf("%s: %q: %+v, want to wait %v", how, row.key, d, row.wait)
				}
			}
		})
	}
}

// Many at once who take a token, find out what it was worth, and settle: those
// at it together with those that were worth it are never more than there are
// tokens, and what is left adds up.
func TestSettlingUnderContention(t *testing.T) {
	t.Parallel()
	const burst, user, goroutines, rounds = 10, 30_000, 64, 100
	l := mustOpen(t, weir.Config{Policies: two(burst, user)})
	var out, admitted atomic.Int64
	var wg sync.WaitGroup
	for i := range goroutines {
		wg.Go(func() {
			into := make([]bucket.Decision, 2)
			for round := range rounds {
				if !l.DecideEach(into, []int{1, 1}, "a", "b") {
					continue
				}
				admitted.Add(1)
				if n := out.Add(1); n > burst {
					t.Errorf("%d of %d tokens are out", n, burst)
				}
				if i < 3 && round == 7 {
					continue // worth it: the token stays spent
				}
				out.Add(-1)
				l.Settle([]int{-1, 2}, "a", "b")
			}
		})
	}
	wg.Wait()
	worth := out.Load()
	into := make([]bucket.Decision, 2)
	l.DecideEach(into, []int{0, 0}, "a", "b")
	if got := into[0].Remaining; got != burst-int(worth) || worth < 1 {
		t.Errorf("%d left of %d, of which %d were spent", got, burst, worth)
	}
	if got, want := into[1].Remaining, user-int(3*admitted.Load()-2*worth); got != want {
		t.Errorf("%d left, want %d: %d were admitted, and %d of them not settled", got, want, admitted.Load(), worth)
	}
}

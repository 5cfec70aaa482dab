package registry_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/registry"
)

func mustGroup[K comparable](t testing.TB, members ...*registry.Registry[K]) *registry.Group[K] {
	t.Helper()
	g, err := registry.NewGroup(members...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGroupErrors(t *testing.T) {
	t.Parallel()
	r := mustNew(t, registry.Config[string]{Limit: bucket.PerSecond(1)})
	for name, members := range map[string][]*registry.Registry[string]{
		"none": nil, "nil": {nil}, "twice": {r, r},
	} {
		if _, err := registry.NewGroup(members...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	g := mustGroup(t, r)
	for _, keys := range [][]string{nil, {"a", "b"}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d keys for one registry: no panic", len(keys))
				}
			}()
			g.Decide(make([]bucket.Decision, 2), 1, keys...)
		}()
	}
}

// Invariant 4: all or nothing, in any order of limits, with evictions, and a
// denial costs nothing.
func TestGroupIsAllOrNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for seed := range 300 {
			rnd := newDice(seed)
			count := rnd.between(1, 4)
			members := make([]*registry.Registry[int], count)
			models := make([]map[int]*bucket.Bucket, count)
			limits := make([]bucket.Limit, count)
			dry := make([]bool, count)
			for i := range members {
				limits[i] = bucket.Limit{Quota: rnd.between(1, 9), Window: time.Second, Burst: rnd.between(1, 9)}
				dry[i] = rnd.between(0, 3) == 0
				members[i] = mustNew(t, registry.Config[int]{Limit: limits[i], DryRun: dry[i], Size: rnd.between(1, 4), Debts: 1 << 10})
				models[i] = map[int]*bucket.Bucket{}
			}
			g := mustGroup(t, members...)
			into := make([]bucket.Decision, count)
			for step := range 60 {
				// Tokens come at multiples of 1s/quota; requests never do, so
				// that what eviction rounds off does not matter.
				time.Sleep(time.Duration(rnd.between(0, 300))*time.Millisecond + 1234567)
				now, n := time.Now(), rnd.between(0, 3)
				keys := make([]int, count)
				want := true
				for i := range keys {
					keys[i] = rnd.between(0, 5)
					if models[i][keys[i]] == nil {
						models[i][keys[i]], _ = bucket.New(limits[i])
					}
					want = want && (dry[i] || models[i][keys[i]].Peek(now, n).Allowed)
				}
				peeked := g.Peek(make([]bucket.Decision, count), n, keys...)
				got := g.Decide(into, n, keys...)
				if got != want || peeked != want {
					t.Fatalf("seed %d, step %d: Decide = %v, Peek = %v, want %v: %+v", seed, step, got, peeked, want, into)
				}
				for i, key := range keys {
					b := models[i][key]
					fits := b.Peek(now, n).Allowed
					if into[i].Allowed != (fits || dry[i]) || into[i].Exceeded() == fits || into[i].DryRun != dry[i] {
						t.Fatalf("seed %d, step %d, limit %d: %+v, want allowed %v", seed, step, i, into[i], fits)
					}
					if want && fits {
						b.Take(now, n)
					}
					if got, want := into[i].Remaining, b.Peek(now, 1).Remaining; got != want {
						t.Fatalf("seed %d, step %d, limit %d: %d remaining, want %d", seed, step, i, got, want)
					}
					if got, want := members[i].Peek(key, 1).Remaining, b.Peek(now, 1).Remaining; got != want {
						t.Fatalf("seed %d, step %d, limit %d: key %d has %d left, want %d", seed, step, i, key, got, want)
					}
				}
			}
		}
	})
}

// Two limits that bite in turn, from many goroutines: each admits exactly its
// burst, no token is lost to denials, and nobody waits for ever.
func TestGroupUnderContention(t *testing.T) {
	t.Parallel()
	const users, perUser, global, goroutines = 8, 300, 2000, 32
	for _, size := range []int{1, 1 << 10} {
		user := mustNew(t, registry.Config[int]{Limit: bucket.Limit{Quota: 1, Window: day, Burst: perUser}, Size: size})
		all := mustNew(t, registry.Config[int]{Limit: bucket.Limit{Quota: 1, Window: day, Burst: global}, Size: size})
		g := mustGroup(t, user, all)
		var admitted [users]atomic.Int64
		var wg sync.WaitGroup
		for i := range goroutines {
			rnd := rand.New(rand.NewPCG(uint64(size), uint64(i)))
			wg.Go(func() {
				into := make([]bucket.Decision, 2)
				for range 500 {
					who := rnd.IntN(users)
					if g.Decide(into, 1, who, 0) {
						admitted[who].Add(1)
					}
				}
			})
		}
		wg.Wait()
		sum := int64(0)
		for who := range admitted {
			got := admitted[who].Load()
			sum += got
			if left := user.Peek(who, 1).Remaining; got+int64(left) != perUser {
				t.Errorf("size %d: user %d was admitted %d times and has %d left of %d", size, who, got, left, perUser)
			}
		}
		if sum != global {
			t.Errorf("size %d: %d admitted of %d in all", size, sum, global)
		}
	}
}

// Invariant 9: one reading of the clock for a decision, however many limits.
func TestGroupReadsTheClockOnce(t *testing.T) {
	t.Parallel()
	limit := bucket.Limit{Quota: 1, Window: time.Second, Burst: 1e6}
	g := mustGroup(t,
		mustNew(t, registry.Config[string]{Limit: limit}),
		mustNew(t, registry.Config[string]{Limit: limit}),
		mustNew(t, registry.Config[string]{Limit: limit}))
	into := make([]bucket.Decision, 3)
	for i := range 2000 {
		g.Decide(into, 1, "a", "a", "a")
		if into[0] != into[1] || into[1] != into[2] {
			t.Fatalf("decision %d: the same limit, asked the same three times, says\n%+v\n%+v\n%+v", i, into[0], into[1], into[2])
		}
	}
}

// Registries need not have been made at the same time to be asked at the same.
func TestGroupOfRegistriesOfDifferentAges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		older := mustNew(t, registry.Config[string]{Limit: bucket.PerDay(10)})
		time.Sleep(time.Hour)
		younger := mustNew(t, registry.Config[string]{Limit: bucket.PerDay(10)})
		for _, g := range []*registry.Group[string]{mustGroup(t, older, younger), mustGroup(t, younger, older)} {
			g.Decide(make([]bucket.Decision, 2), 1, "a", "a")
		}
		if o, y := older.Peek("a", 1), younger.Peek("a", 1); o != y || o.Remaining != 8 {
			t.Errorf("after two requests to both: %+v and %+v", o, y)
		}
	})
}

func TestGroupHitsDoNotAllocate(t *testing.T) {
	rich, poor := bucket.Limit{Quota: 1, Window: day, Burst: 30000}, bucket.PerDay(1)
	str := mustGroup(t, mustNew(t, registry.Config[string]{Limit: rich}), mustNew(t, registry.Config[string]{Limit: rich}))
	strPoor := mustGroup(t, mustNew(t, registry.Config[string]{Limit: rich}), mustNew(t, registry.Config[string]{Limit: poor}))
	addr := mustGroup(t, mustNew(t, registry.Config[netip.Addr]{Limit: rich}), mustNew(t, registry.Config[netip.Addr]{Limit: poor}))
	one := mustGroup(t, mustNew(t, registry.Config[string]{Limit: rich}))
	var ten []*registry.Registry[string]
	for range 10 {
		ten = append(ten, mustNew(t, registry.Config[string]{Limit: rich}))
	}
	many, names := mustGroup(t, ten...), make([]string, len(ten))
	ip, into := netip.MustParseAddr("203.0.113.7"), make([]bucket.Decision, 10)
	str.Decide(into, 1, "a", "b") // so that Peek is a hit
	for name, f := range map[string]func(){
		"one limit":              func() { one.Decide(into, 1, "a") },
		"two limits, allowed":    func() { str.Decide(into, 1, "a", "b") },
		"two limits, denied":     func() { strPoor.Decide(into, 1, "a", "b") },
		"two limits, netip.Addr": func() { addr.Decide(into, 1, ip, ip) },
		"ten limits":             func() { many.Decide(into, 1, names...) },
		"two limits, peek":       func() { str.Peek(into, 1, "a", "b") },
		"two limits, too many":   func() { str.Decide(into, 1<<30, "a", "b") },
	} {
		f()
		if got := testing.AllocsPerRun(200, f); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
}

func TestGroupRefund(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := mustNew(t, registry.Config[string]{Limit: bucket.PerHour(10)})
		b := mustNew(t, registry.Config[string]{Limit: bucket.PerHour(20)})
		g := mustGroup(t, a, b)
		g.Decide(make([]bucket.Decision, 2), 5, "x", "y")
		g.Refund(2, "x", "y")
		if a.Peek("x", 1).Remaining != 7 || b.Peek("y", 1).Remaining != 17 {
			t.Errorf("after 5 and a refund of 2: %+v and %+v", a.Peek("x", 1), b.Peek("y", 1))
		}
	})
}

func TestGroupWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fast := mustNew(t, registry.Config[string]{Limit: bucket.Limit{Quota: 10, Window: time.Second, Burst: 2}})
		slow := mustNew(t, registry.Config[string]{Limit: bucket.Limit{Quota: 1, Window: time.Second, Burst: 2}})
		g := mustGroup(t, fast, slow)
		left := func() [2]int {
			return [2]int{fast.Peek("a", 1).Remaining, slow.Peek("b", 1).Remaining}
		}
		start := time.Now()
		g.Wait(t.Context(), 2, "a", "b")
		if err := g.Wait(t.Context(), 1, "a", "b"); err != nil || time.Since(start).Round(time.Millisecond) != time.Second {
			t.Errorf("the longest wait of both: %v after %v, want 1s", err, time.Since(start))
		}

		before := left()
		if err := g.Wait(t.Context(), 3, "a", "b"); !errors.Is(err, bucket.ErrBurst) {
			t.Errorf("more than the burst: %v", err)
		}
		soon, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := g.Wait(soon, 2, "a", "b"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a deadline that comes first: %v", err)
		}
		if got := left(); got != before {
			t.Errorf("after errors %v are left, before %v: one of the limits was charged", got, before)
		}

		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error)
		go func() { errs <- g.Wait(ctx, 2, "a", "b") }()
		time.Sleep(200 * time.Millisecond)
		cancel()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		if got := left(); got != [2]int{2, 2} {
			t.Errorf("a waiter that gave up kept tokens: %v are left, want 2 and 2", got)
		}
	})
}

func TestWaitOutlivesEviction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, registry.Config[string]{Limit: bucket.Limit{Quota: 1, Window: time.Second, Burst: 1}, Size: 1})
		r.Allow("a")
		start, done := time.Now(), make(chan time.Duration, 2)
		for range 2 {
			go func() {
				if err := r.Wait(t.Context(), "a", 1); err != nil {
					t.Error(err)
				}
				done <- time.Since(start).Round(time.Millisecond)
			}()
			synctest.Wait()
			r.Allow("b") // evicts a, which owes more than its burst
		}
		if first, second := <-done, <-done; first != time.Second || second != 2*time.Second {
			t.Errorf("waited %v and %v, want 1s and 2s", first, second)
		}
	})
}

package registry_test

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/registry"
)

func TestCosts(t *testing.T) {
	t.Parallel()
	a := mustNew(t, registry.Config[string]{Limit: bucket.PerDay(10)})
	b := mustNew(t, registry.Config[string]{Limit: bucket.PerDay(10)})
	g, one := mustGroup(t, a, b), mustGroup(t, mustNew(t, registry.Config[string]{Limit: bucket.PerDay(10)}))
	into := make([]bucket.Decision, 2)
	for _, costs := range [][]int{nil, {1}, {1, 1, 1}} {
		for name, f := range map[string]func(){
			"DecideEach": func() { g.DecideEach(into, costs, "x", "y") },
			"Settle":     func() { g.Settle(costs, "x", "y") },
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s with %d costs for two registries: no panic", name, len(costs))
					}
				}()
				f()
			}()
		}
	}
	if !g.DecideEach(into, []int{3, 0}, "x", "y") || into[0].Remaining != 7 || into[1].Remaining != 10 || into[1].Limit != bucket.PerDay(10) {
		t.Errorf("3 and 0: %+v", into)
	}
	if !g.DecideEach(into, []int{-1, 10}, "x", "y") || into[0] != (bucket.Decision{Allowed: true}) || into[1].Remaining != 0 {
		t.Errorf("not asked and 10: %+v", into)
	}
	if g.DecideEach(into, []int{1, 1}, "x", "y") || !into[0].Allowed || into[0].Remaining != 7 || into[1].Allowed {
		t.Errorf("1 and 1 of an empty bucket: %+v", into)
	}
	if !g.DecideEach(into, []int{1, 0}, "x", "y") || !into[1].Allowed {
		t.Errorf("1 and 0 of an empty bucket: %+v", into)
	}
	if !g.DecideEach(into, []int{-1, math.MinInt}, "x", "y") || into[0] != into[1] || into[0] != (bucket.Decision{Allowed: true}) {
		t.Errorf("none asked: %+v", into)
	}
	g.Settle([]int{math.MinInt, math.MaxInt}, "x", "y")
	if x, y := a.Peek("x", 1), b.Peek("y", 1); x.Remaining != 10 || y.Allowed || y.RetryAfter == bucket.Never {
		t.Errorf("all given back and all taken: %+v, %+v", x, y)
	}
	if !one.DecideEach(into, []int{-1}, "x") || into[0] != (bucket.Decision{Allowed: true}) {
		t.Errorf("the only one is not asked: %+v", into[0])
	}
	if one.DecideEach(into, []int{11}, "x") || into[0].RetryAfter != bucket.Never {
		t.Errorf("the only one is asked for 11: %+v", into[0])
	}
}

// A registry that is not asked does not even look the key up, and counts nothing.
func TestNotAskedIsNotLookedUp(t *testing.T) {
	t.Parallel()
	var looked atomic.Int64
	cfg := registry.Config[string]{Limit: bucket.PerDay(10), LimitFor: func(string) bucket.Limit {
		looked.Add(1)
		return bucket.Limit{}
	}}
	a, b := mustNew(t, registry.Config[string]{Limit: bucket.PerDay(10)}), mustNew(t, cfg)
	g := mustGroup(t, a, b)
	into := make([]bucket.Decision, 2)
	g.DecideEach(into, []int{1, -1}, "x", "y")
	g.Settle([]int{1, 0}, "x", "y")
	if st := b.Stats(); looked.Load() != 0 || st.Keys != 0 || st.Allowed != 0 {
		t.Errorf("LimitFor called %d times, %+v", looked.Load(), st)
	}
	g.DecideEach(into, []int{-1, 1}, "x", "y")
	if st := a.Stats(); looked.Load() != 1 || st.Allowed != 1 || b.Stats().Allowed != 1 {
		t.Errorf("LimitFor called %d times, %+v, %+v", looked.Load(), st, b.Stats())
	}
}

// Decisions with costs and settlements are those of a bucket for each key,
// whatever is evicted in between.
func TestSettleAgainstAModel(t *testing.T) {
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
			into, costs, keys := make([]bucket.Decision, count), make([]int, count), make([]int, count)
			for step := range 60 {
				// Tokens come at multiples of 1s/quota; requests never do, so
				// that what eviction rounds off does not matter.
				time.Sleep(time.Duration(rnd.between(0, 300))*time.Millisecond + 1234567)
				now, settle, want := time.Now(), rnd.between(0, 2) == 0, true
				for i := range keys {
					keys[i] = rnd.between(0, 5)
					if models[i][keys[i]] == nil {
						models[i][keys[i]], _ = bucket.New(limits[i])
					}
					costs[i] = rnd.between(-2, 4)
					if settle {
						costs[i] = rnd.between(-8, 20)
					}
					want = want && (costs[i] < 0 || dry[i] || models[i][keys[i]].Peek(now, costs[i]).Allowed)
				}
				if settle {
					g.Settle(costs, keys...)
				} else if got := g.DecideEach(into, costs, keys...); got != want {
					t.Fatalf("seed %d, step %d: DecideEach(%v) = %v, want %v: %+v", seed, step, costs, got, want, into)
				}
				for i, key := range keys {
					b, n := models[i][key], costs[i]
					switch {
					case settle:
						b.Charge(now, n)
						b.Refund(now, -n)
					case n < 0:
						if into[i] != (bucket.Decision{Allowed: true}) {
							t.Fatalf("seed %d, step %d, limit %d was not asked: %+v", seed, step, i, into[i])
						}
					default:
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
					}
					got, want := members[i].Peek(key, 1), b.Peek(now, 1)
					const rounding = 60 * 1024 * time.Nanosecond // of a debt, evicted in each step
					if got.Remaining != want.Remaining || (got.RetryAfter-want.RetryAfter).Abs() > rounding ||
						(got.ResetAfter-want.ResetAfter).Abs() > rounding {
						t.Fatalf("seed %d, step %d, limit %d: key %d has %+v, want %+v", seed, step, i, key, got, want)
					}
				}
			}
		}
	})
}

// What is charged beyond what there is outlives eviction.
func TestChargedDebtOutlivesEviction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, registry.Config[string]{Limit: bucket.PerMinute(60), Size: 1})
		r.Charge("a", 600) // a key that is not in memory has a full bucket
		for _, want := range []time.Duration{541 * time.Second, 540 * time.Second} {
			if d := r.Peek("a", 1); d.Allowed || d.RetryAfter.Round(time.Millisecond) != want {
				t.Errorf("%+v, want to wait %v", d, want)
			}
			r.Allow("b") // evicts a
			time.Sleep(time.Second)
		}
		r.Charge("a", 1) // where it is
		if d := r.Peek("a", 1); d.RetryAfter.Round(time.Millisecond) != 540*time.Second {
			t.Errorf("charged again: %+v, want to wait 9m", d)
		}
		if st := r.Stats(); st.Allowed != 2 || st.Denied != 0 {
			t.Errorf("a charge was counted as a request: %+v", st)
		}
	})
}

// A charge is saved like what is taken, and tells of a bucket that it empties.
func TestChargeIsSaved(t *testing.T) {
	t.Parallel()
	dry := make(chan struct{}, 1)
	r := mustNew(t, registry.Config[string]{Limit: bucket.PerDay(10), Hash: func(string) uint64 { return 7 }, Dry: dry})
	for _, row := range []struct {
		n   int
		dry int
		why string
	}{{4, 0, "some are left"}, {100, 1, "the last are gone"}, {100, 0, "they were before"}} {
		r.Charge("a", row.n)
		if got := len(dry); got != row.dry {
			t.Errorf("%s: told of %d dry buckets, want %d", row.why, got, row.dry)
		}
		for len(dry) > 0 {
			<-dry
		}
		saved := 0
		_, changed := r.Changed(time.Now(), 0)
		for range changed {
			saved++
		}
		if saved != 1 {
			t.Errorf("%s: %d records to save, want 1", row.why, saved)
		}
	}
}

// Several limits, from many goroutines that take and settle in any order: every
// token is accounted for.
func TestGroupConservesTokens(t *testing.T) {
	t.Parallel()
	const users, burst, goroutines = 4, 3000, 16
	for _, size := range []int{1, 1 << 10} {
		limit := bucket.Limit{Quota: 1, Window: day, Burst: burst}
		members := []*registry.Registry[int]{
			mustNew(t, registry.Config[int]{Limit: limit, Size: size}),
			mustNew(t, registry.Config[int]{Limit: limit, Size: size}),
			mustNew(t, registry.Config[int]{Limit: limit, Size: size}),
		}
		// Another order than that in which they were made, and than that of
		// each other, so that a wrong order of locks would hang.
		groups := []*registry.Group[int]{
			mustGroup(t, members...),
			mustGroup(t, members[2], members[0], members[1]),
		}
		at := [2][3]int{{0, 1, 2}, {2, 0, 1}} // the member at each place of a group
		var spent [3][users]atomic.Int64
		var wg sync.WaitGroup
		for i := range goroutines {
			rnd := rand.New(rand.NewPCG(uint64(size), uint64(i)))
			wg.Go(func() {
				into, costs, keys := make([]bucket.Decision, 3), make([]int, 3), make([]int, 3)
				for range 300 {
					which := rnd.IntN(2)
					for i := range costs {
						costs[i], keys[i] = rnd.IntN(5)-1, rnd.IntN(users)
					}
					if groups[which].DecideEach(into, costs, keys...) {
						for i, n := range costs {
							spent[at[which][i]][keys[i]].Add(int64(max(0, n)))
							// The true cost: some more, some less than taken.
							costs[i] = 0
							if n >= 0 {
								costs[i] = rnd.IntN(8) - n
							}
							spent[at[which][i]][keys[i]].Add(int64(costs[i]))
						}
						groups[which].Settle(costs, keys...)
					}
				}
			})
		}
		wg.Wait()
		for i, r := range members {
			for who := range users {
				// 1 a day: a test that takes minutes refills a thousandth of a token.
				got, want := r.Peek(who, 1).ResetAfter.Round(day), time.Duration(spent[i][who].Load())*day
				if got != want {
					t.Errorf("size %d: under limit %d user %d owes %v, want %v", size, i, who, got, want)
				}
			}
		}
	}
}

func TestCostsDoNotAllocate(t *testing.T) {
	rich := bucket.Limit{Quota: 1, Window: day, Burst: 30000}
	g := mustGroup(t, mustNew(t, registry.Config[string]{Limit: rich}), mustNew(t, registry.Config[string]{Limit: rich}),
		mustNew(t, registry.Config[string]{Limit: bucket.PerDay(1)}))
	one := mustGroup(t, mustNew(t, registry.Config[string]{Limit: rich}))
	into := make([]bucket.Decision, 3)
	for name, f := range map[string]func(){
		"allowed":         func() { g.DecideEach(into, []int{1, 2, 0}, "a", "b", "c") },
		"denied":          func() { g.DecideEach(into, []int{1, 2, 5}, "a", "b", "c") },
		"one not asked":   func() { g.DecideEach(into, []int{1, -1, 0}, "a", "b", "c") },
		"none asked":      func() { g.DecideEach(into, []int{-1, -1, -1}, "a", "b", "c") },
		"one limit":       func() { one.DecideEach(into, []int{1}, "a") },
		"settle":          func() { g.Settle([]int{3, -2, 0}, "a", "b", "c") },
		"settle the rest": func() { g.Settle([]int{40000, 1, -1}, "a", "b", "c") },
	} {
		f()
		if got := testing.AllocsPerRun(200, f); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
}

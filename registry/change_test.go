package registry_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/registry"
)

// What is spent after a key came back from the debt table, and before the walk
// came to its shard, is not overwritten by what the table had.
func TestWalkYieldsTheOlderFirst(t *testing.T) {
	t.Parallel()
	for _, all := range []bool{false, true} {
		t.Run(fmt.Sprint("all=", all), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const spenders = 500
				r := mustNew(t, registry.Config[int]{Limit: bucket.PerHour(60), Hash: identity, Size: 4096, Debts: 1 << 16})
				for key := range 12000 {
					r.Take(key, 1)
				}
				file := map[uint64]time.Duration{}
				if all {
					collect(file, records(r.Changed)(time.Now(), 0))
				}
				walk, began := records(r.Changed)(time.Now(), 0), false
				if all {
					walk = records(r.All)(time.Now(), 0)
				}
				for hash, debt := range walk {
					if file[hash] = debt; !began {
						began = true
						for key := range spenders {
							r.Take(key, 50)
						}
					}
				}
				collect(file, records(r.Changed)(time.Now(), 0))
				for key := range spenders {
					if got, want := file[identity(key)], r.Peek(key, 1).ResetAfter; got < want {
						t.Fatalf("key %d owes %v, and the file has %v for good", key, want, got)
					}
				}
			})
		})
	}
}

// A limit that is changed while LimitFor is still being asked does not come
// back when the answer arrives.
func TestSetLimitBeatsALateLimitFor(t *testing.T) {
	t.Parallel()
	for _, limits := range []int{1, 2} {
		asked, answer := make(chan bool, 1), make(chan bool)
		var calls atomic.Int32
		r := mustNew(t, registry.Config[string]{Limit: bucket.PerDay(10), LimitFor: func(string) bucket.Limit {
			if calls.Add(1) == 1 {
				asked <- true
				<-answer
			}
			return bucket.Limit{}
		}})
		members := []*registry.Registry[string]{r, mustNew(t, registry.Config[string]{Limit: bucket.PerDay(2000)})}[:limits]
		g := mustGroup(t, members...)
		allow := func() bool {
			return g.Decide(make([]bucket.Decision, limits), 1, []string{"a", "a"}[:limits]...)
		}
		late := make(chan bool)
		go func() { late <- allow() }()
		<-asked
		if err := r.SetLimit(bucket.PerDay(1000)); err != nil {
			t.Fatal(err)
		}
		admitted := 0
		for range 900 {
			if allow() {
				admitted++
			}
		}
		close(answer)
		if <-late {
			admitted++
		}
		for allow() {
			admitted++
		}
		if admitted != 1000 {
			t.Errorf("%d limits: %d admitted of 1000", limits, admitted)
		}
	}
}

// A walk that began under another limit leaves the debts under the new one.
func TestSetLimitDuringAWalk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const keys = 1000
		r := mustNew(t, registry.Config[int]{Limit: bucket.PerDay(10), Hash: identity, Size: 1, Debts: 1 << 14})
		for key := range keys {
			r.Take(key, 1)
		}
		var admitted [keys]int
		seen := 0
		limit, changed := r.Changed(time.Now(), 0)
		for range changed {
			if seen++; seen != 5 {
				continue
			}
			if err := r.SetLimit(bucket.PerDay(1000)); err != nil {
				t.Fatal(err)
			}
			for key := range keys {
				for range 500 {
					if r.Allow(key) {
						admitted[key]++
					}
				}
			}
		}
		if limit != bucket.PerDay(10) {
			t.Errorf("the walk says %v, want the limit at its beginning", limit)
		}
		for key := range keys {
			for r.Allow(key) {
				admitted[key]++
			}
			if admitted[key] > 1000 {
				t.Fatalf("key %d was admitted %d of 1000 times", key, admitted[key])
			}
		}
	})
}

// Debts of evicted keys are converted like those in memory, also where each
// key has a limit of its own.
func TestSetLimitConvertsEvictedTiers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gold := bucket.PerDay(5000)
		r := mustNew(t, registry.Config[string]{Limit: bucket.PerDay(1000), Size: 1, LimitFor: func(key string) bucket.Limit {
			if key == "gold" {
				return gold
			}
			return bucket.Limit{}
		}})
		r.Take("plain", 500)
		r.Take("gold", 4000)
		r.Take("other", 1)
		left := func(key string) int {
			peeked := r.Peek(key, 1).Remaining
			if d := r.Take(key, 0); d.Remaining != peeked { // brings it into memory
				t.Errorf("%s: Peek says %d, and Take %+v", key, peeked, d)
			}
			return peeked
		}
		for _, tt := range []struct {
			base, gold  bucket.Limit
			plain, rich int
		}{
			{bucket.PerMinute(1000), bucket.PerDay(5000), 500, 1000},
			{bucket.PerDay(1000), bucket.PerHour(10000), 500, 6000},
			{bucket.PerDay(800), bucket.PerHour(10000), 300, 6000},
		} {
			gold = tt.gold
			if err := r.SetLimit(tt.base); err != nil {
				t.Fatal(err)
			}
			// Conversions round up, so that the last token may be a moment away.
			if plain, rich := left("plain"), left("gold"); plain > tt.plain || plain < tt.plain-1 || rich > tt.rich || rich < tt.rich-1 {
				t.Errorf("%v and %v: %d and %d left, want %d and %d", tt.base, tt.gold, plain, rich, tt.plain, tt.rich)
			}
		}
	})
}

// A debt can say under which of 255 limits it is. Under one more than those it
// keeps its length, up to one refill.
func TestMoreLimitsThanCanBeNumbered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, registry.Config[string]{Limit: bucket.PerDay(1000), Size: 1})
		for i := range 300 {
			if err := r.SetLimit(bucket.PerDay(2000 + i)); err != nil {
				t.Fatal(err)
			}
		}
		r.Take("a", 1000)
		r.Take("b", 1)
		if d := r.Peek("a", 1); d.Remaining < 1298 || d.Remaining > 1299 {
			t.Errorf("%+v, want 1299 of 2299 left", d)
		}
		r.SetLimit(bucket.PerMinute(10))
		if d := r.Peek("a", 1); d.ResetAfter > time.Minute {
			t.Errorf("%+v, want at most one refill", d)
		}
	})
}

// A limit is raised under load: nobody gets both bursts.
func TestSetLimitUnderLoad(t *testing.T) {
	t.Parallel()
	low, high := bucket.Limit{Quota: 1, Window: day, Burst: 10}, bucket.Limit{Quota: 1, Window: day, Burst: 1000}
	for range 20 {
		r := mustNew(t, registry.Config[int]{Limit: low, Size: 8, Debts: 1 << 12})
		var wg sync.WaitGroup
		var admitted [16]int
		for g := range admitted {
			wg.Go(func() {
				for i := range 1100 {
					if g == 0 && i == 50 {
						r.SetLimit(high)
					}
					if r.Allow(g) {
						admitted[g]++
					}
				}
			})
		}
		wg.Wait()
		for g := range admitted {
			for r.Allow(g) {
				admitted[g]++
			}
			if admitted[g] != 1000 {
				t.Fatalf("key %d was admitted %d of 1000 times", g, admitted[g])
			}
		}
	}
}

// Waiters under several limits are admitted within each of them.
func TestGroupWaitersDoNotBunch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ip := mustNew(t, registry.Config[string]{Limit: bucket.Limit{Quota: 10, Window: time.Second, Burst: 1}})
		user := mustNew(t, registry.Config[string]{Limit: bucket.Limit{Quota: 1, Window: time.Second, Burst: 1}})
		g := mustGroup(t, ip, user)
		passed := make(chan time.Time, 10)
		for i := range 10 {
			user.Allow(fmt.Sprint(i)) // a second to wait
			go func() {
				if err := g.Wait(t.Context(), 1, "ip", fmt.Sprint(i)); err != nil {
					t.Error(err)
				}
				passed <- time.Now()
			}()
		}
		var last time.Time
		for range 10 {
			at := <-passed
			if pause := at.Sub(last); pause < 99*time.Millisecond {
				t.Errorf("two passed within %v under 10/s burst 1", pause)
			}
			last = at
		}
	})
}

// Groups of the same registries in another order do not lock each other up.
func TestGroupsInOppositeOrder(t *testing.T) {
	t.Parallel()
	const takes = 300_000
	a := mustNew(t, registry.Config[int]{Limit: bucket.Limit{Quota: 100, Window: day, Burst: takes}})
	b := mustNew(t, registry.Config[int]{Limit: bucket.Limit{Quota: 100, Window: day, Burst: 3 * takes}})
	var wg sync.WaitGroup
	for _, g := range []*registry.Group[int]{mustGroup(t, a, b), mustGroup(t, b, a)} {
		wg.Go(func() {
			into := make([]bucket.Decision, 2)
			for range takes {
				g.Decide(into, 1, 1, 1)
			}
		})
	}
	wg.Wait()
	if d := a.Peek(1, 1); d.Remaining != 0 || b.Peek(1, 1).Remaining != 2*takes {
		t.Errorf("%d and %d left", d.Remaining, b.Peek(1, 1).Remaining)
	}
	into := make([]bucket.Decision, 2)
	mustGroup(t, b, a).Decide(into, 1, 1, 1)
	if into[0].Limit.Burst != 3*takes || into[1].Limit.Burst != takes {
		t.Errorf("decisions are not in the order of the members: %+v", into)
	}
}

// Reservations far ahead neither hang nor are forgotten when the key is evicted.
func TestReservationsFarAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, registry.Config[string]{Limit: bucket.Limit{Quota: 1, Window: 366 * day, Burst: 99}, Size: 1, Debts: 1024})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var refused atomic.Int32
		for range 5 { // the first passes, the second waits 99 years
			go func() {
				if err := r.Wait(ctx, "a", 99); errors.Is(err, bucket.ErrBurst) {
					refused.Add(1)
				}
			}()
			synctest.Wait()
		}
		if n := refused.Load(); n != 3 {
			t.Errorf("%d of 5 were refused, want the 3 who would wait more than 100 years", n)
		}
		r.Allow("b")
		if d := r.Take("a", 99); d.Allowed || d.RetryAfter < 90*365*day {
			t.Errorf("after eviction: %+v", d)
		}
	})
}

// A snapshot is of debts under the limit that it names, whenever each key has
// changed over to it.
func TestSnapshotIsUnderOneLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, registry.Config[int]{Limit: bucket.PerHour(60), Hash: identity, Size: 1})
		r.Take(1, 30) // evicted
		r.Take(2, 30) // in memory
		if err := r.SetLimit(bucket.PerDay(60)); err != nil {
			t.Fatal(err)
		}
		for name, walk := range map[string]func(time.Time, time.Duration) (bucket.Limit, iter.Seq2[uint64, time.Duration]){"changed": r.Changed, "all": r.All} {
			r.Refund(1, 0)
			limit, seq := walk(time.Now(), 0)
			got := collect(map[uint64]time.Duration{}, seq)
			if name == "changed" && len(got) == 0 {
				continue // all has been first
			}
			if limit != bucket.PerDay(60) || got[identity(1)].Round(time.Minute) != 12*time.Hour || got[identity(2)].Round(time.Minute) != 12*time.Hour {
				t.Errorf("%s: %v under %v, want 30 of 60 a day: 12h each", name, got, limit)
			}
		}
	})
}

// Evicted and recalled a thousand times, a key owes no less, and a microsecond
// more each time.
func TestEvictionRoundsUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, registry.Config[string]{Limit: bucket.PerDay(7), Size: 1, Debts: 1 << 10})
		r.Take("a", 3)
		owed := r.Peek("a", 1).ResetAfter
		for range 1000 {
			r.Take("b", 0)
			if now := r.Take("a", 0).ResetAfter; now < owed || now > owed+2*time.Microsecond {
				t.Fatalf("owed %v, and now %v", owed, now)
			} else {
				owed = now
			}
		}
	})
}

func TestWhatWaitersTakeIsSaved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, registry.Config[int]{Limit: bucket.PerHour(60), Hash: identity})
		if err := r.Wait(t.Context(), 1, 60); err != nil {
			t.Fatal(err)
		}
		got := map[uint64]time.Duration{}
		if collect(got, records(r.Changed)(time.Now(), 0)); got[identity(1)].Round(time.Second) != time.Hour {
			t.Errorf("saved %v, want an hour", got)
		}
	})
}

// Two walks at once wait for one another: what one yields the other need not.
func TestWalksAreOneAtATime(t *testing.T) {
	t.Parallel()
	const keys = 5000
	r := mustNew(t, registry.Config[int]{Limit: bucket.PerDay(10), Hash: identity, Size: 1000, Debts: 1 << 16})
	for key := range keys {
		r.Allow(key)
	}
	var mu sync.Mutex
	seen := map[uint64]int{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for hash := range records(r.Changed)(time.Now(), 0) {
				mu.Lock()
				seen[hash]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for hash, n := range seen {
		if n > 1 {
			t.Fatalf("%x was yielded %d times", hash, n)
		}
	}
	if len(seen) != keys {
		t.Errorf("%d keys of %d were yielded", len(seen), keys)
	}
}

func TestTheLargestRegistry(t *testing.T) {
	t.Parallel()
	if math.MaxInt > math.MaxInt32 {
		t.Skip("would take 4 GB where it is allowed to: for 32-bit systems")
	}
	if _, err := registry.New(registry.Config[int]{Limit: bucket.PerDay(1), Size: 1 << 26}); err == nil {
		t.Error("more memory than there are addresses: no error")
	}
	if _, err := registry.New(registry.Config[int]{Limit: bucket.PerDay(1), Size: 1 << 21}); err != nil {
		t.Error(err)
	}
}

// All that can be configured is in force for the next request, and buckets stay.
func TestConfigure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := registry.Config[string]{Limit: bucket.PerDay(10), Size: 16}
		r := mustNew(t, cfg)
		r.Take("a", 4)
		r.Take("b", 4)
		remaining := func(why string, key string, want int) {
			t.Helper()
			if d := r.Peek(key, 1); d.Remaining != want {
				t.Errorf("%s: %q has %d left, want %d", why, key, d.Remaining, want)
			}
		}
		bad := cfg
		bad.Limit.Quota = -1
		if err := r.Configure(bad); err == nil || r.Limit() != bucket.PerDay(10) {
			t.Errorf("a bad limit: %v, and the limit is %v", err, r.Limit())
		}
		bad = cfg
		bad.Change = 99
		if err := r.Configure(bad); err == nil {
			t.Error("a bad change is no error")
		}
		remaining("after an error", "a", 6)

		cfg.LimitFor = func(key string) bucket.Limit {
			if key == "a" {
				return bucket.PerDay(100)
			}
			return bucket.Limit{}
		}
		if err := r.Configure(cfg); err != nil {
			t.Fatal(err)
		}
		remaining("a limit of its own", "a", 96)
		remaining("none of its own", "b", 6)
		if err := r.SetLimit(bucket.PerDay(5)); err != nil {
			t.Fatal(err)
		}
		remaining("SetLimit leaves the rest", "a", 96)
		remaining("and is for who has none of its own", "b", 1)

		dry := make(chan struct{}, 1)
		cfg.LimitFor, cfg.DryRun, cfg.Dry, cfg.Change, cfg.Size = nil, true, dry, bucket.StartOver, 1
		if err := r.Configure(cfg); err != nil {
			t.Fatal(err)
		}
		remaining("start over", "b", 10)
		if d := r.Take("b", 11); !d.DryRun || !d.Allowed {
			t.Errorf("a dry run: %+v", d)
		}
		if r.Allow("a"); r.Take("a", 9).Remaining != 0 || len(dry) != 1 {
			t.Errorf("who has run dry is told of %d times, want once", len(dry))
		}
		if r.Allow("c"); r.Stats().Keys != 3 {
			t.Errorf("%d keys: the size can not change", r.Stats().Keys)
		}
	})
}

package registry_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/registry"
)

const day = 24 * time.Hour

func mustNew[K comparable](t testing.TB, cfg registry.Config[K]) *registry.Registry[K] {
	t.Helper()
	r, err := registry.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestConfigBounds(t *testing.T) {
	t.Parallel()
	limit := bucket.PerMinute(1)
	for _, tt := range []struct {
		cfg registry.Config[string]
		err string
	}{
		{registry.Config[string]{Limit: limit}, ""},
		{registry.Config[string]{Limit: limit, Size: 1, Debts: 8}, ""},
		{registry.Config[string]{Limit: limit, Size: 1}, ""},
		{registry.Config[string]{}, "limit: bucket: quota 0 is out of range: want 1 to"},
		{registry.Config[string]{Limit: limit, Size: -1}, "size -1 is out of range: want 1 to "},
		{registry.Config[string]{Limit: limit, Size: 1<<26 + 1}, "size 67108865 is out of range"},
		{registry.Config[string]{Limit: limit, Size: 1, Debts: 7}, "debts 7 is out of range: want 8 to "},
		{registry.Config[string]{Limit: limit, Size: 1, Debts: -1}, "debts -1 is out of range"},
	} {
		_, err := registry.New(tt.cfg)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("New(size %d, debts %d): %v, want %q", tt.cfg.Size, tt.cfg.Debts, err, tt.err)
		}
	}
}

func TestKeysAreLimitedEachForItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, registry.Config[string]{Limit: bucket.PerMinute(3)})
		for i, want := range []bool{true, true, true, false, false} {
			if got := r.Allow("a"); got != want {
				t.Errorf("request %d of a: %v, want %v", i+1, got, want)
			}
		}
		if d := r.Take("b", 2); !d.Allowed || d.Remaining != 1 {
			t.Errorf("b after a has spent all: %+v", d)
		}
		if d := r.Peek("b", 2); d.Allowed || d.Remaining != 1 {
			t.Errorf("Peek of b: %+v", d)
		}
		time.Sleep(20 * time.Second)
		if d := r.Take("a", 1); !d.Allowed || d.Remaining != 0 {
			t.Errorf("a a third of a minute later: %+v", d)
		}
		r.Refund("a", 2)
		if d := r.Peek("a", 1); d.Remaining != 2 {
			t.Errorf("a after a refund of 2: %+v", d)
		}
		r.Reset("a")
		if d := r.Peek("a", 1); d.Remaining != 3 {
			t.Errorf("a after a reset: %+v", d)
		}
		st := r.Stats()
		if st.Keys != 2 || st.Allowed != 5 || st.Denied != 2 {
			t.Errorf("stats: %+v", st)
		}
	})
}

// dice draws from a seeded source: rapid does not run in a synctest bubble.
type dice struct{ *rand.Rand }

func newDice(seed int) dice { return dice{rand.New(rand.NewPCG(uint64(seed), 2030))} }

// between returns a number from lo to hi, both among them.
func (d dice) between(lo, hi int) int { return lo + d.IntN(hi-lo+1) }

// Invariants 1, 2, 5 and 8 in one: whatever is evicted, a registry of any size
// decides as a map of buckets would, within the microseconds that its debts are
// rounded up by, and never keeps more keys than its size.
func TestRegistryIsAMapOfBuckets(t *testing.T) {
	t.Parallel()
	const tolerance = 200 * time.Microsecond
	synctest.Test(t, func(t *testing.T) {
		evicted := uint64(0)
		for seed := range 300 {
			rnd := newDice(seed)
			limit := bucket.Limit{Quota: rnd.between(1, 9), Window: 100 * time.Millisecond, Burst: rnd.between(1, 9)}
			size := rnd.between(1, 8)
			// So many slots that no set is full with 20 keys.
			r := mustNew(t, registry.Config[int]{Limit: limit, Size: size, Debts: 1 << 12})
			model := map[int]*bucket.Bucket{}
			for step := range 200 {
				time.Sleep(time.Duration(rnd.between(0, 40)) * time.Millisecond)
				now := time.Now()
				key := rnd.between(0, 19)
				if model[key] == nil {
					model[key], _ = bucket.New(limit)
				}
				b := model[key]
				n := rnd.between(1, limit.Burst)
				switch rnd.between(0, 9) {
				case 0:
					r.Refund(key, n)
					b.Refund(now, n)
				case 1:
					if rnd.between(0, 9) == 0 {
						r.Reset(key)
						b.RestoreDebt(now, 0)
					}
				case 2, 3:
					got, want := r.Peek(key, n), b.Peek(now, n)
					if got.Allowed != want.Allowed && want.RetryAfter+got.RetryAfter > tolerance {
						t.Fatalf("seed %d, step %d: Peek(%d, %d) = %+v, want %+v", seed, step, key, n, got, want)
					}
				default:
					got, want := r.Take(key, n), b.Peek(now, n)
					if got.Allowed != want.Allowed && want.RetryAfter+got.RetryAfter > tolerance {
						t.Fatalf("seed %d, step %d: Take(%d, %d) = %+v, want %+v", seed, step, key, n, got, want)
					}
					if got.Allowed {
						b.Reserve(now, n, time.Hour)
					}
				}
				if st := r.Stats(); st.Keys > size || st.DebtsDropped > 0 {
					t.Fatalf("seed %d, step %d: size %d and %+v", seed, step, size, st)
				}
			}
			evicted += r.Stats().DebtsRecalled
		}
		if evicted < 1000 {
			t.Errorf("only %d debts were recalled: the test shows little", evicted)
		}
	})
}

func TestExactlyTheBurstUnderContention(t *testing.T) {
	t.Parallel()
	const burst, goroutines = 10_000, 64
	for _, size := range []int{1, 1 << 16} { // with a size of 1 every other key evicts it
		r := mustNew(t, registry.Config[string]{Limit: bucket.Limit{Quota: 1, Window: 366 * day, Burst: 90}, Size: size,
			LimitFor: func(key string) bucket.Limit {
				if key == "hot" {
					return bucket.Limit{Quota: 1, Window: day, Burst: burst}
				}
				return bucket.Limit{}
			}})
		var admitted atomic.Int64
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				for i := range 2 * burst / goroutines {
					if r.Allow("hot") {
						admitted.Add(1)
					}
					if i%8 == 0 {
						r.Allow(fmt.Sprint(g))
					}
				}
			})
		}
		wg.Wait()
		if got := admitted.Load(); got != burst {
			t.Errorf("size %d: %d admitted of a burst of %d; %+v", size, got, burst, r.Stats())
		}
	}
}

// Invariant 1 with a real clock: admitted ≤ burst + rate·t.
func TestNeverOverAdmitsUnderContention(t *testing.T) {
	const perSecond, burst, goroutines = 1_000_000, 1000, 64
	r := mustNew(t, registry.Config[string]{Limit: bucket.Limit{Quota: perSecond, Window: time.Second, Burst: burst}})
	var admitted atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range goroutines {
		wg.Go(func() {
			n := int64(0)
			for time.Since(start) < 500*time.Millisecond {
				for range 100 {
					if r.Allow("hot") {
						n++
					}
				}
			}
			admitted.Add(n)
		})
	}
	wg.Wait()
	ratio := float64(admitted.Load()) / (burst + perSecond*time.Since(start).Seconds())
	t.Logf("admitted %.3f of what the limit allows", ratio)
	if ratio > 1 {
		t.Errorf("admitted %.3f times what the limit allows", ratio)
	}
}

// Invariant 6.
func TestHitsDoNotAllocate(t *testing.T) {
	limit := bucket.Limit{Quota: 1, Window: day, Burst: 1 << 30 / 90000}
	hash := func(string) uint64 { return 1 }
	str := mustNew(t, registry.Config[string]{Limit: limit, Hash: hash})
	addr := mustNew(t, registry.Config[netip.Addr]{Limit: limit})
	empty := mustNew(t, registry.Config[string]{Limit: bucket.PerDay(1)})
	key, ip := strings.Clone("203.0.113.7"), netip.MustParseAddr("2001:db8::7")
	str.Allow(key) // so that Peek is a hit
	for name, f := range map[string]func(){
		"string, allowed":                 func() { str.Allow(key) },
		"string, denied":                  func() { empty.Allow(key) },
		"string, whole decision":          func() { str.Take(key, 1) },
		"string, whole decision, denied":  func() { empty.Take(key, 1) },
		"string, peek":                    func() { str.Peek(key, 1) },
		"netip.Addr, allowed":             func() { addr.Allow(ip) },
		"netip.Addr, whole decision":      func() { addr.Take(ip, 1) },
		"netip.Addr, more than the burst": func() { addr.Take(ip, 1<<30) },
	} {
		f()
		if got := testing.AllocsPerRun(200, f); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
}

func TestDryRunCountsAndNeverDenies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, registry.Config[string]{Limit: bucket.PerMinute(2), DryRun: true})
		for i := range 5 {
			d := r.Take("a", 1)
			if !d.Allowed || !d.DryRun || d.Exceeded() != (i >= 2) {
				t.Errorf("request %d: %+v", i+1, d)
			}
		}
		if d := r.Peek("a", 1); !d.Allowed || !d.Exceeded() {
			t.Errorf("Peek: %+v", d)
		}
		if err := r.Wait(t.Context(), "a", 1); err != nil {
			t.Error(err)
		}
		if st := r.Stats(); st.Allowed != 2 || st.Denied != 4 {
			t.Errorf("stats: %+v", st)
		}
	})
}

func TestTiers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var gold atomic.Int64
		gold.Store(5)
		r := mustNew(t, registry.Config[string]{Limit: bucket.PerMinute(1), LimitFor: func(key string) bucket.Limit {
			switch key {
			case "gold":
				return bucket.PerMinute(int(gold.Load()))
			case "broken":
				return bucket.PerMinute(-1)
			}
			return bucket.Limit{}
		}})
		for key, want := range map[string]int{"gold": 4, "plain": 0, "broken": 0} {
			if d := r.Take(key, 1); !d.Allowed || d.Remaining != want {
				t.Errorf("%s: %+v, want %d remaining", key, d, want)
			}
		}
		if got := r.Stats().TiersRejected; got != 1 {
			t.Errorf("%d tiers rejected, want 1", got)
		}
		gold.Store(10)
		if err := r.SetLimit(bucket.PerMinute(2)); err != nil {
			t.Fatal(err)
		}
		if d := r.Take("gold", 1); d.Limit.Quota != 10 || d.Remaining != 8 {
			t.Errorf("gold after its plan changed: %+v, want 8 of 10 remaining", d)
		}
		if d := r.Take("plain", 1); d.Limit.Quota != 2 || !d.Allowed {
			t.Errorf("plain after the limit changed: %+v", d)
		}
	})
}

// LimitFor may itself ask the registry: it is called outside of all locks.
func TestLimitForMayAskTheRegistry(t *testing.T) {
	t.Parallel()
	var r *registry.Registry[string]
	r = mustNew(t, registry.Config[string]{Limit: bucket.PerDay(5), Size: 1, LimitFor: func(key string) bucket.Limit {
		if key != "boss" {
			r.Take("boss", 1)
		}
		return bucket.Limit{}
	}})
	r.Take("a", 1)
	mustGroup(t, r).Decide(make([]bucket.Decision, 1), 1, "b")
	if got := r.Peek("boss", 1).Remaining; got != 3 {
		t.Errorf("boss has %d left, want 3", got)
	}
}

func TestSetLimitKeepsTokensUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, registry.Config[string]{Limit: bucket.PerHour(100), Size: 1})
		r.Take("evicted", 30)
		r.Take("in memory", 30)
		for _, tt := range []struct {
			quota, want int
		}{{150, 120}, {50, 20}, {100, 70}} {
			if err := r.SetLimit(bucket.PerHour(tt.quota)); err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{"evicted", "in memory"} {
				if d := r.Peek(key, 1); d.Remaining != tt.want || d.Limit.Quota != tt.quota {
					t.Errorf("%s at %d/h: %+v, want %d remaining", key, tt.quota, d, tt.want)
				}
			}
		}
		if err := r.SetLimit(bucket.Limit{}); err == nil || r.Limit().Quota != 100 {
			t.Errorf("the zero limit: %v, and the limit is %v", err, r.Limit())
		}
	})
}

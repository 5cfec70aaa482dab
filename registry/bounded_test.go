package registry_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/registry"
)

// An attacker spends, flushes the memory with fresh keys and spends again, 20
// rounds in 140 s. An LRU of limiters gives him a full burst each time.
func TestFloodForgivesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size, rounds = 1 << 16, 20
		limit := bucket.PerDay(1000)
		flood := func(allow func(key string) bool) (admitted, denied int) {
			for round := range rounds {
				for range 2000 {
					if allow("attacker") {
						admitted++
					}
				}
				for i := range size {
					if !allow(fmt.Sprintf("fresh %d %d", round, i)) {
						denied++
					}
				}
				time.Sleep(7 * time.Second)
			}
			return admitted, denied
		}

		r := mustNew(t, registry.Config[string]{Limit: limit, Size: size})
		admitted, denied := flood(r.Allow)
		st := r.Stats()
		t.Logf("registry: %d admitted, %d newcomers of %d denied, %d debts dropped", admitted, denied, rounds*size, st.DebtsDropped)
		// 140 s at 1000 a day refill 1.6 tokens.
		if admitted > 1001 {
			t.Errorf("the attacker's key was admitted %d times, at most 1001 are allowed", admitted)
		}
		if denied > 0 {
			t.Errorf("%d honest newcomers were denied", denied)
		}
		if st.Keys > size {
			t.Errorf("%d keys are kept, the size is %d", st.Keys, size)
		}

		plain, err := lru.New[string, *rate.Limiter](size)
		if err != nil {
			t.Fatal(err)
		}
		admitted, _ = flood(func(key string) bool {
			lim, ok := plain.Get(key)
			if !ok {
				lim = rate.NewLimiter(rate.Limit(limit.Rate()), limit.Burst)
				plain.Add(key, lim)
			}
			return lim.Allow()
		})
		t.Logf("an LRU of rate.Limiter: %d admitted", admitted)
		if admitted < 10_000 {
			t.Errorf("an LRU admitted only %d: the test shows little", admitted)
		}
	})
}

// Ten million keys, a thousand at a time in memory: the heap does not grow.
func TestHeapStaysFlat(t *testing.T) {
	keys := 10_000_000
	if testing.Short() {
		keys = 1_000_000
	}
	r := mustNew(t, registry.Config[uint64]{Limit: bucket.PerDay(1000), Size: 1 << 16})
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	empty := heap()
	key := uint64(0)
	for range 1 << 17 {
		key++
		r.Allow(key)
	}
	full := heap()
	for key < uint64(keys) {
		key++
		if !r.Allow(key) {
			t.Fatalf("newcomer %d was denied", key)
		}
	}
	end := heap()
	t.Logf("heap: %d kB for the empty registry of 65,536, %d kB when full, %d kB after %d keys",
		empty>>10, full>>10, end>>10, keys)
	if end > full+full/10 {
		t.Errorf("the heap grew from %d to %d bytes", full, end)
	}
	if st := r.Stats(); st.Keys > 1<<16 {
		t.Errorf("%d keys are kept", st.Keys)
	}
}

// Invariant 2: a key that stays within its limit is never denied, whatever the
// others do.
func TestHonestKeysAreNeverDenied(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, registry.Config[string]{Limit: bucket.Limit{Quota: 10, Window: time.Second, Burst: 1}, Size: 64, Debts: 1 << 14})
		rnd := rand.New(rand.NewPCG(7, 7))
		for tick := range 3000 {
			// A little above the interval: an honest client can not know the
			// microsecond that an eviction may cost.
			time.Sleep(100*time.Millisecond + 2*time.Microsecond)
			for _, key := range []string{"one", "two", "three"} {
				if d := r.Take(key, 1); !d.Allowed {
					t.Fatalf("tick %d: %q was denied: %+v", tick, key, d)
				}
			}
			for range rnd.IntN(200) {
				r.Allow(fmt.Sprint("noise ", rnd.IntN(1000)))
			}
		}
		if st := r.Stats(); st.Evicted == 0 || st.DebtsRecalled == 0 || st.DebtsDropped > 0 {
			t.Errorf("the test shows nothing: %+v", st)
		}
	})
}

// Invariant 5: what the debt table had to drop is counted, no more and no less.
func TestDroppedDebtsAreCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const keys = 200
		r := mustNew(t, registry.Config[int]{Limit: bucket.PerHour(60), Size: 1, Debts: 8})
		for key := range keys {
			r.Take(key, 1+key%60) // owes 1 to 60 minutes
		}
		st := r.Stats()
		if st.Evicted != keys-1 || st.Debts != 8 || st.Debts+int(st.DebtsDropped) != keys-1 {
			t.Errorf("of %d evicted keys that owe: %+v", keys-1, st)
		}
		var forgotten time.Duration
		kept := 0
		for key := range keys {
			owed := time.Duration(1+key%60) * time.Minute
			if d := r.Peek(key, 1); d.ResetAfter == 0 {
				forgotten += owed
			} else if diff := d.ResetAfter - owed; diff < 0 || diff > 2*time.Microsecond {
				t.Errorf("key %d owes %v, want %v", key, d.ResetAfter, owed)
			} else {
				kept++
			}
		}
		if diff := st.DroppedSeconds - forgotten.Seconds(); diff < -0.001 || diff > 0.001 {
			t.Errorf("%v s were dropped by the count, %v by looking", st.DroppedSeconds, forgotten)
		}
		if kept != 9 {
			t.Errorf("%d debts are kept, want 8 in the table and 1 in memory", kept)
		}
	})
}

// What simplelru allocates for a new key is all that a miss allocates.
func TestMissWithEvictionAllocatesOnce(t *testing.T) {
	r := mustNew(t, registry.Config[int]{Limit: bucket.PerDay(1000), Size: 1000})
	key := 0
	take := func() { key++; r.Allow(key) }
	for range 3000 {
		take()
	}
	if got := testing.AllocsPerRun(2000, take); got > 1 {
		t.Errorf("%v allocations, want 1", got)
	}
}

func TestPeekNeitherCreatesNorPromotes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, registry.Config[string]{Limit: bucket.PerHour(10), Size: 2})
		r.Take("old", 1)
		r.Take("new", 1)
		r.Peek("old", 1)
		for i := range 100 {
			r.Peek(fmt.Sprint("probe ", i), 1)
		}
		if st := r.Stats(); st.Keys != 2 || st.Evicted != 0 {
			t.Errorf("after probes: %+v", st)
		}
		r.Take("newest", 1)
		r.Take("new", 1)
		if st := r.Stats(); st.DebtsRecalled != 0 {
			t.Errorf("new was evicted instead of old, which was only peeked at: %+v", st)
		}
	})
}

// Who comes again and again stays in memory, whatever else comes by.
func TestKeysInUseStay(t *testing.T) {
	t.Parallel()
	const size = 1 << 10
	r := mustNew(t, registry.Config[int]{Limit: bucket.Limit{Quota: 1, Window: day, Burst: 1 << 15}, Size: size})
	// Each of some keys comes again after as many newcomers as half fill a shard.
	const used = 32
	for i := range 20 * size {
		r.Take(used+i, 1)
		if i%(size/2/used) == 0 {
			r.Take(i/(size/2/used)%used, 1)
		}
	}
	if st := r.Stats(); st.Evicted < 19*size || st.DebtsRecalled != 0 {
		t.Errorf("keys in use were evicted and recalled: %+v", st)
	}
}

func TestRefundAndResetReachEvictedKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, registry.Config[string]{Limit: bucket.PerHour(10), Size: 1})
		r.Take("a", 8)
		r.Take("b", 8)
		r.Take("c", 8)
		r.Refund("a", 3)
		r.Reset("b")
		evicted := r.Stats().Evicted
		r.Refund("stranger", 3)
		r.Reset("stranger")
		if got := r.Stats().Evicted; got != evicted {
			t.Errorf("%d were evicted for strangers who owe nothing", got-evicted)
		}
		for key, want := range map[string]int{"a": 5, "b": 10, "c": 2, "stranger": 10} {
			if d := r.Peek(key, 1); d.Remaining != want {
				t.Errorf("%s: %+v, want %d remaining", key, d, want)
			}
		}
	})
}

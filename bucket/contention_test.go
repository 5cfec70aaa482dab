package bucket_test

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/seed-0c889b51/weir/bucket"
)

func TestExactlyTheBurstUnderContention(t *testing.T) {
	t.Parallel()
	const burst, goroutines = 10_000, 64
	b := mustNew(t, bucket.Limit{Quota: 1, Window: day, Burst: burst})
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range 2 * burst / goroutines {
				if b.Take(time.Now(), 1).Allowed {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got := admitted.Load(); got != burst {
		t.Errorf("%d admitted of a burst of %d", got, burst)
	}
}

// Clock readings made before the bucket's lock is taken get there in another
// order. rate.Limiter mints tokens from them (golang/go#65508). Here 64
// goroutines read the clock every 100 ns in turn and reach the bucket shuffled.
func TestShuffledReadingsMintNoTokens(t *testing.T) {
	t.Parallel()
	const perSecond, burst, goroutines, rounds = 1_000_000, 1000, 64, 10_000
	rnd := rand.New(rand.NewPCG(1, 2))
	b := mustNew(t, bucket.Limit{Quota: perSecond, Window: time.Second, Burst: burst})
	plain := rate.NewLimiter(perSecond, burst)
	now, ours, theirs := epoch, 0, 0
	for range rounds {
		readings := make([]time.Time, goroutines)
		for i := range readings {
			now = now.Add(100 * time.Nanosecond)
			readings[i] = now
		}
		rnd.Shuffle(len(readings), func(i, j int) { readings[i], readings[j] = readings[j], readings[i] })
		for _, at := range readings {
			if b.Take(at, 1).Allowed {
				ours++
			}
			if plain.AllowN(at, 1) {
				theirs++
			}
		}
	}
	bound := burst + perSecond*now.Sub(epoch).Seconds()
	t.Logf("admitted, of what the limit allows: bucket %.3f, plain rate.Limiter %.3f", float64(ours)/bound, float64(theirs)/bound)
	if float64(ours) > bound {
		t.Errorf("the bucket admitted %d, its limit allows %v", ours, bound)
	}
	if float64(theirs) < 1.5*bound {
		t.Errorf("rate.Limiter admitted %d of %v: this test no longer shows what the bucket guards against", theirs, bound)
	}
}

// The same with real goroutines and a real clock, where how far rate.Limiter
// goes beyond the limit depends on the machine.
func TestConcurrentReadingsMintNoTokens(t *testing.T) {
	const goroutines, burst = 64, 1000
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(16))
	for _, perSecond := range []int{100_000, 1_000_000} {
		run := func(allow func(time.Time) bool) (ratio float64) {
			var admitted atomic.Int64
			var wg sync.WaitGroup
			start := time.Now()
			for range goroutines {
				wg.Go(func() {
					n := int64(0)
					for now := start; now.Sub(start) < 500*time.Millisecond; {
						now = time.Now()
						if allow(now) {
							n++
						}
					}
					admitted.Add(n)
				})
			}
			wg.Wait()
			return float64(admitted.Load()) / (burst + float64(perSecond)*time.Since(start).Seconds())
		}
		b := mustNew(t, bucket.Limit{Quota: perSecond, Window: time.Second, Burst: burst})
		ours := run(func(now time.Time) bool { return b.Take(now, 1).Allowed })
		plain := rate.NewLimiter(rate.Limit(perSecond), burst)
		theirs := run(func(now time.Time) bool { return plain.AllowN(now, 1) })
		t.Logf("%d/s: admitted, of what the limit allows: bucket %.3f, plain rate.Limiter %.3f", perSecond, ours, theirs)
		if ours > 1 {
			t.Errorf("%d/s: the bucket admitted %.3f times what its limit allows", perSecond, ours)
		}
	}
}

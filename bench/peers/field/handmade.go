package field

import (
	"sync"
	"time"

	"github.com/RussellLuo/slidingwindow"
	"github.com/failsafe-go/failsafe-go/ratelimiter"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/juju/ratelimit"
	"github.com/maypok86/otter/v2"
	"github.com/puzpuzpuz/xsync/v4"
	tailscalerate "tailscale.com/tstime/rate"

	"golang.org/x/time/rate"
)

const xtime = "golang.org/x/time"

// handmade are limiters without keys behind a map or cache, as people write it.
// Each is written out: a helper for all would cost them calls.
func handmade() []Contender {
	c := []Contender{
		{Name: "rate.Limiter-map", Module: xtime, Algorithm: TokenBucket, Make: makeXtimeMutexMap},
		{Name: "rate.Limiter-syncmap", Module: xtime, Algorithm: TokenBucket, Make: makeXtimeSyncMap},
		{Name: "rate.Limiter-lru", Module: "github.com/hashicorp/golang-lru/v2", Algorithm: TokenBucket, Bounded: true, Make: makeXtimeLRU},
		{Name: "rate.Limiter-otter", Module: "github.com/maypok86/otter/v2", Algorithm: TokenBucket, Bounded: true, Make: makeXtimeOtter},
		{Name: "tailscale-rate-syncmap", Module: "tailscale.com", Algorithm: TokenBucket, Make: makeTailscaleSyncMap},
		{Name: "juju-syncmap", Module: "github.com/juju/ratelimit", Algorithm: TokenBucket, Make: makeJujuSyncMap},
		{Name: "failsafe-syncmap", Module: failsafeModule, Algorithm: FixedWindow, Make: makeFailsafeSyncMap},
		{Name: "failsafe-xsync", Module: "github.com/puzpuzpuz/xsync/v4", Algorithm: FixedWindow, Make: makeFailsafeXsync},
		{Name: "slidingwindow-syncmap", Module: "github.com/RussellLuo/slidingwindow", Algorithm: Weighed, Make: makeSlidingWindowSyncMap},
	}
	for i := range c {
		c[i].Keyed = true
	}
	return c
}

func newXtime(l Limit) *rate.Limiter { return rate.NewLimiter(rate.Limit(perSecond(l)), l.Quota) }

func makeXtimeMutexMap(l Limit, _ int) (Limiter, error) {
	var mu sync.Mutex
	limiters := map[string]*rate.Limiter{}
	return Limiter{
		Allow: func(key string) bool {
			mu.Lock()
			limiter, ok := limiters[key]
			if !ok {
				limiter = newXtime(l)
				limiters[key] = limiter
			}
			mu.Unlock()
			return limiter.Allow()
		},
		Close: forever,
	}, nil
}

func makeXtimeSyncMap(l Limit, _ int) (Limiter, error) {
	var limiters sync.Map
	return Limiter{
		Allow: func(key string) bool {
			limiter, ok := limiters.Load(key)
			if !ok {
				limiter, _ = limiters.LoadOrStore(key, newXtime(l))
			}
			return limiter.(*rate.Limiter).Allow()
		},
		Close: forever,
	}, nil
}

func makeXtimeLRU(l Limit, size int) (Limiter, error) {
	limiters, err := lru.New[string, *rate.Limiter](size)
	if err != nil {
		return Limiter{}, err
	}
	return Limiter{
		Allow: func(key string) bool {
			limiter, ok := limiters.Get(key)
			if !ok {
				limiter = newXtime(l)
				if before, ok, _ := limiters.PeekOrAdd(key, limiter); ok {
					limiter = before
				}
			}
			return limiter.Allow()
		},
		Close: forever,
	}, nil
}

func makeXtimeOtter(l Limit, size int) (Limiter, error) {
	limiters, err := otter.New(&otter.Options[string, *rate.Limiter]{MaximumSize: size})
	if err != nil {
		return Limiter{}, err
	}
	return Limiter{
		Allow: func(key string) bool {
			limiter, ok := limiters.GetIfPresent(key)
			if !ok {
				limiter, _ = limiters.ComputeIfAbsent(key, func() (*rate.Limiter, bool) { return newXtime(l), false })
			}
			return limiter.Allow()
		},
		Close: func() { limiters.StopAllGoroutines() },
	}, nil
}

func makeTailscaleSyncMap(l Limit, _ int) (Limiter, error) {
	var limiters sync.Map
	return Limiter{
		Allow: func(key string) bool {
			limiter, ok := limiters.Load(key)
			if !ok {
				limiter, _ = limiters.LoadOrStore(key, newTailscale(l))
			}
			return limiter.(*tailscalerate.Limiter).Allow()
		},
		Close: forever,
	}, nil
}

func newTailscale(l Limit) *tailscalerate.Limiter {
	return tailscalerate.NewLimiter(tailscalerate.Limit(perSecond(l)), l.Quota)
}

func makeJujuSyncMap(l Limit, _ int) (Limiter, error) {
	var buckets sync.Map
	return Limiter{
		Allow: func(key string) bool {
			b, ok := buckets.Load(key)
			if !ok {
				b, _ = buckets.LoadOrStore(key, newJuju(l))
			}
			return b.(*ratelimit.Bucket).TakeAvailable(1) == 1
		},
		Close: forever,
	}, nil
}

func newJuju(l Limit) *ratelimit.Bucket {
	return ratelimit.NewBucket(l.Window/time.Duration(l.Quota), int64(l.Quota))
}

const failsafeModule = "github.com/failsafe-go/failsafe-go"

func newFailsafe(l Limit) ratelimiter.RateLimiter[any] {
	return ratelimiter.NewBurstyBuilder[any](uint(l.Quota), l.Window).Build()
}

func makeFailsafeSyncMap(l Limit, _ int) (Limiter, error) {
	var limiters sync.Map
	return Limiter{
		Allow: func(key string) bool {
			limiter, ok := limiters.Load(key)
			if !ok {
				limiter, _ = limiters.LoadOrStore(key, newFailsafe(l))
			}
			return limiter.(ratelimiter.RateLimiter[any]).TryAcquirePermit()
		},
		Close: forever,
	}, nil
}

func makeFailsafeXsync(l Limit, _ int) (Limiter, error) {
	limiters := xsync.NewMap[string, ratelimiter.RateLimiter[any]]()
	return Limiter{
		Allow: func(key string) bool {
			limiter, ok := limiters.Load(key)
			if !ok {
				limiter, _ = limiters.LoadOrStore(key, newFailsafe(l))
			}
			return limiter.TryAcquirePermit()
		},
		Close: forever,
	}, nil
}

func makeSlidingWindowSyncMap(l Limit, _ int) (Limiter, error) {
	var limiters sync.Map
	return Limiter{
		Allow: func(key string) bool {
			limiter, ok := limiters.Load(key)
			if !ok {
				limiter, _ = limiters.LoadOrStore(key, newSlidingWindow(l))
			}
			return limiter.(*slidingwindow.Limiter).Allow()
		},
		Close: forever,
	}, nil
}

func newSlidingWindow(l Limit) *slidingwindow.Limiter {
	limiter, _ := slidingwindow.NewLimiter(l.Window, int64(l.Quota), func() (slidingwindow.Window, slidingwindow.StopFunc) {
		return slidingwindow.NewLocalWindow() // in this process alone: there is nothing to stop
	})
	return limiter
}

package field

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/didip/tollbooth/v7"
	"github.com/go-chi/httprate"
	echomw "github.com/labstack/echo/v5/middleware"
	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"
	ulule "github.com/ulule/limiter/v3"
	"github.com/ulule/limiter/v3/drivers/store/memory"
	tailscale "tailscale.com/util/limiter"
)

// libraries are those that have a limit for each key themselves.
func libraries() []Contender {
	return []Contender{
		{Name: "go-limiter", Module: "github.com/sethvargo/go-limiter", Algorithm: FixedWindow, Keyed: true, Make: makeGoLimiter},
		{Name: "throttled", Module: throttledModule, Algorithm: TokenBucket, Keyed: true, MayFail: true,
			Make: func(l Limit, _ int) (Limiter, error) { return makeThrottled(l, 0) }},
		{Name: "throttled-lru", Module: throttledModule, Algorithm: TokenBucket, Keyed: true, MayFail: true, Bounded: true,
			Make: makeThrottled},
		{Name: "ulule", Module: "github.com/ulule/limiter/v3", Algorithm: FixedWindow, Keyed: true, Make: makeUlule},
		{Name: "httprate", Module: "github.com/go-chi/httprate", Algorithm: Weighed, Keyed: true, Make: makeHTTPRate},
		{Name: "tollbooth", Module: "github.com/didip/tollbooth/v7", Algorithm: TokenBucket, Keyed: true, Make: makeTollbooth},
		{Name: "echo", Module: "github.com/labstack/echo/v5", Algorithm: TokenBucket, Keyed: true, Make: makeEcho},
		{Name: "tailscale", Module: "tailscale.com", Algorithm: TokenBucket, Keyed: true, Bounded: true, Make: makeTailscale},
	}
}

func makeGoLimiter(l Limit, _ int) (Limiter, error) {
	// By default it forgets keys after 12 hours, whatever the limit.
	store, err := memorystore.New(&memorystore.Config{
		Tokens: uint64(l.Quota), Interval: l.Window, SweepMinTTL: max(2*l.Window, 12*time.Hour),
	})
	if err != nil {
		return Limiter{}, err
	}
	ctx := context.Background()
	return Limiter{
		Allow: func(key string) bool {
			_, _, _, ok, err := store.Take(ctx, key)
			return ok && err == nil
		},
		Close: func() { store.Close(ctx) },
	}, nil
}

const throttledModule = "github.com/throttled/throttled/v2"

// makeThrottled returns one without a bound if size is 0. On a key that others
// ask for it gives up after 10 attempts, with an error.
func makeThrottled(l Limit, size int) (Limiter, error) {
	store, err := memstore.NewCtx(size)
	if err != nil {
		return Limiter{}, err
	}
	// Its burst is what may come on top of the first request.
	limiter, err := throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{
		MaxRate: throttled.PerDuration(l.Quota, l.Window), MaxBurst: l.Quota - 1,
	})
	if err != nil {
		return Limiter{}, err
	}
	ctx := context.Background()
	return Limiter{
		Allow: func(key string) bool {
			limited, _, err := limiter.RateLimitCtx(ctx, key, 1)
			return !limited && err == nil
		},
		Close: forever,
	}, nil
}

func makeUlule(l Limit, _ int) (Limiter, error) {
	limiter := ulule.New(memory.NewStore(), ulule.Rate{Limit: int64(l.Quota), Period: l.Window})
	ctx := context.Background()
	return Limiter{
		Allow: func(key string) bool {
			c, err := limiter.Get(ctx, key)
			return err == nil && !c.Reached
		},
		Close: forever,
	}, nil
}

// makeHTTPRate asks httprate what its middleware asks. That needs a request and
// a ResponseWriter, of which it uses none but for header fields, which are off.
func makeHTTPRate(l Limit, _ int) (Limiter, error) {
	limiter := httprate.NewRateLimiter(l.Quota, l.Window, httprate.WithResponseHeaders(httprate.ResponseHeaders{}))
	r, err := http.NewRequest(http.MethodGet, "/", nil)
	if err != nil {
		return Limiter{}, err
	}
	w := discard{header: http.Header{}}
	return Limiter{
		Allow: func(key string) bool { return !limiter.OnLimit(w, r, key) },
		Close: forever,
	}, nil
}

// discard is a ResponseWriter that is asked for nothing: with header fields off,
// no goroutine writes to the header.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

func makeTollbooth(l Limit, _ int) (Limiter, error) {
	limiter := tollbooth.NewLimiter(perSecond(l), nil).SetBurst(l.Quota)
	return Limiter{
		Allow: func(key string) bool { return !limiter.LimitReached(key) },
		Close: forever,
	}, nil
}

func makeEcho(l Limit, _ int) (Limiter, error) {
	// By default it forgets keys after 3 minutes, whatever the limit.
	store := echomw.NewRateLimiterMemoryStoreWithConfig(echomw.RateLimiterMemoryStoreConfig{
		Rate: perSecond(l), Burst: l.Quota, ExpiresIn: max(l.Window, 3*time.Minute),
	})
	return Limiter{
		Allow: func(key string) bool {
			ok, err := store.Allow(key)
			return ok && err == nil
		},
		Close: forever,
	}, nil
}

func makeTailscale(l Limit, size int) (Limiter, error) {
	if l.Window%time.Duration(l.Quota) != 0 {
		return Limiter{}, fmt.Errorf("quota %d in %v: tailscale wants whole nanoseconds from one token to the next", l.Quota, l.Window)
	}
	limiter := &tailscale.Limiter[string]{Size: size, Max: int64(l.Quota), RefillInterval: l.Window / time.Duration(l.Quota)}
	return Limiter{Allow: limiter.Allow, Close: forever}, nil
}

func perSecond(l Limit) float64 { return float64(l.Quota) / l.Window.Seconds() }

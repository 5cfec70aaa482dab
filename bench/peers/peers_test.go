package peers

import (
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/didip/tollbooth/v7"
	"github.com/go-chi/httprate"
	"github.com/labstack/echo/v5"
	echomw "github.com/labstack/echo/v5/middleware"
	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/sethvargo/go-limiter/httplimit"
	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"
	ulule "github.com/ulule/limiter/v3"
	"github.com/ulule/limiter/v3/drivers/middleware/stdlib"
	"github.com/ulule/limiter/v3/drivers/store/memory"
)

const (
	weirMemory = "weir"
	weirFile   = "weir-file"
	bare       = "bare"
)

// A peer is a middleware that limits by the IP address of RemoteAddr, made as
// its documentation says, with no other options than are needed for that.
type peer struct {
	name string
	wrap func(t testing.TB, l limit, next http.Handler) http.Handler
	// Names of the response header fields about the limit, and those that come
	// with a refusal besides.
	fields, onRefusal []string

	unlimited bool // no middleware at all
	ours      bool
	realClock bool // its clock is not the one of testing/synctest
	outside   bool // has a goroutine that never ends: not in a bubble of synctest
}

var peers = []peer{
	{name: bare, unlimited: true,
		wrap: func(_ testing.TB, _ limit, next http.Handler) http.Handler { return next }},
	{name: weirMemory, ours: true, fields: []string{"Ratelimit", "Ratelimit-Policy"}, onRefusal: []string{"Retry-After"},
		wrap: func(t testing.TB, l limit, next http.Handler) http.Handler { return wrapWeir(t, "", l, next) }},
	{name: weirFile, ours: true, fields: []string{"Ratelimit", "Ratelimit-Policy"}, onRefusal: []string{"Retry-After"},
		wrap: func(t testing.TB, l limit, next http.Handler) http.Handler {
			return wrapWeir(t, filepath.Join(t.TempDir(), "weir.db"), l, next)
		}},
	{name: "httprate", wrap: wrapHTTPRate,
		fields: []string{"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset"}, onRefusal: []string{"Retry-After"}},
	{name: "tollbooth", wrap: wrapTollbooth,
		fields: []string{"Ratelimit-Limit", "Ratelimit-Remaining", "Ratelimit-Reset",
			"X-Rate-Limit-Duration", "X-Rate-Limit-Limit", "X-Rate-Limit-Request-Remote-Addr"}},
	{name: "ulule", wrap: wrapUlule, outside: true,
		fields: []string{"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset"}},
	{name: "go-limiter", wrap: wrapGoLimiter, realClock: true,
		fields: []string{"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset"}, onRefusal: []string{"Retry-After"}},
	{name: "throttled", wrap: wrapThrottled,
		fields: []string{"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset"}, onRefusal: []string{"Retry-After"}},
	{name: "echo", wrap: wrapEcho,
		fields: []string{"X-Ratelimit-Limit", "X-Ratelimit-Remaining"}, onRefusal: []string{"Retry-After"}},
}

func wrapWeir(t testing.TB, path string, l limit, next http.Handler) http.Handler {
	limiter, err := weir.Open(path, weir.Policy{Name: "ip", Limit: bucket.Limit{Quota: l.quota, Window: l.window}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := limiter.Close(); err != nil {
			t.Error(err)
		}
	})
	m, err := httpmw.New(limiter, httpmw.Config{
		Keys:   map[string]httpmw.Key{"ip": httpmw.ByIP()},
		Logger: slog.New(slog.DiscardHandler), // that all requests have one key
	})
	if err != nil {
		t.Fatal(err)
	}
	return m.Handler(next)
}

func wrapHTTPRate(_ testing.TB, l limit, next http.Handler) http.Handler {
	// What its LimitByIP was before that was deprecated.
	return httprate.LimitBy(l.quota, l.window, func(r *http.Request) (string, error) {
		ip, _, err := net.SplitHostPort(r.RemoteAddr)
		return httprate.CanonicalizeIP(ip), err
	})(next)
}

func wrapTollbooth(_ testing.TB, l limit, next http.Handler) http.Handler {
	// It counts by the second, and by path unless told not to.
	limiter := tollbooth.NewLimiter(float64(l.quota)/l.window.Seconds(), nil).
		SetBurst(l.quota).SetIPLookups([]string{"RemoteAddr"}).SetIgnoreURL(true)
	return tollbooth.LimitHandler(limiter, next)
}

func wrapUlule(_ testing.TB, l limit, next http.Handler) http.Handler {
	store := memory.NewStore()
	return stdlib.NewMiddleware(ulule.New(store, ulule.Rate{Limit: int64(l.quota), Period: l.window})).Handler(next)
}

func wrapGoLimiter(t testing.TB, l limit, next http.Handler) http.Handler {
	// By default it forgets keys after 12 hours, whatever the limit.
	store, err := memorystore.New(&memorystore.Config{
		Tokens: uint64(l.quota), Interval: l.window, SweepMinTTL: 2 * l.window,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(t.Context()) })
	m, err := httplimit.NewMiddleware(store, httplimit.IPKeyFunc())
	if err != nil {
		t.Fatal(err)
	}
	return m.Handle(next)
}

func wrapThrottled(t testing.TB, l limit, next http.Handler) http.Handler {
	store, err := memstore.NewCtx(65_536) // as many keys as weir keeps by default
	if err != nil {
		t.Fatal(err)
	}
	// Its burst is what may come on top of the first request.
	limiter, err := throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{
		MaxRate: throttled.PerDuration(l.quota, l.window), MaxBurst: l.quota - 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return (&throttled.HTTPRateLimiterCtx{RateLimiter: limiter, VaryBy: &throttled.VaryBy{RemoteAddr: true}}).RateLimit(next)
}

// wrapEcho has the middleware of echo and the Context that it needs, and not
// echo's router.
func wrapEcho(_ testing.TB, l limit, next http.Handler) http.Handler {
	e := echo.New()
	e.IPExtractor = echo.ExtractIPDirect()
	// By default it forgets keys after 3 minutes, whatever the limit.
	h := echomw.RateLimiter(echomw.NewRateLimiterMemoryStoreWithConfig(echomw.RateLimiterMemoryStoreConfig{
		Rate: float64(l.quota) / l.window.Seconds(), Burst: l.quota, ExpiresIn: max(l.window, 3*time.Minute),
	}))(echo.WrapHandler(next))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := e.AcquireContext()
		defer e.ReleaseContext(c)
		c.Reset(r, w)
		if err := h(c); err != nil {
			e.HTTPErrorHandler(c, err)
		}
	})
}

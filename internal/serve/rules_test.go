package serve_test

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/serve"
)

// What is said of the middleware reaches it.
func TestRulesOfTheMiddleware(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why    string
		set    func(*serve.Config)
		field  string // of the answer to the first request, and its value
		want   string
		status int // of the second
	}{
		{"as it is", func(*serve.Config) {}, "RateLimit-Policy", `"ip";q=1;w=86400`, 429},
		{"draft 7", func(c *serve.Config) { c.Fields = httpmw.Draft7 }, "RateLimit-Policy", "1;w=86400", 429},
		{"X- fields", func(c *serve.Config) { c.Fields = httpmw.XRateLimit }, "X-RateLimit-Limit", "1", 429},
		{"none", func(c *serve.Config) { c.Fields = httpmw.NoFields }, "RateLimit-Policy", "", 429},
		{"for scripts of other origins", func(c *serve.Config) { c.ExposeFields = true }, "Access-Control-Expose-Headers", "Retry-After, RateLimit, RateLimit-Policy", 429},
		{"not for them", func(*serve.Config) {}, "Access-Control-Expose-Headers", "", 429},
		{"who is exempt", func(c *serve.Config) { c.Exempt = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }, "RateLimit", "", 200},
		{"who else is exempt", func(c *serve.Config) { c.Exempt = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }, "RateLimit-Policy", `"ip";q=1;w=86400`, 429},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			cfg := config(t, "ip 1/day")
			tt.set(&cfg)
			s := start(t, cfg)
			first, _ := question(t, s, "GET", "/", "Origin", "http://a")
			second, _ := question(t, s, "GET", "/", "Origin", "http://a")
			if got := first.Header.Get(tt.field); first.StatusCode != 200 || got != tt.want || second.StatusCode != tt.status {
				t.Errorf("%d with %s: %q, and then %d; want 200, %q and %d", first.StatusCode, tt.field, got, second.StatusCode, tt.want, tt.status)
			}
		})
	}
}

// With jitter clients that are refused together do not come back together, and
// none comes back too early.
func TestCheck79JitterOfTheServer(t *testing.T) {
	t.Parallel()
	for _, jitter := range []bool{true, false} {
		cfg := config(t, "ip 1/h")
		cfg.Jitter = jitter
		s := start(t, cfg)
		different := map[int]bool{}
		for i := range 50 {
			res, _ := question(t, s, "GET", "/")
			if i == 0 {
				continue
			}
			retry, err := strconv.Atoi(res.Header.Get("Retry-After"))
			if err != nil || res.StatusCode != http.StatusTooManyRequests || retry > 3600+60 {
				t.Fatalf("%d, Retry-After: %q, want 429 and an hour and a minute at most", res.StatusCode, res.Header.Get("Retry-After"))
			}
			_, t0, _ := strings.Cut(res.Header.Get("RateLimit"), ";t=")
			reset, _ := strconv.Atoi(t0)
			if reset == 0 || retry < reset {
				t.Errorf("Retry-After %d is before the reset in %q", retry, res.Header.Get("RateLimit"))
			}
			different[retry-reset] = true
		}
		if jitter != (len(different) > 1) {
			t.Errorf("jitter %v: 49 refusals have %d different waits on top of the true one", jitter, len(different))
		}
	}
}

package doctor_test

import (
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/doctor"
)

// What is as it should be is not complained of.
func TestRight(t *testing.T) {
	t.Parallel()
	trusting := func(make func(int, ...netip.Prefix) (httpmw.ClientIP, error)) httpmw.Config {
		ip, err := make(64, netip.MustParsePrefix("127.0.0.0/8"))
		if err != nil {
			t.Fatal(err)
		}
		return httpmw.Config{IP: ip}
	}
	realIP := func(bits int, trusted ...netip.Prefix) (httpmw.ClientIP, error) {
		return httpmw.NewHeaderIP(bits, "X-Real-IP", trusted...)
	}
	answers := func(status int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	const byPeer, byKey = "mapped network restart", "blame mapped network restart"
	keys := []doctor.Field{{"X-Api-Key", "one"}, {"X-Api-Key", "two"}}
	for name, tt := range map[string]struct {
		limit    bucket.Limit
		mw       httpmw.Config
		inner    http.Handler
		edit     func(*doctor.Config)
		api      http.Handler // in place of these
		stack    doctor.Stack
		untested string
	}{
		"five in two seconds": {limit: bucket.Limit{Quota: 5, Window: 2 * time.Second}, untested: byPeer},
		"a hundred a minute":  {limit: bucket.PerMinute(100), untested: byPeer},
		"a thousand a minute": {limit: bucket.PerMinute(1000), untested: byPeer},
		"one a second":        {limit: bucket.PerSecond(1), untested: byPeer},
		"two a minute":        {limit: bucket.PerMinute(2), untested: byPeer},
		"a smaller burst":     {limit: bucket.Limit{Quota: 100, Window: time.Minute, Burst: 20}, untested: byPeer},
		"a larger burst":      {limit: bucket.Limit{Quota: 10, Window: time.Minute, Burst: 20}, untested: byPeer},
		"a much larger one": {
			limit: bucket.Limit{Quota: 10, Window: time.Minute, Burst: 100}, untested: byPeer,
			edit: func(c *doctor.Config) { c.Limit = bucket.Limit{Quota: 10, Window: time.Minute, Burst: 100} }},
		"jitter":                 {limit: bucket.PerMinute(3), mw: httpmw.Config{Jitter: true}, untested: byPeer},
		"a day's wait":           {limit: bucket.PerDay(10), untested: "mapped network retry restart"},
		"no fields":              {limit: bucket.PerMinute(100), mw: httpmw.Config{Fields: httpmw.NoFields}, untested: "refusal-fields " + byPeer},
		"draft 7":                {limit: bucket.PerMinute(100), mw: httpmw.Config{Fields: httpmw.Draft7}, untested: byPeer},
		"draft 6":                {limit: bucket.PerMinute(100), mw: httpmw.Config{Fields: httpmw.Draft6}, untested: byPeer},
		"as GitHub":              {limit: bucket.PerMinute(100), mw: httpmw.Config{Fields: httpmw.XRateLimit}, untested: byPeer},
		"nothing is found there": {limit: bucket.PerMinute(100), inner: answers(404), untested: byPeer},
		"a credential is wanted": {limit: bucket.PerMinute(100), inner: answers(401), untested: byPeer},
		"behind X-Forwarded-For": {
			limit: bucket.PerMinute(10), mw: trusting(httpmw.NewClientIP), untested: "restart",
			edit: func(c *doctor.Config) { c.ClientField = "X-Forwarded-For" }},
		"behind Forwarded": {
			limit: bucket.PerMinute(10), mw: trusting(httpmw.NewForwardedIP), untested: "restart",
			edit: func(c *doctor.Config) { c.ClientField = "Forwarded" }},
		"behind X-Real-IP": {
			limit: bucket.PerMinute(10), mw: trusting(realIP), untested: "restart",
			edit: func(c *doctor.Config) { c.ClientField = "x-real-ip" }},
		"keys": {
			limit: bucket.PerMinute(10), mw: httpmw.Config{Keys: map[string]httpmw.Key{"ip": httpmw.Header("X-Api-Key")}}, untested: byKey,
			edit: func(c *doctor.Config) { c.Identities = keys }},
		"one address": {
			limit: bucket.PerMinute(10), stack: doctor.Stack{OneAddr: true}, untested: "isolation blame mapped network restart"},
		"IPv6 addresses of the machine": {
			limit: bucket.PerMinute(10),
			edit:  func(c *doctor.Config) { c.Addr = netip.MustParseAddrPort("[::1]:80") },
			stack: doctor.Stack{Addrs: []netip.Addr{
				netip.MustParseAddr("2001:db8:1::1"), netip.MustParseAddr("fe80::1"), netip.MustParseAddr("2001:db8:2::1"), netip.MustParseAddr("2001:db8:2::2")}},
			untested: "blame mapped restart"},
		"fixed windows":            {api: &fixed{n: 5, window: 20 * time.Second, key: byAddr}, untested: byPeer},
		"of which nobody is told":  {api: &fixed{n: 5, window: 20 * time.Second, key: byAddr, quiet: true}, untested: "refusal-fields " + byPeer},
		"fixed windows of seconds": {api: &fixed{n: 5, window: 2 * time.Second, key: byAddr}, untested: byPeer},
		"slow answers":             {limit: bucket.PerMinute(10), stack: doctor.Stack{Latency: 50 * time.Millisecond}, untested: byPeer},
		"a limit for one path, where nothing is": {
			limit: bucket.PerMinute(10), mw: httpmw.Config{Routes: map[string][]string{"ip": {"/things"}}}, untested: "mapped network paths restart",
			inner: answers(404)},
		"a limit for one path": {
			limit: bucket.PerMinute(10), mw: httpmw.Config{Routes: map[string][]string{"ip": {"/things"}}}, untested: "mapped network paths restart",
			inner: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/things" {
					w.WriteHeader(404)
				}
			})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if tt.inner == nil {
					tt.inner = hello
				}
				if tt.api == nil {
					tt.api = middleware(t, tt.limit, tt.mw, tt.inner)
				}
				cfg, stack := config(t), tt.stack
				if tt.edit != nil {
					tt.edit(&cfg)
				}
				stack.Handler = tt.api
				stack.Latency = max(stack.Latency, 100*time.Microsecond)
				doctor.Wire(&cfg, &stack)
				r, err := doctor.Run(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				expect(t, r, "", tt.untested)
				if stack.Sent != r.Requests {
					t.Errorf("%d requests were sent, and the report says %d", stack.Sent, r.Requests)
				}
				for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
					if stack.Methods[method] > 0 {
						t.Errorf("%d requests were %s: want none that may change something", stack.Methods[method], method)
					}
				}
			})
		})
	}
}

// Where a request that is let through may always be the one that has come back
// just then, it is not taken for a way round.
func TestRightOneInASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for ms := range 10 {
			limit := bucket.Limit{Quota: 10, Window: 11 * time.Second, Burst: 1}
			cfg := config(t)
			doctor.Wire(&cfg, &doctor.Stack{Handler: middleware(t, limit, httpmw.Config{}, hello), Latency: time.Duration(5+ms) * time.Millisecond})
			r, err := doctor.Run(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, r, "", "mapped network restart")
		}
	})
}

// Nor of any limit, however far away it is.
func TestRightAnyLimit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		limit := bucket.Limit{
			Quota:  rapid.IntRange(1, 300).Draw(rt, "quota"),
			Window: time.Duration(rapid.IntRange(1, 3600).Draw(rt, "seconds")) * time.Second,
			Burst:  rapid.IntRange(1, 300).Draw(rt, "burst"),
		}
		said := rapid.Bool().Draw(rt, "said")
		latency := time.Duration(rapid.IntRange(50, 20_000).Draw(rt, "µs")) * time.Microsecond
		if limit.Rate()*latency.Seconds() > 0.02 {
			rt.Skip("no limit that stays used up")
		}
		mw := httpmw.Config{Jitter: rapid.Bool().Draw(rt, "jitter")}
		synctest.Test(t, func(t *testing.T) {
			cfg := config(t)
			cfg.MaxRequests = 100_000
			if said {
				cfg.Limit = limit
			} else {
				mw.Fields = httpmw.NoFields
			}
			doctor.Wire(&cfg, &doctor.Stack{Handler: middleware(t, limit, mw, hello), Latency: latency})
			r, err := doctor.Run(t.Context(), cfg)
			if err != nil {
				rt.Fatal(err)
			}
			if failed := of(r, doctor.Fail); len(failed) > 0 {
				rt.Fatalf("%v: %q: %s", limit, failed, reason(r, failed[0]))
			}
		})
	})
}

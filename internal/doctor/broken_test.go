package doctor_test

import (
	"context"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/doctor"
)

const allButLimit = "refusal-status refusal-retry-after refusal-no-store refusal-size refusal-fields isolation spoofing blame mapped network " +
	"methods spellings headers paths retry restart"

func leftmost(r *http.Request) string {
	if claim := r.Header.Get("X-Forwarded-For"); claim != "" {
		first, _, _ := strings.Cut(claim, ",")
		return first
	}
	return byAddr(r)
}

// client is the address that a trusted proxy names.
func client(r *http.Request) netip.Addr {
	list := r.Header.Get("X-Forwarded-For")
	a, err := netip.ParseAddr(strings.TrimSpace(list[strings.LastIndex(list, ",")+1:]))
	if err != nil {
		panic(err)
	}
	return a
}

// What is wrong with an API is found, and nothing else.
func TestBroken(t *testing.T) {
	t.Parallel()
	const proxied = "X-Forwarded-For"
	for name, tt := range map[string]struct {
		api      http.Handler
		field    string // by which the doctor is believed
		failed   string
		untested string
		says     string // of what failed first
	}{
		"no limit at all": {
			api: hello, failed: "limit", untested: allButLimit, says: "1000 requests in a row pass, and no answer tells of a limit"},
		"a limiter that is new for each request": {
			api: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				(&fixed{n: 5, window: time.Minute, key: byAddr}).ServeHTTP(w, r)
			}),
			failed: "limit", untested: allButLimit, says: "although RateLimit-Policy says 5"},
		"one limit for all clients": {
			api:    &fixed{n: 5, window: time.Minute, key: func(*http.Request) string { return "" }},
			failed: "isolation", untested: "blame mapped network restart", says: "the first request of 127."},
		"the leftmost address is believed": {
			api:    &fixed{n: 5, window: time.Minute, key: leftmost},
			failed: "spoofing blame", untested: "mapped network restart", says: "with a made up address in X-Forwarded-For a client"},
		"and so behind a trusted proxy": {
			api: &fixed{n: 5, window: time.Minute, key: leftmost}, field: proxied,
			failed: "spoofing blame mapped network", untested: "restart", says: "in X-Forwarded-For a client"},
		"another field is believed": {
			api:    &fixed{n: 5, window: time.Minute, key: func(r *http.Request) string { return byAddr(r) + r.Header.Get("CF-Connecting-IP") }},
			failed: "spoofing", untested: "mapped network restart", says: "in CF-Connecting-IP a client"},
		"a limit for each path": {
			api:    &fixed{n: 5, window: time.Minute, key: func(r *http.Request) string { return byAddr(r) + r.URL.Path }},
			failed: "spellings paths", untested: "mapped network restart", says: "//x, /./x, /a/../x"},
		"a limit for each path, of two a second": {
			api:    &fixed{n: 2, window: time.Second, key: func(r *http.Request) string { return byAddr(r) + r.URL.Path }},
			failed: "spellings paths", untested: "mapped network restart", says: "//x, /./x, /a/../x"},
		"a limit for each path, of one a second": {
			api:    &fixed{n: 1, window: time.Second, key: func(r *http.Request) string { return byAddr(r) + r.URL.Path }},
			failed: "spellings paths", untested: "mapped network restart", says: "//x, /./x, /a/../x"},
		"a limit for each URL": {
			api:    &fixed{n: 5, window: time.Minute, key: func(r *http.Request) string { return byAddr(r) + r.RequestURI }},
			failed: "spellings paths", untested: "mapped network restart", says: "served with a query, //x"},
		"a limit for each host": {
			api:    &fixed{n: 5, window: time.Minute, key: func(r *http.Request) string { return byAddr(r) + r.Host }},
			failed: "spellings", untested: "mapped network restart", says: "served with another host"},
		"a limit for one spelling": {
			api:    &fixed{n: 5, window: time.Minute, key: byAddr, free: func(r *http.Request) bool { return !strings.HasPrefix(r.RequestURI, "/things") }},
			failed: "spellings", untested: "mapped network restart", says: "served with //x, /./x, /%2e/x, /a/../x"},
		"HEAD is exempt": {
			api:    &fixed{n: 5, window: time.Minute, key: byAddr, free: func(r *http.Request) bool { return r.Method == "HEAD" }},
			failed: "methods", untested: "mapped network restart", says: "served with HEAD"},
		"only GET is limited": {
			api:    &fixed{n: 5, window: time.Minute, key: byAddr, free: func(r *http.Request) bool { return r.Method != "GET" }},
			failed: "methods", untested: "mapped network restart", says: "HEAD, OPTIONS, TRACE, PROPFIND, get, WEIR-DOCTOR"},
		"the port is in the key": {
			api:    &fixed{n: 5, window: time.Minute, key: func(r *http.Request) string { return r.RemoteAddr }},
			failed: "headers", untested: "mapped network restart", says: "served with another connection"},
		"health checks are exempt": {
			api:    &fixed{n: 5, window: time.Minute, key: byAddr, free: func(r *http.Request) bool { return strings.HasPrefix(r.UserAgent(), "kube-probe/") }},
			failed: "headers", untested: "mapped network restart", says: "served with the User-Agent of a health check"},
		"an unchecked API key is who a client is": {
			api:    &fixed{n: 5, window: time.Minute, key: func(r *http.Request) string { return byAddr(r) + r.Header.Get("X-Api-Key") }},
			failed: "headers", untested: "mapped network restart", says: "served with an API key"},
		"Retry-After is too early": {
			api:    &fixed{n: 5, window: 20 * time.Second, key: byAddr, retry: func(time.Duration) string { return "1" }},
			failed: "retry", untested: "mapped network restart", says: "it was 1s, and a client that came back just then is refused once more"},
		"Retry-After is rounded down": {
			api: &fixed{n: 5, window: 3 * time.Second, key: byAddr,
				retry: func(left time.Duration) string { return strconv.Itoa(max(1, int((left-1)/time.Second))) }},
			failed: "retry", untested: "mapped network restart", says: "it was 2s, and a client that came back just then is refused"},
		"Retry-After is always the whole window": {
			api: middleware(t, bucket.PerMinute(6), httpmw.Config{Refuse: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "60")
				w.WriteHeader(429)
			})}, hello),
			failed: "retry", untested: "mapped network restart", says: "a client that comes back after 52.9s already is served"},
		"Retry-After is longer than the window": {
			api:    &fixed{n: 5, window: 10 * time.Second, key: byAddr, retry: func(time.Duration) string { return "60" }},
			failed: "refusal-retry-after retry", untested: "mapped network restart", says: "Retry-After is 1m0s, and the whole limit is back after 10s"},
		"trying puts a client off": {
			api:    &fixed{n: 5, window: 20 * time.Second, key: byAddr, sticky: true},
			failed: "retry", untested: "mapped network restart", says: "it has put itself off"},
		"no Retry-After": {
			api: middleware(t, bucket.PerMinute(6), httpmw.Config{Refuse: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Del("Retry-After")
				w.WriteHeader(503)
			})}, hello),
			failed: "refusal-retry-after", untested: "mapped network retry restart", says: "there is no Retry-After"},
		"a refusal in no way as it should be": {
			api: middleware(t, bucket.PerMinute(6), httpmw.Config{Refuse: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "10")
				w.Header().Set("Cache-Control", "public, max-age=60")
				w.Header().Set("RateLimit", "ip r=0")
				w.WriteHeader(403)
				w.Write(make([]byte, 100_000))
			})}, hello),
			failed: "refusal-status refusal-no-store refusal-size refusal-fields", untested: "mapped network restart", says: "it is 403"},
		"each IPv6 address is a client": {
			api: &fixed{n: 5, window: time.Minute, key: func(r *http.Request) string { return client(r).Unmap().String() }}, field: proxied,
			failed: "network", untested: "restart", says: "in the same /64, is served"},
		"IPv4 in IPv6 notation is another client": {
			api: &fixed{n: 5, window: time.Minute, key: func(r *http.Request) string {
				if a := client(r); !a.Is6() || a.Is4In6() {
					return a.String()
				}
				return netip.PrefixFrom(client(r), 64).Masked().String()
			}}, field: proxied,
			failed: "mapped", untested: "restart", says: "is over its limit, and served as ::ffff:198."},
		"IPv4 in IPv6 notation is one client": {
			api: &fixed{n: 5, window: time.Minute, key: func(r *http.Request) string {
				if a := client(r); !a.Is6() {
					return a.String()
				}
				return netip.PrefixFrom(netip.AddrFrom16(client(r).As16()), 64).Masked().String()
			}}, field: proxied,
			failed: "mapped", untested: "restart", says: "is over its limit, and served as ::ffff:198."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cfg := config(t)
				cfg.ClientField = tt.field
				doctor.Wire(&cfg, &doctor.Stack{Handler: tt.api, Latency: time.Millisecond})
				r, err := doctor.Run(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				expect(t, r, tt.failed, tt.untested)
				if first, _, _ := strings.Cut(tt.failed, " "); !strings.Contains(reason(r, first), tt.says) {
					t.Errorf("%s: %q, want %q", first, reason(r, first), tt.says)
				}
			})
		})
	}
}

// What is forgotten by a restart is found, and what is not is not.
func TestRestart(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		limit    func() http.Handler
		forgets  bool
		takes    time.Duration
		kept     bool // its connections
		fields   string
		failed   string
		untested string
	}{
		"a window, kept": {
			limit: func() http.Handler { return &fixed{n: 5, window: time.Minute, key: byAddr} }},
		"a window, lost": {
			limit: func() http.Handler { return &fixed{n: 5, window: time.Minute, key: byAddr} }, forgets: true, failed: "restart"},
		"a window that may be over": {
			limit: func() http.Handler { return &fixed{n: 5, window: time.Minute, key: byAddr} }, forgets: true, takes: 2 * time.Minute, untested: "restart"},
		"a bucket, kept": {
			limit: func() http.Handler { return middleware(t, bucket.PerMinute(100), httpmw.Config{}, hello) }},
		"a bucket, kept for longer": {
			limit: func() http.Handler { return middleware(t, bucket.PerMinute(100), httpmw.Config{}, hello) }, takes: 20 * time.Second},
		"a bucket, lost": {
			limit: func() http.Handler { return middleware(t, bucket.PerMinute(100), httpmw.Config{}, hello) }, forgets: true, failed: "restart"},
		"a bucket, lost for longer": {
			limit:   func() http.Handler { return middleware(t, bucket.PerMinute(100), httpmw.Config{}, hello) },
			forgets: true, takes: 20 * time.Second, failed: "restart"},
		"a bucket that may be full": {
			limit:   func() http.Handler { return middleware(t, bucket.PerMinute(100), httpmw.Config{}, hello) },
			forgets: true, takes: 2 * time.Minute, untested: "restart"},
		"nobody says what the limit is, kept": {
			limit: func() http.Handler { return &fixed{n: 5, window: time.Minute, key: byAddr, quiet: true} }, fields: "refusal-fields"},
		"nobody says what the limit is, lost": {
			limit:   func() http.Handler { return &fixed{n: 5, window: time.Minute, key: byAddr, quiet: true} },
			forgets: true, fields: "refusal-fields", failed: "restart"},
		"a bucket that nobody is told of, kept for longer": {
			limit: func() http.Handler {
				return middleware(t, bucket.PerMinute(100), httpmw.Config{Fields: httpmw.NoFields}, hello)
			}, takes: 20 * time.Second, fields: "refusal-fields"},
		"a short window, kept": {
			limit: func() http.Handler { return &fixed{n: 5, window: 5 * time.Second, key: byAddr} }},
		"a short window, lost": {
			limit: func() http.Handler { return &fixed{n: 5, window: 5 * time.Second, key: byAddr} }, forgets: true, failed: "restart"},
		"a window too short": {
			limit: func() http.Handler { return &fixed{n: 5, window: 2 * time.Second, key: byAddr} }, forgets: true, untested: "restart"},
		"a window that ends meanwhile": {
			limit: func() http.Handler { return &fixed{n: 5, window: 5 * time.Second, key: byAddr} }, takes: 5 * time.Second, untested: "restart"},
		"a command that kills nothing": {
			limit: func() http.Handler { return &fixed{n: 5, window: time.Minute, key: byAddr} }, kept: true, untested: "restart"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				stack := &doctor.Stack{Handler: tt.limit(), Latency: time.Millisecond, Kept: tt.kept}
				cfg := config(t)
				doctor.Wire(&cfg, stack)
				cfg.Restart = func(context.Context) error {
					time.Sleep(tt.takes)
					if tt.forgets {
						stack.Handler = tt.limit()
					}
					return nil
				}
				r, err := doctor.Run(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				expect(t, r, tt.failed, strings.TrimSpace(tt.fields+" mapped network "+tt.untested))
			})
		})
	}
}

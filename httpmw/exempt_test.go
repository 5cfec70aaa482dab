package httpmw_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

func ExampleConfig_exempt() {
	limit, err := httpmw.New(exampleLimiter("ip"), httpmw.Config{
		Keys:         map[string]httpmw.Key{"ip": httpmw.ByIP()},
		ExemptRoutes: []string{"GET /healthz", "/static/"},
		Exempt:       []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := limit.Handler(hello)
	show(h, path("/static/logo.png"), from("203.0.113.7:4711"))
	show(h, from("192.0.2.1:4711"))
	show(h, from("203.0.113.7:4711"))
	fmt.Println(limit.Stats().Exempt, "exempt")
	// Output:
	// 200
	// 200
	// 200 "ip";r=1;t=30
	// 2 exempt
}

// An exempt request is not limited, charged or told of anything; one that only
// may be it is.
func TestExemptRoutes(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why    string
		method string
		target string
		exempt bool
	}{
		{"the path", "GET", "/healthz", true},
		{"and a HEAD of it", "HEAD", "/healthz", true},
		{"with a query", "GET", "/healthz?verbose=1", true},
		{"another method", "POST", "/healthz", false},
		{"a subtree", "GET", "/static/css/a.css", true},
		{"not its root, which ServeMux redirects", "GET", "/static", false},
		{"its root with a slash", "GET", "/static/", true},
		{"with a slash", "GET", "/static/css/", true},
		{"an escape that must be", "GET", "/static/a%20b.css", true},
		{"a way out of it", "GET", "/static/../login", false},
		{"encoded", "GET", "/static/%2e%2e/login", false},
		{"encoded in full", "GET", "/static%2f..%2flogin", false},
		{"encoded twice", "GET", "/static/%252e%252e/login", false},
		{"with a parameter", "GET", "/static/..;/login", false},
		{"encoded", "GET", "/static/..%3b/login", false},
		{"with a backslash", "GET", `/static/..\login`, false},
		{"encoded", "GET", "/static/..%5clogin", false},
		{"a way in again", "GET", "/login/../static/a", false},
		{"two slashes", "GET", "//healthz", false},
		{"another case", "GET", "/HEALTHZ", false},
		{"something else", "GET", "/login", false},
	} {
		l := newPerKey(policy{name: "ip", limit: bucket.PerHour(1)})
		s := limit(t, l, httpmw.Config{
			ExemptRoutes: []string{"GET /healthz", "/static/"},
			InFlight:     []httpmw.InFlight{{Name: "busy", Key: httpmw.Global(), Max: 1}},
		})
		for range 3 {
			r := parse(row.method, row.target, "example.com")
			if r == nil {
				t.Fatalf("%s: the server does not take %s", row.why, row.target)
			}
			w := send(t, s, r)
			if row.exempt {
				want(t, w, 200, "RateLimit", "", "RateLimit-Policy", "")
			}
		}
		passed, exempt := 1, uint64(0)
		if row.exempt {
			passed, exempt = 3, 3
		}
		if got := s.Stats().Exempt; got != exempt || s.calls != passed || len(l.seen) != 3-int(exempt) {
			t.Errorf("%s: of 3 requests for %s %d were exempt and %d passed, want %d and %d", row.why, row.target, got, s.calls, exempt, passed)
		}
	}
	fold := limit(t, defaultLimiter(), httpmw.Config{ExemptRoutes: []string{"/Healthz"}, FoldCase: true})
	if get(t, fold, path("/hEALTHZ")); fold.Stats().Exempt != 1 {
		t.Error("FoldCase: another case is not exempt")
	}
}

// An address is exempt if it is known to be the client's.
func TestExemptAddresses(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why    string
		peer   string
		lines  []string
		exempt bool
	}{
		{"a client without a proxy", "198.51.100.9:1", nil, true},
		{"another", "203.0.113.7:1", nil, false},
		{"one behind a proxy", "10.0.0.1:1", []string{"198.51.100.9"}, true},
		{"in IPv6 notation", "10.0.0.1:1", []string{"::ffff:198.51.100.9"}, true},
		{"another behind it", "10.0.0.1:1", []string{"203.0.113.7"}, false},
		{"who claims to be", "10.0.0.1:1", []string{"198.51.100.9, 203.0.113.7"}, false},
		{"the proxy itself", "10.0.0.1:1", nil, true},
		{"not who hides behind it", "10.0.0.1:1", []string{"garbage"}, false},
		{"or behind the next", "10.0.0.1:1", []string{"garbage, 10.0.0.2"}, false},
		{"a proxy that is not trusted may speak for anyone", "198.51.100.9:1", []string{"203.0.113.7"}, false},
		{"IPv6", "[2001:db8::7]:1", nil, true},
		{"and its neighbour, of the same /64", "[2001:db8::8]:1", nil, false},
		{"no address", "@", nil, false},
	} {
		s := limit(t, defaultLimiter(), httpmw.Config{
			IP:     clientIP(t, "10.0.0.0/8"),
			Exempt: prefixes("198.51.100.0/24", "10.0.0.0/8", "2001:db8::7/128"),
		})
		edit := []func(*http.Request){from(row.peer)}
		if row.lines != nil {
			edit = append(edit, field(xff, row.lines...))
		}
		get(t, s, edit...)
		if got := s.Stats().Exempt == 1; got != row.exempt {
			t.Errorf("%s: exempt %v, want %v", row.why, got, row.exempt)
		}
	}
	mapped := limit(t, defaultLimiter(), httpmw.Config{Exempt: prefixes("::ffff:198.51.100.0/120")})
	if get(t, mapped, from("198.51.100.9:1")); mapped.Stats().Exempt != 1 {
		t.Error("a prefix of IPv4 in IPv6 notation is not one of IPv4")
	}
}

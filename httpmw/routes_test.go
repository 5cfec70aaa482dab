package httpmw_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	pathpkg "path"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// parse returns the request that a server reads from a request line, and nil if
// it rejects it.
func parse(method, target, host string) *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")))
	if err != nil {
		return nil
	}
	r.RemoteAddr = "192.0.2.1:1234"
	return r
}

// routed limits the requests that match patterns.
func routed(t testing.TB, quota int, fold bool, patterns ...string) (*limited, *perKey) {
	t.Helper()
	l := newPerKey(policy{name: "login", limit: bucket.PerHour(quota)})
	return limit(t, l, httpmw.Config{Routes: map[string][]string{"login": patterns}, FoldCase: fold}), l
}

// asked tells whether the policy was asked about a request.
func asked(t testing.TB, s *limited, r *http.Request) bool {
	t.Helper()
	before := s.Stats().Policies[0]
	send(t, s, r)
	after := s.Stats().Policies[0]
	return after != before
}

// Threat 13: however a request for /login is spelled, it is counted in the same
// bucket.
func TestThreat13_spellings_of_a_path(t *testing.T) {
	t.Parallel()
	spellings := []string{
		"/login", "/login?x=1", "/login?", "http://api.example.com/login", "http://api.example.com//login",
		"/login/", "/login//", "//login", "///login///", // empty segments
		"/./login", "/login/.", "/login/./", "/x/../login", "/../login", "/../../login", "/login/x/..", "//x/..//login", // dot segments
		"/%6cogin", "/%6C%6F%67%69%6E", "/logi%6e", "/login%2f", "/%2flogin", "/%2F%2flogin%2F", // encoded
		"/%2e/login", "/%2E/login", "/x/%2e%2e/login", "/x/%2E./login", "/x/.%2e/login", "/login/%2e", "/login/x/%2e%2e", // encoded dots
		"/x%2f..%2flogin", "/x/..%2flogin", "/x%2f%2e%2e%2f%6cogin", "/%2e%2e%2flogin", // and slashes
		"/login;", "/login;jsessionid=1", "/login;a=b;c=d/", "/;x/login", "/;/login;", "/login%3b", "/login%3Bjsessionid=1", // parameters
		"/x/..;/login", "/x/..;a=b/login", "/x/%2e%2e;/login", "/x;a/..;b/login;c", "/x/..%3b/login", // with dots
		`/\login`, `/login\`, `/x\..\login`, "/%5clogin", "/x%5c..%5Clogin", "/login%5c", `/x\..;y\login;z`, // backslashes
	}
	folded := []string{"/LOGIN", "/Login", "/%4cogin", "//lOgIn;x", "/X/../LOGIN", "/x/%2E%2E/LOGIN/"}
	for name, row := range map[string]struct {
		fold      bool
		pattern   string
		spellings []string
	}{
		"the path":        {false, "/login", spellings},
		"with a method":   {false, "POST /login", spellings},
		"with a host":     {false, "POST API.example.com/login", spellings},
		"with a wildcard": {false, "/{page}", spellings},
		"in any case":     {true, "/Login", append(folded, spellings...)},
		"as a subtree":    {false, "/login/", spellings},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, l := routed(t, 1000, row.fold, row.pattern)
			left := 1000
			for _, target := range row.spellings {
				r := parse("POST", target, "api.example.com")
				if r == nil {
					t.Errorf("%s: the server does not take it", target)
					continue
				}
				left--
				want(t, send(t, s, r), 200, "RateLimit", fmt.Sprintf(`"login";r=%d;t=%d`, left, window(left)))
			}
			if len(l.buckets[0]) != 1 || left > 1000-40 {
				t.Errorf("%d spellings, %d buckets, want one", 1000-left, len(l.buckets[0]))
			}
		})
	}
	s, _ := routed(t, 1000, false, "POST /login")
	for _, target := range []string{
		"/", "*", "/logi", "/loginx", "/login/x", "/x/login", "/LOGIN", "/login%20", "/log/in", "/login.html",
		"/%252e%252e/login",    // is decoded once
		"/x/%252e%252e/login/", // likewise
		"/login/../x", "/login/%2e%2e", "/login;x/../y", `/login\x`, "/?/login", "/;login",
	} {
		if r := parse("POST", target, "api.example.com"); r == nil || asked(t, s, r) {
			t.Errorf("%s: is not /login", target)
		}
	}
	for _, method := range []string{"GET", "HEAD", "PUT", "OPTIONS", "get", "POSTS"} {
		if asked(t, s, parse(method, "/login", "api.example.com")) {
			t.Errorf("%s is not POST", method)
		}
	}
}

// A server behind that takes "post" for POST must not be a way round a limit. An
// exemption is of the very method.
func TestMethodInAnyCase(t *testing.T) {
	t.Parallel()
	l := newPerKey(policy{name: "login", limit: bucket.PerHour(100)})
	s := limit(t, l, httpmw.Config{
		Routes:       map[string][]string{"login": {"POST /login", "purge /cache", "POST /health"}},
		ExemptRoutes: []string{"POST /health"},
	})
	for _, row := range []struct {
		method, target string
		asked          bool
	}{
		{"POST", "/login", true}, {"post", "/login", true}, {"Post", "/login", true}, {"pOsT", "/x/..;/login", true},
		{"get", "/login", false}, {"posts", "/login", false},
		{"purge", "/cache", true}, // the method as it is still counts
		{"POST", "/health", false}, {"post", "/health", true},
	} {
		if got := asked(t, s, parse(row.method, row.target, "x")); got != row.asked {
			t.Errorf("%s %s: asked %v, want %v", row.method, row.target, got, row.asked)
		}
	}
}

// window is the t of what is left of 1000 an hour.
func window(left int) int { return (left*36 + 9) / 10 }

func TestRoutes(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why      string
		patterns []string
		method   string
		target   string
		host     string
		want     bool
	}{
		{"any method", []string{"/a"}, "PATCH", "/a", "x", true},
		{"HEAD is a GET", []string{"GET /a"}, "HEAD", "/a", "x", true},
		{"one of several", []string{"GET /a", "POST /b"}, "POST", "/b", "x", true},
		{"but not a mixture", []string{"GET /a", "POST /b"}, "POST", "/a", "x", false},
		{"a subtree", []string{"/api/"}, "GET", "/api/x/y", "x", true},
		{"and its root", []string{"/api/"}, "GET", "/api", "x", true},
		{"with another method", []string{"POST /api/"}, "GET", "/api/x", "x", false},
		{"the root alone", []string{"/{$}"}, "GET", "/", "x", true},
		{"nothing else", []string{"/{$}"}, "GET", "/a", "x", false},
		{"all", []string{"/"}, "GET", "/a", "x", true},
		{"all, in other words", []string{"/{rest...}"}, "GET", "/a", "x", true},
		{"all of a method", []string{"GET /"}, "GET", "/a", "x", true},
		{"and no other", []string{"GET /"}, "POST", "/a", "x", false},
		{"a wildcard", []string{"/users/{id}/posts"}, "GET", "/users/7/posts", "x", true},
		{"of one segment", []string{"/users/{id}"}, "GET", "/users/7/posts", "x", false},
		{"with a slash in it", []string{"/users/{id}"}, "GET", "/users/a%2fb", "x", true},
		{"which may be another path", []string{"/users/a/b"}, "GET", "/users/a%2fb", "x", true},
		{"a host", []string{"a.example.com/"}, "GET", "/x", "a.example.com", true},
		{"in any case", []string{"a.Example.com/"}, "GET", "/x", "A.EXAMPLE.com", true},
		{"with a port", []string{"a.example.com/"}, "GET", "/x", "a.example.com:8443", true},
		{"with the dot of the root", []string{"a.example.com/"}, "GET", "/x", "a.example.com.", true},
		{"with both", []string{"a.example.com/"}, "GET", "/x", "a.example.com.:80", true},
		{"another host", []string{"a.example.com/"}, "GET", "/x", "b.example.com", false},
		{"everything at a server", []string{"/"}, "OPTIONS", "*", "x", true},
		{"a tunnel", []string{"CONNECT /"}, "CONNECT", "x:443", "x:443", true},
		{"no tunnel", []string{"/a"}, "CONNECT", "x:443", "x:443", false},
		{"an escape in the pattern", []string{"/a%20b"}, "GET", "/a%20b", "x", true},
		{"an encoded slash in the pattern", []string{"/a%2fb/"}, "GET", "/a%2Fb/x", "x", true},
		{"encoded more than must be", []string{"/a%20b"}, "GET", "/%61%20b", "x", true},
	} {
		s, _ := routed(t, 10, false, row.patterns...)
		r := parse(row.method, row.target, row.host)
		if r == nil {
			t.Errorf("%s: the server does not take %s", row.why, row.target)
			continue
		}
		if got := asked(t, s, r); got != row.want {
			t.Errorf("%s: %q and %s %s%s: asked %v, want %v", row.why, row.patterns, row.method, row.host, row.target, got, row.want)
		}
	}
}

// In any case: literals of the pattern are folded, names of wildcards are not.
func TestFoldCase(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		pattern, target string
		want            bool
	}{
		{"/Users/{ID}/Posts", "/uSERS/7/pOSTS", true},
		{"GET Example.com/API/{Rest...}", "/api/X", true},
		{"/{$}", "/", true},
		{"/{A}/{a}", "/X/y", true},
		{"/straße", "/STRA%C3%9FE", true},
		{"/users", "/user", false},
	} {
		s, _ := routed(t, 10, true, row.pattern)
		if got := asked(t, s, parse("GET", row.target, "example.com")); got != row.want {
			t.Errorf("%s and %s: asked %v, want %v", row.pattern, row.target, got, row.want)
		}
	}
}

// A policy that is not for a request takes no part in it: it is not charged, not
// told of, and does not refuse.
func TestRoutesLeaveOthersAlone(t *testing.T) {
	t.Parallel()
	l := newPerKey(policy{name: "ip", limit: bucket.PerHour(100)}, policy{name: "login", limit: bucket.PerHour(1)})
	keyed := 0
	s := limit(t, l, httpmw.Config{
		Keys: map[string]httpmw.Key{"ip": httpmw.ByIP(), "login": httpmw.Func(func(*http.Request) string { keyed++; return "x" })},
		Routes: map[string][]string{
			"login": {"/login"},
		},
	})
	want(t, get(t, s), 200, "RateLimit-Policy", `"ip";q=100;w=3600`, "RateLimit", `"ip";r=99;t=3564`)
	want(t, get(t, s, path("/login")), 200, "RateLimit-Policy", `"ip";q=100;w=3600, "login";q=1;w=3600`)
	want(t, get(t, s, path("/login")), 429, "RateLimit", `"login";r=0;t=3600`)
	want(t, get(t, s), 200, "RateLimit", `"ip";r=97;t=3492`)
	if keyed != 2 {
		t.Errorf("the key of a policy was asked for %d times, want for its 2 requests", keyed)
	}
	all := limit(t, l, httpmw.Config{Routes: map[string][]string{"ip": {"/a"}, "login": {"/a"}}})
	want(t, get(t, all), 200, "RateLimit-Policy", "", "RateLimit", "", "Retry-After", "")
}

// prefixes parses prefixes; "" is the zero one.
func prefixes(texts ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, text := range texts {
		p, _ := netip.ParsePrefix(text)
		ps = append(ps, p)
	}
	return ps
}

func TestScopeErrors(t *testing.T) {
	t.Parallel()
	one := func(*http.Request) int { return 1 }
	settle := func(httpmw.Outcome) int { return 1 }
	routes := func(patterns ...string) httpmw.Config {
		return httpmw.Config{Routes: map[string][]string{"ip": patterns}}
	}
	inFlight := func(f ...httpmw.InFlight) httpmw.Config { return httpmw.Config{InFlight: f} }
	for _, row := range []struct {
		cfg  httpmw.Config
		want string
	}{
		{httpmw.Config{Routes: map[string][]string{"pi": {"/"}}}, `Routes has an entry for policy "pi", which the limiter does not have: want "ip", "user" (InFlight has its own)`},
		{httpmw.Config{Costs: map[string]func(*http.Request) int{"pi": one}}, `Costs has an entry for policy "pi"`},
		{httpmw.Config{Costs: map[string]func(*http.Request) int{"ip": nil}}, `Costs of policy "ip" is nil`},
		{httpmw.Config{Settle: map[string]func(httpmw.Outcome) int{"pi": settle}}, `Settle has an entry for policy "pi"`},
		{httpmw.Config{Settle: map[string]func(httpmw.Outcome) int{"ip": httpmw.CountStatus(nil)}}, `Settle of policy "ip" is nil`},
		{routes(), `Routes of policy "ip": no pattern`},
		{routes(""), `Routes of policy "ip": pattern "": it is empty`},
		{routes("login"), `pattern "login": at offset 0: host/path missing /`},
		{routes("/{"), `pattern "/{": at offset 1: bad wildcard segment`},
		{routes("P(ST /login"), `pattern "P(ST /login": at offset 0: invalid method`},
		{routes("/a/{x}/{x}"), `duplicate wildcard name "x"`},
		{routes("/a", "/a"), `pattern "/a": it is there twice, or overlaps`},
		{routes("/{x}/b", "/a/{y}"), `pattern "/a/{y}": it is there twice, or overlaps`},
		{httpmw.Config{ExemptRoutes: []string{"healthz"}}, `ExemptRoutes: pattern "healthz": at offset 0`},
		{httpmw.Config{Exempt: prefixes("10.0.0.0/8", "0.0.0.0/0")}, `Exempt, prefix 2 of 2: 0.0.0.0/0`},
		{httpmw.Config{Exempt: prefixes("")}, `Exempt, prefix 1 of 1: the prefix is not valid`},
		{inFlight(httpmw.InFlight{Name: "", Key: httpmw.ByIP(), Max: 1}), `policy name ""`},
		{inFlight(httpmw.InFlight{Name: "ip", Key: httpmw.ByIP(), Max: 1}), `policy name "ip" is there twice: want different names (with those of InFlight)`},
		{inFlight(httpmw.InFlight{Name: "slow", Key: httpmw.ByIP()}), `InFlight "slow": max 0 is out of range: want 1 to 2147483647`},
		{inFlight(httpmw.InFlight{Name: "slow", Max: 1}), `InFlight "slow": key: it is the zero Key`},
		{inFlight(httpmw.InFlight{Name: "slow", Max: 1, Key: httpmw.ByIP(), RetryAfter: -1}), `retry after -1ns is out of range`},
		{inFlight(httpmw.InFlight{Name: "slow", Max: 1, Key: httpmw.ByIP(), RetryAfter: 367 * 24 * 3600 * second}), `at most 366 days`},
		{inFlight(httpmw.InFlight{Name: "slow", Max: 1, Key: httpmw.ByIP(), Routes: []string{"x"}}), `Routes of InFlight "slow": pattern "x"`},
		{inFlight(httpmw.InFlight{Name: "slow", Max: 1, Key: httpmw.ByIP(), Routes: []string{}}), `Routes of InFlight "slow": no pattern`},
	} {
		l := newPerKey(policy{name: "ip", limit: bucket.PerHour(1)}, policy{name: "user", limit: bucket.PerHour(1)})
		row.cfg.Keys = byIP(l)
		_, err := httpmw.New(l, row.cfg)
		if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\n") ||
			strings.Contains(err.Error(), ".go:") || !strings.HasPrefix(err.Error(), "httpmw: ") {
			t.Errorf("error %v, want it to say %q", err, row.want)
		}
	}
}

// FuzzRoutes has a policy for /login see any target: if it leads there, decoded
// once and cleaned, the policy is asked.
func FuzzRoutes(f *testing.F) {
	for _, target := range []string{"/login", "/x/..;/login", `/\login`, "/%2e%2e/%6cogin", "*", "//", "/a;b%2f", "http://x/login"} {
		f.Add("POST", target, "example.com")
	}
	l := newPerKey(policy{name: "login", limit: bucket.PerHour(1)})
	m, err := httpmw.New(l, httpmw.Config{
		Keys: byIP(l), FoldCase: true, Routes: map[string][]string{"login": {"/login"}},
		ExemptRoutes: []string{"/exempt/"},
	})
	if err != nil {
		f.Fatal(err)
	}
	h := m.Handler(http.NotFoundHandler())
	f.Fuzz(func(t *testing.T, method, target, host string) {
		r := parse(method, target, host)
		if r == nil {
			t.Skip("not a request")
		}
		before := m.Stats()
		h.ServeHTTP(httptest.NewRecorder(), r)
		after := m.Stats()
		asked := after.Policies[0] != before.Policies[0]
		canonical := strings.ToLower(pathpkg.Clean("/" + r.URL.Path))
		if canonical == "/login" && !asked {
			t.Errorf("%q is %q, and the policy was not asked", target, canonical)
		}
		if !strings.Contains(strings.ToLower(r.URL.Path), "login") && asked {
			t.Errorf("%q is not /login, and the policy was asked", target)
		}
		if exempt := after.Exempt != before.Exempt; exempt && !strings.HasPrefix(canonical+"/", "/exempt/") {
			t.Errorf("%q is %q, and was exempt", target, canonical)
		}
	})
}

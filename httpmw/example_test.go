package httpmw_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// exampleLimiter stands for a *weir.Limiter.
func exampleLimiter(names ...string) httpmw.Limiter {
	var policies []policy
	for _, name := range names {
		policies = append(policies, policy{name: name, limit: bucket.PerMinute(2)})
	}
	return newPerKey(policies...)
}

// show sends a request and prints what comes back.
func show(h http.Handler, edit ...func(*http.Request)) {
	r := httptest.NewRequest("GET", "/search", nil)
	for _, f := range edit {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(strings.TrimSpace(fmt.Sprint(w.Code, " ", w.Header().Get("RateLimit"), " ", w.Header().Get("Retry-After"))))
}

var hello = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })

func ExampleNew() {
	limit, err := httpmw.New(exampleLimiter("ip", "user"), httpmw.Config{
		Keys: map[string]httpmw.Key{
			"ip":   httpmw.ByIP(),
			"user": httpmw.Header("X-Api-Key"),
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	http.Handle("/", limit.Handler(hello))
}

func ExampleNew_error() {
	_, err := httpmw.New(exampleLimiter("ip", "user"), httpmw.Config{
		Keys: map[string]httpmw.Key{"ip": httpmw.ByIP(), "usr": httpmw.Global()},
	})
	fmt.Println(err)
	// Output: httpmw: Keys has a key for policy "usr", which the limiter does not have: want "ip", "user"
}

func ExampleMiddleware_Handler() {
	limit, err := httpmw.New(exampleLimiter("ip"), httpmw.Config{Keys: map[string]httpmw.Key{"ip": httpmw.ByIP()}})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := limit.Handler(hello)
	show(h)
	show(h)
	show(h)
	// Output:
	// 200 "ip";r=1;t=30
	// 200 "ip";r=0;t=30
	// 429 "ip";r=0;t=30 30
}

func ExampleMiddleware_Stats() {
	ip, err := httpmw.NewClientIP(64, netip.MustParsePrefix("10.0.0.0/8"))
	if err != nil {
		fmt.Println(err)
		return
	}
	limit, err := httpmw.New(exampleLimiter("ip"), httpmw.Config{Keys: map[string]httpmw.Key{"ip": httpmw.ByIP()}, IP: ip})
	if err != nil {
		fmt.Println(err)
		return
	}
	show(limit.Handler(hello), from("10.0.0.1:4711"), field("X-Forwarded-For", "unknown"))
	st := limit.Stats()
	fmt.Println(st.BadForwarded, "not understood;", st.Policies[0].Name, st.Policies[0].Allowed, "allowed")
	// Output:
	// 200 "ip";r=1;t=30
	// 1 not understood; ip 1 allowed
}

func ExampleNewClientIP() {
	ip, err := httpmw.NewClientIP(64, netip.MustParsePrefix("10.0.0.0/8"))
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Forwarded-For", "6.6.6.6, 203.0.113.7")

	r.RemoteAddr = "10.0.0.1:4711" // the proxy: what it appended counts
	client, _ := ip.Addr(r)
	fmt.Println(client, ip.TrustsPeer(r))

	r.RemoteAddr = "198.51.100.9:4711" // anyone: the field does not count
	client, _ = ip.Addr(r)
	fmt.Println(client, ip.TrustsPeer(r))
	// Output:
	// 203.0.113.7 true
	// 198.51.100.9 false
}

// showKey sends two requests through a limit with key k and prints what is left
// after each: the second finds less if the key is the same.
func showKey(k httpmw.Key, one, other func(*http.Request)) {
	limit, err := httpmw.New(exampleLimiter("p"), httpmw.Config{Keys: map[string]httpmw.Key{"p": k}})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := limit.Handler(hello)
	show(h, one)
	show(h, other)
}

func ExampleByIP() {
	showKey(httpmw.ByIP(), from("[2001:db8:1:2::1]:80"), from("[2001:db8:1:2::ffff]:80"))
	// Output:
	// 200 "p";r=1;t=30
	// 200 "p";r=0;t=30
}

func ExampleHeader() {
	showKey(httpmw.Header("X-Api-Key"), field("X-Api-Key", "alice"), field("X-Api-Key", "bob"))
	// Output:
	// 200 "p";r=1;t=30
	// 200 "p";r=1;t=30
}

func ExampleCookie() {
	showKey(httpmw.Cookie("session"), field("Cookie", "session=1"), field("Cookie", "session=2"))
	// Output:
	// 200 "p";r=1;t=30
	// 200 "p";r=1;t=30
}

func ExamplePath() {
	showKey(httpmw.Path(), path("/search"), path("//search/"))
	// Output:
	// 200 "p";r=1;t=30
	// 200 "p";r=0;t=30
}

func ExampleGlobal() {
	showKey(httpmw.Global(), from("192.0.2.1:80"), from("192.0.2.2:80"))
	// Output:
	// 200 "p";r=1;t=30
	// 200 "p";r=0;t=30
}

func ExampleFunc() {
	// What the authentication in front has found out, say.
	user := func(r *http.Request) string {
		name, _, _ := r.BasicAuth()
		return name
	}
	showKey(httpmw.Func(user),
		func(r *http.Request) { r.SetBasicAuth("alice", "x") },
		func(r *http.Request) { r.SetBasicAuth("bob", "x") })
	// Output:
	// 200 "p";r=1;t=30
	// 200 "p";r=1;t=30
}

func ExampleJoin() {
	// Each client may use each path so often.
	showKey(httpmw.Join(httpmw.ByIP(), httpmw.Path()), path("/search"), path("/login"))
	// Output:
	// 200 "p";r=1;t=30
	// 200 "p";r=1;t=30
}

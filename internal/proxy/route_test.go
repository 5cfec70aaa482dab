package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/proxy"
)

func TestParseRoute(t *testing.T) {
	t.Parallel()
	for text, wanted := range map[string]string{
		"http://a:1":                   "/ http://a:1 false",
		"/api=http://a:1":              "/api http://a:1 false",
		"/api/=https://a/base":         "/api/ https://a/base false",
		"/api/v1=http://a:1 strip":     "/api/v1 http://a:1 true",
		"/=http://a:1":                 "/ http://a:1 false",
		"http://a/b=c":                 "/ http://a/b=c false",
		"/grüße=http://a:1":            "/grüße http://a:1 false",
		"/api=http://a/x=y/z%20 strip": "/api http://a/x=y/z%20 true",
	} {
		r, err := proxy.ParseRoute(text)
		if err != nil || fmt.Sprint(r.Path, " ", r.To, " ", r.Strip) != wanted {
			t.Errorf("ParseRoute(%q) = %v, %v, want %s", text, r, err, wanted)
		}
	}
	for text, message := range map[string]string{
		"":                         "it is empty: " + want,
		"/api":                     "it begins with '/' and has no '=': want a path and a URL, such as /api=http://127.0.0.1:3000",
		"/api=":                    "it is empty: " + want,
		"/api=a:1":                 "it has no scheme: " + want + `; did you mean "http://a:1"?`,
		"api=http://a:1":           "it is not a URL (first path segment in URL cannot contain colon): " + want,
		"/api=http://a:1 stripped": `after the URL comes "stripped": want strip or nothing`,
		"/api=http://a:1 ":         `after the URL comes "": want strip or nothing`,
		"http://a:1 strip":         `path "/": there is nothing to strip: want a longer path, or none`,
		"//=http://a:1":            `path "//" has an empty segment, . or ..: want one such as /api`,
		"/a//b=http://a:1":         `path "/a//b" has an empty segment, . or ..: want one such as /api`,
		"/a/../b=http://a:1":       `path "/a/../b" has an empty segment, . or ..: want one such as /api`,
		"/a%20b=http://a:1":        `path "/a%20b": want none of %, ?, #, \, ;, spaces and control characters in it`,
		"/a b=http://a:1":          `path "/a b": want none of %, ?, #, \, ;, spaces and control characters in it`,
		"/a\xff=http://a:1":        `path "/a\xff": want none of %, ?, #, \, ;, spaces and control characters in it`,
		"/a=http://u:secret@a:1":   "it holds a user or password, which would not be sent: " + want,
	} {
		if r, err := proxy.ParseRoute(text); err == nil || err.Error() != message {
			t.Errorf("ParseRoute(%q) = %v, %v\nwant %s", text, r, err, message)
		}
	}
}

// FuzzParseRoute holds that what is taken can be served, and that an error is
// one line.
func FuzzParseRoute(f *testing.F) {
	for _, text := range []string{"http://a:1", "/api=http://a:1 strip", "/a%=http://a:1", "/;=http://a", "/a/..=http://a"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		route, err := proxy.ParseRoute(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("the error is not one line: %q", err)
			}
			return
		}
		if _, err := proxy.New(proxy.Config{Routes: []proxy.Route{route}}); err != nil {
			t.Errorf("ParseRoute(%q) = %v, of which New says %v", text, route, err)
		}
	})
}

func ExampleParseRoute() {
	route, err := proxy.ParseRoute("/api=http://127.0.0.1:3000 strip")
	fmt.Println(route.Path, route.To, route.Strip, err)
	_, err = proxy.ParseRoute("/api/../x=http://127.0.0.1:3000")
	fmt.Println(err)
	// Output:
	// /api http://127.0.0.1:3000 true <nil>
	// path "/api/../x" has an empty segment, . or ..: want one such as /api
}

func TestNewRouteErrors(t *testing.T) {
	t.Parallel()
	to := &url.URL{Scheme: "http", Host: "a"}
	for _, row := range []struct {
		cfg  proxy.Config
		want string
	}{
		{proxy.Config{}, "proxy: To is nil: want the URL of the upstream, or Routes"},
		{proxy.Config{Routes: []proxy.Route{{Path: "/a"}}}, `proxy: Routes[0]: path "/a": To is nil: want the URL of the upstream`},
		{proxy.Config{To: to, Routes: []proxy.Route{{Path: "/b", To: to}, {Path: "a", To: to}}}, `proxy: Routes[1]: path "a" does not begin with '/': want one such as /api`},
		{proxy.Config{Routes: []proxy.Route{{Path: "/a", To: to}, {Path: "/a/", To: to}}}, `proxy: two upstreams for path "/a/": want one`},
		{proxy.Config{To: to, Routes: []proxy.Route{{Path: "/", To: to}}}, `proxy: two upstreams for path "/": want one`},
	} {
		if _, err := proxy.New(row.cfg); err == nil || err.Error() != row.want {
			t.Errorf("New: %v\nwant %s", err, row.want)
		}
	}
}

// Each upstream answers with its name and what it was asked for.
func TestRoutes(t *testing.T) {
	t.Parallel()
	named := func(name string) *url.URL {
		u, err := proxy.ParseTarget(upstream(t, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, name, " ", r.RequestURI)
			if prefix := r.Header.Values("X-Forwarded-Prefix"); prefix != nil {
				fmt.Fprint(w, " ", strings.Join(prefix, "|"))
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	below := named("below")
	below.Path = "/base"
	some := []proxy.Route{
		{Path: "/api", To: named("api")},
		{Path: "/api/v2/", To: named("v2")},
		{Path: "/cut", To: named("cut"), Strip: true},
		{Path: "/cut/below", To: below, Strip: true},
		{Path: "/ü", To: named("umlaut"), Strip: true},
	}
	rest := named("rest")
	for _, row := range []struct {
		why, path     string
		all, onlySome string // the answer with an upstream for the rest, and without
	}{
		{why: "the longest wins", path: "/api/v2/x?q=/cut", all: "v2 /api/v2/x?q=/cut"},
		{why: "whatever the order", path: "/api/v1/x", all: "api /api/v1/x"},
		{why: "the path itself", path: "/api", all: "api /api"},
		{why: "with a slash", path: "/api/", all: "api /api/"},
		{why: "without the one that the route has", path: "/api/v2", all: "v2 /api/v2"},
		{why: "whole segments only", path: "/apiary", all: "rest /apiary", onlySome: "404"},
		{why: "whole segments only, below too", path: "/api/v22", all: "api /api/v22"},
		{why: "the rest", path: "/", all: "rest /", onlySome: "404"},
		{why: "upper and lower case differ", path: "/API", all: "rest /API", onlySome: "404"},
		{why: "stripped", path: "/cut/x/y?z", all: "cut /x/y?z /cut"},
		{why: "stripped to nothing", path: "/cut", all: "cut / /cut"},
		{why: "stripped to a slash", path: "/cut/", all: "cut / /cut"},
		{why: "stripped, and the rest as it was spelled", path: "/%63ut/x%2Fy/%41", all: "cut /x%2Fy/%41 /cut"},
		{why: "stripped, and below the path of the upstream", path: "/cut/below/x", all: "below /base/x /cut/below"},
		{why: "a path that has to be escaped", path: "/%c3%bc/c", all: "umlaut /c /%C3%BC"},
		{why: "escapes are another spelling", path: "/%61pi/x", all: "api /%61pi/x"},
		// One that a server might read as that of another route is nobody's.
		{why: "dots that lead to another route", path: "/x/../api/y", all: "400", onlySome: "400"},
		{why: "dots that lead to the rest", path: "/api/../x", all: "400", onlySome: "400"},
		{why: "dots that lead out of a stripped one", path: "/cut/../x", all: "400", onlySome: "400"},
		{why: "dots that lead out of all", path: "/../api", all: "400", onlySome: "400"},
		{why: "escaped dots", path: "/api/%2e%2e/x", all: "400", onlySome: "400"},
		{why: "backslashes", path: `/x\..\api\y`, all: "400", onlySome: "400"},
		{why: "an escaped slash", path: "/api%2Fv2/x", all: "400", onlySome: "400"},
		{why: "two slashes", path: "//api/x", all: "400", onlySome: "400"},
		{why: "parameters", path: "/api;a=b/x", all: "400", onlySome: "400"},
		{why: "dots behind parameters", path: "/api/..;/x", all: "400", onlySome: "400"},
		{why: "dots that lead to a longer route", path: "/api/v1/../v2/x", all: "400", onlySome: "400"},
		{why: "dots that stay within a route", path: "/api/a/../b", all: "api /api/a/../b"},
		{why: "slashes that stay within a route", path: "/api//a", all: "api /api//a"},
		{why: "dots that stay within what is stripped", path: "/cut/a/../b", all: "cut /a/../b /cut"},
	} {
		if row.onlySome == "" {
			row.onlySome = row.all
		}
		for _, to := range []*url.URL{rest, nil} {
			wanted := row.all
			if to == nil {
				wanted = row.onlySome
			}
			t.Run(fmt.Sprint(row.why, " ", to != nil), func(t *testing.T) {
				t.Parallel()
				p, err := proxy.New(proxy.Config{To: to, Routes: some})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(p.CloseIdle)
				w := httptest.NewRecorder()
				r := httptest.NewRequest("GET", row.path, nil)
				r.Header.Set("X-Forwarded-Prefix", "/liar") // of a stranger
				p.ServeHTTP(w, r)
				got := w.Body.String()
				if w.Code != 200 {
					checkProblem(t, w.Result(), got, w.Code, "127.0.0.1")
					got = fmt.Sprint(w.Code)
				}
				if got != wanted {
					t.Errorf("the answer is %q, want %q", got, wanted)
				}
			})
		}
	}

	t.Run("a trusted peer that has stripped too", func(t *testing.T) {
		t.Parallel()
		p, err := proxy.New(proxy.Config{Routes: some, TrustsPeer: func(*http.Request) bool { return true }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.CloseIdle)
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/cut/x", nil)
		r.Header.Set("X-Forwarded-Prefix", "/outer/")
		p.ServeHTTP(w, r)
		if got := w.Body.String(); got != "cut /x /outer/cut" {
			t.Errorf("the answer is %q", got)
		}
	})
}

func TestOptionsOfTheServerWithRoutes(t *testing.T) {
	t.Parallel()
	to, err := proxy.ParseTarget("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	p, err := proxy.New(proxy.Config{Routes: []proxy.Route{{Path: "/api", To: to}}})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest("OPTIONS", "*", nil))
	checkProblem(t, w.Result(), w.Body.String(), http.StatusNotFound, "")
}

// An upstream that fails is not another one's outage.
func TestOutagesAreLoggedByUpstream(t *testing.T) {
	t.Parallel()
	book := &logBook{}
	well, err := proxy.ParseTarget(upstream(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "well") }))
	if err != nil {
		t.Fatal(err)
	}
	var ills []*url.URL
	for range 2 {
		l := httptest.NewServer(nil)
		u, err := proxy.ParseTarget(l.URL)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		ills = append(ills, u)
	}
	p, err := proxy.New(proxy.Config{To: well, Logger: book.logger(), Routes: []proxy.Route{{Path: "/a", To: ills[0]}, {Path: "/b", To: ills[1]}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.CloseIdle)
	for range 2 {
		for path, status := range map[string]int{"/": 200, "/a": 502, "/b": 502} {
			w := httptest.NewRecorder()
			p.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			if w.Code != status {
				t.Errorf("%s: %d, want %d", path, w.Code, status)
			}
		}
	}
	if n := strings.Count(book.String(), "does not answer"); n != 2 || strings.Contains(book.String(), "answers again") {
		t.Errorf("logged, want each outage once:\n%s", book)
	}
}

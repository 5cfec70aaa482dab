package weirtest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/weirtest"
)

// A wrong makes a handler, which is limited in some way, in front of inner.
type wrong func(t *testing.T, inner http.Handler) http.Handler

// five limits each client, under a key, to five a minute.
func five(key httpmw.Key) wrong {
	return func(t *testing.T, inner http.Handler) http.Handler {
		return limited(t, inner, fivePerMinute, httpmw.Config{Keys: map[string]httpmw.Key{"ip": key}})
	}
}

// change has a limiter as it should be and changes its refusals.
func change(edit func(http.Header)) wrong {
	return func(t *testing.T, inner http.Handler) http.Handler {
		return limited(t, inner, fivePerMinute, httpmw.Config{
			Refuse: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				edit(w.Header())
				w.WriteHeader(http.StatusTooManyRequests)
			}),
		})
	}
}

func set(value string) wrong {
	return change(func(h http.Header) { h.Set("Retry-After", value) })
}

// believes takes the client from a field that it may choose.
func believes(field string) wrong {
	return func(t *testing.T, inner http.Handler) http.Handler {
		next := five(httpmw.ByIP())(t, inner)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if claim := r.Header.Get(field); claim != "" {
				first, _, _ := strings.Cut(strings.TrimPrefix(claim, "for="), ",")
				r.RemoteAddr = first + ":80"
			}
			next.ServeHTTP(w, r)
		})
	}
}

// remakes makes the limiter anew when it is told to, by the count of requests
// and of those passed since.
func remakes(anew func(count, passed int, r *http.Request) bool) wrong {
	return func(t *testing.T, inner http.Handler) http.Handler {
		var count, passed int
		inside := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			passed++
			inner.ServeHTTP(w, r)
		})
		h := five(httpmw.ByIP())(t, inside)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if count++; anew(count, passed, r) {
				h, passed = five(httpmw.ByIP())(t, inside), 0
			}
			h.ServeHTTP(w, r)
		})
	}
}

// sliding counts refused requests, too: each puts the client off by a window.
func sliding(t *testing.T, inner http.Handler) http.Handler {
	const wait = 12 * time.Second
	type client struct {
		left int
		next time.Time
	}
	clients := map[string]*client{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addr := "IPv6"
		if ip := netip.MustParseAddrPort(r.RemoteAddr).Addr(); ip.Is4() {
			addr = ip.String()
		}
		c := clients[addr]
		if c == nil {
			c = &client{left: 5}
			clients[addr] = c
		}
		if c.left > 0 || !time.Now().Before(c.next) {
			c.left = max(0, c.left-1)
			c.next = time.Now().Add(wait)
			inner.ServeHTTP(w, r)
			return
		}
		c.next = time.Now().Add(wait)
		w.Header().Set("Retry-After", "12")
		w.WriteHeader(429)
	})
}

// A field that a handler takes the client from is named, and only that.
func TestAssertLimited_believes(t *testing.T) {
	t.Parallel()
	for _, field := range []string{
		"X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP", "Fastly-Client-IP",
		"X-Client-IP", "X-Cluster-Client-IP", "X-Original-Forwarded-For", "X_Forwarded_For",
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{}
				weirtest.AssertLimited(r, believes(field)(t, hello), weirtest.Want{Limit: fivePerMinute})
				if want := "passes with a made up address in " + field + ": whoever"; len(r.said) != 1 || !strings.Contains(r.said[0], want) {
					t.Errorf("it said %q, want %q", r.said, want)
				}
			})
		})
	}
}

// A handler that is got round by what a client chooses is told by what, and
// only that.
func TestAssertLimited_round(t *testing.T) {
	t.Parallel()
	with := func(chosen func(*http.Request) string) wrong {
		return five(httpmw.Join(httpmw.ByIP(), httpmw.Func(func(r *http.Request) string { return "x" + chosen(r) })))
	}
	field := func(name string) wrong {
		return with(func(r *http.Request) string { return r.Header.Get(name) })
	}
	free := func(is func(*http.Request) bool) wrong {
		return func(t *testing.T, inner http.Handler) http.Handler {
			next := five(httpmw.ByIP())(t, inner)
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if is(r) {
					inner.ServeHTTP(w, r)
					return
				}
				next.ServeHTTP(w, r)
			})
		}
	}
	for why, test := range map[string]struct {
		handler wrong
		inner   http.Handler
		edit    func(*http.Request) // nil: Want.Request is nil
		passes  string              // "" if nothing is wrong
	}{
		"User-Agent in the key":      {handler: field("User-Agent"), passes: "another User-Agent"},
		"Accept-Language in the key": {handler: field("Accept-Language"), passes: "another Accept-Language"},
		"Referer in the key":         {handler: field("Referer"), passes: "another Referer"},
		"cookies in the key":         {handler: field("Cookie"), passes: "another cookie"},
		"the query in the key":       {handler: with(func(r *http.Request) string { return r.URL.RawQuery }), passes: "another query"},
		"the target in the key":      {handler: with(func(r *http.Request) string { return r.RequestURI }), passes: "a path with an empty segment, a path with a dot in it, another query"},
		"Accept in the key":          {handler: field("Accept"), passes: "another Accept"},
		"Accept-Encoding in the key": {handler: field("Accept-Encoding"), passes: "another Accept-Encoding"},
		"Origin in the key":          {handler: field("Origin"), passes: "another Origin"},
		"X-Request-Id in the key":    {handler: field("X-Request-Id"), passes: "another X-Request-Id"},
		"any Authorization":          {handler: five(httpmw.Header("Authorization")), passes: "a made up Authorization"},
		"any X-Api-Key":              {handler: five(httpmw.Header("X-Api-Key")), passes: "a made up X-Api-Key"},
		"any Api-Key":                {handler: five(httpmw.Header("Api-Key")), passes: "a made up Api-Key"},
		"any X-Auth-Token":           {handler: five(httpmw.Header("X-Auth-Token")), passes: "a made up X-Auth-Token"},
		"any X-User":                 {handler: field("X-User"), passes: "a made up X-User"},
		"the host in the key":        {handler: with(func(r *http.Request) string { return r.Host }), passes: "another Host"},
		"the protocol in the key":    {handler: with(func(r *http.Request) string { return r.Proto }), passes: "HTTP/1.0"},
		"the path as it is sent": {
			handler: with(func(r *http.Request) string { return r.URL.EscapedPath() }),
			edit:    func(r *http.Request) { r.URL.Path = "/search" },
			passes:  "a path with an empty segment, a path with a dot in it, a path with an encoded letter"},
		"only GET is limited": {
			handler: free(func(r *http.Request) bool { return r.Method != "GET" }), passes: "HEAD in place of GET"},
		"an Upgrade is free": {
			handler: free(func(r *http.Request) bool { return r.Header.Get("Upgrade") != "" }), passes: "an Upgrade"},
		"two at once": {
			handler: with(func(r *http.Request) string { return r.UserAgent() + r.Method }), passes: "another User-Agent, HEAD in place of GET"},
		"free, but there is no such method": {
			handler: free(func(r *http.Request) bool { return r.Method != "GET" }),
			inner: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != "GET" {
					w.WriteHeader(http.StatusMethodNotAllowed)
				}
			})},
		"what Want.Request sets is left": {
			handler: with(func(r *http.Request) string {
				return r.UserAgent() + r.Method + r.URL.RawQuery + r.Header.Get("Cookie")
			}),
			edit: func(r *http.Request) {
				r.Method, r.URL.RawQuery = "POST", "q=1"
				r.Header.Set("User-Agent", "a")
				r.Header.Set("Cookie", "a=b")
			}},
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r, want := &recorder{}, weirtest.Want{Limit: fivePerMinute}
				if test.edit != nil {
					want.Request = func(int) *http.Request {
						r := httptest.NewRequest("GET", "/", nil)
						r.RemoteAddr = "" // of the client, from weirtest
						test.edit(r)
						return r
					}
				}
				inner := test.inner
				if inner == nil {
					inner = hello
				}
				weirtest.AssertLimited(r, test.handler(t, inner), want)
				switch {
				case test.passes == "" && len(r.said) == 0:
				case test.passes != "" && len(r.said) == 1 && strings.Contains(r.said[0], "over its limit passes with "+test.passes+": whoever"):
				default:
					t.Errorf("it said %q, want that a client passes with %q", r.said, test.passes)
				}
			})
		})
	}
}

// Who is limited by an address of IPv6 has 2^64 of them.
func TestAssertLimited_network(t *testing.T) {
	t.Parallel()
	byAddress := httpmw.Func(func(r *http.Request) string { return netip.MustParseAddrPort(r.RemoteAddr).Addr().String() })
	for why, test := range map[string]struct {
		key     httpmw.Key
		request func(int) *http.Request
		says    string
	}{
		"by address": {key: byAddress, says: "passes from another address of it when it is over its limit"},
		"by network": {key: httpmw.ByNetwork(32, 56)},
		"by address, behind a proxy of the test": {key: byAddress, request: func(client int) *http.Request {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = fmt.Sprintf("198.51.100.%d:1", client)
			return r
		}},
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{}
				weirtest.AssertLimited(r, five(test.key)(t, hello), weirtest.Want{Limit: fivePerMinute, Request: test.request})
				if (test.says == "") != (len(r.said) == 0) || len(r.said) > 0 && !strings.Contains(r.said[0], test.says) {
					t.Errorf("it said %q, want %q", r.said, test.says)
				}
			})
		})
	}
}

package admin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/adminapi"
)

// What a page that its owner visits can have a browser send, and what a proxy in
// front of weir would pass on, is refused, even if it had the token: nothing is
// answered and nothing is changed.
func TestForgedRequests(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.ask(from("203.0.113.7"))
	base := s.serve(t)
	host := func(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }
	const reset = `{"policy":"ip","key":"203.0.113.7"}`
	for _, row := range []struct {
		name, method, path, body string
		edit                     []func(*http.Request)
	}{
		{"DNS rebinding, a read", "GET", adminapi.PathStatus, "", []func(*http.Request){host("evil.example")}},
		{"DNS rebinding with the port of the listener", "GET", adminapi.PathKeys, "", []func(*http.Request){host("evil.example:9429"), field("Sec-Fetch-Site", "same-origin")}},
		{"DNS rebinding, a write", "POST", adminapi.PathReset, reset, []func(*http.Request){host("evil.example"), field("Origin", "http://evil.example")}},
		{"a name that begins like ours", "GET", adminapi.PathStatus, "", []func(*http.Request){host("127.0.0.1.evil.example")}},
		{"a name that ends like ours", "GET", adminapi.PathStatus, "", []func(*http.Request){host("notlocalhost")}},
		{"another name in the target than in Host", "GET", adminapi.PathStatus, "", []func(*http.Request){host("localhost"), func(r *http.Request) { r.URL.Opaque = "//evil.example" + adminapi.PathStatus }}},
		{"a form of another site", "POST", adminapi.PathReset, reset, []func(*http.Request){field("Origin", "https://evil.example"),
			field("Sec-Fetch-Site", "cross-site"), field("Sec-Fetch-Mode", "navigate"), field("Content-Type", "text/plain")}},
		{"a form of another site, from a browser that says no more than Origin", "POST", adminapi.PathReset, reset, []func(*http.Request){field("Origin", "https://evil.example")}},
		{"a page in a sandbox", "POST", adminapi.PathReset, reset, []func(*http.Request){field("Origin", "null")}},
		{"another port of this machine", "POST", adminapi.PathReset, reset, []func(*http.Request){field("Origin", "http://127.0.0.1:3000"), field("Sec-Fetch-Site", "same-site")}},
		{"an image", "GET", adminapi.PathKeys, "", []func(*http.Request){field("Sec-Fetch-Site", "cross-site"), field("Sec-Fetch-Mode", "no-cors"), field("Sec-Fetch-Dest", "image")}},
		{"a script", "GET", adminapi.PathStatus, "", []func(*http.Request){field("Sec-Fetch-Site", "cross-site"), field("Sec-Fetch-Mode", "no-cors"), field("Sec-Fetch-Dest", "script")}},
		{"an event source", "GET", adminapi.PathEvents, "", []func(*http.Request){field("Origin", "https://evil.example"), field("Accept", "text/event-stream")}},
		{"a preflight", "OPTIONS", adminapi.PathReset, "", []func(*http.Request){field("Origin", "https://evil.example"), field("Access-Control-Request-Method", "POST"),
			field("Access-Control-Request-Headers", "authorization, content-type")}},
		{"a frame", "GET", "/", "", []func(*http.Request){field("Sec-Fetch-Site", "cross-site"), field("Sec-Fetch-Mode", "navigate"), field("Sec-Fetch-Dest", "iframe")}},
		{"a WebSocket", "GET", adminapi.PathEvents, "", []func(*http.Request){field("Origin", "https://evil.example"), field("Connection", "Upgrade"), field("Upgrade", "websocket")}},
		{"profiles", "GET", "/debug/pprof/heap", "", []func(*http.Request){field("Sec-Fetch-Site", "cross-site")}},
		{"metrics", "GET", "/metrics", "", []func(*http.Request){host("evil.example")}},
		{"through a proxy", "GET", adminapi.PathStatus, "", []func(*http.Request){field("X-Forwarded-For", "203.0.113.7")}},
		{"through a proxy that only names the host", "GET", adminapi.PathStatus, "", []func(*http.Request){field("X-Forwarded-Host", "127.0.0.1")}},
		{"through a proxy of RFC 7239", "GET", adminapi.PathStatus, "", []func(*http.Request){field("Forwarded", "for=203.0.113.7")}},
		{"through a proxy that sets X-Real-IP", "GET", adminapi.PathStatus, "", []func(*http.Request){field("X-Real-IP", "203.0.113.7")}},
		{"through a proxy that says only Via", "GET", adminapi.PathStatus, "", []func(*http.Request){field("Via", "1.1 proxy")}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			res := send(t, row.method, base+row.path, row.body, append(row.edit, owner)...)
			if body := text(t, res); res.StatusCode != http.StatusForbidden || !strings.Contains(body, `"status":403`) || strings.Contains(body, "203.0.113.7") {
				t.Errorf("%s: %s", res.Status, body)
			}
			for name := range res.Header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s: %s", name, res.Header.Get(name))
				}
			}
		})
	}
	t.Cleanup(func() { // after all of them
		if d := s.limiter.Peek(1, keysOf(t, s)...); d.Remaining != 4 {
			t.Errorf("%d left, want 4: nothing may have been reset", d.Remaining)
		}
	})
}

// keysOf returns the keys of the policies in memory, one of each.
func keysOf(t testing.TB, s *stack) []string {
	t.Helper()
	var keys []string
	for _, policy := range s.limiter.Names() {
		all, err := s.limiter.Keys(policy)
		if err != nil {
			t.Fatal(err)
		}
		for key := range all {
			keys = append(keys, key)
		}
	}
	return keys
}

// What the owner's own page, commands and scrapers send is answered.
func TestRequestsThatAreNotForged(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	base := s.serve(t)
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	host := func(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }
	for _, row := range []struct {
		name string
		edit []func(*http.Request)
	}{
		{"curl", nil},
		{"localhost", []func(*http.Request){host("localhost:" + u.Port())}},
		{"localhost in capitals", []func(*http.Request){host("LocalHost")}},
		{"through a tunnel, with another port", []func(*http.Request){host("127.0.0.1:7777")}},
		{"IPv6", []func(*http.Request){host("[::1]:" + u.Port())}},
		{"typed into a browser", []func(*http.Request){field("Sec-Fetch-Site", "none"), field("Sec-Fetch-Mode", "navigate")}},
		{"the page itself", []func(*http.Request){field("Sec-Fetch-Site", "same-origin"), field("Origin", base)}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			res := send(t, "GET", base+adminapi.PathStatus, "", row.edit...)
			if res.StatusCode != 200 {
				t.Errorf("%s: %s", res.Status, text(t, res))
			}
			for name, want := range map[string]string{
				"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
				"Cross-Origin-Resource-Policy": "same-origin", "X-Frame-Options": "DENY",
			} {
				if got := res.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if csp := res.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; ") || !strings.Contains(csp, "frame-ancestors 'none'") {
				t.Errorf("CSP %q", csp)
			}
		})
	}
}

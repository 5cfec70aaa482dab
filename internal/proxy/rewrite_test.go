package proxy_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-0c889b51/weir/internal/proxy"
)

func TestCheck73_whatTheUpstreamIsTold(t *testing.T) {
	t.Parallel()
	claims := []string{
		"X-Forwarded-For", "6.6.6.6", "X-Forwarded-For", "203.0.113.7", "X-Forwarded-Host", "shop.example",
		"X-Forwarded-Proto", "https", "X-Forwarded-Port", "443", "X-Forwarded-Prefix", "/admin",
		"Forwarded", "for=6.6.6.6", "X-Real-Ip", "6.6.6.6", "X-User", "mallory",
	}
	for _, tt := range []struct {
		why    string
		trust  bool
		fields []string
		want   map[string]string // "" is absent; HOST is the proxy's
	}{
		{"a client as it is", false, nil, map[string]string{
			"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "HOST", "X-Forwarded-Proto": "http"}},
		{"what a client claims is not passed on", false, claims, map[string]string{
			"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "HOST", "X-Forwarded-Proto": "http",
			"X-Forwarded-Port": "", "X-Forwarded-Prefix": "", "Forwarded": "", "X-Real-Ip": "127.0.0.1", "X-User": ""}},
		{"what a trusted proxy says is, with its own address at the end", true, claims, map[string]string{
			"X-Forwarded-For": "6.6.6.6, 203.0.113.7, 127.0.0.1", "X-Forwarded-Host": "shop.example", "X-Forwarded-Proto": "https",
			"X-Forwarded-Port": "443", "X-Forwarded-Prefix": "/admin", "X-Real-Ip": "127.0.0.1", "X-User": "mallory", "Forwarded": ""}},
		{"a proxy that says nothing", true, nil, map[string]string{
			"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "HOST", "X-Forwarded-Proto": "http"}},
		{"two users are none: the upstream might read the other one", true, []string{"X-User", "alice", "X-User", "mallory"}, map[string]string{"X-User": ""}},
		// CVE-2024-45410, CVE-2026-29054: Connection removed what the proxy had set.
		{"Connection removes nothing of ours", false,
			[]string{"Connection", "X-Forwarded-For, x-forwarded-host, X-FORWARDED-PROTO, via, RateLimit, X-Mine", "X-Mine", "1"}, map[string]string{
				"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "HOST", "X-Forwarded-Proto": "http", "X-Mine": "", "Connection": ""}},
		{"nor what a trusted proxy says", true,
			[]string{"Connection", "X-User, x-forwarded-for, X-Real-IP", "X-User", "alice", "X-Forwarded-For", "203.0.113.7", "X-Real-Ip", "203.0.113.7"}, map[string]string{
				"X-User": "alice", "X-Forwarded-For": "203.0.113.7, 127.0.0.1", "X-Real-Ip": "127.0.0.1"}},
		// CVE-2025-64484: servers that take '_' for '-' read the client's alias.
		{"aliases with an underscore", false, []string{"X_Forwarded_For", "6.6.6.6", "X-Forwarded_for", "6.6.6.6", "X_User", "mallory", "My_Field", "1"}, map[string]string{
			"X_Forwarded_For": "", "X-Forwarded_for": "", "X_User": "", "My_Field": "", "X-Forwarded-For": "127.0.0.1"}},
		{"of a trusted proxy too", true, []string{"X_Forwarded_For", "6.6.6.6", "X-Forwarded_for", "6.6.6.6", "X-Forwarded-Client_ip", "6.6.6.6"}, map[string]string{
			"X_Forwarded_For": "", "X-Forwarded-Client_ip": "", "X-Forwarded_for": "", "X-Forwarded-For": "127.0.0.1"}},
		{"hop-by-hop fields", false, []string{"Keep-Alive", "5", "Proxy-Authorization", "x", "Te", "gzip"}, map[string]string{
			"Keep-Alive": "", "Proxy-Authorization": "", "Te": ""}},
		{"the rest passes", false, []string{"Authorization", "Bearer k", "Cookie", "a=b", "X-Api-Key", "k", "Accept-Encoding", "br", "Traceparent", "00-1"}, map[string]string{
			"Authorization": "Bearer k", "Cookie": "a=b", "X-Api-Key": "k", "Accept-Encoding": "br", "Traceparent": "00-1"}},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			got := make(chan http.Header, 1)
			up := upstream(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header })
			addr := front(t, up, func(cfg *proxy.Config) {
				if tt.trust {
					trustAll(cfg)
				}
			})
			get(t, addr, tt.fields...)
			h := <-got
			for _, name := range slices.Sorted(maps.Keys(tt.want)) {
				want := strings.ReplaceAll(tt.want[name], "HOST", strings.TrimPrefix(addr, "http://"))
				var values []string
				for n, vv := range h { // whatever the case of the name
					if strings.EqualFold(n, name) {
						values = append(values, vv...)
					}
				}
				if strings.Join(values, "|") != want {
					t.Errorf("the upstream got %s: %q, want %q", name, values, want)
				}
			}
			if via := h["Via"]; len(via) != 1 || !strings.HasPrefix(via[0], "1.1 weir-") {
				t.Errorf("the upstream got Via: %q, want this proxy's", via)
			}
		})
	}
}

func TestRequestLineAndHost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ why, base, path, want string }{
		{"as it was sent", "", "/a/b?c=d", "/a/b?c=d"},
		{"escapes stay what they are", "", "/a%2Fb/%41?x=%zz;y", "/a%2Fb/%41?x=%zz;y"},
		{"double slashes and dots stay", "", "//a/../b/./c", "//a/../b/./c"},
		{"below the path of the upstream", "/api", "/v1?q", "/api/v1?q"},
		{"dots that stay below it", "/api", "/v1/../v2/./x..y/%2e%2e", "/api/v1/../v2/./x..y/%2e%2e"},
		{"one slash between", "/api/", "/v1/", "/api/v1/"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			got := make(chan *http.Request, 1)
			addr := front(t, upstream(t, func(_ http.ResponseWriter, r *http.Request) { got <- r })+tt.base, nil)
			conn, err := net.Dial("tcp", strings.TrimPrefix(addr, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: shop.example:8080\r\n\r\n", tt.path)
			r := <-got
			if r.RequestURI != tt.want {
				t.Errorf("the upstream was asked for %q, want %q", r.RequestURI, tt.want)
			}
			if r.Host != "shop.example:8080" {
				t.Errorf("the upstream got the host %q, want the one that the client asked for", r.Host)
			}
		})
	}
}

func TestOptionsOfTheServer(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{"": "*", "/": "*", "/api": "/api"} {
		got := make(chan string, 1)
		handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.RequestURI })
		up := httptest.NewUnstartedServer(handler)
		up.Config.DisableGeneralOptionsHandler = true
		up.Start()
		t.Cleanup(up.Close)
		to, err := proxy.ParseTarget(up.URL + base)
		if err != nil {
			t.Fatal(err)
		}
		p, err := proxy.New(proxy.Config{To: to})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.CloseIdle)
		p.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("OPTIONS", "*", nil))
		if uri := <-got; uri != want {
			t.Errorf("upstream %q was asked for %q, want %q", base, uri, want)
		}
	}
}

// An upstream of which only a part is to be reached: no path leads out of it,
// however its server reads the path.
func TestPathsThatLeadOutOfTheBase(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		base, path string
		status     int
	}{
		{"/api", "/../admin", 400},
		{"/api", "/..", 400},
		{"/api/", "/v1/../../admin", 400},
		{"/api", "/%2e%2e/admin", 400},
		{"/api", "/.%2E/admin", 400},
		{"/api", "/v1/..%2f..%2fadmin", 400},
		{"/api", "/v1//../../admin", 400},
		{"/api", `/..\admin`, 400},
		{"/api", "/..%5cadmin", 400},
		{"/api", "/..;x/admin", 400},
		{"/api", "/;x/../admin", 400},
		{"/api", "/./v1/../../admin/back", 400},
		{"/api", "/v1/../v2", 200},
		{"/api", "/...", 200},
		{"", "/../admin", 200},
		{"/", "/../admin", 200},
	} {
		t.Run(tt.base+" "+tt.path, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			addr := front(t, upstream(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })+tt.base, nil)
			conn, err := net.Dial("tcp", strings.TrimPrefix(addr, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", tt.path)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if res.StatusCode != tt.status || asked.Load() != int32(200/tt.status) {
				t.Errorf("status %d, and the upstream was asked %d times, want %d", res.StatusCode, asked.Load(), tt.status)
			}
			if got := res.Header.Get("Content-Type"); tt.status == 400 && got != "application/problem+json" {
				t.Errorf("Content-Type: %s", got)
			}
		})
	}
}

// A certificate is for the name in the URL, and servers behind one address are
// told apart by it.
func TestHostOfAnHTTPSUpstream(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 1)
	up := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r }))
	t.Cleanup(up.Close)
	to, err := proxy.ParseTarget(up.URL)
	if err != nil {
		t.Fatal(err)
	}
	p, err := proxy.New(proxy.Config{To: to})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.CloseIdle)
	proxy.TrustCertificates(p, &tls.Config{RootCAs: up.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs})
	r := httptest.NewRequest("GET", "http://shop.example/", nil)
	p.ServeHTTP(httptest.NewRecorder(), r)
	sent := <-got
	if sent.Host != to.Host || sent.Header.Get("X-Forwarded-Host") != "shop.example" {
		t.Errorf("host %q and X-Forwarded-Host %q, want %q and shop.example", sent.Host, sent.Header.Get("X-Forwarded-Host"), to.Host)
	}
}

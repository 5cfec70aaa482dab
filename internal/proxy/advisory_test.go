package proxy_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/proxy"
)

// Mistakes that other proxies have made with what they tell an upstream. Each
// test is named for the advisory on it.

// told returns what the upstream gets of each field, whatever the case of its
// name and with '_' read as '-', as some servers do.
func told(t *testing.T, trust bool, fields ...string) map[string]string {
	t.Helper()
	got := make(chan http.Header, 1)
	up := upstream(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header })
	addr := front(t, up, func(cfg *proxy.Config) {
		if trust {
			trustAll(cfg)
		}
	})
	get(t, addr, fields...)
	values := map[string]string{}
	for name, lines := range <-got {
		name = http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
		if values[name] != "" {
			lines = append([]string{values[name]}, lines...)
		}
		values[name] = strings.Join(lines, " | ")
	}
	return values
}

// expect compares what the upstream got with pairs of a field and its value.
func expect(t *testing.T, got map[string]string, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got[pairs[i]] != pairs[i+1] {
			t.Errorf("the upstream got %s: %q, want %q", pairs[i], got[pairs[i]], pairs[i+1])
		}
	}
}

func TestAdvisory_CVE_2024_45410(t *testing.T) {
	t.Parallel()
	// Traefik removed what Connection lists after it had set its own fields, so a
	// client could have those removed.
	got := told(t, false, "Connection", "X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, Via")
	expect(t, got, "X-Forwarded-For", "127.0.0.1", "X-Forwarded-Proto", "http", "Connection", "")
	if got["X-Forwarded-Host"] == "" || got["Via"] == "" {
		t.Errorf("the upstream got X-Forwarded-Host: %q, Via: %q, want ours", got["X-Forwarded-Host"], got["Via"])
	}
}

func TestAdvisory_CVE_2026_29054(t *testing.T) {
	t.Parallel()
	// The cure for that went by the case of the names.
	for _, list := range []string{"x-forwarded-for, x-forwarded-proto", "X-FORWARDED-FOR,X-FORWARDED-PROTO", "close, x-Forwarded-for ,\tx-fORWARDED-pROTO"} {
		expect(t, told(t, false, "Connection", list), "X-Forwarded-For", "127.0.0.1", "X-Forwarded-Proto", "http")
	}
}

func TestAdvisory_CVE_2025_48865(t *testing.T) {
	t.Parallel()
	// Fabio, likewise; here with what a trusted proxy has said of its client.
	got := told(t, true, "Connection", "X-Real-Ip, X-Forwarded-Host, X-User", "X-Real-Ip", "203.0.113.7",
		"X-Forwarded-Host", "shop.example", "X-User", "alice")
	expect(t, got, "X-Real-Ip", "127.0.0.1", "X-Forwarded-Host", "shop.example", "X-User", "alice")
}

func TestAdvisory_CVE_2026_39858(t *testing.T) {
	t.Parallel()
	// Traefik removed X-Forwarded-Proto of a client, but not X_Forwarded_Proto,
	// which servers behind it took for the same.
	got := told(t, false, "X_Forwarded_Proto", "https", "X-Forwarded_Host", "admin.example", "x_forwarded_for", "6.6.6.6")
	expect(t, got, "X-Forwarded-Proto", "http", "X-Forwarded-For", "127.0.0.1")
	if strings.Contains(got["X-Forwarded-Host"], "admin.example") {
		t.Errorf("the upstream got X-Forwarded-Host: %q", got["X-Forwarded-Host"])
	}
}

func TestAdvisory_GHSA_5m6w_wvh7_57vm(t *testing.T) {
	t.Parallel()
	// The same by its other name, with each field and each place of the underscore.
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Real-Ip"} {
		for _, alias := range []string{strings.ReplaceAll(name, "-", "_"), strings.Replace(name, "-", "_", 1), strings.ToLower(strings.ReplaceAll(name, "-", "_"))} {
			for got, value := range told(t, false, alias, "6.6.6.6") {
				if strings.Contains(value, "6.6.6.6") {
					t.Errorf("%s of a client reaches the upstream, which may read it as %s", alias, got)
				}
			}
		}
	}
}

func TestAdvisory_CVE_2016_5385(t *testing.T) {
	t.Parallel()
	// httpoxy: CGI programs take the field Proxy for the variable HTTP_PROXY, so
	// that a client had their own requests go to where it liked. No peer says that.
	for _, trust := range []bool{false, true} {
		for _, name := range []string{"Proxy", "proxy", "PROXY"} {
			expect(t, told(t, trust, name, "http://evil.example:8080"), "Proxy", "")
		}
	}
}

func TestAdvisory_CVE_2025_64484(t *testing.T) {
	t.Parallel()
	// oauth2-proxy, likewise, with the name of the user.
	expect(t, told(t, false, "X_User", "mallory"), "X-User", "")
	expect(t, told(t, true, "X-User", "alice", "X_User", "mallory", "x_user", "mallory"), "X-User", "alice")
}

func TestAdvisory_CVE_2026_35051(t *testing.T) {
	t.Parallel()
	// Traefik made most of X-Forwarded-* anew where it was not to trust the
	// client's, but left X-Forwarded-Prefix as it came. (GHSA-6384-m2mw-rf54)
	got := told(t, false, "X-Forwarded-Prefix", "/public", "X-Forwarded-Uri", "/public", "X-Forwarded-Method", "OPTIONS",
		"X-Forwarded-Server", "a", "X-Forwarded-Port", "443", "X-Forwarded-Anything", "1")
	for name, value := range got {
		if strings.HasPrefix(name, "X-Forwarded-") && name != "X-Forwarded-For" && name != "X-Forwarded-Host" && name != "X-Forwarded-Proto" {
			t.Errorf("the upstream got %s: %q of a client", name, value)
		}
	}
}

func TestAdvisory_CVE_2026_30851(t *testing.T) {
	t.Parallel()
	// Caddy left the client's own field of an identity in place where nothing was
	// there to be set instead.
	expect(t, told(t, false, "X-User", "mallory"), "X-User", "")
	expect(t, told(t, true), "X-User", "")
	expect(t, told(t, true, "X-User", "alice", "X-User", "mallory"), "X-User", "")
}

// target returns what the upstream is asked for with that query.
func target(t *testing.T, query string) string {
	t.Helper()
	got := make(chan string, 1)
	addr := front(t, upstream(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.RequestURI }), nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(addr, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /?%s HTTP/1.1\r\nHost: a\r\n\r\n", query)
	return <-got
}

func TestAdvisory_GO_2022_1038(t *testing.T) {
	t.Parallel()
	// net/http/httputil: a proxy that looked at a query saw less than the server
	// behind. This one does not look: the query is passed on byte by byte.
	for _, query := range []string{"a=1;b=2", "a=%zz&b=2", "a=1&a=2&;", "%", "a=b?c=d"} {
		if got := target(t, query); got != "/?"+query {
			t.Errorf("the upstream was asked for %q, want the query %q", got, query)
		}
	}
}

func TestAdvisory_GO_2026_4976(t *testing.T) {
	t.Parallel()
	// Again: parameters beyond the number that is parsed.
	query := strings.Repeat("a=x&", 10_001) + "hidden=y"
	if got := target(t, query); got != "/?"+query {
		t.Errorf("the upstream was asked for %d bytes, want all %d of the query", len(got)-2, len(query))
	}
}

//go:build !race

package httpmw_test

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/httpmw"
)

// To find out who a request is from costs no allocation but that of the key,
// whatever the client sends.
func TestIdentityAllocs(t *testing.T) {
	huge := strings.Repeat("x", 100_000)
	proxied := func(field, value string) func(*http.Request) {
		return func(r *http.Request) { r.RemoteAddr, r.Header[field] = "10.0.0.1:4711", []string{value} }
	}
	cert := func(r *http.Request) {
		r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{Raw: make([]byte, 1000)}}}}
	}
	for _, row := range []struct {
		why  string
		key  httpmw.Key
		ip   httpmw.ClientIP
		edit func(*http.Request)
		most float64
	}{
		{"the peer", httpmw.ByIP(), httpmw.ClientIP{}, func(*http.Request) {}, 3},
		{"Forwarded", httpmw.ByIP(), rfcIP, proxied("Forwarded", `for=6.6.6.6, For="[2001:db8::7]:443";proto=https, for=10.0.0.2`), 3},
		{"Forwarded without end", httpmw.ByIP(), rfcIP, proxied("Forwarded", strings.Repeat("for=10.0.0.2,", 7000)), 3},
		{"Forwarded of 8 KiB", httpmw.ByIP(), rfcIP, proxied("Forwarded", strings.Repeat("for=10.0.0.2,", 600)), 3},
		{"Forwarded of an unclosed quote", httpmw.ByIP(), rfcIP, proxied("Forwarded", `for="`+huge[:8000]), 3},
		{"hops", httpmw.ByIP(), hopsIP, proxied(xff, "6.6.6.6, 203.0.113.7, 10.0.0.2"), 3},
		{"hops without end", httpmw.ByIP(), hopsIP, proxied(xff, strings.Repeat(",", 100_000)), 3},
		{"single header", httpmw.ByIP(), headerIP, proxied("X-Real-Ip", "203.0.113.7"), 3},
		{"a huge single header", httpmw.ByIP(), headerIP, proxied("X-Real-Ip", huge), 4},
		{"a Unix socket", httpmw.ByIP(), listIP.TrustUnix(), func(r *http.Request) { r.RemoteAddr, r.Header[xff] = "@", []string{"203.0.113.7"} }, 3},
		{"a network", httpmw.ByNetwork(24, 48), httpmw.ClientIP{}, func(*http.Request) {}, 3},
		{"bearer", httpmw.Bearer(), httpmw.ClientIP{}, authorization("Bearer abc"), 3},
		{"a huge bearer", httpmw.Bearer(), httpmw.ClientIP{}, authorization("Bearer " + huge), 3},
		{"a certificate", httpmw.ClientCert(), httpmw.ClientIP{}, cert, 3},
		{"missing", httpmw.Bearer(), httpmw.ClientIP{}, func(*http.Request) {}, 3},
		{"missing, shared", httpmw.Bearer().OrShared(), httpmw.ClientIP{}, func(*http.Request) {}, 3},
		{"basic", httpmw.BasicUser(), httpmw.ClientIP{}, basic("alice", "x"), 5},
		{"a huge basic", httpmw.BasicUser(), httpmw.ClientIP{}, basic(huge, "x"), 5},
	} {
		for _, allowed := range []bool{true, false} {
			m, err := httpmw.New(stub(allowed, 1), httpmw.Config{
				Keys: map[string]httpmw.Key{"ip": row.key}, IP: row.ip, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("GET", "/", nil)
			row.edit(r)
			serve := served(m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), r)
			if got := testing.AllocsPerRun(200, serve); got > row.most {
				t.Errorf("%s, allowed %v: %v allocations, want at most %v", row.why, allowed, got, row.most)
			}
		}
	}
}

func BenchmarkIdentity(b *testing.B) {
	proxied := func(field, value string) func(*http.Request) {
		return func(r *http.Request) { r.RemoteAddr, r.Header[field] = "10.0.0.1:4711", []string{value} }
	}
	for _, row := range []struct {
		name string
		key  httpmw.Key
		ip   httpmw.ClientIP
		edit func(*http.Request)
	}{
		{"peer", httpmw.ByIP(), httpmw.ClientIP{}, func(*http.Request) {}},
		{"list", httpmw.ByIP(), listIP, proxied(xff, "6.6.6.6, 203.0.113.7, 10.0.0.2")},
		{"forwarded", httpmw.ByIP(), rfcIP, proxied("Forwarded", `for=6.6.6.6, for=203.0.113.7, for=10.0.0.2`)},
		{"forwarded/8KiB", httpmw.ByIP(), rfcIP, proxied("Forwarded", strings.Repeat("for=10.0.0.2,", 600))},
		{"hops", httpmw.ByIP(), hopsIP, proxied(xff, "6.6.6.6, 203.0.113.7, 10.0.0.2")},
		{"header", httpmw.ByIP(), headerIP, proxied("X-Real-Ip", "203.0.113.7")},
		{"bearer", httpmw.Bearer(), httpmw.ClientIP{}, authorization("Bearer abcdefghijklmnop")},
		{"basic", httpmw.BasicUser(), httpmw.ClientIP{}, basic("alice", "secret")},
	} {
		b.Run(row.name, func(b *testing.B) {
			m, err := httpmw.New(stub(true, 1), httpmw.Config{Keys: map[string]httpmw.Key{"ip": row.key}, IP: row.ip})
			if err != nil {
				b.Fatal(err)
			}
			r := httptest.NewRequest("GET", "/", nil)
			row.edit(r)
			serve := served(m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), r)
			b.ReportAllocs()
			for b.Loop() {
				serve()
			}
		})
	}
}

package httpmw_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/seed-0c889b51/weir/httpmw"
)

func TestCheck_60_trust_unix(t *testing.T) {
	t.Parallel()
	sent := func(r *http.Request) {
		r.Header[xff], r.Header["Forwarded"], r.Header["X-Real-Ip"] = []string{"203.0.113.7, 10.0.0.2"}, []string{"for=203.0.113.7"}, []string{"203.0.113.7"}
	}
	on := func(local net.Addr) func(*http.Request) {
		return func(r *http.Request) {
			*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
		}
	}
	for _, row := range []struct {
		why  string
		edit []func(*http.Request)
		unix bool // the peer is on a Unix socket
	}{
		{"unnamed", []func(*http.Request){from("@")}, true},
		{"nothing", []func(*http.Request){from("")}, true},
		{"a path", []func(*http.Request){from("/run/proxy.sock")}, true},
		{"an abstract name", []func(*http.Request){from("@proxy")}, true},
		{"the server knows", []func(*http.Request){from("client.sock"), on(&net.UnixAddr{Net: "unix"})}, true},
		{"the server knows better", []func(*http.Request){from("@"), on(&net.TCPAddr{})}, false},
		{"garbage", []func(*http.Request){from("garbage")}, false},
		{"a name", []func(*http.Request){from("localhost:80")}, false},
		{"an address", []func(*http.Request){from("198.51.100.9:1")}, false},
		{"an address, whatever the server says", []func(*http.Request){from("198.51.100.9:1"), on(&net.UnixAddr{Net: "unix"})}, false},
	} {
		for _, c := range []struct {
			name string
			ip   httpmw.ClientIP
		}{{"list", listIP}, {"RFC 7239", rfcIP}, {"single header", headerIP}, {"hops", hopsIP}, {"list without prefixes", must(httpmw.NewClientIP(64))}} {
			r := httptest.NewRequest("GET", "/", nil)
			for _, edit := range append(row.edit, sent) {
				edit(r)
			}
			want, client := "203.0.113.7", c.ip.TrustUnix()
			if c.name == "list without prefixes" {
				want = "10.0.0.2" // nobody said that this is a proxy
			}
			if got, _ := client.Addr(r); (got.String() == want) != row.unix {
				t.Errorf("%s, %s: %v", row.why, c.name, got)
			}
			if client.TrustsPeer(r) != row.unix {
				t.Errorf("%s, %s: trusts the peer: %v", row.why, c.name, !row.unix)
			}
			// Without the choice nothing of it.
			if got, _ := c.ip.Addr(r); got.String() == want || c.ip.TrustsPeer(r) {
				t.Errorf("%s, %s: %v is trusted by default", row.why, c.name, got)
			}
		}
	}

	t.Run("what_it_says_nothing_useful_in_is_limited_together", func(t *testing.T) {
		t.Parallel()
		s := limit(t, defaultLimiter(), httpmw.Config{IP: listIP.TrustUnix()})
		for i, line := range []string{"", "garbage", "unknown", "6.6.6.6, _x", ",", "[", "."} {
			if w := get(t, s, from("@"), field(xff, line)); (w.Code == 429) != (i >= 5) {
				t.Errorf("request %d: status %d", i+1, w.Code)
			}
		}
		want(t, get(t, s, from("@"), field(xff, "203.0.113.7")), 200)
		if got := s.Stats(); got.UnknownClient != 7 || got.BadForwarded != 5 {
			t.Errorf("%+v, want 7 unknown clients, 5 for a bad field", got)
		}
	})

	t.Run("a_real_socket", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
		if err != nil {
			t.Fatal(err)
		}
		found := make(chan string, 2)
		s := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			for _, c := range []httpmw.ClientIP{listIP, listIP.TrustUnix()} {
				a, ok := c.Addr(r)
				found <- fmt.Sprint(a, ok, c.TrustsPeer(r))
			}
		})}
		go s.Serve(l)
		t.Cleanup(func() { s.Close() })
		client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", l.Addr().String())
		}}}
		t.Cleanup(client.CloseIdleConnections)
		r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://a/", nil)
		r.Header.Set(xff, "6.6.6.6, 203.0.113.7")
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if without, with := <-found, <-found; without != "invalid IP false false" || with != "203.0.113.7 true true" {
			t.Errorf("%q by default, %q with trust", without, with)
		}
	})
}

package httpmw_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/httpmw"
)

// The edges of the networks that nobody on the Internet has an address of.
func TestMisuse_private_client_networks(t *testing.T) {
	t.Parallel()
	for addr, warned := range map[string]bool{
		"169.254.0.1": true, "169.253.255.255": false, "169.255.0.0": false, // link-local
		"fe80::1": true, "fe80::1%eth0": true, "febf::1": true, "fec0::1": false,
		"100.64.0.0": true, "100.127.255.255": true, "100.63.255.255": false, "100.128.0.0": false, // shared
		"::ffff:100.64.0.9": true, "fc00::1": true, "fdff::1": true, "fbff::1": false, // unique local
		"10.0.0.0": true, "11.0.0.0": false, "172.31.255.255": true, "172.32.0.0": false, "192.168.0.0": true,
		"127.0.0.1": false, "::1": false, // a developer
	} {
		s := limit(t, open("a"), httpmw.Config{})
		peer := addr + ":80"
		if strings.Contains(addr, ":") {
			peer = "[" + addr + "]:80"
		}
		for range 100 {
			get(t, s, from(peer))
		}
		if got := hasWarning(s, "private-client", ""); got != warned || len(s.Stats().Warnings) > 1 {
			t.Errorf("%s: warned %v, want %v: %+v", addr, got, warned, s.Stats().Warnings)
		}
	}
}

// Who has thought of proxies, but not of all of them; and a proxy on the same
// machine beside clients that come directly.
func TestMisuse_busy_private_client(t *testing.T) {
	t.Parallel()
	const requests = 10_000 // four rounds
	trusting := httpmw.Config{IP: clientIP(t, "10.0.0.0/8")}
	public := func(i int) string { return fmt.Sprintf("203.0.113.%d", i%97) }
	// every returns what sends each n-th request from addr, the others from others.
	every := func(n int, addr string, others func(i int) string) func(i int) string {
		return func(i int) string {
			if i%n == 0 {
				return addr
			}
			return others(i)
		}
	}
	inside := func(i int) string { return fmt.Sprintf("192.168.0.%d", i%97) }
	for _, row := range []struct {
		why      string
		cfg      httpmw.Config
		requests int
		client   func(i int) string
		warned   bool
	}{
		{"a second proxy that is not trusted", trusting, requests, every(2, "192.168.0.9", public), true},
		{"one of the shared addresses", trusting, requests, every(2, "100.64.0.9", public), true},
		{"one on a link", trusting, requests, every(2, "fe80::9", public), true},
		{"one on the machine", trusting, requests, every(2, "127.0.0.1", public), true},
		{"two of them, and nobody else", trusting, requests, every(2, "192.168.0.8", every(1, "192.168.0.9", public)), true},
		{"few requests yet", trusting, 250, every(2, "192.168.0.9", public), false},
		{"one that does not have many", trusting, requests, every(10, "192.168.0.9", public), false},
		{"an intranet", trusting, requests, inside, false},
		{"public", trusting, requests, every(2, "8.8.8.8", public), false},

		{"a proxy on the machine, and clients without", httpmw.Config{}, requests, every(2, "127.0.0.1", public), true},
		{"likewise", httpmw.Config{}, requests, every(2, "::1", public), true},
		{"a check of health", httpmw.Config{}, requests, every(10, "127.0.0.1", public), false},
		{"a benchmark on the machine", httpmw.Config{}, 10_000, every(1, "127.0.0.1", nil), false},
		{"by any of its names", httpmw.Config{}, 10_000, every(2, "::1", every(1, "127.0.0.1", nil)), false},
		{"nothing is limited by address", httpmw.Config{Keys: map[string]httpmw.Key{"a": httpmw.Path()}}, requests, every(2, "127.0.0.1", public), false},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			s := limit(t, open("a"), row.cfg)
			trusted := row.cfg.IP.TrustsPeer(request("10.0.0.1:80", "/"))
			h := s.Middleware.Handler(http.NotFoundHandler())
			serveMany(h, row.requests, func(i int) *http.Request {
				client := row.client(i)
				if trusted {
					r := request("10.0.0.1:80", "/")
					r.Header.Set("X-Forwarded-For", client)
					return r
				}
				if strings.Contains(client, ":") {
					client = "[" + client + "]"
				}
				return request(client+":80", "/")
			})
			if got := hasWarning(s, "busy-private-client", ""); got != row.warned {
				t.Errorf("warned %v, want %v: %+v", got, row.warned, s.Stats().Warnings)
			}
			if text := s.log.text(); strings.Contains(text, "192.168.0") || strings.Contains(text, "127.0.0") {
				t.Errorf("the log holds an address: %s", text)
			}
		})
	}
}

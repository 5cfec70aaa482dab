package serve_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/serve"
)

// The field that was chosen is believed of nobody else, neither here nor by an
// upstream that reads it too.
func TestTheChosenFieldOfAClient(t *testing.T) {
	t.Parallel()
	told := make(chan http.Header, 1)
	cfg := config(t, "ip 1/day")
	cfg.Routes = to(t, func(_ http.ResponseWriter, r *http.Request) { told <- r.Header })
	cfg.ClientIP = serve.ClientIP{From: serve.FromHeader, Header: "X-My-Client"}
	cfg.Trust = networks("10.0.0.0/8")
	s := start(t, cfg)
	for i, want := range []int{200, 429} {
		if got := status(t, s.url, "X-My-Client", fmt.Sprint("203.0.113.", i)); got != want {
			t.Errorf("request %d: %d, want %d", i, got, want)
		}
	}
	if h := <-told; h["X-My-Client"] != nil || h.Get("X-Real-Ip") != "127.0.0.1" {
		t.Errorf("the upstream got X-My-Client %q, X-Real-IP %q, want none and 127.0.0.1", h["X-My-Client"], h["X-Real-Ip"])
	}
}

// A client is who the one field that was chosen says, if a trusted proxy says
// it, and no other field. The upstream is told of the client that is limited.
func TestWhereTheClientIs(t *testing.T) {
	t.Parallel()
	xff, forwarded := []string{"X-Forwarded-For", "203.0.113.1, 203.0.113.2"}, []string{"Forwarded", "for=203.0.113.1, for=203.0.113.3"}
	realIP := []string{"X-Real-Ip", "203.0.113.4"}
	all := append(append(append([]string{}, xff...), forwarded...), realIP...)
	for _, tt := range []struct {
		why     string
		from    serve.ClientIP
		trusted bool
		fields  []string
		other   []string // fields of another client
		told    string   // what the upstream gets as X-Forwarded-For
		client  string   // and as X-Real-IP
		banner  string
	}{
		{"X-Forwarded-For", serve.ClientIP{}, true, all, []string{"X-Forwarded-For", "203.0.113.9"},
			"203.0.113.1, 203.0.113.2, 127.0.0.1", "203.0.113.2", "127.0.0.1/32: believed about X-Forwarded-For and X-User\n"},
		{"the peer", serve.ClientIP{From: serve.FromPeer}, true, all, nil,
			"127.0.0.1", "127.0.0.1", "127.0.0.1/32: believed about X-User; the client is who connects, even if that is one of them\n"},
		{"Forwarded", serve.ClientIP{From: serve.FromForwarded}, true, all, []string{"Forwarded", "for=203.0.113.9"},
			"203.0.113.3, 127.0.0.1", "203.0.113.3", "127.0.0.1/32: believed about Forwarded and X-User\n"},
		{"Forwarded, and nobody in it", serve.ClientIP{From: serve.FromForwarded}, true, xff, forwarded,
			"127.0.0.1", "127.0.0.1", "believed about Forwarded and"},
		{"one field", serve.ClientIP{From: serve.FromHeader, Header: "X-Real-Ip"}, true, all, []string{"X-Real-Ip", "203.0.113.9"},
			"203.0.113.4, 127.0.0.1", "203.0.113.4", "127.0.0.1/32: believed about X-Real-Ip and X-User\n"},
		{"one proxy in front of us", serve.ClientIP{From: serve.FromHops, Hops: 1}, true, all, []string{"X-Forwarded-For", "203.0.113.1"},
			"203.0.113.1, 203.0.113.2, 127.0.0.1", "203.0.113.2", "127.0.0.1/32: believed about the last address in X-Forwarded-For and X-User\n"},
		{"two of them", serve.ClientIP{From: serve.FromHops, Hops: 2}, true, all, []string{"X-Forwarded-For", "203.0.113.9, 203.0.113.2"},
			"203.0.113.1, 203.0.113.2, 127.0.0.1", "203.0.113.1", "127.0.0.1/32: believed about address 2 from the right in X-Forwarded-For and X-User\n"},
		{"a field of nobody who is trusted", serve.ClientIP{}, false, all, nil, "127.0.0.1", "127.0.0.1", "nobody: the client is who connects\n"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			told := make(chan http.Header, 9)
			cfg := config(t, "ip 1/day")
			cfg.Routes = to(t, func(_ http.ResponseWriter, r *http.Request) { told <- r.Header })
			cfg.ClientIP = tt.from
			if tt.trusted {
				cfg.Trust = loopback()
			}
			s := start(t, cfg)
			if got := status(t, s.url, tt.fields...); got != 200 {
				t.Fatalf("the first request: %d, want 200", got)
			}
			got := <-told
			if xff, real := strings.Join(got["X-Forwarded-For"], ", "), strings.Join(got["X-Real-Ip"], ", "); xff != tt.told || real != tt.client {
				t.Errorf("the upstream is told of %q, and of %q alone, want %q and %q", xff, real, tt.told, tt.client)
			}
			if got := status(t, s.url, tt.fields...); got != 429 {
				t.Errorf("the same client: %d, want 429", got)
			}
			if tt.other != nil {
				if got := status(t, s.url, tt.other...); got != 200 {
					t.Errorf("another client: %d, want 200", got)
				}
			}
			if !strings.Contains(s.banner.String(), tt.banner) {
				t.Errorf("the banner lacks %q:\n%s", tt.banner, s.banner)
			}
		})
	}
}

// Whoever is trusted is believed about the user, wherever the client is.
func TestTheUserOfATrustedPeer(t *testing.T) {
	t.Parallel()
	for _, from := range []serve.From{serve.FromXFF, serve.FromPeer, serve.FromForwarded} {
		users := make(chan string, 2)
		cfg := config(t, "user 1/day")
		cfg.Routes = to(t, func(_ http.ResponseWriter, r *http.Request) { users <- r.Header.Get("X-User") })
		cfg.Trust, cfg.ClientIP.From = loopback(), from
		s := start(t, cfg)
		for _, user := range []string{"alice", "bob"} {
			if got := status(t, s.url, "X-User", user); got != 200 || <-users != user {
				t.Errorf("from %d, %s: %d, want 200 and that the upstream knows", from, user, got)
			}
		}
	}
}

// That all clients are one is said where the proxy is the client by choice.
func TestBannerOfPeersThatAreProxies(t *testing.T) {
	t.Parallel()
	cfg := asking(t, serve.Caddy, "ip 1/day")
	cfg.ClientIP.From = serve.FromPeer
	s := start(t, cfg)
	if want := "note       the client is who asks (--client-ip peer), so that all"; !strings.Contains(s.banner.String(), want) {
		t.Errorf("the banner lacks %q:\n%s", want, s.banner)
	}
}

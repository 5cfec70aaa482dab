package proxy_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/proxy"
)

// What says who the client is. An upstream may read any of them: it must not find
// another client than the one that is limited, and none that a client made up.
func TestCheck73_whoTheClientIs(t *testing.T) {
	t.Parallel()
	oneAddress := []string{"X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "Fastly-Client-Ip", "Fly-Client-Ip", "Do-Connecting-Ip",
		"X-Appengine-User-Ip", "X-Azure-Clientip", "X-Envoy-External-Address", "X-Client-Ip", "Client-Ip", "X-Cluster-Client-Ip",
		"X-Proxyuser-Ip", "Proxy-Client-Ip", "Wl-Proxy-Client-Ip", "X-Originating-Ip", "X-Remote-Ip", "X-Remote-Addr", "Remote-Addr",
		"Ali-Cdn-Real-Ip", "X-Nf-Client-Connection-Ip", "X-Sucuri-Clientip", "X-Vercel-Forwarded-For", "X-My-Client"}
	others := []string{"Cf-Connecting-Ipv6", "Cf-Pseudo-Ipv4", "Forwarded", "Forwarded-For", "X-Forwarded", "X-Original-Forwarded-For",
		"Cloudfront-Viewer-Address"}
	// claims has each of the fields say something.
	claims := func(value string) http.Header {
		h := http.Header{"X-Forwarded-For": {value}, "X_real_ip": {value}, "Cf_connecting_ip": {value}}
		for _, name := range append(oneAddress, others...) {
			h[name] = []string{value}
		}
		return h
	}
	// each returns what has all fields with one address, and X-Forwarded-For.
	each := func(xff, client string) http.Header {
		h := http.Header{"X-Forwarded-For": {xff}}
		for _, name := range oneAddress {
			h[name] = []string{client}
		}
		return h
	}
	const spoofed, peer = "6.6.6.6", "192.0.2.1"
	twice := http.Header{"X-Real-Ip": {spoofed, "203.0.113.7"}, "Cf-Connecting-Ip": {spoofed, spoofed}}
	listed := claims(spoofed)
	listed["Connection"] = slices.Concat(oneAddress, others)
	for _, tt := range []struct {
		why    string
		remote string // of the peer
		trust  bool
		client string // as it is found; "" is not
		user   string // the field of the user
		sent   http.Header
		want   http.Header
	}{
		{"a client that claims nothing", peer + ":4711", false, peer, "", nil,
			http.Header{"X-Forwarded-For": {peer}, "X-Real-Ip": {peer}}},
		{"a client that claims all", peer + ":4711", false, peer, "", claims(spoofed),
			http.Header{"X-Forwarded-For": {peer}, "X-Real-Ip": {peer}}},
		{"it is not believed even if it is right", peer + ":4711", false, peer, "", claims(peer),
			http.Header{"X-Forwarded-For": {peer}, "X-Real-Ip": {peer}}},
		{"by IPv6", "[2001:db8::1%eth0]:4711", false, "2001:db8::1", "", claims(spoofed),
			http.Header{"X-Forwarded-For": {"2001:db8::1"}, "X-Real-Ip": {"2001:db8::1"}}},
		{"by IPv4 in IPv6 notation", "[::ffff:192.0.2.1]:4711", false, "::ffff:192.0.2.1", "", claims(spoofed),
			http.Header{"X-Forwarded-For": {peer}, "X-Real-Ip": {peer}}},
		{"a trusted proxy that says nothing", peer + ":4711", true, "203.0.113.7", "", nil,
			http.Header{"X-Forwarded-For": {peer}, "X-Real-Ip": {"203.0.113.7"}}},
		{"one that says who it is", peer + ":4711", true, "203.0.113.7", "", claims("203.0.113.7"),
			each("203.0.113.7, "+peer, "203.0.113.7")},
		{"one that passes on what a client claims", peer + ":4711", true, "203.0.113.7", "", claims(spoofed),
			each(spoofed+", "+peer, "203.0.113.7")},
		{"several times", peer + ":4711", true, "203.0.113.7", "", twice,
			http.Header{"X-Forwarded-For": {peer}, "X-Real-Ip": {"203.0.113.7"}, "Cf-Connecting-Ip": {"203.0.113.7"}}},
		{"with Connection, from a client", peer + ":4711", false, peer, "", listed,
			http.Header{"X-Forwarded-For": {peer}, "X-Real-Ip": {peer}}},
		{"with Connection, from a trusted proxy", peer + ":4711", true, "203.0.113.7", "", listed,
			each(spoofed+", "+peer, "203.0.113.7")},
		{"nobody is found, on a Unix socket", "@", true, "", "", claims(spoofed),
			http.Header{"X-Forwarded-For": {spoofed}}},
		{"nobody is found, on a Unix socket that is not trusted", "@", false, "", "", claims(spoofed), http.Header{}},
		{"one of them is the user", peer + ":4711", true, "203.0.113.7", "Cf-Connecting-Ip", http.Header{"Cf-Connecting-Ip": {"alice"}},
			http.Header{"X-Forwarded-For": {peer}, "X-Real-Ip": {"203.0.113.7"}, "Cf-Connecting-Ip": {"alice"}}},
		{"even that one", peer + ":4711", true, "203.0.113.7", "X-Real-Ip", http.Header{"X-Real-Ip": {"alice"}},
			http.Header{"X-Forwarded-For": {peer}, "X-Real-Ip": {"alice"}}},
		{"of a client it is not", peer + ":4711", false, peer, "Cf-Connecting-Ip", http.Header{"Cf-Connecting-Ip": {"mallory"}},
			http.Header{"X-Forwarded-For": {peer}, "X-Real-Ip": {peer}}},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			got := make(chan http.Header, 1)
			to, err := proxy.ParseTarget(upstream(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header }))
			if err != nil {
				t.Fatal(err)
			}
			p, err := proxy.New(proxy.Config{
				To: to, ClientHeader: "x-my-client", UserHeader: tt.user,
				TrustsPeer: func(*http.Request) bool { return tt.trust },
				ClientIP: func(*http.Request) (netip.Addr, bool) {
					addr, err := netip.ParseAddr(tt.client)
					return addr, err == nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.CloseIdle)
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
			r.RemoteAddr, r.Header = tt.remote, maps.Clone(tt.sent)
			p.ServeHTTP(httptest.NewRecorder(), r)
			h := <-got
			for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Proto", "Via", "Accept-Encoding", "User-Agent"} {
				delete(h, name)
			}
			if !maps.EqualFunc(h, tt.want, slices.Equal) {
				t.Errorf("the upstream got\n%v, want\n%v", h, tt.want)
			}
		})
	}
}

// Nor is it for a client to say what is asked for: the upstream would answer for
// a path of another route, or of another limit.
func TestTargetsInFields(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"X-Original-Url", "X-Rewrite-Url", "X-Original-Uri", "X-Envoy-Original-Path"} {
		expect(t, told(t, false, name, "/admin"), name, "")
		expect(t, told(t, false, strings.ToUpper(name), "/admin"), name, "")
		expect(t, told(t, true, name, "/admin"), name, "/admin")
	}
}

// Nor after the body.
func TestClaimsInTrailers(t *testing.T) {
	t.Parallel()
	got := make(chan http.Header, 1)
	addr := front(t, upstream(t, func(_ http.ResponseWriter, r *http.Request) {
		r.Body.Read(make([]byte, 9))
		r.Body.Read(make([]byte, 9))
		got <- r.Trailer
	}), trustAll)
	req, err := http.NewRequestWithContext(t.Context(), "POST", addr, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = -1
	req.Trailer = http.Header{"X-Real-Ip": {"6.6.6.6"}, "Cf-Connecting-Ip": {"6.6.6.6"}, "X-Original-Forwarded-For": {"6.6.6.6"}, "X-Sum": {"1"}}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if trailer := <-got; len(trailer) != 1 || trailer.Get("X-Sum") != "1" {
		t.Errorf("the upstream got the trailers %v, want X-Sum alone", trailer)
	}
}

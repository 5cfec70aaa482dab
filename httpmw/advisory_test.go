package httpmw_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// Mistakes that others have made with the address of a client.

func TestAdvisory_CVE_2026_30827(t *testing.T) {
	t.Parallel()
	// express-rate-limit cut IPv4 in IPv6 notation to an IPv6 network: all IPv4
	// clients had one bucket.
	keys := map[string]bool{}
	for i := range 256 {
		keys[keyOf(t, httpmw.ClientIP{}, from(fmt.Sprintf("[::ffff:192.0.2.%d]:1", i)))] = true
	}
	if len(keys) != 256 {
		t.Errorf("256 addresses have %d keys", len(keys))
	}
}

func TestAdvisory_CVE_2026_45364(t *testing.T) {
	t.Parallel()
	// better-auth took the text for the key, and every address of a /64 for a
	// client.
	s := limit(t, defaultLimiter(), httpmw.Config{})
	for i := range 6 {
		w := get(t, s, from(fmt.Sprintf("[2001:DB8::%x:1]:1", i)))
		if (w.Code == 429) != (i == 5) {
			t.Errorf("request %d of a /64: status %d", i+1, w.Code)
		}
	}
}

func TestAdvisory_GO_2024_2887(t *testing.T) {
	t.Parallel()
	// net/netip: IPv4 in IPv6 notation was neither loopback nor private, so a
	// check for those passed it. Here it is the IPv4 address, on every side.
	c := clientIP(t, "127.0.0.0/8", "10.0.0.0/8")
	if got := addr(c, from("[::ffff:127.0.0.1]:1"), field(xff, "6.6.6.6, ::ffff:10.0.0.2")); got != "6.6.6.6" {
		t.Errorf("%s: a proxy in another notation is not one", got)
	}
	if got := addr(clientIP(t, "::ffff:10.0.0.0/104"), from("10.0.0.1:1"), field(xff, "6.6.6.6")); got != "6.6.6.6" {
		t.Errorf("%s: nor is one by a prefix in another notation", got)
	}
}

func TestAdvisory_GHSA_9g5q_2w5x_hmxf(t *testing.T) {
	t.Parallel()
	// chi's RealIP believed True-Client-IP, X-Real-IP and the leftmost of
	// X-Forwarded-For, whoever sent them. There are three advisories on it.
	c := clientIP(t, "10.0.0.0/8")
	spoofed := []func(*http.Request){field("True-Client-IP", "6.6.6.6"), field("X-Real-IP", "6.6.6.6")}
	if got := addr(c, append(spoofed, field(xff, "6.6.6.6"))...); got != "192.0.2.1" {
		t.Errorf("believed a peer that is no proxy: %s", got)
	}
	if got := addr(c, append(spoofed, from("10.0.0.1:1"), field(xff, "6.6.6.6, 203.0.113.7"))...); got != "203.0.113.7" {
		t.Errorf("believed what stands left of the client: %s", got)
	}
}

func TestAdvisory_GHSA_rjr7_jggh_pgcp(t *testing.T) {
	t.Parallel()
	// The leftmost element is what the client wrote; the proxy appends on the
	// right, in the same line or in one of its own.
	for _, lines := range [][]string{{"192.0.2.2, 192.0.2.3"}, {"192.0.2.2", "192.0.2.3"}, {"192.0.2.2", "192.0.2.3, 10.0.0.2"}} {
		if got := addr(clientIP(t, "10.0.0.0/8"), from("10.0.0.1:1"), field(xff, lines...)); got != "192.0.2.3" {
			t.Errorf("%q: %s, want 192.0.2.3", lines, got)
		}
	}
}

func TestAdvisory_GHSA_3fxj_6jh8_hvhx(t *testing.T) {
	t.Parallel()
	// It also wrote what it believed to RemoteAddr, where all that comes behind
	// takes it for the peer.
	var seen string
	l := defaultLimiter()
	m, err := httpmw.New(l, httpmw.Config{Keys: byIP(l), IP: clientIP(t, "10.0.0.0/8")})
	if err != nil {
		t.Fatal(err)
	}
	h := m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.RemoteAddr + " " + r.Header.Get(xff) }))
	get(t, h, from("10.0.0.1:4711"), field(xff, "127.0.0.1, 203.0.113.7"))
	if want := "10.0.0.1:4711 127.0.0.1, 203.0.113.7"; seen != want {
		t.Errorf("the handler sees %q, want %q", seen, want)
	}
}

// rotates sends requests that each claim to be from somebody else, and fails
// unless the sixth and all that follow are refused.
func rotates(t *testing.T, ip httpmw.ClientIP, peer string, claim func(i int) func(*http.Request)) {
	t.Helper()
	s := limit(t, defaultLimiter(), httpmw.Config{IP: ip})
	for i := range 20 {
		if w := get(t, s, from(peer), claim(i)); (w.Code == 429) != (i >= 5) {
			t.Errorf("request %d: status %d", i+1, w.Code)
		}
	}
}

func TestAdvisory_CVE_2026_24000(t *testing.T) {
	t.Parallel()
	// Fleet: the limit on logins went by an address that the client claimed.
	rotates(t, httpmw.ClientIP{}, "198.51.100.9:1", func(i int) func(*http.Request) { return field(xff, fmt.Sprintf("203.0.113.%d", i)) })
}

func TestAdvisory_CVE_2026_46356(t *testing.T) {
	t.Parallel()
	// Fleet again: True-Client-IP, X-Real-IP and X-Forwarded-For, none of them
	// checked for who sent it.
	for _, ip := range []httpmw.ClientIP{{}, listIP, rfcIP, headerIP, hopsIP} {
		rotates(t, ip, "198.51.100.9:1", func(i int) func(*http.Request) {
			return func(r *http.Request) {
				for _, name := range []string{"True-Client-Ip", "X-Real-Ip", xff, "Cf-Connecting-Ip"} {
					r.Header[name] = []string{fmt.Sprintf("203.0.113.%d", i)}
				}
				r.Header["Forwarded"] = []string{fmt.Sprintf("for=203.0.113.%d", i)}
			}
		})
	}
}

func TestAdvisory_CVE_2026_29794(t *testing.T) {
	t.Parallel()
	// Vikunja: behind a proxy too, a client's own element of X-Forwarded-For made
	// it a bucket of its own.
	rotates(t, listIP, "10.0.0.1:1", func(i int) func(*http.Request) { return field(xff, fmt.Sprintf("203.0.113.%d, 198.51.100.9", i)) })
}

func TestAdvisory_CVE_2025_66508(t *testing.T) {
	t.Parallel()
	// 1Panel: with a loopback address in X-Forwarded-For a client was on the list
	// of those let in.
	l := newPerKey(policy{name: "default", limit: bucket.PerDay(1)})
	s := limit(t, l, httpmw.Config{Exempt: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, IP: listIP})
	get(t, s, from("198.51.100.9:1"), field(xff, "127.0.0.1"))
	want(t, get(t, s, from("198.51.100.9:1"), field(xff, "127.0.0.1")), 429)
	if got := s.Stats().Exempt; got != 0 {
		t.Errorf("%d requests were exempt", got)
	}
}

func TestAdvisory_CVE_2023_41338(t *testing.T) {
	t.Parallel()
	// Fiber: X-Forwarded-For made a request one from the machine itself.
	for _, ip := range []httpmw.ClientIP{{}, listIP, hopsIP} {
		if got := addr(ip, from("198.51.100.9:1"), field(xff, "127.0.0.1, 127.0.0.1")); got != "198.51.100.9" {
			t.Errorf("%s, want the peer", got)
		}
	}
}

func TestAdvisory_CVE_2026_45045(t *testing.T) {
	t.Parallel()
	// Fiber again: a proxy that is trusted does not make what its clients have
	// written to the field before it true.
	for _, line := range []string{"127.0.0.1, 203.0.113.7", "10.0.0.9, 203.0.113.7", "203.0.113.7", "garbage, 203.0.113.7"} {
		if got := addr(listIP, from("10.0.0.1:1"), field(xff, line)); got != "203.0.113.7" {
			t.Errorf("%q: %s, want 203.0.113.7", line, got)
		}
	}
}

func TestAdvisory_CVE_2026_43634(t *testing.T) {
	t.Parallel()
	// HestiaCP believed CF-Connecting-IP of anyone, not only of the network of
	// proxies that sets it.
	c := must(httpmw.NewHeaderIP(64, "CF-Connecting-IP", ten))
	rotates(t, c, "198.51.100.9:1", func(i int) func(*http.Request) { return field("CF-Connecting-IP", fmt.Sprintf("203.0.113.%d", i)) })
	if got := addr(c, from("10.0.0.1:1"), field("CF-Connecting-IP", "203.0.113.7")); got != "203.0.113.7" {
		t.Errorf("%s of a proxy", got)
	}
}

func TestAdvisory_CVE_2026_46415(t *testing.T) {
	t.Parallel()
	// Caddy Defender took the address of a trusted proxy for the client's.
	s := limit(t, defaultLimiter(), httpmw.Config{IP: listIP})
	for i := range 20 {
		want(t, get(t, s, from("10.0.0.1:1"), field(xff, fmt.Sprintf("203.0.113.%d", i))), 200)
	}
}

func TestAdvisory_CVE_2026_46527(t *testing.T) {
	t.Parallel()
	// cpp-httplib took the first of no elements, and crashed.
	for _, ip := range []httpmw.ClientIP{listIP, rfcIP, hopsIP, anyHops} {
		for _, line := range []string{"", ",", ", ,", " ", ";", `""`, "\t,\t"} {
			if got := addr(ip, from("10.0.0.1:1"), field(xff, line), field("Forwarded", line)); got != "10.0.0.1" {
				t.Errorf("%q: %s, want the peer", line, got)
			}
		}
	}
}

func TestAdvisory_CVE_2020_28483(t *testing.T) {
	t.Parallel()
	// gin trusted every peer unless told otherwise.
	if got := addr(httpmw.ClientIP{}, from("127.0.0.1:1"), field(xff, "6.6.6.6")); got != "127.0.0.1" {
		t.Errorf("the zero value believed its peer: %s", got)
	}
}

func TestAdvisory_GHSA_7jmw_8259_q9jx(t *testing.T) {
	t.Parallel()
	// Traefik: IPv4 in IPv6 notation was not held against IPv4 prefixes.
	if got := addr(clientIP(t, "10.0.0.0/8"), from("[::ffff:10.0.0.1]:1"), field(xff, "::ffff:10.0.0.2")); got != "10.0.0.2" {
		t.Errorf("%s, want the proxy as IPv4", got)
	}
}

func TestAdvisory_CVE_2025_64484(t *testing.T) {
	t.Parallel()
	// oauth2-proxy: a header with underscores passed for one with hyphens.
	l := newPerKey(policy{name: "default", limit: bucket.PerDay(1)})
	s := limit(t, l, httpmw.Config{Keys: map[string]httpmw.Key{"default": httpmw.Header("X-Api-Key")}})
	get(t, s)
	want(t, get(t, s, func(r *http.Request) { r.Header["X_Api_Key"] = []string{"k"} }), 429)
}

package httpmw_test

import (
	"fmt"
	"net/http"
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

func TestAdvisory_GHSA_9g5q_2w5x_hmxf(t *testing.T) {
	t.Parallel()
	// chi's RealIP believed True-Client-IP, X-Real-IP and the leftmost of
	// X-Forwarded-For, whoever sent them.
	c := clientIP(t, "10.0.0.0/8")
	spoofed := []func(*http.Request){field("True-Client-IP", "6.6.6.6"), field("X-Real-IP", "6.6.6.6")}
	if got := addr(c, append(spoofed, field(xff, "6.6.6.6"))...); got != "192.0.2.1" {
		t.Errorf("believed a peer that is no proxy: %s", got)
	}
	if got := addr(c, append(spoofed, from("10.0.0.1:1"), field(xff, "6.6.6.6, 203.0.113.7"))...); got != "203.0.113.7" {
		t.Errorf("believed what stands left of the client: %s", got)
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

package httpmw_test

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

func TestCheck_54_by_network(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		v4, v6 int
		a, b   string
		same   bool
	}{
		{24, 48, "192.0.2.1:1", "192.0.2.255:1", true},
		{24, 48, "192.0.2.1:1", "192.0.3.1:1", false},
		{24, 48, "192.0.2.1:1", "[::ffff:192.0.2.7]:1", true}, // IPv4, whatever its notation
		{32, 48, "192.0.2.1:1", "192.0.2.1:2", true},
		{32, 48, "192.0.2.1:1", "192.0.2.2:1", false},
		{8, 48, "10.0.0.1:1", "10.255.0.1:1", true},
		{8, 48, "10.0.0.1:1", "11.0.0.1:1", false},
		{24, 48, "[2001:db8:1::1]:1", "[2001:db8:1:ffff::1]:1", true},
		{24, 48, "[2001:db8:1::1]:1", "[2001:db8:2::1]:1", false},
		{24, 56, "[2001:db8:1:5600::1]:1", "[2001:db8:1:56ff::1]:1", true},
		{24, 56, "[2001:db8:1:5600::1]:1", "[2001:db8:1:5700::1]:1", false},
		{24, 128, "[2001:db8::1]:1", "[2001:db8::2]:1", false},
		{24, 128, "[2002:c000:201:1::1]:1", "[2002:c000:201:ffff::1]:1", true}, // 6to4: one IPv4 address
		{24, 32, "[2002:c000:201::1]:1", "[2002:c000:ffff::1]:1", true},
		{24, 48, "192.0.2.1:1", "[2001:db8::1]:1", false},
		{24, 48, "@", "", true},
		{24, 48, "@", "192.0.2.1:1", false},
	} {
		key := httpmw.ByNetwork(row.v4, row.v6)
		a, b := encoded(t, key, from(row.a)), encoded(t, key, from(row.b))
		if (a == b) != row.same {
			t.Errorf("ByNetwork(%d, %d): %s has key %q and %s %q: the same is %v, want %v", row.v4, row.v6, row.a, a, row.b, b, a == b, row.same)
		}
	}
	// What it is cut to is Config.IP's affair for ByIP alone.
	wide := must(httpmw.NewClientIP(48))
	if a, b := keyOf(t, wide, from("[2001:db8:1:1::1]:1")), keyOf(t, wide, from("[2001:db8:1:2::1]:1")); a != b {
		t.Errorf("by /48: keys %q and %q, want one", a, b)
	}

	l := defaultLimiter()
	for _, row := range []struct {
		v4, v6 int
		text   string
	}{
		{7, 48, "7 bits of IPv4: want 8 to 32"}, {33, 48, "33 bits of IPv4"}, {-1, 48, "-1 bits of IPv4"},
		{24, 31, "31 bits of IPv6: want 32 to 128"}, {24, 129, "129 bits of IPv6"}, {0, 0, "0 bits of IPv4"},
		{8, 32, ""}, {32, 128, ""},
	} {
		_, err := httpmw.New(l, httpmw.Config{Keys: map[string]httpmw.Key{"default": httpmw.ByNetwork(row.v4, row.v6)}})
		if row.text == "" && err != nil || row.text != "" && (err == nil || !strings.Contains(err.Error(), row.text)) {
			t.Errorf("ByNetwork(%d, %d): error %v, want %q", row.v4, row.v6, err, row.text)
		}
	}
}

// passed sends a request from each of n addresses, and counts what passes.
func passed(t *testing.T, keys map[string]httpmw.Key, l httpmw.Limiter, n int, addr func(i int) netip.Addr) int {
	t.Helper()
	m, err := httpmw.New(l, httpmw.Config{Keys: keys, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	h := m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed++ }))
	w := &sink{h: http.Header{}}
	r, _ := http.NewRequest("GET", "/", nil)
	for i := range n {
		clear(w.h)
		r.RemoteAddr = netip.AddrPortFrom(addr(i), 4711).String()
		h.ServeHTTP(w, r)
	}
	return passed
}

// A sink is a ResponseWriter that keeps nothing but the header.
type sink struct{ h http.Header }

func (w *sink) Header() http.Header         { return w.h }
func (w *sink) WriteHeader(int)             {}
func (w *sink) Write(p []byte) (int, error) { return len(p), nil }

// Addresses of IPv6 are free for who owns a network: taking another for each
// request must not be a way round a limit.
func TestIPv6Rotation(t *testing.T) {
	t.Parallel()
	const perIP, perNetwork = 5, 16 * 5
	ip := policy{name: "ip", limit: bucket.PerHour(perIP)}
	network := policy{name: "network", limit: bucket.PerHour(perNetwork)}
	in64 := func(i int) netip.Addr { // an address of a /64
		a := netip.MustParseAddr("2001:db8:1:2::").As16()
		binary.BigEndian.PutUint64(a[8:], uint64(i)*0x9e3779b97f4a7c15)
		return netip.AddrFrom16(a)
	}
	in48 := func(i int) netip.Addr { // an address in each /64 of a /48
		a := netip.MustParseAddr("2001:db8:1::1").As16()
		binary.BigEndian.PutUint16(a[6:], uint16(i))
		return netip.AddrFrom16(a)
	}
	if got := passed(t, map[string]httpmw.Key{"ip": httpmw.ByIP()}, newPerKey(ip), 1<<16, in64); got != perIP {
		t.Errorf("65,536 addresses of a /64: %d requests passed, want %d", got, perIP)
	}
	if got := passed(t, map[string]httpmw.Key{"ip": httpmw.ByIP()}, newPerKey(ip), 1<<16, in48); got != 1<<16 {
		t.Errorf("65,536 networks of a /48: %d requests passed: without a wider limit each should", got)
	}
	two := map[string]httpmw.Key{"ip": httpmw.ByIP(), "network": httpmw.ByNetwork(24, 48)}
	if got := passed(t, two, newPerKey(ip, network), 1<<16, in48); got != perNetwork {
		t.Errorf("65,536 networks of a /48: %d requests passed, want %d", got, perNetwork)
	}
	if got := passed(t, two, newPerKey(ip, network), 1<<16, in64); got != perIP {
		t.Errorf("65,536 addresses of a /64 under both: %d requests passed, want %d", got, perIP)
	}
	// Neighbours in other networks are not the worse for it.
	s := limit(t, newPerKey(ip, network), httpmw.Config{Keys: two})
	for i := range perNetwork + 10 {
		get(t, s, from(fmt.Sprintf("[2001:db8:1:%x::1]:1", i)))
	}
	want(t, get(t, s, from("[2001:db8:2::1]:1")), 200)
}

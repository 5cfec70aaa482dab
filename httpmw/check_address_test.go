package httpmw_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/httpmw"
)

const xff = "X-Forwarded-For"

// clientIP trusts the proxies and takes IPv6 by /64.
func clientIP(t testing.TB, trusted ...string) httpmw.ClientIP {
	t.Helper()
	var prefixes []netip.Prefix
	for _, p := range trusted {
		prefixes = append(prefixes, netip.MustParsePrefix(p))
	}
	c, err := httpmw.NewClientIP(64, prefixes...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// addr returns the address that c finds, "none" if none.
func addr(c httpmw.ClientIP, edit ...func(*http.Request)) string {
	r := httptest.NewRequest("GET", "/", nil)
	for _, f := range edit {
		f(r)
	}
	if a, ok := c.Addr(r); ok {
		return a.String()
	}
	return "none"
}

// keyOf returns the key that the address of a request becomes.
func keyOf(t testing.TB, c httpmw.ClientIP, edit ...func(*http.Request)) string {
	t.Helper()
	l := defaultLimiter()
	get(t, limit(t, l, httpmw.Config{IP: c}), edit...)
	return l.lastKey()
}

func TestCheck_client_address(t *testing.T) {
	t.Parallel()
	proxy := from("10.0.0.1:4711")
	for _, row := range []struct {
		check string
		why   string
		peer  string
		lines []string
		want  string
	}{
		{"45", "the first address from the right that is not a proxy", "10.0.0.1:1", []string{"6.6.6.6, 203.0.113.7"}, "203.0.113.7"},
		{"45", "what the client wrote stands further left", "10.0.0.1:1", []string{"7.7.7.7, 203.0.113.7"}, "203.0.113.7"},
		{"46", "several lines are one list", "10.0.0.1:1", []string{"6.6.6.6", "203.0.113.7, 10.0.0.2"}, "203.0.113.7"},
		{"46", "lines are read from the last", "10.0.0.1:1", []string{"203.0.113.7", "10.0.0.2"}, "203.0.113.7"},
		{"47", "a peer that is no proxy cannot claim to be one", "198.51.100.9:1", []string{"10.0.0.1"}, "198.51.100.9"},
		{"47", "nor to be local", "198.51.100.9:1", []string{"127.0.0.1"}, "198.51.100.9"},
		{"48", "garbage from the peer ends the walk at the peer", "10.0.0.1:1", []string{"203.0.113.7, garbage"}, "10.0.0.1"},
		{"48", "garbage ends the walk at the last proxy", "10.0.0.1:1", []string{"203.0.113.7, garbage, 10.0.0.2"}, "10.0.0.2"},
		{"49", "empty elements count for nothing", "10.0.0.1:1", []string{"203.0.113.7, , 10.0.0.2,"}, "203.0.113.7"},
		{"49", "nothing there", "10.0.0.1:1", []string{""}, "10.0.0.1"},
		{"49", "nothing there, thrice", "10.0.0.1:1", []string{",,,"}, "10.0.0.1"},
		{"50", "proxies all the way: the leftmost", "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"51", "with a port", "10.0.0.1:1", []string{"203.0.113.7:1"}, "203.0.113.7"},
		{"51", "IPv6 in brackets with a port", "10.0.0.1:1", []string{"[2001:db8::7]:443"}, "2001:db8::7"},
		{"51", "IPv6 in brackets", "10.0.0.1:1", []string{"[2001:db8::7]"}, "2001:db8::7"},
		{"51", "IPv6 bare", "10.0.0.1:1", []string{"2001:db8::7"}, "2001:db8::7"},
		{"52", "a zone is dropped", "10.0.0.1:1", []string{"2001:db8::7%eth0"}, "2001:db8::7"},
		{"52", "a zone as in a URL is dropped", "10.0.0.1:1", []string{"2001:db8::7%25eth0"}, "2001:db8::7"},
		{"52", "a zone in brackets is dropped", "10.0.0.1:1", []string{"[fe80::7%eth0]:80"}, "fe80::7"},
		{"52", "a zone does not make a proxy a stranger", "[fd00::1%eth0]:1", []string{"6.6.6.6, fd00::2%x"}, "6.6.6.6"},
		{"53", "a proxy in IPv6 notation is one", "10.0.0.1:1", []string{"6.6.6.6, ::ffff:10.0.0.9"}, "6.6.6.6"},
		{"53", "and so is a peer", "[::ffff:10.0.0.1]:9", []string{"6.6.6.6"}, "6.6.6.6"},
		{"53", "IPv4 in IPv6 notation is IPv4", "10.0.0.1:1", []string{"::ffff:1.2.3.4"}, "1.2.3.4"},
		{"53", "in hex too", "10.0.0.1:1", []string{"::ffff:102:304"}, "1.2.3.4"},
		{"53", "dots alone make no IPv4", "10.0.0.1:1", []string{"2001:db8::1.2.3.4"}, "2001:db8::102:304"},
		{"55", "octal", "10.0.0.1:1", []string{"6.6.6.6, 010.0.0.5"}, "10.0.0.1"},
		{"55", "hex", "10.0.0.1:1", []string{"6.6.6.6, 0x7f.1"}, "10.0.0.1"},
		{"55", "three octets", "10.0.0.1:1", []string{"6.6.6.6, 1.2.3"}, "10.0.0.1"},
		{"55", "unknown", "10.0.0.1:1", []string{"6.6.6.6, unknown"}, "10.0.0.1"},
		{"55", "obfuscated", "10.0.0.1:1", []string{"6.6.6.6, _x"}, "10.0.0.1"},
		{"55", "quoted", "10.0.0.1:1", []string{`6.6.6.6, "203.0.113.7"`}, "10.0.0.1"},
		{"55", "300 digits", "10.0.0.1:1", []string{"6.6.6.6, " + strings.Repeat("1", 300)}, "10.0.0.1"},
		{"55", "bytes of no character", "10.0.0.1:1", []string{"6.6.6.6, \xff\xff"}, "10.0.0.1"},
		{"55", "empty port", "10.0.0.1:1", []string{"6.6.6.6, 203.0.113.7:"}, "10.0.0.1"},
		{"55", "port too large", "10.0.0.1:1", []string{"6.6.6.6, 203.0.113.7:65536"}, "10.0.0.1"},
		{"55", "port of six digits", "10.0.0.1:1", []string{"6.6.6.6, 203.0.113.7:000080"}, "10.0.0.1"},
		{"55", "signed port", "10.0.0.1:1", []string{"6.6.6.6, 203.0.113.7:+80"}, "10.0.0.1"},
		{"55", "open bracket", "10.0.0.1:1", []string{"6.6.6.6, [2001:db8::7"}, "10.0.0.1"},
		{"55", "more behind the bracket", "10.0.0.1:1", []string{"6.6.6.6, [2001:db8::7]x"}, "10.0.0.1"},
		{"55", "IPv4 in brackets", "10.0.0.1:1", []string{"6.6.6.6, [203.0.113.7]:80"}, "10.0.0.1"},
		{"55", "nothing in brackets", "10.0.0.1:1", []string{"6.6.6.6, []:80"}, "10.0.0.1"},
		{"55", "IPv4 with a zone", "10.0.0.1:1", []string{"6.6.6.6, 203.0.113.7%eth0"}, "10.0.0.1"},
		{"55", "empty zone", "10.0.0.1:1", []string{"6.6.6.6, 2001:db8::7%"}, "10.0.0.1"},
		{"55", "a zone that runs into the next address", "10.0.0.1:1", []string{"6.6.6.6, 2001:db8::7%eth0 203.0.113.7"}, "10.0.0.1"},
		{"55", "two addresses without a comma", "10.0.0.1:1", []string{"6.6.6.6 203.0.113.7"}, "10.0.0.1"},
		{"60", "peer without a port", "192.0.2.1", nil, "192.0.2.1"},
		{"60", "IPv6 peer without a port", "2001:db8::7", nil, "2001:db8::7"},
		{"60", "Unix socket", "@", []string{"203.0.113.7"}, "none"},
		{"60", "Unix socket of a name", "/run/weir.sock", []string{"203.0.113.7"}, "none"},
		{"60", "nothing", "", []string{"203.0.113.7"}, "none"},
		{"60", "a name", "localhost:80", nil, "none"},
		{"60", "a port alone", ":80", nil, "none"},
	} {
		t.Run(row.check+"_"+row.why, func(t *testing.T) {
			t.Parallel()
			c := clientIP(t, "10.0.0.0/8", "fd00::/8")
			if got := addr(c, from(row.peer), func(r *http.Request) {
				if row.lines != nil {
					r.Header[xff] = row.lines
				}
			}); got != row.want {
				t.Errorf("peer %q, %s %q: %s, want %s", row.peer, xff, row.lines, got, row.want)
			}
		})
	}

	t.Run("44_without_trust_the_field_is_not_read", func(t *testing.T) {
		t.Parallel()
		s := limit(t, defaultLimiter(), httpmw.Config{})
		for i := range 6 {
			w := get(t, s, field(xff, fmt.Sprintf("203.0.113.%d", i)), field("X-Real-IP", fmt.Sprintf("203.0.113.%d", i)),
				field("Forwarded", fmt.Sprintf("for=203.0.113.%d", i)))
			if code := []int{200, 200, 200, 200, 200, 429}[i]; w.Code != code {
				t.Errorf("request %d: status %d, want %d", i+1, w.Code, code)
			}
		}
		if s.log.count() != 1 || strings.Contains(s.log.text(), "203.0.113") {
			t.Errorf("logged %q, want one line without an address", s.log.text())
		}
	})

	t.Run("48_fallback_is_counted", func(t *testing.T) {
		t.Parallel()
		s := limit(t, defaultLimiter(), httpmw.Config{IP: clientIP(t, "10.0.0.0/8")})
		want(t, get(t, s, proxy, field(xff, "203.0.113.7")), 200)
		if got := s.Stats(); got.BadForwarded != 0 || got.UnknownClient != 0 {
			t.Errorf("%+v for a good field", got)
		}
		want(t, get(t, s, proxy, field(xff, "garbage")), 200)
		if got := s.Stats(); got.BadForwarded != 1 {
			t.Errorf("%+v, want one bad field", got)
		}
	})

	t.Run("51_53_spellings_are_one_key", func(t *testing.T) {
		t.Parallel()
		c := clientIP(t, "10.0.0.0/8")
		for _, spellings := range [][]string{
			{"203.0.113.7", "203.0.113.7:1", "203.0.113.7:2", " 203.0.113.7\t", "::ffff:203.0.113.7", "::FFFF:cb00:7107",
				"[::ffff:203.0.113.7]:1", "0:0:0:0:0:ffff:203.0.113.7", "::ffff:203.0.113.7%eth0"},
			{"2001:db8::7", "[2001:db8::7]", "[2001:db8::7]:443", "2001:DB8:0:0::7", "2001:0db8::0007", "2001:db8::7%eth0",
				"2001:db8::7%25eth0", "2001:db8::1.2.3.4", "2001:db8:0:0:ffff::", "[2001:db8::%1]:9"},
		} {
			first := keyOf(t, c, proxy, field(xff, spellings[0]))
			for _, s := range spellings[1:] {
				if got := keyOf(t, c, proxy, field(xff, s)); got != first {
					t.Errorf("%s has key %q, %s has %q", spellings[0], first, s, got)
				}
			}
		}
	})

	t.Run("54_networks", func(t *testing.T) {
		t.Parallel()
		for _, row := range []struct {
			bits int
			a, b string
			same bool
		}{
			{64, "2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true},
			{64, "2001:db8:1:2::1", "2001:db8:1:3::1", false},
			{0, "2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true}, // the zero value: as 64
			{0, "2001:db8:1:2::1", "2001:db8:1:3::1", false},
			{56, "2001:db8:1:5600::1", "2001:db8:1:56ff::1", true},
			{56, "2001:db8:1:5600::1", "2001:db8:1:5700::1", false},
			{128, "2001:db8::1", "2001:db8::2", false},
			{32, "2001:db8:1::", "2001:db8:2::", true},
			{64, "2002:c000:201:1::", "2002:c000:201:ffff::", true}, // 6to4: one IPv4 address
			{64, "2002:c000:201::", "2002:c000:202::", false},       // 6to4: two
			{32, "192.0.2.1", "192.0.2.2", false},                   // IPv4 is never cut
			{32, "::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		} {
			c, err := httpmw.NewClientIP(max(row.bits, 32))
			if err != nil {
				t.Fatal(err)
			}
			if row.bits == 0 {
				c = httpmw.ClientIP{}
			}
			a, b := keyOf(t, c, from("["+row.a+"]:1")), keyOf(t, c, from("["+row.b+"]:1"))
			if !strings.Contains(row.a, ":") {
				a, b = keyOf(t, c, from(row.a+":1")), keyOf(t, c, from(row.b+":1"))
			}
			if (a == b) != row.same {
				t.Errorf("/%d: %s and %s: one key is %v, want %v", row.bits, row.a, row.b, a == b, row.same)
			}
		}
	})

	t.Run("56_a_huge_field_is_read_from_the_right_and_no_further", func(t *testing.T) {
		t.Parallel()
		c := clientIP(t, "10.0.0.0/8")
		proxies := func(n int) string { return strings.Repeat("10.0.0.2,", n) }
		for _, row := range []struct {
			why   string
			lines []string
			want  string
		}{
			{"the client is the 64th", []string{"203.0.113.7," + proxies(62) + "10.0.0.2"}, "203.0.113.7"},
			{"the client is the 65th", []string{"203.0.113.7," + proxies(63) + "10.0.0.2"}, "10.0.0.2"},
			{"empty elements count", []string{"203.0.113.7" + strings.Repeat(",", 64)}, "10.0.0.1"},
			{"empty lines count", append([]string{"203.0.113.7"}, make([]string, 64)...), "10.0.0.1"},
			{"the client is within 8 KiB", []string{"203.0.113.7," + strings.Repeat(" ", 8100) + "10.0.0.2"}, "203.0.113.7"},
			{"the client is beyond 8 KiB", []string{"203.0.113.7," + strings.Repeat(" ", 8192) + "10.0.0.2"}, "10.0.0.1"},
			{"8 KiB over two lines", []string{"203.0.113.7", strings.Repeat(" ", 8184) + "10.0.0.2"}, "10.0.0.2"},
			{"an address that the bound cuts is not read", []string{"1203.0.113.7," + strings.Repeat(" ", 8192-20) + "10.0.0.2"}, "10.0.0.2"},
			{"900 kB", []string{strings.Repeat("10.0.0.1,", 100_000)}, "10.0.0.1"},
			{"900 kB without a comma", []string{strings.Repeat("1", 900_000)}, "10.0.0.1"},
		} {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr, r.Header[xff] = "10.0.0.1:1", row.lines
			if a, _ := c.Addr(r); a.String() != row.want {
				t.Errorf("%s: %v, want %s", row.why, a, row.want)
			}
		}
	})

	t.Run("60_peers_without_an_address_share_a_bucket", func(t *testing.T) {
		t.Parallel()
		s := limit(t, defaultLimiter(), httpmw.Config{})
		for i, peer := range []string{"@", "", "/run/a.sock", "pipe", "@", "1.2.3.4.5"} {
			if w := get(t, s, from(peer)); (w.Code == 429) != (i == 5) {
				t.Errorf("request %d: status %d", i+1, w.Code)
			}
		}
		if s.Stats().UnknownClient != 6 || s.log.count() != 1 {
			t.Errorf("%+v, logged %q, want 6 and one line", s.Stats(), s.log.text())
		}
		want(t, get(t, s), 200) // a peer with an address is not among them
	})

	t.Run("62_underscores_are_no_alias", func(t *testing.T) {
		t.Parallel()
		for _, name := range []string{"X_Forwarded_For", "X-Forwarded_For", "x-forwarded-for"} {
			got := addr(clientIP(t, "10.0.0.0/8"), proxy, func(r *http.Request) { r.Header[name] = []string{"9.9.9.9"} })
			if got != "10.0.0.1" {
				t.Errorf("%s was read: %s", name, got)
			}
		}
	})
}

func TestCheck_61_trusted_prefixes(t *testing.T) {
	t.Parallel()
	prefix := func(addr string, bits int) netip.Prefix { return netip.PrefixFrom(netip.MustParseAddr(addr), bits) }
	for _, row := range []struct {
		why     string
		bits    int
		trusted netip.Prefix
		peer    string // that is trusted, "" for an error
		not     string // that is not
		text    string // of the error
	}{
		{"as it is", 64, prefix("10.0.0.0", 8), "10.255.0.1:1", "11.0.0.1:1", ""},
		{"host bits are cut off", 64, prefix("10.1.2.3", 8), "10.255.0.1:1", "11.0.0.1:1", ""},
		{"IPv4 in IPv6 notation is IPv4", 64, prefix("::ffff:10.0.0.0", 104), "10.255.0.1:1", "11.0.0.1:1", ""},
		{"one address", 64, prefix("10.0.0.1", 32), "10.0.0.1:1", "10.0.0.2:1", ""},
		{"IPv6", 64, prefix("fd00::", 8), "[fd12::1]:1", "[fe00::1]:1", ""},
		{"an IPv6 prefix holds no IPv4", 64, prefix("::", 1), "[::2]:1", "10.0.0.1:1", ""},
		{"every IPv4 address", 64, prefix("0.0.0.0", 0), "", "", "0.0.0.0/0"},
		{"every IPv6 address", 64, prefix("::", 0), "", "", "::/0"},
		{"every IPv4 address in IPv6 notation", 64, prefix("::ffff:0.0.0.0", 96), "", "", "/96 is every address"},
		{"in part IPv4", 64, prefix("::ffff:0.0.0.0", 90), "", "", "96 to 128"},
		{"33 bits of 32", 64, prefix("10.0.0.0", 33), "", "", "not valid"},
		{"zero prefix", 64, netip.Prefix{}, "", "", "not valid"},
		{"no bits of IPv6", 0, prefix("10.0.0.0", 8), "", "", "/0 is out of range: want 32 to 128"},
		{"129 bits of IPv6", 129, prefix("10.0.0.0", 8), "", "", "/129 is out of range"},
		{"31 bits of IPv6", 31, prefix("10.0.0.0", 8), "", "", "/31 is out of range"},
		{"negative bits of IPv6", -1, prefix("10.0.0.0", 8), "", "", "/-1 is out of range"},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			c, err := httpmw.NewClientIP(row.bits, row.trusted)
			if row.peer == "" {
				if err == nil || !strings.Contains(err.Error(), row.text) {
					t.Fatalf("error %v, want one with %q", err, row.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, peer := range []string{row.peer, row.not} {
				r := httptest.NewRequest("GET", "/", nil)
				r.RemoteAddr = peer
				if got := c.TrustsPeer(r); got != (peer == row.peer) {
					t.Errorf("trusts %s: %v", peer, got)
				}
			}
		})
	}

	t.Run("the caller's slice is not kept", func(t *testing.T) {
		t.Parallel()
		trusted := []netip.Prefix{prefix("10.0.0.0", 8)}
		c, err := httpmw.NewClientIP(64, trusted...)
		if err != nil {
			t.Fatal(err)
		}
		trusted[0] = prefix("192.0.2.0", 24)
		if got := addr(c, field(xff, "6.6.6.6")); got != "192.0.2.1" {
			t.Errorf("%s: the peer has become trusted", got)
		}
	})

	t.Run("peers that are not an address", func(t *testing.T) {
		t.Parallel()
		for _, peer := range []string{"", "@", "garbage"} {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = peer
			if clientIP(t, "10.0.0.0/8").TrustsPeer(r) || (httpmw.ClientIP{}).TrustsPeer(r) {
				t.Errorf("trusts %q", peer)
			}
		}
	})
}

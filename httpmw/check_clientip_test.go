package httpmw_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/httpmw"
)

// must returns the ClientIP that a constructor has made of good arguments.
func must(c httpmw.ClientIP, err error) httpmw.ClientIP {
	if err != nil {
		panic(err)
	}
	return c
}

var (
	ten = netip.MustParsePrefix("10.0.0.0/8")

	listIP   = must(httpmw.NewClientIP(64, ten))
	rfcIP    = must(httpmw.NewForwardedIP(64, ten))
	headerIP = must(httpmw.NewHeaderIP(64, "x-real-ip", ten))
	hopsIP   = must(httpmw.NewHopsIP(64, 2, ten))
	anyHops  = must(httpmw.NewPrivateHopsIP(64, 2))
)

func TestCheck_57_forwarded(t *testing.T) {
	t.Parallel()
	const peer = "10.0.0.1"
	for _, row := range []struct {
		why   string
		lines []string
		want  string
	}{
		{"the first from the right that is not a proxy", []string{`for=6.6.6.6, For="[2001:db8::7]:443";proto=https`}, "2001:db8::7"},
		{"the walk goes on through proxies", []string{`for=203.0.113.7, for=10.0.0.2`}, "203.0.113.7"},
		{"over several lines", []string{`for=6.6.6.6`, `for=203.0.113.7`, `for=10.0.0.2`}, "203.0.113.7"},
		{"proxies all the way: the leftmost", []string{`for=10.0.0.3, for=10.0.0.2`}, "10.0.0.3"},
		{"an address in IPv6 notation", []string{`for=203.0.113.7, for="[::ffff:10.0.0.2]"`}, "203.0.113.7"},
		{"quoted", []string{`for="203.0.113.7"`}, "203.0.113.7"},
		{"with a port", []string{`for="203.0.113.7:4711"`}, "203.0.113.7"},
		{"with an obfuscated port", []string{`for="203.0.113.7:_Az0.-_"`}, "203.0.113.7"},
		{"IPv6 with an obfuscated port", []string{`for="[2001:db8::7]:_x"`}, "2001:db8::7"},
		{"escapes within quotes", []string{`for="203\.0.113.\7"`}, "203.0.113.7"},
		{"the name in any case", []string{`FOR=203.0.113.7`}, "203.0.113.7"},
		{"other parameters, before and after", []string{`proto=https;by=10.0.0.1;for=203.0.113.7;host="a,b;for=6.6.6.6"`}, "203.0.113.7"},
		{"blanks around commas and semicolons", []string{"for=6.6.6.6 ,\t for=203.0.113.7 ; proto=http "}, "203.0.113.7"},
		{"empty elements and parameters", []string{`,for=203.0.113.7;;,, ;`}, peer},
		{"empty elements", []string{`for=203.0.113.7, ,`, ``, `,,`}, "203.0.113.7"},
		{"no element", []string{``}, peer},

		{"a quotation mark that is not closed", []string{`for="203.0.113.7, for=6.6.6.6`}, peer},
		{"nor is one in front of the client", []string{`for=", for=203.0.113.7`}, peer},
		{"one in another line is its writer's", []string{`for="`, `for=203.0.113.7`}, "203.0.113.7"},
		{"it does not reach over lines", []string{`for="`, `", for="203.0.113.7"`}, peer},
		{"an escaped one closes nothing", []string{`for="203.0.113.7\"`}, peer},
		{"a backslash at the end", []string{`for="203.0.113.7\`}, peer},
		{"a comma in quotes parts nothing", []string{`for="6.6.6.6, for=203.0.113.7"`}, peer},
		{"unknown", []string{`for=6.6.6.6, for=unknown`}, peer},
		{"obfuscated", []string{`for=6.6.6.6, for=_hidden`}, peer},
		{"quoted obfuscated", []string{`for=6.6.6.6, for="_SEVKISEK"`}, peer},
		{"unknown behind a proxy", []string{`for=6.6.6.6, for=unknown, for=10.0.0.2`}, "10.0.0.2"},
		{"an element without for", []string{`for=6.6.6.6, proto=https`}, peer},
		{"for twice", []string{`for=6.6.6.6;for=203.0.113.7`}, peer},
		{"for and For", []string{`for=203.0.113.7;For=203.0.113.7`}, peer},
		{"an empty value", []string{`for=6.6.6.6, for=`}, peer},
		{"an empty quoted value", []string{`for=6.6.6.6, for=""`}, peer},
		{"no value", []string{`for=6.6.6.6, for`}, peer},
		{"a bare address", []string{`for=6.6.6.6, 203.0.113.7`}, peer},
		{"blanks around the equals sign", []string{`for=6.6.6.6, for = 203.0.113.7`}, peer},
		{"a blank in a token", []string{`for=6.6.6.6, for=203.0.113.7 x`}, peer},
		{"more behind the quotes", []string{`for=6.6.6.6, for="203.0.113.7"x`}, peer},
		{"quotes within a token", []string{`for=6.6.6.6, for=203.0."113".7`}, peer},
		{"a port without quotes", []string{`for=6.6.6.6, for=203.0.113.7:80`}, peer},
		{"IPv6 without quotes", []string{`for=6.6.6.6, for=[2001:db8::7]`}, peer},
		{"IPv6 without brackets", []string{`for=6.6.6.6, for="2001:db8::7"`}, peer},
		{"two ports", []string{`for=6.6.6.6, for="203.0.113.7:80:_x"`}, peer},
		{"two ports of IPv6", []string{`for=6.6.6.6, for="[2001:db8::7]:80:_x"`}, peer},
		{"two obfuscated ports", []string{`for=6.6.6.6, for="[2001:db8::7]:_x:_x"`}, peer},
		{"an obfuscated port of nothing", []string{`for=6.6.6.6, for="203.0.113.7:_"`}, peer},
		{"an obfuscated port with what it may not have", []string{`for=6.6.6.6, for="203.0.113.7:_/"`}, peer},
		{"a parameter against the grammar", []string{`for=203.0.113.7;x y=1`}, peer},
		{"a parameter without a name", []string{`for=203.0.113.7;=1`}, peer},
		{"a parameter without a value", []string{`for=203.0.113.7;secure`}, peer},
		{"a name that only looks like for", []string{`ſor=203.0.113.7`}, peer},

		{"the client is the 64th", []string{"for=203.0.113.7," + strings.Repeat("for=10.0.0.2,", 62) + "for=10.0.0.2"}, "203.0.113.7"},
		{"the client is the 65th", []string{"for=203.0.113.7," + strings.Repeat("for=10.0.0.2,", 63) + "for=10.0.0.2"}, "10.0.0.2"},
		{"the client is the 65th, in lines", append([]string{"for=203.0.113.7"}, lines("for=10.0.0.2", 64)...), "10.0.0.2"},
		{"empty elements count", []string{"for=203.0.113.7" + strings.Repeat(",", 64)}, peer},
		{"a line of 8 KiB", []string{"for=203.0.113.7" + strings.Repeat(" ", 8192-15)}, "203.0.113.7"},
		{"a line of more: whether it is quoted can not be told", []string{"for=203.0.113.7" + strings.Repeat(" ", 8193-15)}, peer},
		{"8 KiB over two lines", []string{"for=203.0.113.7", "for=10.0.0.2" + strings.Repeat(" ", 8192-12-14)}, "10.0.0.2"},
		{"900 kB", []string{strings.Repeat("for=10.0.0.2,", 70_000)}, peer},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			r := func(r *http.Request) { r.RemoteAddr, r.Header["Forwarded"] = peer+":1", row.lines }
			if got := addr(rfcIP, r); got != row.want {
				t.Errorf("Forwarded %.200q: %s, want %s", row.lines, got, row.want)
			}
			if got := addr(rfcIP, r, from("198.51.100.9:1")); got != "198.51.100.9" {
				t.Errorf("Forwarded %.200q of a peer that is no proxy: %s", row.lines, got)
			}
		})
	}
}

// lines returns so many lines.
func lines(line string, n int) []string {
	return strings.Split(strings.Repeat(line+"\n", n)[:n*(len(line)+1)-1], "\n")
}

func TestCheck_58_hops(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why   string
		hops  int
		lines []string
		want  string
	}{
		{"the second from the right", 2, []string{"6.6.6.6, 203.0.113.7, 10.0.0.2"}, "203.0.113.7"},
		{"whether that is a proxy or not", 3, []string{"10.0.0.3, 203.0.113.7, 10.0.0.2"}, "10.0.0.3"},
		{"the last", 1, []string{"6.6.6.6, 203.0.113.7"}, "203.0.113.7"},
		{"over two lines", 2, []string{"6.6.6.6, 203.0.113.7", "10.0.0.2"}, "203.0.113.7"},
		{"empty elements do not count", 2, []string{"6.6.6.6, 203.0.113.7, ,", "", "10.0.0.2,"}, "203.0.113.7"},
		{"one element", 2, []string{"203.0.113.7"}, "10.0.0.1"},
		{"none", 2, []string{""}, "10.0.0.1"},
		{"garbage there", 2, []string{"6.6.6.6, garbage, 10.0.0.2"}, "10.0.0.1"},
		{"garbage elsewhere is not looked at", 2, []string{"garbage, 203.0.113.7, garbage"}, "203.0.113.7"},
		{"as many as are read", 64, []string{"203.0.113.7" + strings.Repeat(",10.0.0.2", 63)}, "203.0.113.7"},
		{"beyond what is read", 64, []string{"203.0.113.7," + strings.Repeat(",10.0.0.2", 63)}, "10.0.0.1"},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			r := func(r *http.Request) { r.RemoteAddr, r.Header[xff] = "10.0.0.1:1", row.lines }
			if got := addr(must(httpmw.NewHopsIP(64, row.hops, ten)), r); got != row.want {
				t.Errorf("%d hops, %.200q: %s, want %s", row.hops, row.lines, got, row.want)
			}
			stranger := from("198.51.100.9:1")
			if got := addr(must(httpmw.NewHopsIP(64, row.hops, ten)), r, stranger); got != "198.51.100.9" {
				t.Errorf("%d hops, %.200q of a peer that is no proxy: %s", row.hops, row.lines, got)
			}
			want := row.want
			if want == "10.0.0.1" {
				want = "198.51.100.9"
			}
			private := must(httpmw.NewPrivateHopsIP(64, row.hops))
			if got := addr(private, r, stranger); got != want {
				t.Errorf("%d hops, %.200q on a private listener: %s, want %s", row.hops, row.lines, got, want)
			}
		})
	}
}

func TestCheck_59_single_header(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why, peer string
		lines     []string
		want      string
	}{
		{"its address", "10.0.0.1:1", []string{"203.0.113.7"}, "203.0.113.7"},
		{"with blanks and a port", "10.0.0.1:1", []string{"\t203.0.113.7:80 "}, "203.0.113.7"},
		{"IPv6", "10.0.0.1:1", []string{"[2001:db8::7%eth0]:443"}, "2001:db8::7"},
		{"IPv4 in IPv6 notation", "10.0.0.1:1", []string{"::ffff:203.0.113.7"}, "203.0.113.7"},
		{"that of a proxy", "10.0.0.1:1", []string{"10.0.0.9"}, "10.0.0.9"},
		{"the last line", "10.0.0.1:1", []string{"6.6.6.6", "203.0.113.7"}, "203.0.113.7"},
		{"the last line, even if it is garbage", "10.0.0.1:1", []string{"6.6.6.6", "garbage"}, "10.0.0.1"},
		{"a list", "10.0.0.1:1", []string{"6.6.6.6, 203.0.113.7"}, "10.0.0.1"},
		{"garbage", "10.0.0.1:1", []string{"unknown"}, "10.0.0.1"},
		{"empty", "10.0.0.1:1", []string{""}, "10.0.0.1"},
		{"no line", "10.0.0.1:1", nil, "10.0.0.1"},
		{"a peer that is no proxy", "198.51.100.9:1", []string{"203.0.113.7"}, "198.51.100.9"},
		{"a peer without an address", "@", []string{"203.0.113.7"}, "none"},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			if got := addr(headerIP, from(row.peer), func(r *http.Request) {
				if row.lines != nil {
					r.Header["X-Real-Ip"] = row.lines
				}
			}); got != row.want {
				t.Errorf("peer %s, X-Real-IP %q: %s, want %s", row.peer, row.lines, got, row.want)
			}
		})
	}
}

// Whichever field is read, no other one is: not beside it, and not in its place.
func TestCheck_57_to_59_one_source(t *testing.T) {
	t.Parallel()
	all := map[string]string{
		"X-Forwarded-For": "6.6.6.1, 6.6.6.11", "Forwarded": "for=6.6.6.2", "X-Real-Ip": "6.6.6.3", "True-Client-Ip": "6.6.6.4",
		"Cf-Connecting-Ip": "6.6.6.5", "X-Client-Ip": "6.6.6.6", "Client-Ip": "6.6.6.7", "X-Forwarded": "for=6.6.6.8",
		"Forwarded-For": "6.6.6.9", "X_Forwarded_For": "6.6.6.10", "X_Real_Ip": "6.6.6.12",
	}
	for _, row := range []struct {
		why, field, want string
		c                httpmw.ClientIP
	}{
		{"list", "X-Forwarded-For", "6.6.6.11", listIP},
		{"RFC 7239", "Forwarded", "6.6.6.2", rfcIP},
		{"single header", "X-Real-Ip", "6.6.6.3", headerIP},
		{"hops", "X-Forwarded-For", "6.6.6.1", hopsIP},
		{"hops, private listener", "X-Forwarded-For", "6.6.6.1", anyHops},
		{"peer", "none", "10.0.0.1", httpmw.ClientIP{}},
		{"peer, by /56", "none", "10.0.0.1", must(httpmw.NewClientIP(56))},
	} {
		set := func(names map[string]string, without string) func(*http.Request) {
			return func(r *http.Request) {
				for name, value := range names {
					if name != without {
						r.Header[name] = []string{value}
					}
				}
			}
		}
		proxy := from("10.0.0.1:4711")
		if got := addr(row.c, proxy, set(all, "")); got != row.want {
			t.Errorf("%s: %s, want %s", row.why, got, row.want)
		}
		if got := addr(row.c, proxy, set(all, row.field)); got != "10.0.0.1" {
			t.Errorf("%s without its field: %s, want the peer", row.why, got)
		}
	}
}

// Control characters do not come as far as here.
func TestCheck_55_control_characters(t *testing.T) {
	t.Parallel()
	l := defaultLimiter()
	server := httptest.NewServer(limit(t, l, httpmw.Config{IP: clientIP(t, "127.0.0.0/8")}))
	t.Cleanup(server.Close)
	for _, row := range []struct {
		value  string
		status int
	}{{"203.0.113.7", 200}, {"203.0.113.7\x00", 400}, {"\x7f", 400}, {"203.0.113.7\x01, 10.0.0.1", 400}, {"\xff", 200}} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: %s\r\nConnection: close\r\n\r\n", row.value)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		conn.Close()
		if res.StatusCode != row.status {
			t.Errorf("%q: status %d, want %d", row.value, res.StatusCode, row.status)
		}
	}
	if len(l.seen) != 2 {
		t.Errorf("%d requests were counted, want 2", len(l.seen))
	}
}

func TestClientIP_errors(t *testing.T) {
	t.Parallel()
	zero := netip.MustParsePrefix("0.0.0.0/0")
	of := func(_ httpmw.ClientIP, err error) error { return err }
	for _, row := range []struct {
		why  string
		err  error
		text []string
	}{
		{"Forwarded, bits", of(httpmw.NewForwardedIP(31, ten)), []string{"/31 is out of range: want 32 to 128"}},
		{"Forwarded, everyone", of(httpmw.NewForwardedIP(64, ten, zero)), []string{"trusted proxy 2 of 2", "every address"}},
		{"header, bits", of(httpmw.NewHeaderIP(129, "X-Real-IP", ten)), []string{"/129 is out of range"}},
		{"header, everyone", of(httpmw.NewHeaderIP(64, "X-Real-IP", zero)), []string{"every address"}},
		{"header, no name", of(httpmw.NewHeaderIP(64, "", ten)), []string{`header name ""`}},
		{"header, no token", of(httpmw.NewHeaderIP(64, "X Real", ten)), []string{`header name "X Real"`}},
		{"header, a list", of(httpmw.NewHeaderIP(64, "x-forwarded-for", ten)), []string{"a list", "NewClientIP"}},
		{"header, the other list", of(httpmw.NewHeaderIP(64, "FORWARDED", ten)), []string{"a list", "NewForwardedIP"}},
		{"hops, none", of(httpmw.NewHopsIP(64, 0, ten)), []string{"0 hops", "1 to 64"}},
		{"hops, negative", of(httpmw.NewHopsIP(64, -1, ten)), []string{"-1 hops"}},
		{"hops, many", of(httpmw.NewHopsIP(64, 65, ten)), []string{"65 hops"}},
		{"hops, bits", of(httpmw.NewHopsIP(0, 1, ten)), []string{"/0 is out of range"}},
		{"private hops, none", of(httpmw.NewPrivateHopsIP(64, 0)), []string{"0 hops"}},
		{"private hops, bits", of(httpmw.NewPrivateHopsIP(200, 1)), []string{"/200 is out of range"}},
	} {
		if row.err == nil {
			t.Errorf("%s: no error", row.why)
			continue
		}
		for _, text := range row.text {
			if !strings.Contains(row.err.Error(), text) {
				t.Errorf("%s: error %q, want %q in it", row.why, row.err, text)
			}
		}
	}

	// One that reads a field and believes nobody would be the peer's address, in
	// silence.
	l := defaultLimiter()
	for _, row := range []struct {
		why  string
		ip   httpmw.ClientIP
		text string // of the error, "" for none
	}{
		{"Forwarded", must(httpmw.NewForwardedIP(64)), "IP reads Forwarded, but trusts no peer"},
		{"header", must(httpmw.NewHeaderIP(64, "x-real-ip")), "IP reads X-Real-Ip, but"},
		{"hops", must(httpmw.NewHopsIP(64, 1)), "IP reads X-Forwarded-For, but"},
		{"private hops", anyHops, ""},
		{"peer", must(httpmw.NewClientIP(56)), ""},
		{"a Unix socket alone", must(httpmw.NewForwardedIP(64)).TrustUnix(), ""},
	} {
		_, err := httpmw.New(l, httpmw.Config{Keys: byIP(l), IP: row.ip})
		if row.text == "" && err != nil || row.text != "" && (err == nil || !strings.Contains(err.Error(), row.text)) {
			t.Errorf("%s: error %v, want %q", row.why, err, row.text)
		}
	}
}

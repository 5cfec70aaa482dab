package proxy_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/proxy"
)

// Each row is sent as it is, with a last request GET /end behind it. The
// upstream must get what is wanted and no request more, in a form that has one
// meaning. Where the end of a message is in doubt the connection ends, and /end
// is not asked for.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	const (
		post  = "POST /a HTTP/1.1\r\nHost: a\r\n"
		get   = "GET /a HTTP/1.1\r\nHost: a\r\n"
		inner = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
		end   = "GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
		hi    = "2\r\nhi\r\n0\r\n\r\n"
	)
	for i, row := range []struct {
		why, sent string
		// want is the status of a refusal, with "/end" behind it if that is asked
		// for; or what the upstream gets, with ", " between. "EOF" is for what is
		// cut off by the client.
		want string
	}{
		// The length of a body.
		{"one length", post + "Content-Length: 2\r\n\r\nhi", "POST /a hi, /end"},
		{"the same length twice", post + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", "POST /a hi, /end"},
		{"two lengths", post + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi", "400"},
		{"two lengths, the longer first", post + "Content-Length: 35\r\nContent-Length: 0\r\n\r\n" + inner, "400"},
		{"a list of one length", post + "Content-Length: 2, 2\r\n\r\nhi", "400"},
		{"a list of two lengths", post + "Content-Length: 2, 3\r\n\r\nhi", "400"},
		{"a length with a plus sign", post + "Content-Length: +2\r\n\r\nhi", "400"},
		{"a negative length", post + "Content-Length: -2\r\n\r\nhi", "400"},
		{"a hexadecimal length", post + "Content-Length: 0x2\r\n\r\nhi", "400"},
		{"a length with an underscore", post + "Content-Length: 1_0\r\n\r\n0123456789", "400"},
		{"a fractional length", post + "Content-Length: 2.0\r\n\r\nhi", "400"},
		{"a length with leading zeros", post + "Content-Length: 0002\r\n\r\nhi", "POST /a hi, /end"},
		{"a length with spaces around", post + "Content-Length: \t 2 \r\n\r\nhi", "POST /a hi, /end"},
		{"no length", post + "Content-Length:\r\n\r\n", "400"},
		{"a length over 63 bits", post + "Content-Length: 9223372036854775808\r\n\r\nhi", "400"},
		{"a length over 64 bits, which wraps to 2", post + "Content-Length: 18446744073709551618\r\n\r\nhi", "400"},
		{"a length in other digits", post + "Content-Length: ２\r\n\r\nhi", "400"},
		{"a body of GET", get + "Content-Length: 38\r\n\r\n" + inner + "123", "GET /a " + inner + "123, /end"},
		{"an alias with an underscore is no length", post + "Content_Length: 2\r\n\r\n", "POST /a, /end"},
		{"a length in the name of another field", post + "X-Content-Length: 5\r\n\r\n", "POST /a, /end"},

		// Lengths and codings.
		{"a chunked body: the connection ends", post + "Transfer-Encoding: chunked\r\n\r\n" + hi, "POST /a hi"},
		{"both, by length with a request more", post + "Content-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, "POST /a"},
		{"both, by coding with a request more", post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n26\r\n" + inner + "012\r\n0\r\n\r\n", "POST /a " + inner + "012"},
		{"both and a GET", get + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, "GET /a"},
		{"codings in capitals", post + "TRANSFER-ENCODING: Chunked\r\n\r\n" + hi, "POST /a hi"},
		{"an unknown coding", post + "Transfer-Encoding: cow\r\n\r\n" + hi, "501"},
		{"chunked and another coding", post + "Transfer-Encoding: gzip, chunked\r\n\r\n" + hi, "501"},
		{"another coding after chunked", post + "Transfer-Encoding: chunked, identity\r\n\r\n" + hi, "501"},
		{"identity", post + "Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nhi", "501"},
		{"chunked twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + hi, "501"},
		{"chunked and then none", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + hi, "501"},
		{"an empty coding", post + "Transfer-Encoding:\r\nContent-Length: 2\r\n\r\nhi", "501"},
		{"a coding in quotes", post + "Transfer-Encoding: \"chunked\"\r\n\r\n" + hi, "501"},
		{"a coding with a parameter", post + "Transfer-Encoding: chunked;q=1\r\n\r\n" + hi, "501"},
		{"a vertical tab before the coding", post + "Transfer-Encoding: \x0bchunked\r\n\r\n" + hi, "400|501"},
		{"a tab before the coding", post + "Transfer-Encoding:\tchunked\r\n\r\n" + hi, "POST /a hi"},
		{"a space before the colon", post + "Transfer-Encoding : chunked\r\n\r\n" + hi, "400"},
		{"a tab before the colon", post + "Content-Length\t: 2\r\n\r\nhi", "400"},
		{"an alias with an underscore is no coding", post + "Transfer_Encoding: chunked\r\nContent-Length: 2\r\n\r\nhi", "POST /a hi, /end"},
		{"a coding listed in Connection stays one", post + "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n" + hi, "POST /a hi"},
		{"a length listed in Connection stays one", post + "Connection: Content-Length\r\nContent-Length: 2\r\n\r\nhi", "POST /a hi, /end"},
		{"a coding of HTTP/1.0", "POST /a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + inner, "POST /a"},
		{"HTTP/1.0 that wants to go on", "GET /a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", "GET /a"},

		// Chunks.
		{"an extension of a chunk is dropped", post + "Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0;c\r\n\r\n", "POST /a hi"},
		{"an extension that ends with a bare LF", post + "Transfer-Encoding: chunked\r\n\r\n2;a\nhi\r\n0\r\n\r\n", "400"},
		{"a chunk size that ends with a bare LF", post + "Transfer-Encoding: chunked\r\n\r\n2\nhi\r\n0\r\n\r\n", "400"},
		{"a chunk that ends with a bare LF", post + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\n0\r\n\r\n", "400"},
		{"a chunk that goes on after its size", post + "Transfer-Encoding: chunked\r\n\r\n2\r\nhixx0\r\n\r\n", "400"},
		{"a chunk size of 64 bits, which never comes", post + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhi\r\n0\r\n\r\n", "EOF 400"},
		{"a length that never comes", post + "Content-Length: 999999999\r\n\r\nhi", "EOF 400"},
		{"a chunk size that wraps", post + "Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\nhi\r\n0\r\n\r\n", "400"},
		{"a chunk size with 0x", post + "Transfer-Encoding: chunked\r\n\r\n0x2\r\nhi\r\n0\r\n\r\n", "400"},
		{"a negative chunk size", post + "Transfer-Encoding: chunked\r\n\r\n-2\r\nhi\r\n0\r\n\r\n", "400"},
		{"an empty chunk size", post + "Transfer-Encoding: chunked\r\n\r\n\r\nhi\r\n0\r\n\r\n", "400"},
		{"a chunk size with leading zeros", post + "Transfer-Encoding: chunked\r\n\r\n0002\r\nhi\r\n000\r\n\r\n", "POST /a hi"},
		{"a length among the trailers", post + "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\nContent-Length: 5\r\n\r\n", "400"},
		{"a length among trailers nobody announced", post + "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n", "POST /a"},

		// Lines.
		{"lines that end with LF", "GET /a HTTP/1.1\nHost: a\n\n", "GET /a, /end"},
		{"a CR in a line", get + "X: 1\r2\r\n\r\n", "400"},
		{"a CR before a field", get + "\rX: 1\r\n\r\n", "400"},
		{"a folded line", get + "X: 1\r\n 2\r\n\r\n", "GET /a, /end"},
		{"a folded length", post + "Content-Length:\r\n 2\r\n\r\nhi", "POST /a hi, /end"},
		{"a folded coding", post + "Transfer-Encoding:\r\n chunked\r\n\r\n" + hi, "POST /a hi"},
		{"a folded first line", "GET /a HTTP/1.1\r\n Host: a\r\n\r\n", "400"},
		{"NUL in a value", get + "X: 1\x002\r\n\r\n", "400"},
		{"NUL in a name", get + "X\x00Y: 1\r\n\r\n", "400"},
		{"a name with a space", get + "X Y: 1\r\n\r\n", "400"},
		{"a line without a colon", get + "nonsense\r\n\r\n", "400"},
		{"an empty name", get + ": 1\r\n\r\n", "400"},
		{"empty lines before a request", "\r\n\r\n" + get + "\r\n", "400"},

		// The request line and the host.
		{"a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"two spaces", "GET  /a HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"a tab", "GET\t/a HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"a space after the version", "GET /a HTTP/1.1 \r\nHost: a\r\n\r\n", "400"},
		{"no version", "GET /a\r\n\r\n", "400"},
		{"HTTP/1.2 is read as 1.1", "GET /a HTTP/1.2\r\nHost: a\r\n\r\n", "GET /a, /end"},
		{"HTTP/2.0 is not spoken", "GET /a HTTP/2.0\r\nHost: a\r\n\r\n", "505"},
		{"nor announced", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"},
		{"NUL in the target", "GET /a\x00b HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"a method that is no token", "G(T /a HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"a method of one's own", "BREW /a HTTP/1.1\r\nHost: a\r\n\r\n", "BREW /a, /end"},
		{"a whole URL", "GET http://b/a?c HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a?c, /end"},
		{"a whole URL in a URL", "GET x:http://b/a HTTP/1.1\r\nHost: a\r\n\r\n", "400 /end"},
		{"a whole URL in one of http", "GET http:http://b/a HTTP/1.1\r\nHost: a\r\n\r\n", "400 /end"},
		{"a path that is none", "GET x:a HTTP/1.1\r\nHost: a\r\n\r\n", "400 /end"},
		{"a scheme that is not ours", "GET ftp://b/a HTTP/1.1\r\nHost: a\r\n\r\n", "400 /end"},
		{"a URL with a user", "GET http://a@b/a HTTP/1.1\r\nHost: a\r\n\r\n", "400 /end"},
		{"a target without a slash", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
		{"the server as a whole, for another method", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", "400 /end"},
		{"the server as a whole", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS *, /end"},
		{"a tunnel", "CONNECT b:80 HTTP/1.1\r\nHost: b:80\r\n\r\n", "501 /end"},
		{"a tunnel by a path", "CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n", "501 /end"},
		{"two slashes are no host", "GET //b/a HTTP/1.1\r\nHost: a\r\n\r\n", "GET //b/a, /end"},
		{"no host", "GET /a HTTP/1.1\r\n\r\n", "400"},
		{"two hosts", "GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
		{"a host with a path", "GET /a HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"},
		{"a host with a user", "GET /a HTTP/1.1\r\nHost: a@b\r\n\r\n", "400"},
		{"a host with two ports", "GET /a HTTP/1.1\r\nHost: a:80:81\r\n\r\n", "400 /end"},
		{"a list of hosts", "GET /a HTTP/1.1\r\nHost: a,b\r\n\r\n", "400 /end"},
		{"a host that is none, in a URL", "GET http://a\"b/a HTTP/1.1\r\nHost: a\r\n\r\n", "400 /end"},
		{"a bracket that is no address", "GET /a HTTP/1.1\r\nHost: [a]\r\n\r\n", "400 /end"},

		// What else could lead past the limits.
		{"a smuggled upgrade to HTTP/2", get + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n", "GET /a, /end"},
		{"an upgrade that is no word", get + "Connection: Upgrade\r\nUpgrade: \xff\r\n\r\n", "400 /end"},
		{"two requests are two", get + "\r\n" + get + "\r\n", "GET /a, GET /a, /end"},
		{"a body that is not read before the next", post + "Content-Length: 38\r\nExpect: nonsense\r\n\r\n" + inner + "123", "417"},
	} {
		t.Run(fmt.Sprint(i, " ", row.why), func(t *testing.T) {
			t.Parallel()
			what, eof := strings.CutPrefix(row.want, "EOF ")
			statuses, asked := raw(t, row.sent+end, eof, nil)
			first, want := "200", strings.Split(what, ", ")
			if refused := what[0] >= '0' && what[0] <= '9'; refused {
				var after string
				first, after, _ = strings.Cut(what, " ")
				want = strings.Fields(strings.TrimLeft(after, "0123456789"))
				if len(statuses) != len(strings.Fields(what)) {
					t.Errorf("the client got %v, want %s", statuses, what)
				}
			} else if len(statuses) != len(want) {
				t.Errorf("the client got %v, want an answer for each of %q", statuses, want)
			}
			var got []string
			for _, r := range asked {
				got = append(got, strings.ReplaceAll(r.String(), "GET /end", "/end"))
			}
			if !slices.Equal(got, want) {
				t.Errorf("the upstream got %q, want %q", got, want)
			}
			if len(statuses) == 0 || !slices.Contains(strings.Split(first, "|"), fmt.Sprint(statuses[0])) {
				t.Errorf("the client got %v, want %s at first", statuses, first)
			}
		})
	}
}

// An upgrade to HTTP in another form would carry requests that nobody counts.
func TestUpgradesThatCarryHTTP(t *testing.T) {
	t.Parallel()
	for value, passes := range map[string]bool{
		"websocket": true, "SPDY/3.1": true, "tcp": true, "h2c-not": true,
		"h2c": false, "H2C": false, "websocket, h2c": false, "h2": false, "HTTP/2.0": false, "TLS/1.2": false, "websocket,TLS/1.0": false,
	} {
		statuses, asked := raw(t, "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: "+value+"\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"+
			"GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false, nil)
		if len(statuses) != 2 || len(asked) != 2 {
			t.Fatalf("%s: the client got %v, the upstream %v", value, statuses, asked)
		}
		want := []string(nil)
		if passes {
			want = []string{value}
		}
		if got := asked[0].values("Upgrade"); !slices.Equal(got, want) {
			t.Errorf("the upstream got Upgrade: %q, want %q", got, want)
		}
		if got := asked[0].values("Connection"); len(got) != len(want) {
			t.Errorf("Upgrade: %s: the upstream got Connection: %q", value, got)
		}
	}
}

// CVE-2024-45410, CVE-2026-29054: Connection names each field that the proxy
// sets, in three casings.
func TestCheck72ConnectionRemovesNothingOfOurs(t *testing.T) {
	t.Parallel()
	ours := []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Via", "X-Forwarded-Prefix"}
	for _, name := range append(ours, "RateLimit", "Host", "Content-Length", "X-Mine") {
		for _, spelled := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			_, asked := raw(t, "POST /api/a HTTP/1.1\r\nHost: shop.example\r\nConnection: close, "+spelled+"\r\nConnection: "+spelled+
				"\r\nX-Mine: 1\r\nContent-Length: 2\r\n\r\nhi", false, func(cfg *proxy.Config) {
				cfg.Routes, cfg.To = []proxy.Route{{Path: "/api", To: cfg.To, Strip: true}}, nil
			})
			if len(asked) != 1 || asked[0].String() != "POST /a hi" {
				t.Fatalf("Connection: %s: the upstream got %v", spelled, asked)
			}
			for _, own := range ours {
				if got := asked[0].values(own); len(got) != 1 || got[0] == "" {
					t.Errorf("Connection: %s: the upstream got %s: %q, want it once", spelled, own, got)
				}
			}
			if got := asked[0].values("Connection"); got != nil {
				t.Errorf("Connection: %s: the upstream got Connection: %q", spelled, got)
			}
			if got := asked[0].values("X-Mine"); (got == nil) != (name == "X-Mine") {
				t.Errorf("Connection: %s: the upstream got X-Mine: %q", spelled, got)
			}
		}
	}
}

func TestCheck62UnderscoresAreDropped(t *testing.T) {
	t.Parallel()
	for _, trust := range []bool{false, true} {
		for _, name := range []string{
			"X_Forwarded_For", "x_forwarded_for", "X-Forwarded_For", "X_FORWARDED-FOR", "X_Real_IP", "X_User", "_", "a_b", "Content_Length", "Http_Via", "X_Forwarded_Client_Cert",
		} {
			_, asked := raw(t, "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"+name+": 6\r\n\r\n", false, func(cfg *proxy.Config) {
				if trust {
					trustAll(cfg)
				}
			})
			if len(asked) != 1 {
				t.Fatalf("%s: the upstream got %v", name, asked)
			}
			for _, f := range asked[0].fields {
				if n, v, _ := strings.Cut(f, ": "); strings.Contains(n, "_") || v == "6" {
					t.Errorf("%s of a peer (trusted: %v): the upstream got %q", name, trust, f)
				}
			}
		}
	}
}

// The same for an upstream of which only a part is to be reached.
func TestTargetsThatLeadOutOfTheBase(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"x:http://b/admin", "http:http://b/admin", "http:%2fadmin", "x:/../admin", "x:%2fadmin", "http://b/../admin", "http://b/api/../../admin"} {
		_, asked := raw(t, "GET "+target+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false, func(cfg *proxy.Config) {
			cfg.To = &url.URL{Scheme: cfg.To.Scheme, Host: cfg.To.Host, Path: "/api"}
		})
		if len(asked) != 0 {
			t.Errorf("%s: the upstream was asked for %v", target, asked)
		}
	}
}

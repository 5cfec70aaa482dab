package serve_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/seed-0c889b51/weir/internal/serve"
)

// Mistakes that other servers have made with their connections, and with what
// they serve beside. Each test is named for the advisory on it.

func TestAdvisory_CVE_2021_23409(t *testing.T) {
	t.Parallel()
	// go-proxyproto waited for ever for a header, and had whoever connects next
	// wait too. Here many hold theirs back: a proxy that sends its own is let in
	// at once, and the others are closed when their time is over.
	const slow = 500
	for why, part := range map[string]string{
		"nothing":                 "",
		"half of version 1":       "PROXY TCP4 203.0.1",
		"half of version 2":       version2(proxyproto.PROXY, "203.0.113.7:1")[:14],
		"all but the end of line": "PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r",
	} {
		synctest.Test(t, func(t *testing.T) {
			l, gate, counts, taken := proxied(serve.Config{})
			defer gate.Close()
			began := time.Now()
			var held []net.Conn
			for range slow {
				client, server := connect(t, "10.0.0.1")
				l <- server
				io.WriteString(client, part)
				held = append(held, client)
			}
			honest, server := connect(t, "10.0.0.2")
			l <- server
			io.WriteString(honest, version2(proxyproto.PROXY, "203.0.113.8:1"))
			if c := <-taken; c.RemoteAddr().String() != "203.0.113.8:1" || time.Since(began) != 0 {
				t.Errorf("%s: %v is let in after %v, want 203.0.113.8:1 at once", why, c.RemoteAddr(), time.Since(began))
			}
			for _, c := range held {
				if _, err := io.Copy(io.Discard, c); err != nil {
					t.Errorf("%s: %v", why, err)
				}
			}
			if took := time.Since(began); took > serve.ProxyHeaderTimeout {
				t.Errorf("%s: the last is closed after %v, want %v at most", why, took, serve.ProxyHeaderTimeout)
			}
			synctest.Wait()
			if got, want := counts(), (serve.Connections{Open: 1, NotProxied: slow}); got != want {
				t.Errorf("%s: the counts are %+v, want %+v", why, got, want)
			}
		})
	}
}

func TestAdvisory_GHSA_4w53_6jvp_gg52(t *testing.T) {
	t.Parallel()
	// sshpiper took a PROXY header from anybody, so that each connection had the
	// address that it liked.
	for why, proxies := range map[string]serve.Peers{"of others": networks("203.0.113.0/24"), "none": {}} {
		cfg := config(t, "ip 1/day")
		cfg.ProxyProtocol = proxies
		reached := make(chan bool, 100)
		cfg.Routes = to(t, func(http.ResponseWriter, *http.Request) { reached <- true })
		s := start(t, cfg)
		for i := range 20 {
			for _, header := range []string{
				fmt.Sprintf("PROXY TCP4 203.0.113.%d 192.0.2.1 4711 80\r\n", i), version2(proxyproto.PROXY, fmt.Sprintf("203.0.113.%d:4711", i)),
			} {
				if got := say(t, s, header+plain); got == 200 || got == 429 {
					t.Errorf("proxies: %s; %q is answered with %d, want 400 or nothing", why, header, got)
				}
			}
		}
		if n := len(reached); n != 0 {
			t.Errorf("proxies: %s; %d requests came to the upstream", why, n)
		}
	}
}

func TestAdvisory_GO_2026_6089(t *testing.T) {
	t.Parallel()
	// net/http: while a server without TLS waited for the preface of HTTP/2, which
	// is not known from another request at first, ReadHeaderTimeout did not hold.
	// Here HTTP/2 needs TLS, and what begins like it has the time of any header.
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	reached := make(chan string, 10)
	cfg := config(t, "ip 100/s")
	cfg.Routes = to(t, func(_ http.ResponseWriter, r *http.Request) { reached <- r.Method + " " + r.Proto })
	s := start(t, cfg, func(s *serve.Server) { serve.Hurry(s, 100*time.Millisecond, serve.WriteTimeout) })
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", s.server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(time.Minute))
		return conn
	}
	for n := range len("PRI * HTTP/2.0\r\n\r\n") { // as much comes, and no more
		conn := dial()
		io.WriteString(conn, preface[:n])
		if _, err := io.Copy(io.Discard, conn); err != nil && !gone(err) {
			t.Errorf("%q: the connection is still open: %v", preface[:n], err)
		}
	}
	// All of it comes, with what is to follow.
	conn := dial()
	io.WriteString(conn, preface+"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	answer, err := io.ReadAll(conn)
	if err != nil && !gone(err) {
		t.Errorf("after a preface the connection is still open: %v", err)
	}
	if text := string(answer); text != "" && !strings.HasPrefix(text, "HTTP/1.1 ") || strings.HasPrefix(text, "HTTP/1.1 2") {
		t.Errorf("a preface without TLS is answered with %q", text)
	}
	if len(reached) > 0 {
		t.Errorf("a preface came to the upstream as %s", <-reached)
	}
	// Nor is there an upgrade to it: such a request is one of HTTP/1.
	conn = dial()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != 200 || res.Header.Get("Upgrade") != "" {
		t.Fatalf("an upgrade to h2c is answered with %v, %v, want 200 and no upgrade", res, err)
	}
	if got := <-reached; got != "GET HTTP/1.1" {
		t.Errorf("the upstream was asked %s, want GET HTTP/1.1", got)
	}
}

// ownPaths are where others have their administration.
var ownPaths = []string{
	"GET /config/", "POST /load", "POST /config/apps", "GET /admin", "POST /admin/reload", "GET /debug/pprof/", "GET /debug/vars", "GET /metrics",
	"POST /stop", "POST /-/reload", "POST /-/quit", "GET /healthz", "GET /server-status", "PATCH /id/x", "TRACE /", "POST /mcp", "GET /sse",
}

// wantNothingOfOurs sends each of these requests, and wants the upstream's answer
// as long as there is quota, and then a refusal: on its listener weir has no
// request of its own, so there is nothing to reach but what is behind the limit.
func wantNothingOfOurs(t *testing.T, fields ...string) {
	t.Helper()
	cfg := config(t, fmt.Sprintf("ip %d/day", len(ownPaths)))
	cfg.Routes = to(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "upstream: %s %s", r.Method, r.URL.Path) })
	s := start(t, cfg)
	for _, over := range []bool{false, true} {
		for _, line := range ownPaths {
			method, path, _ := strings.Cut(line, " ")
			req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(fields); i += 2 {
				if req.Header.Add(fields[i], fields[i+1]); fields[i] == "Host" {
					req.Host = fields[i+1]
				}
			}
			res, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			switch {
			case err != nil:
				t.Errorf("%s: %v", line, err)
			case over && res.StatusCode != 429:
				t.Errorf("%s, over the limit: %d, want 429", line, res.StatusCode)
			case !over && (res.StatusCode != 200 || string(body) != "upstream: "+line):
				t.Errorf("%s: %d %q, want the upstream's answer", line, res.StatusCode, body)
			}
		}
	}
}

func TestAdvisory_CVE_2026_27589(t *testing.T) {
	t.Parallel()
	// Caddy: a page in the operator's browser could post a new configuration.
	wantNothingOfOurs(t, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Content-Type", "text/plain")
}

func TestAdvisory_GHSA_gx7w_56w6_g48x(t *testing.T) {
	t.Parallel()
	// Caddy: who may ask for some paths of the administration could ask for all
	// that begin alike. Here there is none of it, for the machine itself neither.
	wantNothingOfOurs(t)
	wantNothingOfOurs(t, "Authorization", "Bearer admin", "Host", "localhost")
}

func TestAdvisory_CVE_2025_66414(t *testing.T) {
	t.Parallel()
	// A server on the loopback address answered to any name, so that a web page
	// could have its own name stand for that address, and read what is there.
	// weir says and does nothing there that is not the API's to say or do.
	wantNothingOfOurs(t, "Host", "rebound.evil.example", "Origin", "http://rebound.evil.example")
}

func TestAdvisory_CVE_2025_14279(t *testing.T) {
	t.Parallel()
	// The same, of another: with the port in the name, and as a fetch of its own.
	wantNothingOfOurs(t, "Host", "rebound.evil.example:8080", "Sec-Fetch-Site", "same-origin")
}

package serve_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/proxy"
	"github.com/seed-0c889b51/weir/internal/serve"
)

// Where the end of a request is in doubt the connection ends with the answer,
// whoever gives it: what follows must not be taken for a request of the client
// that it says it is from.
func TestSmugglingBehindEachAnswer(t *testing.T) {
	t.Parallel()
	const inner = "GET /smuggled HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"
	both := func(line string) string {
		return fmt.Sprintf("%s HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.1\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%s",
			line, 5+len(inner), inner)
	}
	old := func(line string) string {
		return line + " HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nX-Forwarded-For: 203.0.113.1\r\nTransfer-Encoding: chunked\r\n\r\n" + inner
	}
	for _, tt := range []struct {
		why   string
		over  bool // its limit
		line  string
		want  int
		other func(*serve.Config)
	}{
		{"the upstream", false, "POST /api/a", 200, nil},
		{"a client over its limit", true, "POST /api/a", 429, nil},
		{"400 by the proxy", false, "POST /api/../a", 400, nil},
		{"404 by the proxy", false, "POST /a", 404, nil},
		{"400 by the proxy, of its host", false, "POST ftp://a/api/", 400, nil},
		{"the built-in upstream", false, "POST /", 200, func(cfg *serve.Config) { cfg.Routes = nil }},
		{"a question", false, "POST /", 204, func(cfg *serve.Config) { cfg.Routes, cfg.ForwardAuth, cfg.DenyStatus = nil, serve.Caddy, 429 }},
		{"a question over the limit", true, "POST /", 429, func(cfg *serve.Config) { cfg.Routes, cfg.ForwardAuth, cfg.DenyStatus = nil, serve.Caddy, 429 }},
	} {
		for framing, sent := range map[string]string{"both": both(tt.line), "HTTP/1.0": old(tt.line)} {
			t.Run(tt.why+", "+framing, func(t *testing.T) {
				t.Parallel()
				cfg := config(t, "ip 1/day")
				cfg.Trust = loopback()
				for _, r := range to(t, func(_ http.ResponseWriter, r *http.Request) {
					if io.Copy(io.Discard, r.Body); r.URL.Path == "/smuggled" {
						t.Error("the upstream got what was smuggled")
					}
				}) {
					api, err := proxy.ParseRoute("/api=" + r.To.String())
					if err != nil {
						t.Fatal(err)
					}
					cfg.Routes = append(cfg.Routes, api)
				}
				if tt.other != nil {
					tt.other(&cfg)
				}
				s := start(t, cfg)
				if tt.over {
					status(t, s.url, "X-Forwarded-For", "203.0.113.1")
				}
				conn, err := net.Dial("tcp", s.server.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				io.WriteString(conn, sent)
				in := bufio.NewReader(conn)
				res, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, res.Body)
				if res.StatusCode != tt.want || !res.Close {
					t.Fatalf("the answer is %d with Connection %q, want %d and close", res.StatusCode, res.Header["Connection"], tt.want)
				}
				if rest, _ := io.ReadAll(in); len(rest) > 0 {
					line, _, _ := strings.Cut(string(rest), "\r\n")
					t.Errorf("a second answer came: %s", line)
				}
			})
		}
	}
}

// Other connections stay, with refusals too.
func TestPlainRequestsKeepTheConnection(t *testing.T) {
	t.Parallel()
	s := start(t, config(t, "ip 1/day"))
	conn, err := net.Dial("tcp", s.server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for _, want := range []int{200, 429, 429} {
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if io.Copy(io.Discard, res.Body); res.StatusCode != want || res.Close {
			t.Errorf("the answer is %d, the connection ends: %v; want %d on one that stays", res.StatusCode, res.Close, want)
		}
	}
}

// But not where it becomes one of another protocol.
func TestUpgradesOfCodedRequests(t *testing.T) {
	t.Parallel()
	cfg := config(t, "ip 100/s")
	cfg.Routes = to(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		rw.Flush()
	})
	s := start(t, cfg)
	conn, err := net.Dial("tcp", s.server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != 101 || len(res.Header["Connection"]) != 1 || res.Header.Get("Connection") != "Upgrade" {
		t.Errorf("the answer is %v, %v, want 101 with Connection: Upgrade", res, err)
	}
}

package httpmw_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// A hijacked is a server whose handler takes over each connection that it is
// given, as one of WebSocket does.
type hijacked struct {
	addr  string
	taken atomic.Int32
}

// takesOver runs one behind a limit of one request.
func takesOver(t *testing.T) *hijacked {
	t.Helper()
	s := &hijacked{}
	l := newPerKey(policy{name: "a", limit: bucket.PerDay(1)})
	m, err := httpmw.New(l, httpmw.Config{Keys: byIP(l)})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.taken.Add(1)
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("the handler cannot take over its connection: %v", err)
			return
		}
		defer conn.Close()
		rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nno more HTTP")
		rw.Flush()
	})))
	t.Cleanup(srv.Close)
	s.addr = srv.Listener.Addr().String()
	return s
}

// dialTo opens a connection; a hang is a failure.
func dialTo(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	return conn, bufio.NewReader(conn)
}

const upgrade = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

// An upgrade that is over the quota is answered as any request is, and what
// follows on the connection is HTTP as before.
func TestCheck_38_upgrade_on_the_wire(t *testing.T) {
	t.Parallel()
	s := takesOver(t)
	first, _ := dialTo(t, s.addr)
	io.WriteString(first, upgrade)
	if text, _ := io.ReadAll(first); !strings.HasPrefix(string(text), "HTTP/1.1 101 ") || !strings.HasSuffix(string(text), "no more HTTP") {
		t.Fatalf("within the quota the answer is %q, want an upgrade", text)
	}
	conn, r := dialTo(t, s.addr)
	for i, request := range []string{upgrade, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", upgrade} {
		io.WriteString(conn, request)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("request %d: %v", i+1, err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatalf("request %d: %v", i+1, err)
		}
		decode(t, body)
		if res.StatusCode != 429 || res.Close || res.Header.Get("Upgrade") != "" || res.Header.Get("Connection") != "" ||
			res.Header.Get("Retry-After") != "86400" {
			t.Errorf("request %d: %d %v, want a plain 429 on an open connection", i+1, res.StatusCode, res.Header)
		}
	}
	if got := s.taken.Load(); got != 1 {
		t.Errorf("the handler took over %d connections, want 1", got)
	}
}

// A client of HTTP/1.0 gets a whole answer, without chunks, and the connection
// ends with it unless the client asks otherwise.
func TestCheck_37_http_1_0_on_the_wire(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why, fields string
		open        bool
	}{
		{"as it was at first", "", false},
		{"without a Host, to be closed", "Connection: close\r\n", false},
		{"kept alive", "Connection: keep-alive\r\n", true},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			l := scripted{names: []string{"a"}, decisions: []bucket.Decision{{Limit: bucket.PerDay(1), RetryAfter: time.Hour}}}
			srv := httptest.NewServer(limit(t, l, httpmw.Config{}))
			t.Cleanup(srv.Close)
			conn, r := dialTo(t, srv.Listener.Addr().String())
			for i := range 2 {
				fmt.Fprintf(conn, "GET / HTTP/1.0\r\n%s\r\n", row.fields)
				res, err := http.ReadResponse(r, nil)
				if i == 1 && !row.open {
					if err == nil {
						t.Error("a second request was answered on a connection that was to end")
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(res.Body)
				if err != nil {
					t.Fatal(err)
				}
				decode(t, body)
				if res.StatusCode != 429 || res.ContentLength != int64(len(body)) || len(res.TransferEncoding) > 0 || res.Header.Get("Retry-After") != "3600" ||
					res.Header.Get("RateLimit") == "" || res.Header.Get("RateLimit-Policy") == "" {
					t.Errorf("%s %d %v with %d bytes, want 429 with its fields and a body of the length that it says", res.Proto, res.StatusCode, res.Header, len(body))
				}
				if kept := strings.EqualFold(res.Header.Get("Connection"), "keep-alive"); kept != row.open {
					t.Errorf("Connection: %q", res.Header.Get("Connection"))
				}
			}
		})
	}
}

//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package serve_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/internal/serve"
)

// Who closes a connection is gone, whatever was sent before: the upstream is
// cancelled, and what the client took up is free again. The upstream is silent,
// so nothing else would ever tell.
func TestClientsThatAreGone(t *testing.T) {
	t.Parallel()
	const get = "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"
	closed := func(c net.Conn) { c.Close() }
	half := func(c net.Conn) {
		if secure, ok := c.(*tls.Conn); ok {
			secure.CloseWrite() // which ends nothing below
			c = secure.NetConn()
		}
		c.(*net.TCPConn).CloseWrite()
	}
	for _, tt := range []struct {
		why  string
		sent string
		more string // when the stream has begun
		end  func(net.Conn)
	}{
		{"nothing more", get, "", closed},
		{"a byte, which net/http reads ahead", get, "G", closed},
		{"two, of which it does not read one", get, "GE", closed},
		{"a whole request more", get, get, closed},
		{"more than fits into any buffer of its", get, strings.Repeat("x", 20_000), closed},
		{"a request behind, in the same piece", get + get, "", closed},
		{"a request with a body", "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", "G", closed},
		{"one with a body in chunks", "POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "G", closed},
		{"HTTP/1.0", "GET /stream HTTP/1.0\r\n\r\n", "G", closed},
		{"it does not read either", get, "G", func(c net.Conn) {
			if tcp, ok := c.(*net.TCPConn); ok {
				tcp.SetLinger(0) // a reset
			}
			c.Close()
		}},
		{"it only ends what it sends", get, "G", half},
		{"without the byte", get, "", half},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.why, ", TLS ", secure), func(t *testing.T) {
				t.Parallel()
				cfg := config(t, "ip 100/s")
				var client *http.Client
				if secure {
					client = withTLS(t, &cfg, "http/1.1")
				}
				cfg.InFlight = inFlight(t, "ip 1")
				cfg.MaxPerClient = 2
				cancelled := make(chan bool, 2)
				cfg.Routes = to(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path != "/stream" {
						return
					}
					io.Copy(io.Discard, r.Body)
					http.NewResponseController(w).Flush()
					<-r.Context().Done()
					cancelled <- true
				})
				s := start(t, cfg)
				dial := func() net.Conn {
					var conn net.Conn
					var err error
					if secure {
						conn, err = tls.Dial("tcp", s.server.Addr().String(), client.Transport.(*http.Transport).TLSClientConfig)
					} else {
						conn, err = net.Dial("tcp", s.server.Addr().String())
					}
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { conn.Close() })
					return conn
				}
				conn := dial()
				io.WriteString(conn, tt.sent)
				if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || res.StatusCode != 200 {
					t.Fatalf("the answer is %v, %v, want 200", res, err)
				}
				io.WriteString(conn, tt.more)
				tt.end(conn)
				select {
				case <-cancelled:
				case <-time.After(20 * time.Second):
					t.Fatal("the upstream is not cancelled")
				}
				conn.Close()
				for i := 0; s.server.Connections().Open > 0; i++ {
					if i == 30_000 {
						t.Fatal("the connection is still held")
					}
					time.Sleep(time.Millisecond)
				}
				// Nor is it in flight any more.
				other := dial()
				io.WriteString(other, plain)
				if res, err := http.ReadResponse(bufio.NewReader(other), nil); err != nil || res.StatusCode != 200 {
					t.Errorf("the next request is answered with %v, %v, want 200", res, err)
				}
			})
		}
	}
}

// Who has sent a request and ends there is waited for until somebody has read
// it, who may be slow. But not for ever, and not if the connection is reset.
func TestRequestsThatAreLeftBehind(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why      string
		patience time.Duration
		reset    bool
		pause    time.Duration // before the handler reads
		whole    bool
	}{
		{"it is read late", serve.ReadTimeout, false, 3 * serve.HangupEvery, true},
		{"it is never read", serve.HangupEvery, false, time.Hour, false},
		{"it is reset", serve.ReadTimeout, true, time.Hour, false},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			raw, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l, _ := serve.NewGate(raw, serve.Config{})
			got := make(chan bool, 1)
			server := &http.Server{ConnContext: serve.WithConn, Handler: serve.Unheld(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				select {
				case <-time.After(tt.pause):
					got <- r.Context().Err() == nil && exactly(r.Body, 9) == nil
				case <-r.Context().Done():
					got <- false
				}
			}), tt.patience)}
			t.Cleanup(func() { server.Close() })
			go server.Serve(l)
			conn, err := net.Dial("tcp", raw.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
			fmt.Fprint(conn, "some body")
			if tt.reset {
				time.Sleep(serve.HangupEvery / 2) // else it may come before the request is read
				conn.(*net.TCPConn).SetLinger(0)
			}
			conn.Close()
			select {
			case whole := <-got:
				if whole != tt.whole {
					t.Errorf("all of it came: %v, want %v", whole, tt.whole)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it is not cancelled")
			}
		})
	}
}

// What was upgraded may be ended in one direction only.
func TestUpgradesThatAreHalfClosed(t *testing.T) {
	t.Parallel()
	cfg := config(t, "ip 100/s")
	cfg.Routes = to(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		rw.Flush()
		time.Sleep(3 * serve.HangupEvery)
		fmt.Fprint(conn, "late")
	})
	s := start(t, cfg)
	conn, err := net.Dial("tcp", s.server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	in := bufio.NewReader(conn)
	if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != 101 {
		t.Fatalf("the answer is %v, %v, want 101", res, err)
	}
	conn.(*net.TCPConn).CloseWrite()
	if got, _ := io.ReadAll(in); string(got) != "late" {
		t.Errorf("after the end of one direction %q came in the other, want %q", got, "late")
	}
}

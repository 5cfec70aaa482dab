package proxy_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/internal/proxy"
)

// speaker returns the address of something that reads a request, or less, and
// then says what it likes.
func speaker(t *testing.T, say func(conn net.Conn, r *http.Request)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r, _ := http.ReadRequest(bufio.NewReader(conn))
				say(conn, r)
			}()
		}
	}()
	return l.Addr().String()
}

// Each way to fail is told from the others, with a type of RFC 9209, and none
// tells where the upstream is or what it said.
func TestReasons(t *testing.T) {
	t.Parallel()
	says := func(text string) string {
		return "http://" + speaker(t, func(conn net.Conn, _ *http.Request) { io.WriteString(conn, text) })
	}
	resets := func(conn net.Conn, _ *http.Request) { conn.(*net.TCPConn).SetLinger(0) }
	done := make(chan bool)
	t.Cleanup(func() { close(done) })
	plain := httptest.NewServer(nil)
	t.Cleanup(plain.Close)
	secure := httptest.NewTLSServer(nil)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(secure.Close)
	closed := httptest.NewServer(nil)
	closed.Close()

	dialing := func(err error) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) { return nil, err }
	}
	for _, row := range []struct {
		why, to string
		dial    func(context.Context, string, string) (net.Conn, error)
		status  int
		reason  string
	}{
		{"nobody listens", closed.URL, nil, 502, "connection_refused"},
		{"the name does not exist", "http://secret.invalid", dialing(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "secret", IsNotFound: true}}), 502, "dns_error"},
		{"the name is not found in time", "http://secret.invalid", dialing(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "i/o timeout", Name: "secret", IsTimeout: true}}), 504, "dns_timeout"},
		{"no route leads there", "http://secret.invalid", dialing(&net.OpError{Op: "dial", Err: errors.New("network is unreachable")}), 502, "destination_ip_unroutable"},
		{"the connection takes too long", "http://secret.invalid", dialing(&net.OpError{Op: "dial", Err: context.DeadlineExceeded}), 504, "connection_timeout"},
		{"it is reset", "http://" + speaker(t, resets), nil, 502, "connection_terminated"},
		{"it is closed", says(""), nil, 502, "connection_terminated"},
		{"it is closed in the status line", says("HTTP/1.1"), nil, 502, "http_protocol_error"},
		{"it is closed in the header", says("HTTP/1.1 200 OK\r\nX-Secret: secret\r\n"), nil, 502, "connection_terminated"},
		{"no HTTP", says("SSH-2.0-secret\r\n\r\n"), nil, 502, "http_protocol_error"},
		{"a status that is none", says("HTTP/1.1 secret\r\n\r\n"), nil, 502, "http_protocol_error"},
		{"a length that is none", says("HTTP/1.1 200 OK\r\nContent-Length: secret\r\n\r\n"), nil, 502, "http_protocol_error"},
		{"two lengths", says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"), nil, 502, "http_protocol_error"},
		{"an upgrade that nobody asked for", says("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: secret\r\n\r\n"), nil, 502, "http_protocol_error"},
		{"it is silent", "http://" + speaker(t, func(net.Conn, *http.Request) { <-done }), nil, 504, "http_response_timeout"},
		{"TLS with a certificate that nobody knows", secure.URL, nil, 502, "tls_certificate_error"},
		{"HTTP where TLS is wanted", strings.Replace(plain.URL, "http", "https", 1), nil, 502, "tls_protocol_error"},
		{"closed where TLS is wanted", "https://" + speaker(t, resets), nil, 502, "tls_protocol_error"},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			to, err := proxy.ParseTarget(row.to)
			if err != nil {
				t.Fatal(err)
			}
			book := &logBook{}
			p, err := proxy.New(proxy.Config{To: to, Timeout: 100 * time.Millisecond, Logger: book.logger()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.CloseIdle)
			if row.dial != nil {
				proxy.Dial(p, row.dial)
			}
			w := httptest.NewRecorder()
			p.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			body := w.Body.String()
			checkProblem(t, w.Result(), body, row.status, to.Host)
			var doc struct{ Reason string }
			if err := json.Unmarshal([]byte(body), &doc); err != nil || doc.Reason != row.reason {
				t.Errorf("the reason is %q, want %q", doc.Reason, row.reason)
			}
			if strings.Contains(body, "secret") || strings.Contains(body, "127.0.0.1") {
				t.Errorf("the answer tells of the upstream: %s", body)
			}
			if !strings.Contains(book.String(), "error="+row.reason) || row.dial == nil && strings.Contains(book.String(), "secret") {
				t.Errorf("logged: %s", book)
			}
		})
	}
}

// After the header nothing can be told any more but that the answer is not
// whole.
func TestAnswersThatEndEarly(t *testing.T) {
	t.Parallel()
	for why, text := range map[string]string{
		"of a known length":    "Content-Length: 100\r\n\r\nhalf",
		"in chunks":            "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
		"in a chunk":           "Transfer-Encoding: chunked\r\n\r\n64\r\nhalf",
		"with a chunk of none": "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nsecret\r\n",
	} {
		addr := front(t, "http://"+speaker(t, func(conn net.Conn, _ *http.Request) {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+text)
		}), nil)
		res, err := http.Get(addr)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("%s: half an answer passed for a whole one: %q", why, body)
		}
		res.Body.Close()
	}
}

// An upstream that answers before the end of a body does not leave the client's
// connection in doubt: what follows is the rest of the body or nothing.
func TestUpstreamAnswersBeforeTheBody(t *testing.T) {
	t.Parallel()
	early := "http://" + speaker(t, func(conn net.Conn, r *http.Request) {
		io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
		io.Copy(io.Discard, conn)
	})
	for _, row := range []struct {
		why, up, rest string
		status        int
	}{
		{"the body comes, and a request behind it", early, "helloGET /b HTTP/1.1\r\nHost: a\r\n\r\n", 413},
		{"nothing comes", early, "", 413},
		{"the upstream cannot be reached", "http://127.0.0.1:1", "helloGET /b HTTP/1.1\r\nHost: a\r\n\r\n", 502},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			to, err := proxy.ParseTarget(row.up)
			if err != nil {
				t.Fatal(err)
			}
			p, err := proxy.New(proxy.Config{To: to})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.CloseIdle)
			proxy.Linger(p, 10*time.Millisecond)
			book := &logBook{}
			server := httptest.NewUnstartedServer(p)
			server.Config.ErrorLog = slog.NewLogLogger(book.logger().Handler(), slog.LevelError)
			server.Start()
			t.Cleanup(server.Close)
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
			in := bufio.NewReader(conn)
			res, err := http.ReadResponse(in, nil)
			if err != nil || res.StatusCode != row.status || !res.Close {
				t.Fatalf("the answer is %v, %v, want %d and the end of the connection", res, err, row.status)
			}
			io.Copy(io.Discard, res.Body)
			io.WriteString(conn, row.rest)
			if more, _ := io.ReadAll(in); len(more) > 0 {
				t.Errorf("behind the answer came %q", more)
			}
			if strings.Contains(book.String(), "panic") {
				t.Errorf("logged: %s", book)
			}
		})
	}
}

package httpmw_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// What net/http makes of a refusal on the wire.
func TestCheck_wire(t *testing.T) {
	t.Parallel()

	// dial opens a connection to a server whose every answer is a refusal.
	dial := func(t *testing.T) (net.Conn, *bufio.Reader) {
		t.Helper()
		l := scripted{names: []string{"a"}, decisions: []bucket.Decision{{Limit: bucket.PerDay(1), RetryAfter: time.Hour}}}
		srv := httptest.NewServer(limit(t, l, httpmw.Config{}))
		t.Cleanup(srv.Close)
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(time.Minute)) // a hang is a failure
		return conn, bufio.NewReader(conn)
	}
	answer := func(t *testing.T, r *bufio.Reader) *http.Response {
		t.Helper()
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != 429 {
			t.Errorf("status %d, want 429", res.StatusCode)
		}
		decode(t, body)
		return res
	}

	t.Run("35_small_body_keeps_the_connection", func(t *testing.T) {
		t.Parallel()
		conn, r := dial(t)
		for range 2 {
			io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
			if answer(t, r).Close {
				t.Error("the connection is to be closed")
			}
		}
	})

	t.Run("35_large_body_is_not_read", func(t *testing.T) {
		t.Parallel()
		conn, r := dial(t)
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n") // and no body
		if !answer(t, r).Close {
			t.Error("the connection stays open")
		}
	})

	// The server waits for a body that it would read; a client that never
	// sends it must not hold the connection without an answer.
	for why, length := range map[string]string{
		"35_body_that_does_not_come":         "Content-Length: 5",
		"35_chunked_body_that_does_not_come": "Transfer-Encoding: chunked",
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			conn, r := dial(t)
			io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\n"+length+"\r\n\r\n")
			if !answer(t, r).Close {
				t.Error("the connection stays open")
			}
		})
	}

	t.Run("35_expect_continue_is_not_asked_to_go_on", func(t *testing.T) {
		t.Parallel()
		conn, r := dial(t)
		io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
		answer(t, r) // the first thing on the wire is the 429
	})

	t.Run("36_http2_refusals_share_a_connection", func(t *testing.T) {
		t.Parallel()
		l := scripted{names: []string{"a"}, decisions: []bucket.Decision{{Limit: bucket.PerDay(1), RetryAfter: time.Hour}}}
		srv := httptest.NewUnstartedServer(limit(t, l, httpmw.Config{}))
		srv.EnableHTTP2 = true
		srv.StartTLS()
		t.Cleanup(srv.Close)
		dials := 0
		for range 3 {
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				GotConn: func(info httptrace.GotConnInfo) {
					if !info.Reused {
						dials++
					}
				},
			})
			req, err := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := srv.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if res.ProtoMajor != 2 || res.StatusCode != 429 || res.Header.Get("Connection") != "" {
				t.Errorf("%s %d, Connection %q", res.Proto, res.StatusCode, res.Header.Get("Connection"))
			}
		}
		if dials != 1 {
			t.Errorf("%d connections for 3 requests, want 1", dials)
		}
	})
}

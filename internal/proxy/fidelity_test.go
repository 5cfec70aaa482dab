package proxy_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/proxy"
)

// speak sends a request to a proxy in front of an upstream that says what it is
// told to, and returns what the client gets, byte by byte, to the end of the
// connection.
func speak(t *testing.T, request, answer string) string {
	t.Helper()
	addr := front(t, "http://"+speaker(t, func(conn net.Conn, _ *http.Request) { io.WriteString(conn, answer) }), nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(addr, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, request)
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

// The bytes of answers that net/http would like to improve on.
func TestAnswersAsTheyAre(t *testing.T) {
	t.Parallel()
	const date = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
	const shut = "Connection: close\r\n"
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	io.WriteString(z, "text")
	z.Close()
	for _, row := range []struct{ why, method, version, answer, want string }{
		{"HEAD has the length of GET and no body", "HEAD", "1.1", "200 OK\r\n" + date + "Content-Type: a/b\r\nContent-Length: 5\r\n\r\n", "200 OK\r\n" + shut + "Content-Length: 5\r\nContent-Type: a/b\r\n" + date + "\r\n"},
		{"204", "DELETE", "1.1", "204 No Content\r\n" + date + "\r\n", "204 No Content\r\n" + shut + date + "\r\n"},
		{"304 keeps what a cache is told", "GET", "1.1", "304 Not Modified\r\n" + date + "Etag: \"a\"\r\nCache-Control: max-age=5\r\n\r\n", "304 Not Modified\r\n" + shut + "Cache-Control: max-age=5\r\n" + date + "Etag: \"a\"\r\n\r\n"},
		{"no type is guessed", "GET", "1.1", "200 OK\r\n" + date + "Content-Length: 6\r\n\r\n<html>", "200 OK\r\n" + shut + "Content-Length: 6\r\n" + date + "\r\n<html>"},
		{"what is zipped stays so", "GET", "1.1", "200 OK\r\n" + date + "Content-Encoding: gzip\r\nContent-Type: a/b\r\nContent-Length: " + fmt.Sprint(zipped.Len()) + "\r\n\r\n" + zipped.String(),
			"200 OK\r\n" + shut + "Content-Encoding: gzip\r\nContent-Length: " + fmt.Sprint(zipped.Len()) + "\r\nContent-Type: a/b\r\n" + date + "\r\n" + zipped.String()},
		{"cookies in their order, and no hop-by-hop field", "GET", "1.1", "200 OK\r\n" + date + "Set-Cookie: b=1\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n\r\n",
			"200 OK\r\n" + shut + "Content-Length: 0\r\n" + date + "Set-Cookie: b=1\r\nSet-Cookie: a=1\r\n\r\n"},
		{"an unknown status", "GET", "1.1", "299 Odd\r\n" + date + "Content-Length: 0\r\n\r\n", "299 status code 299\r\n" + shut + "Content-Length: 0\r\n" + date + "\r\n"},
		{"early hints come before", "GET", "1.1", "103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n" + date + "Content-Length: 0\r\n\r\n",
			"103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n" + shut + "Content-Length: 0\r\n" + date + "\r\n"},
		{"but not for HTTP/1.0, which takes the first answer for the last", "GET", "1.0", "103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n" + date + "Content-Length: 0\r\n\r\n",
			"200 OK\r\n" + shut + "Content-Length: 0\r\n" + date + "\r\n"},
		{"chunks are no matter of HTTP/1.0", "GET", "1.0", "200 OK\r\n" + date + "Content-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "200 OK\r\n" + shut + "Content-Type: a/b\r\n" + date + "\r\nhi"},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			got := speak(t, row.method+" / HTTP/"+row.version+"\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n", "HTTP/1.1 "+row.answer)
			first, _, _ := strings.Cut(got, " ")
			if sorted(got) != sorted(first+" "+row.want) {
				t.Errorf("the client got\n%q\nwant\n%q", got, first+" "+row.want)
			}
		})
	}
}

// Whether net/http guesses a type depends on what is flushed first, so the test
// above cannot be relied on for it.
func TestNoTypeIsGuessed(t *testing.T) {
	t.Parallel()
	to, err := proxy.ParseTarget("http://" + speaker(t, func(conn net.Conn, _ *http.Request) {
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")
	}))
	if err != nil {
		t.Fatal(err)
	}
	p, err := proxy.New(proxy.Config{To: to})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.CloseIdle)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if values, ok := w.Header()["Content-Type"]; !ok || len(values) > 0 {
		t.Errorf("Content-Type: %q (there: %v), want that it is there and has no value", values, ok)
	}
}

// sorted sorts the fields of each header in text: their order means nothing but
// among those of one name.
func sorted(text string) string {
	parts := strings.Split(text, "\r\n\r\n")
	for i, part := range parts {
		lines := strings.Split(part, "\r\n")
		slices.SortStableFunc(lines, func(a, b string) int {
			a, _, _ = strings.Cut(a, ":")
			b, _, _ = strings.Cut(b, ":")
			return strings.Compare(a, b)
		})
		parts[i] = strings.Join(lines, "\r\n")
	}
	return strings.Join(parts, "\r\n\r\n")
}

// The client sends its body when the upstream has said that it wants it, and
// not before.
func TestContinueIsTheUpstreams(t *testing.T) {
	t.Parallel()
	const header = "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
	dial := func(t *testing.T, h http.HandlerFunc) (net.Conn, *bufio.Reader) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(front(t, upstream(t, h), nil), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn, bufio.NewReader(conn)
	}
	t.Run("wanted", func(t *testing.T) {
		t.Parallel()
		conn, in := dial(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
		io.WriteString(conn, header)
		if line, err := in.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("first comes %q, %v", line, err)
		}
		in.ReadString('\n')
		io.WriteString(conn, "hello")
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(res.Body); string(body) != "hello" || res.StatusCode != 200 {
			t.Errorf("the answer is %d %q", res.StatusCode, body)
		}
	})
	t.Run("not wanted", func(t *testing.T) {
		t.Parallel()
		conn, in := dial(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
		io.WriteString(conn, header)
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != 401 || !res.Close {
			t.Fatalf("first comes %v, %v, want the final answer and the end of the connection", res, err)
		}
		// Nobody knows whether a body follows, so nothing does.
		io.WriteString(conn, "GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
		if more, _ := io.ReadAll(in); len(more) > 0 {
			t.Errorf("behind the answer came %q", more)
		}
	})
}

// Both ends of an upgraded connection may speak first, and at once.
func TestUpgradeBothWays(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	addr := front(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nwelcome\x00\xff")
		for {
			b, err := rw.ReadByte()
			if err != nil {
				ended <- err
				return
			}
			conn.Write([]byte{b, ^b})
		}
	}), nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(addr, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n")
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != 101 || res.Header.Get("Upgrade") != "websocket" {
		t.Fatalf("the answer is %v, %v", res, err)
	}
	conn.Write([]byte{1, 2, 3})
	got := make([]byte, 15)
	if _, err := io.ReadFull(in, got); err != nil || string(got) != "welcome\x00\xff\x01\xfe\x02\xfd\x03\xfc" {
		t.Errorf("the client got %q, %v", got, err)
	}
	conn.Close()
	if err := <-ended; err == nil {
		t.Error("the upstream did not learn that the client has gone")
	}
}

// A client that goes away in the midst of a body, of its own or of the answer.
func TestClientAbortInABody(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ why, sent string }{
		{"its own", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf"},
		{"its own in chunks", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"},
		{"the answer", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			began, cancelled := make(chan bool), make(chan error, 1)
			addr := front(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, "half")
				http.NewResponseController(w).EnableFullDuplex()
				w.(http.Flusher).Flush()
				io.ReadFull(r.Body, make([]byte, 4))
				close(began)
				_, err := io.Copy(io.Discard, r.Body)
				if r.Method == "GET" {
					<-r.Context().Done()
					err = r.Context().Err()
				}
				cancelled <- err
			}), nil)
			conn, err := net.Dial("tcp", strings.TrimPrefix(addr, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(conn, row.sent)
			<-began
			conn.Close()
			if err := <-cancelled; err == nil {
				t.Error("the upstream took half a body for a whole one")
			}
		})
	}
}

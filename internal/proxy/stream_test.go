package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
)

// Each part is sent only after the one before has been read at the other end,
// so that one that is held back anywhere stops the test.
func TestAnswersAreFlushed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ why, field, value string }{
		{"a stream of events", "Content-Type", "text/event-stream"},
		{"of no known length", "Content-Type", "application/json"},
		{"of a known length", "Content-Length", "27"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			read := make(chan bool)
			addr := front(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set(tt.field, tt.value)
				for i := range 3 {
					fmt.Fprintf(w, "data: %d\n\n", i)
					w.(http.Flusher).Flush()
					select {
					case <-read:
					case <-r.Context().Done():
						return
					}
				}
			}), nil)
			res, err := http.Get(addr)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			lines := bufio.NewScanner(res.Body)
			for i := range 3 {
				if !lines.Scan() || lines.Text() != fmt.Sprintf("data: %d", i) {
					t.Fatalf("part %d is %q, %v", i, lines.Text(), lines.Err())
				}
				lines.Scan() // the empty line
				read <- true
			}
		})
	}
}

// The same in the other direction: the upstream answers each line of a body
// that is not at its end.
func TestBodiesStreamBothWays(t *testing.T) {
	t.Parallel()
	addr := front(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			fmt.Fprintln(w, strings.ToUpper(lines.Text()))
			w.(http.Flusher).Flush()
		}
	}), nil)
	body, send := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), "POST", addr, body)
	if err != nil {
		t.Fatal(err)
	}
	go fmt.Fprintln(send, "one")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	if !lines.Scan() || lines.Text() != "ONE" {
		t.Fatalf("the answer to the first line is %q, %v", lines.Text(), lines.Err())
	}
	fmt.Fprintln(send, "two")
	if !lines.Scan() || lines.Text() != "TWO" {
		t.Fatalf("the answer to the second line is %q, %v", lines.Text(), lines.Err())
	}
	send.Close()
	if lines.Scan() || lines.Err() != nil {
		t.Errorf("after the end: %q, %v", lines.Text(), lines.Err())
	}
}

func TestTrailersBothWays(t *testing.T) {
	t.Parallel()
	got := make(chan http.Header, 1)
	addr := front(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		got <- r.Trailer
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "body")
		w.Header().Set("X-Sum", "42")
	}), nil)
	req, err := http.NewRequest("POST", addr, io.MultiReader(strings.NewReader("body")))
	if err != nil {
		t.Fatal(err)
	}
	req.Trailer = http.Header{"X-Checksum": {"7"}, "X-Forwarded-For": {"6.6.6.6"}, "X_user": {"mallory"}, "X-User": {"mallory"}}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	sent := <-got
	if sent.Get("X-Checksum") != "7" {
		t.Errorf("the upstream got the trailers %v, want the client's X-Checksum", sent)
	}
	if len(sent) != 1 {
		t.Errorf("the upstream got the trailers %v, want none that says who the client is", sent)
	}
	if res.Trailer.Get("X-Sum") != "42" {
		t.Errorf("the client got the trailers %v, want the upstream's X-Sum", res.Trailer)
	}
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	addr := front(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Sec-Websocket-Key") != "k" {
			t.Errorf("the upstream got %v, want the client's upgrade", r.Header)
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		rw.Flush()
		line, _ := rw.ReadString('\n')
		fmt.Fprint(rw, "echo "+line)
		rw.Flush()
	}), nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(addr, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n")
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the answer is %v, %v, want 101", res, err)
	}
	fmt.Fprint(conn, "hello\n")
	if line, err := in.ReadString('\n'); line != "echo hello\n" {
		t.Errorf("over the upgraded connection came %q, %v", line, err)
	}
}

func TestClientAbortCancelsTheUpstream(t *testing.T) {
	t.Parallel()
	began, cancelled := make(chan bool), make(chan bool)
	addr := front(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(cancelled)
	}), nil)
	ctx, abort := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-began
		abort()
	}()
	if res, err := http.DefaultTransport.RoundTrip(req); err == nil {
		res.Body.Close()
		t.Error("an answer came to a request that was aborted")
	}
	<-cancelled
}

// An interim answer comes before the limiter's fields are due, and httputil
// clears the header after it: they must be in the final one nevertheless.
func TestInterimAnswersAndTheLimitersFields(t *testing.T) {
	t.Parallel()
	addr := frontWithFields(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		io.WriteString(w, "body")
	}))
	var hints textproto.MIMEHeader
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error { hints = h; return nil },
	})
	req, err := http.NewRequestWithContext(ctx, "GET", addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if hints.Get("Link") == "" || hints.Get("RateLimit") != "" {
		t.Errorf("the interim answer has %v, want the upstream's Link alone", hints)
	}
	if res.Header.Get("RateLimit") != ourLimit || res.Header.Get("RateLimit-Policy") != ourPolicy {
		t.Errorf("the final answer has %v, want the limiter's fields", res.Header)
	}
}

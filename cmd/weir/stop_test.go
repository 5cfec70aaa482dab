//go:build unix

package main

import (
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// A terminal that goes away ends weir in order: nothing is forgotten.
func TestTheTerminalGoesAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serve(t, dir, "--limit", "ip 1/day")
	ask(t, p.url, "127.0.0.1", 1)
	p.signal(syscall.SIGHUP)
	p.exit(0)
	p = serve(t, dir, "--limit", "ip 1/day")
	if got := ask(t, p.url, "127.0.0.1", 1); got[0] != 429 || strings.Contains(p.stderr(), "after a crash") {
		t.Errorf("after SIGHUP the status is %d, want 429 and no crash:\n%s", got[0], p.stderr())
	}
}

// Under nohup(1) it does not.
func TestHangupThatIsIgnored(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), exec.Command("/bin/sh", "-c", `trap "" HUP; exec "$@"`, "sh",
		binary, "serve", "--listen", "127.0.0.1:0", "--limit", "ip 1/day"))
	p.signal(syscall.SIGHUP)
	if got := ask(t, p.url, "127.0.0.1", 2); !slices.Equal(got, []int{200, 429}) {
		t.Errorf("after SIGHUP the statuses are %v, want 200 and 429", got)
	}
	if strings.Contains(p.stderr(), "stopping") {
		t.Errorf("it stops:\n%s", p.stderr())
	}
	p.terminate()
}

// Nothing of an answer reaches the log, at any level, not even of one that
// nobody asked for: the client of net/http logs that by itself.
func TestAnAnswerThatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	answered := make(chan bool)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		conn.Read(make([]byte, 4096))
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		<-answered
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nSet-Cookie: sid=secret\r\nContent-Length: 6\r\n\r\nsecret")
		io.Copy(io.Discard, conn)
	}()
	p := serve(t, t.TempDir(), "--to", "http://"+l.Addr().String(), "--log-level", "debug")
	res, err := http.Get(p.url)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || string(body) != "ok" {
		t.Fatalf("the answer is %q, %v", body, err)
	}
	close(answered)
	p.waitFor("net/http gave up a connection")
	p.terminate()
	for _, leak := range []string{"secret", "sid", "Cookie", "Unsolicited"} {
		if strings.Contains(p.stderr(), leak) {
			t.Errorf("the log has %q:\n%s", leak, p.stderr())
		}
	}
}

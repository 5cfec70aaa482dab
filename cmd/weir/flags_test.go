//go:build unix

package main

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Flags that say how clients are told do what they say.
func TestFlagsOfTheFields(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		flags       []string
		field, want string // of the answer
		status      int    // of the second request
	}{
		{nil, "RateLimit", `"ip";r=0;t=86400`, 429},
		{[]string{"--fields", "draft-11"}, "RateLimit", `"ip";r=0;t=86400`, 429},
		{[]string{"--fields", "draft-7"}, "RateLimit-Policy", "1;w=86400", 429},
		{[]string{"--fields", "draft-6+x"}, "RateLimit-Limit", "1", 429},
		{[]string{"--fields", "draft-6+x"}, "X-RateLimit-Limit", "1", 429},
		{[]string{"--fields", "none"}, "RateLimit", "", 429},
		{[]string{"--exempt", "127.0.0.1"}, "RateLimit", "", 200},
		{[]string{"--forward-auth", "nginx"}, "RateLimit", `"ip";r=0;t=86400`, 403},
		{[]string{"--forward-auth", "nginx", "--deny-status", "429"}, "RateLimit", `"ip";r=0;t=86400`, 429},
		{[]string{"--jitter=false"}, "Retry-After", "86400", 429},
	} {
		t.Run(strings.Join(tt.flags, " "), func(t *testing.T) {
			t.Parallel()
			p := serve(t, t.TempDir(), append(tt.flags, "--limit", "ip 1/day")...)
			first := get(t, p.url, "127.0.0.1")
			second := get(t, p.url, "127.0.0.1")
			if second.StatusCode != tt.status {
				t.Errorf("status %d, want %d", second.StatusCode, tt.status)
			}
			if got := first.Header.Get(tt.field); tt.field != "Retry-After" && !near(got, tt.want) {
				t.Errorf("%s: %q, want %q", tt.field, got, tt.want)
			}
			if got := second.Header.Get("Retry-After"); tt.field == "Retry-After" && !near(got, tt.want) {
				t.Errorf("Retry-After: %q, want %q", got, tt.want)
			}
		})
	}
}

// near tells whether a value is what is wanted, or that up to a few minutes
// later.
func near(got, want string) bool {
	before, ok := strings.CutSuffix(want, "86400")
	rest, found := strings.CutPrefix(got, before)
	n, err := strconv.Atoi(rest)
	return got == want || ok && found && err == nil && n > 86000 && n <= 86400
}

// Flags that say who may connect do what they say.
func TestFlagsOfTheConnections(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{{"--max-connections", "1"}, {"--max-connections-per-client", "1"}} {
		p := serve(t, t.TempDir(), flags...)
		held, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		io.WriteString(held, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if _, err := held.Read(make([]byte, 1)); err != nil {
			t.Fatalf("the first connection: %v", err)
		}
		if res, err := http.Get(p.url); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
			t.Errorf("%q: the second connection gets %v, %v, want it closed", flags, res, err)
		}
		p.waitFor(flags[0] + `"`)
		if !strings.Contains(p.stderr(), "connections are refused") {
			t.Errorf("%q: the log does not say so:\n%s", flags, p.stderr())
		}
	}
}

// A Unix socket can be listened on, with its permissions, and leaves nothing
// behind.
func TestFlagsOfTheSocket(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "weir") // a name that leaves room for a socket's
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	p := start(t, dir, exec.Command(binary, "serve", "--listen", "unix:weir.sock", "--socket-mode", "0660", "--trust", "unix", "--limit", "ip 1/day"))
	path := filepath.Join(dir, "weir.sock")
	if info, err := os.Stat(path); err != nil || info.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("the socket is %v, %v, want mode 0660", info, err)
	}
	for i, tt := range []struct{ client, want string }{
		{"203.0.113.7", "HTTP/1.1 200"}, {"203.0.113.7", "HTTP/1.1 429"}, {"203.0.113.8", "HTTP/1.1 200"},
	} {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: "+tt.client+"\r\n\r\n")
		answer, err := io.ReadAll(conn)
		conn.Close()
		if err != nil || !strings.HasPrefix(string(answer), tt.want) {
			t.Errorf("request %d: %q, %v, want %s", i+1, answer, err, tt.want)
		}
	}
	p.terminate()
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket is left behind")
	}
}

//go:build unix

package serve_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/serve"
)

// socketDir returns a directory with a name that leaves room for a socket's.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "weir")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// onSocket sends a GET to a server on a Unix socket and returns the status.
func onSocket(t *testing.T, path string, fields ...string) int {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://weir/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}

// On a Unix socket nobody has an address: all are one client, unless who is on
// it is trusted to say.
func TestCheck60UnixSocket(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why      string
		trust    serve.Peers
		from     serve.From
		statuses [3]int // of two clients, and of the first again
		says     string
	}{
		{"nobody is trusted", serve.Peers{}, serve.FromXFF, [3]int{200, 429, 429}, "with nobody trusted (--trust unix) all clients are limited as one"},
		{"somebody else is", loopback(), serve.FromXFF, [3]int{200, 429, 429}, "trust      127.0.0.1/32: believed"},
		{"who is on it is trusted", serve.Peers{Unix: true}, serve.FromXFF, [3]int{200, 200, 429}, "trust      unix: believed about X-Forwarded-For"},
		{"who is on it is trusted, in another field", serve.Peers{Unix: true}, serve.FromForwarded, [3]int{200, 429, 429}, "trust      unix: believed about Forwarded"},
		{"who is on it is the client", serve.Peers{Unix: true}, serve.FromPeer, [3]int{200, 429, 429}, "with --client-ip peer all clients are limited as one"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(socketDir(t), "weir.sock")
			cfg := config(t, "ip 1/day")
			cfg.Listen, cfg.SocketMode, cfg.Trust, cfg.ClientIP.From = "unix:"+path, 0o600, tt.trust, tt.from
			s := start(t, cfg)
			for i, forwarded := range []string{"203.0.113.7", "203.0.113.8", "203.0.113.7"} {
				if got := onSocket(t, path, "X-Forwarded-For", forwarded); got != tt.statuses[i] {
					t.Errorf("request %d: %d, want %d", i+1, got, tt.statuses[i])
				}
			}
			for _, want := range []string{tt.says, "listening  unix:" + path + " (http, 0600)\n", "try        curl -i --unix-socket " + path + " http://localhost/\n"} {
				if !strings.Contains(s.banner.String(), want) {
					t.Errorf("the banner lacks %q:\n%s", want, s.banner)
				}
			}
		})
	}
}

// The PROXY protocol can name the client there too.
func TestCheck75UnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(socketDir(t), "weir.sock")
	cfg := config(t, "ip 1/day")
	cfg.Listen, cfg.SocketMode, cfg.ProxyProtocol = "unix:"+path, 0o600, serve.Peers{Unix: true}
	start(t, cfg)
	for i, tt := range []struct{ header, want string }{
		{"PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n", "HTTP/1.1 200"},
		{"PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n", "HTTP/1.1 429"},
		{"PROXY TCP4 203.0.113.8 192.0.2.1 4711 80\r\n", "HTTP/1.1 200"},
		{"", ""},
	} {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, tt.header+plain)
		answer, _ := io.ReadAll(conn)
		conn.Close()
		if got := string(answer); !strings.HasPrefix(got, tt.want) || got != "" && tt.want == "" {
			t.Errorf("request %d: %q, want %s", i+1, got, tt.want)
		}
	}
}

func TestSocketFile(t *testing.T) {
	t.Parallel()
	for _, mode := range []fs.FileMode{0o600, 0o660, 0o777} {
		dir := socketDir(t)
		path := filepath.Join(dir, "weir.sock")
		cfg := config(t, "ip 9/day")
		cfg.Listen, cfg.SocketMode = "unix:"+path, mode
		s := start(t, cfg)
		info, err := os.Lstat(path)
		if err != nil || info.Mode() != fs.ModeSocket|mode {
			t.Fatalf("the socket is %v, %v, want mode %v", info, err, mode)
		}
		s.close(t)
		if left := contents(t, dir); left != "" {
			t.Errorf("when it has stopped there is left\n%s", left)
		}
	}
}

// A socket that a killed process has left behind is replaced; whatever else is
// at the path is left alone.
func TestSocketThatIsThere(t *testing.T) {
	t.Parallel()
	dir := socketDir(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	listen := func(name string) net.Listener {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: at(name), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		return l
	}
	listen("stale").Close()
	used := listen("used")
	defer used.Close()
	write(t, at("file"), "mine")
	if err := os.Symlink("used", at("link")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		listen, says string
		config       bool
	}{
		{"unix:" + at("stale"), "", false},
		{"unix:" + at("used"), "somebody listens there: stop that, or want another path", false},
		{"unix:" + at("file"), "there is a file that is no socket: want a path of its own for the socket", true},
		{"unix:" + at("link"), "there is a file that is no socket", true},
		{"unix:" + dir, "there is a file that is no socket", true},
		{"unix:" + at("none/sock"), "the directory does not exist", true},
		{"unix:" + at("file/sock"), "not a directory", true},
		{"unix:" + at(strings.Repeat("x", 100)), "want unix: and a path of 1 to 80 bytes, such as unix:/run/weir.sock", true},
		{"unix:", "want unix: and a path of 1 to 80 bytes", true},
		{"unix:a\x00b", "want unix: and a path of 1 to 80 bytes", true},
	} {
		cfg := config(t, "ip 1/day")
		cfg.Listen, cfg.SocketMode = tt.listen, 0o600
		if tt.says == "" {
			start(t, cfg)
			if got := onSocket(t, at("stale")); got != 200 {
				t.Errorf("in place of one left behind: status %d, want 200", got)
			}
			continue
		}
		before := contents(t, dir)
		cfg.Logger, cfg.Banner = discard, io.Discard
		_, err := serve.New(cfg)
		if err == nil || errors.Is(err, serve.ErrConfig) != tt.config || !strings.Contains(err.Error(), tt.says) || !strings.HasPrefix(err.Error(), "--listen ") {
			t.Errorf("listening on %q: %v, want an error that says %q, ErrConfig: %v", tt.listen, err, tt.says, tt.config)
		}
		if after := contents(t, dir); after != before {
			t.Errorf("listening on %q changed what is there from\n%s\nto\n%s", tt.listen, before, after)
		}
	}
	if conn, err := net.Dial("unix", at("used")); err != nil {
		t.Errorf("who listened before does no more: %v", err)
	} else {
		conn.Close()
	}
}

// Who stops does not take away the socket of who has come after.
func TestSocketOfAnother(t *testing.T) {
	t.Parallel()
	path := filepath.Join(socketDir(t), "weir.sock")
	cfg := config(t, "ip 9/day")
	cfg.Listen, cfg.SocketMode = "unix:"+path, 0o600
	first := start(t, cfg)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	start(t, cfg)
	first.close(t)
	if got := onSocket(t, path); got != 200 {
		t.Errorf("status %d, want 200", got)
	}
}

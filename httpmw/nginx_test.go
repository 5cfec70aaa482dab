//go:build unix

package httpmw_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/httpmw"
)

// nginxTrusts are the proxies that both nginx and the ClientIP held against it
// trust, its peer 127.0.0.1 among them.
var nginxTrusts = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"),
}

// An nginx answers each request with the address that it takes for the
// client's.
type nginx struct {
	conn net.Conn
	in   *bufio.Reader
}

// startNginx starts nginx with a configuration of its own. It is skipped where
// there is none.
func startNginx(t *testing.T) *nginx {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		path = "/usr/sbin/nginx"
		if _, err := os.Stat(path); err != nil {
			t.Skip("nginx is not installed, so the walk is held against our own oracle only")
		}
	}
	dir := t.TempDir()
	// A free port: nginx can not be told to take one.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	var trust strings.Builder
	for _, p := range nginxTrusts {
		fmt.Fprintf(&trust, "set_real_ip_from %v; ", p)
	}
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, []byte(fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 16; }
http {
	access_log off; keepalive_requests 1000000; large_client_header_buffers 4 32k;
	client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	server {
		listen %[2]s;
		real_ip_header X-Forwarded-For; real_ip_recursive on; %[3]s
		location / { return 200 $remote_addr; }
	}
}
`, dir, addr, trust.String())), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd := exec.Command(path, "-p", dir, "-c", config)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-exited
	})
	for wait := time.Millisecond; ; wait *= 2 {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			t.Cleanup(func() { conn.Close() })
			return &nginx{conn: conn, in: bufio.NewReader(conn)}
		}
		if wait > 10*time.Second {
			t.Fatalf("nginx does not listen: %v", err)
		}
		select {
		case err := <-exited:
			exited <- err
			if strings.Contains(out.String(), "unknown directive") {
				t.Skipf("this nginx is built without what is needed here: %s", out.String())
			}
			t.Fatalf("nginx has ended: %v: %s", err, out.String())
		case <-time.After(wait):
		}
	}
}

// client returns the address that nginx finds.
func (n *nginx) client(t *testing.T, lines []string) string {
	t.Helper()
	n.conn.SetDeadline(time.Now().Add(20 * time.Second))
	var b strings.Builder
	b.WriteString("GET / HTTP/1.1\r\nHost: a\r\n")
	for _, line := range lines {
		b.WriteString("X-Forwarded-For: " + line + "\r\n")
	}
	b.WriteString("\r\n")
	if _, err := n.conn.Write([]byte(b.String())); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(n.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		t.Fatalf("nginx answers %q with status %d", lines, res.StatusCode)
	}
	text, err := bufio.NewReader(res.Body).ReadString('\n')
	if text == "" {
		t.Fatal(err)
	}
	return text
}

// ours returns the address that c finds, as for nginx's peer.
func ours(c httpmw.ClientIP, lines []string) string {
	a, _ := c.Addr(&http.Request{RemoteAddr: "127.0.0.1:1", Header: http.Header{xff: lines}})
	return a.String()
}

// The walk is that of nginx with real_ip_recursive on, over 10,000 random
// fields of all that both read alike, good and bad.
func TestCheck_63_nginx(t *testing.T) {
	t.Parallel()
	server := startNginx(t)
	c := must(httpmw.NewClientIP(64, nginxTrusts...))

	t.Run("alike", func(t *testing.T) {
		good := []string{"10.0.0.1", "10.0.0.2", "10.9.9.9:80", "127.0.0.1", "fd00::1", "[fd00::3]:443",
			"203.0.113.7", "203.0.113.7:99", "6.6.6.6", "2001:db8::1", "[2001:db8::3]:443", "255.255.255.254", "::", "::1"}
		bad := []string{"garbage", "unknown", "_x", "1.2.3", "1.2.3.4.5", "256.1.1.1", `"1.2.3.4"`, "0x7f.0.0.1", "1.2.3.4:99999", "1.2.3.4:x",
			"%", "[", "]", ":", ":80", "[::1", "[::1]x", "::g", "1:2:3:4:5:6:7:8:9", "-", "1.2.3.4/8", "localhost"}
		rng := rand.New(rand.NewPCG(5, 6))
		found := map[string]int{}
		for range 10_000 {
			lines := make([]string, 1+rng.IntN(3))
			for i := range lines {
				// A line begins with an element: see the exceptions.
				elements := []string{good[rng.IntN(len(good))]}
				for range rng.IntN(7) {
					switch rng.IntN(12) {
					case 0:
						elements = append(elements, bad[rng.IntN(len(bad))])
					case 1:
						elements = append(elements, []string{"", " ", "   "}[rng.IntN(3)])
					case 2:
						elements = append(elements, fmt.Sprintf("%d.%d.%d.%d", rng.IntN(255), rng.IntN(256), rng.IntN(256), rng.IntN(256)))
					case 3:
						elements = append(elements, fmt.Sprintf("10.0.0.%d", rng.IntN(256)))
					default:
						elements = append(elements, good[rng.IntN(len(good))])
					}
				}
				lines[i] = strings.Join(elements, []string{",", ", ", " ,", ",,"}[rng.IntN(4)])
			}
			got, theirs := ours(c, lines), server.client(t, lines)
			if got != theirs {
				t.Errorf("%q: %s, nginx finds %s", lines, got, theirs)
			}
			found[got]++
		}
		if len(found) < 100 || found["127.0.0.1"] > 5000 {
			t.Errorf("%d addresses, the peer %d times: the fields are all alike", len(found), found["127.0.0.1"])
		}
	})

	// What the two read differently, and why. Each of it stops one of them at a
	// trusted proxy, or is an address in a notation that the other does not know;
	// none of it has us believe what stands left of the client.
	t.Run("exceptions", func(t *testing.T) {
		for _, row := range []struct {
			why          string
			lines        []string
			ours, theirs string
		}{
			{"nginx wants a port behind brackets", []string{"[2001:db8::2]"}, "2001:db8::2", "127.0.0.1"},
			{"nginx takes IPv4 in brackets", []string{"[1.2.3.4]:5"}, "127.0.0.1", "1.2.3.4"},
			{"nginx takes the broadcast address for an error", []string{"255.255.255.255"}, "255.255.255.255", "127.0.0.1"},
			{"nginx takes a missing octet for 0", []string{"1..2.3"}, "127.0.0.1", "1.0.2.3"},
			{"nginx takes leading zeros; others read them as octal", []string{"010.0.0.5"}, "127.0.0.1", "10.0.0.5"},
			{"nginx parts at blanks", []string{"6.6.6.6 203.0.113.7"}, "127.0.0.1", "203.0.113.7"},
			{"nginx does not trim tabs", []string{"6.6.6.6,\t203.0.113.7"}, "203.0.113.7", "127.0.0.1"},
			{"nginx stops at a line of nothing; lines are one list (RFC 9110, 5.3)", []string{"203.0.113.7", ""}, "203.0.113.7", "127.0.0.1"},
			{"nginx does not see an element right behind a comma at the beginning", []string{",203.0.113.7"}, "203.0.113.7", "127.0.0.1"},
			{"nginx shows IPv4 in IPv6 notation as it is written", []string{"::ffff:203.0.113.7"}, "203.0.113.7", "::ffff:203.0.113.7"},
			{"nginx does not know zones", []string{"2001:db8::1%eth0"}, "2001:db8::1", "127.0.0.1"},
			{"nginx reads on to the left for ever", []string{"6.6.6.6" + strings.Repeat(",10.0.0.1", 64)}, "10.0.0.1", "6.6.6.6"},
		} {
			if got := ours(c, row.lines); got != row.ours {
				t.Errorf("%s: %.80q: %s, want %s", row.why, row.lines, got, row.ours)
			}
			if got := server.client(t, row.lines); got != row.theirs {
				t.Errorf("%s: %.80q: nginx finds %s, want %s", row.why, row.lines, got, row.theirs)
			}
		}
	})
}

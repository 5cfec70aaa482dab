//go:build unix

package serve_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/internal/serve"
)

// tool returns the path of a program, or skips the test.
func tool(t *testing.T, name string) string {
	t.Helper()
	for _, name := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skipf("there is no %s on this machine: apt-get install nginx-light caddy haproxy curl", name)
	return ""
}

// A front is a proxy with a server behind it, or beside it, and an API.
type front struct {
	url   string
	weir  *running
	asked *atomic.Int32 // requests that came to the API
}

// inFront runs one of the proxies with a text for its file, in which :8000,
// :8080 and :3000 are the proxy, weir and the API, and weir with a configuration.
func inFront(t *testing.T, program, text string, cfg serve.Config) *front {
	t.Helper()
	path := tool(t, program)
	f := &front{asked: &atomic.Int32{}}
	api := func(w http.ResponseWriter, r *http.Request) {
		f.asked.Add(1)
		io.WriteString(w, "this is the API")
	}
	cfg.Routes = to(t, api)
	apiAddr := cfg.Routes[0].To.Host
	if cfg.ForwardAuth != "" {
		cfg.Routes = nil
	}
	f.weir = start(t, cfg)
	for range 5 { // its port may be taken before it listens there
		port := freePort(t)
		f.url = "http://127.0.0.1:" + port
		if runs(t, program, path, port, strings.NewReplacer("127.0.0.1:8000", "127.0.0.1:"+port,
			"127.0.0.1:8080", f.weir.server.Addr().String(), "127.0.0.1:3000", apiAddr).Replace(text)) {
			return f
		}
	}
	t.Fatalf("%s does not start", program)
	return nil
}

// runs starts a proxy and waits until it listens on a port, or has exited.
func runs(t *testing.T, program, path, port, text string) bool {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "conf")
	var args []string
	switch program {
	case "nginx":
		main := "daemon off; master_process off; pid nginx.pid; error_log stderr; events {}\n" +
			"http { access_log off; client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n" + text + "\n}\n"
		text, args = main, []string{"-p", dir, "-e", "stderr", "-c", file}
	case "caddy":
		args = []string{"run", "--adapter", "caddyfile", "--config", file}
		text = "{\n\tadmin off\n}\n" + text // its own port, which all would want
	case "haproxy":
		args = []string{"-db", "-f", file}
	}
	write(t, file, text)
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	log := &book{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan bool)
	go func() {
		cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(10 * time.Second):
			cmd.Process.Kill()
			<-exited
		}
	})
	for range 1500 {
		select {
		case <-exited:
			t.Logf("%s exited:\n%s", program, log)
			return false
		case <-time.After(20 * time.Millisecond):
		}
		if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			conn.Close()
			return true
		}
	}
	return false
}

// client is the address that curl connects from: not the one of the proxies,
// which is trusted.
const client = "127.0.0.2"

// curl runs curl, and returns what it prints and what it says of its talk.
func curl(t *testing.T, args ...string) (out, said string) {
	t.Helper()
	l, err := net.Listen("tcp", client+":0")
	if err != nil {
		t.Skipf("curl can not have an address of its own on this machine: %v", err)
	}
	l.Close()
	cmd := exec.CommandContext(t.Context(), tool(t, "curl"), append([]string{"-q", "--silent", "--max-time", "120", "--noproxy", "*", "--interface", client}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, stderr.String())
	}
	return string(b), stderr.String()
}

// examples are the files of examples/proxies, and how weir is started for each.
var examples = map[string]struct {
	program string
	change  func(*serve.Config)
}{
	"nginx.conf":                 {"nginx", func(cfg *serve.Config) { cfg.Trust = loopback() }},
	"haproxy.cfg":                {"haproxy", func(cfg *serve.Config) { cfg.Trust = loopback() }},
	"haproxy-proxy-protocol.cfg": {"haproxy", func(cfg *serve.Config) { cfg.ProxyProtocol = loopback() }},
	"nginx-auth-request.conf": {"nginx", func(cfg *serve.Config) {
		cfg.Trust, cfg.ForwardAuth, cfg.DenyStatus = loopback(), serve.Nginx, serve.Nginx.DenyStatus()
	}},
	"Caddyfile": {"caddy", func(cfg *serve.Config) {
		cfg.Trust, cfg.ForwardAuth, cfg.DenyStatus = loopback(), serve.Caddy, serve.Caddy.DenyStatus()
	}},
}

// example runs one of them with a limit.
func example(t *testing.T, name, limit string) *front {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", "proxies", name))
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(t, limit)
	examples[name].change(&cfg)
	return inFront(t, examples[name].program, string(text), cfg)
}

// curl, as people use it, through each of the proxies: it is refused when the
// quota is over, whatever it says it is, and told when to come back.
func TestCurlThroughProxies(t *testing.T) {
	t.Parallel()
	for name := range examples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := example(t, name, "ip 3/day")
			body := filepath.Join(t.TempDir(), "body")
			for i, want := range []string{"200", "200", "200", "429", "429"} {
				spoofed := fmt.Sprintf("203.0.113.%d", i)
				head, _ := curl(t, "--output", body, "--dump-header", "-", "--write-out", "STATUS %{http_code}", "-H", "X-Forwarded-For: "+spoofed,
					"-H", "X-Real-IP: "+spoofed, "-H", "Forwarded: for="+spoofed, "-H", "X-User: "+spoofed, "-A", "agent/"+spoofed, f.url+fmt.Sprint("/", i))
				if !strings.HasSuffix(head, "STATUS "+want) {
					t.Fatalf("request %d: want %s, got\n%s\n%s", i+1, want, head, f.weir.log)
				}
				text, err := os.ReadFile(body)
				if err != nil || (string(text) == "this is the API") != (want == "200") {
					t.Errorf("request %d, with status %s, is answered with %q, %v", i+1, want, text, err)
				}
				retry := 0
				for line := range strings.Lines(head) {
					if field, value, _ := strings.Cut(line, ": "); strings.EqualFold(field, "Retry-After") {
						fmt.Sscan(value, &retry)
					}
				}
				// Of three a day one comes back every 8 hours.
				if want == "429" && (retry < 28000 || retry > 28800+60) || want == "200" && retry != 0 {
					t.Errorf("request %d, with status %s: Retry-After is %d", i+1, want, retry)
				}
			}
			if got := f.asked.Load(); got != 3 {
				t.Errorf("%d requests came to the API, want 3", got)
			}
		})
	}
}

// curl --retry, through each of them, waits as it is told and gets its answer
// after one refusal.
func TestCheck80CurlThroughProxies(t *testing.T) {
	t.Parallel()
	for name := range examples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := example(t, name, "ip 1/2s")
			body := filepath.Join(t.TempDir(), "body")
			for range 10 {
				status, said := curl(t, "--verbose", "--retry", "3", "--output", body, "--write-out", "%{http_code}", f.url)
				refused := strings.Count(said, "\n< HTTP/1.1 429 ")
				if status != "200" || refused > 1 {
					t.Fatalf("it ends with %s after %d refusals, want 200 after one:\n%s", status, refused, said)
				}
				if refused == 1 {
					return
				}
			}
			t.Error("it was never refused, ten times one after the other")
		})
	}
}

// nginx takes 2xx, 401 and 403 of who it asks, and makes 500 of any other: so a
// refusal of weir is 403 for it, unless its configuration maps that 500.
func TestCheck76NginxAndAPlain429(t *testing.T) {
	t.Parallel()
	const server = `server {
	listen 127.0.0.1:8000;
	location / { auth_request /_weir; %s proxy_pass http://127.0.0.1:3000; }
	location = /_weir { internal; proxy_pass http://127.0.0.1:8080; proxy_pass_request_body off; proxy_set_header Content-Length "";
		proxy_set_header X-Forwarded-For $remote_addr; }
	location @over { internal; return 429; }
}`
	for _, tt := range []struct {
		why, errors string
		deny        int
		want        string
	}{
		{"a plain 429", "", 429, "500"},
		{"a 429, and its 500 is mapped", "error_page 500 = @over;", 429, "429"},
		{"a 403", "", 403, "403"},
		{"a 403 that is mapped, as in the example", "error_page 403 = @over;", 403, "429"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			cfg := config(t, "ip 1/day")
			cfg.Trust, cfg.ForwardAuth, cfg.DenyStatus = loopback(), serve.Nginx, tt.deny
			f := inFront(t, "nginx", fmt.Sprintf(server, tt.errors), cfg)
			for i, want := range []string{"200", tt.want, tt.want} {
				if got, _ := curl(t, "--output", os.DevNull, "--write-out", "%{http_code}", f.url); got != want {
					t.Errorf("request %d: %s, want %s", i+1, got, want)
				}
			}
			if got := f.asked.Load(); got != 1 {
				t.Errorf("%d requests came to the API, want 1", got)
			}
		})
	}
}

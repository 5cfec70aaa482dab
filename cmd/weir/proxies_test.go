//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A front is a proxy of the examples, with weir and an API behind it.
type front struct {
	url  string
	weir *process
	api  *sync.Map // paths that the API was asked for
}

// The clients. Neither has the address that proxies connect from, which is
// trusted.
const alice, bob = "127.0.0.2", "127.0.0.3"

// examples has how the programs are started with each of the files.
var examples = map[string]struct {
	program string
	args    func(dir, file string) []string
}{
	"nginx.conf":                 {"nginx", nginx},
	"nginx-auth-request.conf":    {"nginx", nginx},
	"Caddyfile":                  {"caddy", func(_, file string) []string { return []string{"run", "--adapter", "caddyfile", "--config", file} }},
	"haproxy.cfg":                {"haproxy", func(_, file string) []string { return []string{"-db", "-f", file} }},
	"haproxy-proxy-protocol.cfg": {"haproxy", func(_, file string) []string { return []string{"-db", "-f", file} }},
}

// nginx has the file where it would be in /etc/nginx/conf.d, and keeps what it
// writes in dir. It caches whatever it may.
func nginx(dir, file string) []string {
	main := ""
	if os.Geteuid() == 0 {
		main = "user root;\n" // dir is root's alone
	}
	main += `daemon off; pid nginx.pid; error_log stderr; events {}
http {
	access_log off;
	client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
	proxy_cache_path cache keys_zone=all:1m;
	proxy_cache all; proxy_cache_valid any 1m; proxy_cache_min_uses 1;
	add_header X-Cache $upstream_cache_status always;
	include ` + file + `;
}
`
	path := filepath.Join(dir, "main.conf")
	if err := os.WriteFile(path, []byte(main), 0o600); err != nil {
		panic(err)
	}
	return []string{"-p", dir, "-e", "stderr", "-c", path}
}

// inFront starts weir as an example's comment says, but for the limit, and its
// proxy.
func inFront(t *testing.T, name, limit string) *front {
	t.Helper()
	example := examples[name]
	program, err := exec.LookPath(example.program)
	if err != nil {
		t.Skipf("there is no %s on this machine: apt-get install nginx-light caddy haproxy", example.program)
	}
	for _, addr := range []string{alice, bob} {
		if !canUse(t, addr) {
			t.Skip("the proxies cannot have two clients on this machine")
		}
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", "proxies", name))
	if err != nil {
		t.Fatal(err)
	}
	f := &front{api: &sync.Map{}}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.api.Store(r.URL.Path, r.Header)
		io.WriteString(w, "this is the API")
	}))
	t.Cleanup(api.Close)
	apiAddr := strings.TrimPrefix(api.URL, "http://")
	args := commandOf(t, string(text))
	for i, arg := range args {
		switch {
		case arg == "127.0.0.1:8080":
			args[i] = "127.0.0.1:0"
		case arg == "http://127.0.0.1:3000":
			args[i] = api.URL
		case i > 0 && args[i-1] == "--limit":
			args[i] = limit
		}
	}
	f.weir = start(t, t.TempDir(), exec.Command(binary, args...))
	config := strings.NewReplacer("127.0.0.1:8080", strings.TrimPrefix(f.weir.url, "http://"), "127.0.0.1:3000", apiAddr)
	for range 5 { // its port may be taken before it listens there
		port := free(t)
		f.url = "http://127.0.0.1:" + port
		if behind(t, program, name, strings.ReplaceAll(config.Replace(string(text)), "127.0.0.1:8000", "127.0.0.1:"+port), port) {
			return f
		}
	}
	t.Fatalf("%s does not start with %s", program, name)
	return nil
}

// commandOf returns the arguments of weir in the comment of an example.
func commandOf(t *testing.T, text string) []string {
	t.Helper()
	for line := range strings.Lines(text) {
		command, ok := strings.CutPrefix(strings.TrimSpace(line), "#   weir ")
		if !ok {
			continue
		}
		before, limit, ok := strings.Cut(command, " '")
		if !ok || !strings.HasSuffix(limit, "'") {
			t.Fatalf("the command line ends with no limit: %s", line)
		}
		return append(strings.Fields(before), strings.TrimSuffix(limit, "'"))
	}
	t.Fatal("the example does not say how weir is started")
	return nil
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// behind runs a proxy and waits until it listens on a port, or has exited.
func behind(t *testing.T, program, name, config, port string) bool {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, name)
	write(t, file, config)
	cmd := exec.Command(program, examples[name].args(dir, file)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
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
		case <-time.After(patience):
			cmd.Process.Kill()
			<-exited
		}
	})
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		select {
		case <-exited:
			said, _ := os.ReadFile(log.Name())
			t.Logf("%s exited:\n%s", program, said)
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

// get sends a request of a client, with fields that come in pairs.
func (f *front) get(t *testing.T, from, path string, fields ...string) *http.Response {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), "GET", f.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(body) == "this is the API"; got != (res.StatusCode == 200) {
		t.Errorf("%s: status %d with %q", path, res.StatusCode, body)
	}
	return res
}

// The examples hold what weir promises: who is over the limit is told when to
// come back, others are not, and what clients say of themselves changes nothing.
func TestProxies(t *testing.T) {
	t.Parallel()
	for name := range examples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := inFront(t, name, "ip 3/day")
			for i, want := range []int{200, 200, 200, 429, 429} {
				// Each is of somebody else, if one believes it.
				spoofed := fmt.Sprintf("203.0.113.%d", i)
				res := f.get(t, alice, fmt.Sprintf("/alice/%d", i), "X-Forwarded-For", spoofed, "X-Forwarded-For", "127.0.0.1", "X-Real-IP", spoofed,
					"Forwarded", "for="+spoofed, "X-Forwarded-Uri", "/"+spoofed, "X-Original-URI", "/"+spoofed, "X-User", spoofed)
				if res.StatusCode != want {
					t.Fatalf("request %d: %d, want %d\n%s", i+1, res.StatusCode, want, f.weir.stderr())
				}
				_, asked := f.api.Load(fmt.Sprintf("/alice/%d", i))
				if asked != (want == 200) {
					t.Errorf("request %d reached the API: %v", i+1, asked)
				}
				if want == 429 {
					retry, err := strconv.Atoi(res.Header.Get("Retry-After"))
					// Of three a day one comes back every 8 hours.
					if err != nil || retry < 28000 || retry > 28800+60 {
						t.Errorf("Retry-After: %q, want 8 hours, but for what has passed and a minute", res.Header.Get("Retry-After"))
					}
					if got := res.Header.Get("Cache-Control"); got != "no-store" {
						t.Errorf("Cache-Control: %q, want no-store", got)
					}
				}
				if got := res.Header.Get("RateLimit-Policy"); got != `"ip";q=3;w=86400` && (name != "Caddyfile" || want == 429) {
					t.Errorf("request %d, RateLimit-Policy: %q", i+1, got) // Caddy only passes on refusals
				}
			}
			if got := f.get(t, bob, "/bob").StatusCode; got != 200 {
				t.Errorf("another client: %d, want 200\n%s", got, f.weir.stderr())
			}
		})
	}
}

// A limit by path is one of the path that the client asks for, also where weir
// is only asked about it.
func TestProxiesThatAskNameThePath(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"nginx-auth-request.conf", "Caddyfile"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := inFront(t, name, "path 1/day")
			var got []int
			for _, path := range []string{"/a", "/a?query", "/b", "/a/", "/b"} {
				got = append(got, f.get(t, alice, path).StatusCode)
			}
			if want := []int{200, 429, 200, 429, 429}; !slices.Equal(got, want) {
				t.Errorf("the statuses are %v, want %v", got, want)
			}
		})
	}
}

// nginx keeps no refusal, even where it is told to keep whatever comes.
func TestCheck33NothingKeepsARefusal(t *testing.T) {
	t.Parallel()
	f := inFront(t, "nginx.conf", "ip 1/day")
	if res := f.get(t, alice, "/first"); res.StatusCode != 200 {
		t.Fatalf("status %d, want 200", res.StatusCode)
	}
	for range 3 {
		res := f.get(t, alice, "/page")
		if got := res.Header.Get("X-Cache"); res.StatusCode != 429 || got == "HIT" || got == "" {
			t.Errorf("%d, cache: %q, want 429 that is not from the cache", res.StatusCode, got)
		}
	}
	if res := f.get(t, bob, "/page"); res.StatusCode != 200 {
		t.Errorf("another client gets %d for the same page, want 200", res.StatusCode)
	}
	// The cache works: what may be kept is.
	if res := f.get(t, alice, "/page"); res.StatusCode != 200 || res.Header.Get("X-Cache") != "HIT" {
		t.Errorf("what the other client got is not kept: %d, cache: %q", res.StatusCode, res.Header.Get("X-Cache"))
	}
}

// If weir is gone nothing passes.
func TestProxiesWithoutWeir(t *testing.T) {
	t.Parallel()
	for name := range examples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := inFront(t, name, "ip 3/day")
			f.weir.terminate()
			if name == "haproxy-proxy-protocol.cfg" { // which knows nothing of HTTP
				if _, err := http.Get(f.url); err == nil || errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("the error is %v, want the connection closed", err)
				}
			} else if got := f.get(t, alice, "/").StatusCode; got < 500 {
				t.Errorf("status %d, want 5xx", got)
			}
		})
	}
}

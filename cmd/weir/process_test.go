//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is the command as it is built for people.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "weir")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "weir")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// patience is how long a process may take to do something at all.
const patience = 30 * time.Second

// A process is a weir that serves.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	url  string
	code chan int // that it exited with

	mu   sync.Mutex
	said strings.Builder // on stderr
}

// serve runs weir serve in a directory, on a free port, and waits until it
// serves.
func serve(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	return start(t, dir, exec.Command(binary, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...))
}

// start runs a command that is weir serve in a directory, and waits until it
// serves.
func start(t *testing.T, dir string, cmd *exec.Cmd) *process {
	t.Helper()
	args := cmd.Args[1:]
	p := &process{t: t, cmd: cmd, code: make(chan int, 1)}
	p.cmd.Dir = dir
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready, exited := make(chan bool), make(chan bool)
	go func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			p.mu.Lock()
			fmt.Fprintln(&p.said, lines.Text())
			p.mu.Unlock()
			if url, ok := strings.CutPrefix(lines.Text(), "listening  "); ok {
				p.url = url
			}
			if strings.HasPrefix(lines.Text(), "try ") {
				close(ready)
			}
		}
		p.cmd.Wait()
		p.code <- p.cmd.ProcessState.ExitCode()
		close(exited)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-exited
	})
	select {
	case <-ready:
	case <-exited:
		t.Fatalf("weir %q exited:\n%s", args, p.stderr())
	case <-time.After(patience):
		t.Fatalf("weir %q does not serve:\n%s", args, p.stderr())
	}
	return p
}

func (p *process) stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// signal sends a signal.
func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// exit waits for the process to exit with a code.
func (p *process) exit(want int) {
	p.t.Helper()
	select {
	case code := <-p.code:
		if code != want {
			p.t.Fatalf("exit code %d, want %d:\n%s", code, want, p.stderr())
		}
	case <-time.After(patience):
		p.t.Fatalf("weir does not exit:\n%s", p.stderr())
	}
}

// terminate stops the process in order.
func (p *process) terminate() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	p.exit(0)
}

// ask sends n requests from a local address and returns the statuses, with curl
// if it is there.
func ask(t *testing.T, url, from string, n int) []int {
	t.Helper()
	if curl, err := exec.LookPath("curl"); err == nil {
		out, err := exec.Command(curl, "--silent", "--noproxy", "*", "--interface", from, "--output", os.DevNull,
			"--write-out", "%{http_code}\n", fmt.Sprintf("%s/?[1-%d]", url, n)).Output()
		if err != nil {
			t.Fatalf("curl: %v", err)
		}
		var codes []int
		for line := range strings.Lines(string(out)) {
			code, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil {
				t.Fatalf("curl wrote %q", line)
			}
			codes = append(codes, code)
		}
		if len(codes) != n {
			t.Fatalf("curl wrote %d codes, want %d: %q", len(codes), n, out)
		}
		return codes
	}
	var codes []int
	for range n {
		codes = append(codes, get(t, url, from).StatusCode)
	}
	return codes
}

// get sends one request from a local address.
func get(t *testing.T, url, from string) *http.Response {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	return res
}

// realServer returns the URL of an HTTP server that is not ours: Python's, if
// it is there.
func realServer(t *testing.T) string {
	t.Helper()
	if python, err := exec.LookPath("python3"); err == nil {
		if url, err := pythonServer(t, python); err == nil {
			t.Log("in front of python3 -m http.server")
			return url
		}
	}
	t.Log("in front of a Go server, since there is no python3")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	t.Cleanup(server.Close)
	return server.URL
}

func pythonServer(t *testing.T, python string) (string, error) {
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, python, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", t.TempDir(), "0")
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return "", err
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
	})
	// "Serving HTTP on 127.0.0.1 port 40123 (http://127.0.0.1:40123/) ..."
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(line, "(")
	url, _, ok := strings.Cut(rest, "/)")
	if !ok {
		return "", errors.New("it says " + line)
	}
	return url, nil
}

// fail runs a command that does not serve, and returns its exit code and what
// it said on stderr.
func fail(t *testing.T, dir string, args ...string) (int, string) {
	t.Helper()
	return failed(t, dir, exec.Command(binary, args...))
}

// failed is fail of a command that is weir.
func failed(t *testing.T, dir string, cmd *exec.Cmd) (int, string) {
	t.Helper()
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(patience, func() { cmd.Process.Kill() }).Stop()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stderr.String()
}

// waitFor waits until the process has said something.
func (p *process) waitFor(text string) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(p.stderr(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("weir does not say %q:\n%s", text, p.stderr())
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tree lists what is below a directory, and what is in the files but for one
// that a running weir may write to.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		fmt.Fprintf(&b, "%s %v", e.Name(), e.Type())
		if e.Name() == "file" {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %q", data)
		}
		fmt.Fprintln(&b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// canUse tells whether requests can be sent from a local address: on some
// systems 127.0.0.1 is the only one of its network.
func canUse(t *testing.T, addr string) bool {
	t.Helper()
	l, err := net.Listen("tcp", addr+":0")
	if err != nil {
		t.Logf("without a second client: %v", err)
		return false
	}
	l.Close()
	return true
}

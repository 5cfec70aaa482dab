//go:build unix

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The promise, in front of a server that knows nothing of it: the limit holds,
// is each client's own, and outlives the process.
func TestALimitThatOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	dir, args := t.TempDir(), []string{"--to", realServer(t), "--limit", "ip 100/day"}
	p := serve(t, dir, args...)
	want := append(slices.Repeat([]int{200}, 100), 429)
	if got := ask(t, p.url, "127.0.0.1", 101); !slices.Equal(got, want) {
		t.Fatalf("the statuses are %v, want 200 a hundred times and then 429", got)
	}
	checkRefusal(t, get(t, p.url, "127.0.0.1"), "100", 86400, 864+864/10)

	p.terminate()
	p = serve(t, dir, args...)
	if !strings.Contains(p.stderr(), "1 debt restored") {
		t.Errorf("the banner does not say what was restored:\n%s", p.stderr())
	}
	if got := ask(t, p.url, "127.0.0.1", 2); !slices.Equal(got, []int{429, 429}) {
		t.Errorf("after a restart the statuses are %v, want 429", got)
	}
	if canUse(t, "127.0.0.2") {
		if got := ask(t, p.url, "127.0.0.2", 1); got[0] != 200 {
			t.Errorf("another client gets %d, want 200", got[0])
		}
	}
	p.terminate()
}

// checkRefusal holds that a 429 says honestly when to come back.
func checkRefusal(t *testing.T, res *http.Response, quota string, window, longest int) {
	t.Helper()
	if res.StatusCode != http.StatusTooManyRequests {
		t.Fatalf("status %d, want 429", res.StatusCode)
	}
	retry, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if err != nil || retry < 1 || retry > longest {
		t.Errorf("Retry-After: %q, want 1 to %d", res.Header.Get("Retry-After"), longest)
	}
	var reset int
	if got := res.Header.Get("RateLimit"); !scan(got, `"ip";r=0;t=%d`, &reset) || reset < 1 || reset > retry || retry > reset+reset/10 {
		t.Errorf("RateLimit: %s, want a t of Retry-After, %d, or up to a tenth of it less", got, retry)
	}
	if got, want := res.Header.Get("RateLimit-Policy"), fmt.Sprintf(`"ip";q=%s;w=%d`, quota, window); got != want {
		t.Errorf("RateLimit-Policy: %s, want %s", got, want)
	}
	if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type: %s", got)
	}
}

// scan tells whether text is of a format with one number.
func scan(text, format string, n *int) bool {
	_, err := fmt.Sscanf(text, format, n)
	return err == nil && text == fmt.Sprintf(format, *n)
}

func TestComeBackWhenTold(t *testing.T) {
	t.Parallel()
	p := serve(t, t.TempDir(), "--to", realServer(t), "--limit", "ip 100/min")
	allowed := 0
	var res *http.Response
	for range 10_000 { // some tokens come back meanwhile
		if res = get(t, p.url, "127.0.0.1"); res.StatusCode != 200 {
			break
		}
		allowed++
	}
	if allowed < 100 {
		t.Errorf("%d requests were allowed, want 100 at least", allowed)
	}
	checkRefusal(t, res, "100", 60, 1) // one every 600 ms
	time.Sleep(time.Second)            // what Retry-After says
	if got := get(t, p.url, "127.0.0.1").StatusCode; got != 200 {
		t.Errorf("after Retry-After: %d, want 200", got)
	}
}

// A process that is killed forgets no more than it spent since its last
// snapshot.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serve(t, dir, "--limit", "ip 3/day", "--snapshot-every", "20ms")
	before := modified(t, dir)
	ask(t, p.url, "127.0.0.1", 3)
	// Nothing is written when nothing has changed: once the file rests, what
	// was spent is in it.
	last, deadline := before, time.Now().Add(patience)
	for rested := 0; rested < 20 || last.Equal(before); rested++ {
		if time.Now().After(deadline) {
			t.Fatal("no snapshot is written")
		}
		time.Sleep(25 * time.Millisecond)
		if now := modified(t, dir); !now.Equal(last) {
			last, rested = now, 0
		}
	}
	p.signal(syscall.SIGKILL)
	p.exit(-1)
	p = serve(t, dir, "--limit", "ip 3/day")
	if got := ask(t, p.url, "127.0.0.1", 1); got[0] != 429 {
		t.Errorf("after kill -9: %d, want 429", got[0])
	}
	if !strings.Contains(p.stderr(), "after a crash (what was spent since its last snapshot may be missing)") {
		t.Errorf("the banner does not say that there was a crash:\n%s", p.stderr())
	}
}

func modified(t *testing.T, dir string) time.Time {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "weir.db"))
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}

func TestNothingGiven(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serve(t, dir)
	res, err := http.Get(p.url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || !strings.Contains(string(body), "This is weir") {
		t.Errorf("the answer is %q, %v", body, err)
	}
	if got := res.Header.Get("RateLimit-Policy"); got != `"ip";q=100;w=60, "user";q=1000;w=86400` {
		t.Errorf("RateLimit-Policy: %s, want the limits that nobody gave", got)
	}
	if info, err := os.Stat(filepath.Join(dir, "weir.db")); err != nil || info.Mode() != 0o600 {
		t.Errorf("the state file in the working directory: %v, %v", info, err)
	}
	for _, want := range []string{"limit      ip 100/min: ", "limit      user 1000/day: ", "try        curl -i " + p.url + "/"} {
		if !strings.Contains(p.stderr(), want) {
			t.Errorf("the banner lacks %q:\n%s", want, p.stderr())
		}
	}
	p.signal(syscall.SIGINT) // Ctrl-C
	p.exit(0)
}

func TestRequestsInFlightFinish(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why    string
		pauses []time.Duration // before each signal after the first
		answer string
		code   int
	}{
		{"one signal", nil, "finished", 0},
		{"the same signal twice, as timeout(1) sends it", []time.Duration{0}, "finished", 0},
		{"a second signal waits for nobody", []time.Duration{2 * duplicate}, "", 1},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			began, finish := make(chan bool), make(chan bool)
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(began)
				select {
				case <-finish:
					io.WriteString(w, "finished")
				case <-r.Context().Done():
				}
			}))
			t.Cleanup(upstream.Close)
			p := serve(t, t.TempDir(), "--to", upstream.URL)
			answer := make(chan string, 1)
			go func() {
				res, err := http.Get(p.url)
				if err != nil {
					answer <- ""
					return
				}
				defer res.Body.Close()
				body, _ := io.ReadAll(res.Body)
				answer <- string(body)
			}()
			<-began
			p.signal(syscall.SIGTERM)
			p.waitFor("stopping: waiting for requests in flight")
			for _, pause := range tt.pauses {
				time.Sleep(pause)
				p.signal(syscall.SIGTERM)
			}
			if tt.code == 0 {
				close(finish)
			}
			if got := <-answer; got != tt.answer {
				t.Errorf("the request in flight got %q, want %q", got, tt.answer)
			}
			p.exit(tt.code)
		})
	}
}

// Whatever is wrong with the state, it is said, the limits hold, and nothing is
// lost.
func TestStateThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why  string
		path string // as given to --state, in a directory of the test's
		make func(t *testing.T, dir string)
		says string
	}{
		{"held by another process", "weir.db", func(t *testing.T, dir string) { serve(t, dir) }, "state file is in use by another process: stop it"},
		{"a directory", ".", func(*testing.T, string) {}, "is a directory: name a file in it"},
		{"below a file", "file/weir.db", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "file"), "mine") }, "not a directory"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			tt.make(t, dir)
			checkUnusableState(t, dir, tt.path, tt.says, func(args ...string) *exec.Cmd { return exec.Command(binary, args...) })
		})
	}
	t.Run("in a directory that cannot be written", func(t *testing.T) {
		t.Parallel()
		dir, weir := unprivileged(t)
		if err := os.Mkdir(filepath.Join(dir, "closed"), 0o555); err != nil {
			t.Fatal(err)
		}
		checkUnusableState(t, dir, "closed/weir.db", "permission denied", weir)
	})
}

// checkUnusableState holds that a state that cannot be used is said, and that
// the limits hold without it, or that weir does not start if told to refuse.
func checkUnusableState(t *testing.T, dir, path, says string, weir func(args ...string) *exec.Cmd) {
	t.Helper()
	before := tree(t, dir)
	p := start(t, dir, weir("serve", "--listen", "127.0.0.1:0", "--state", path, "--limit", "ip 2/day"))
	first, _, _ := strings.Cut(p.stderr(), "\n")
	if !strings.HasPrefix(first, "weir: --state ") || !strings.Contains(first, says) || !strings.Contains(first, "enforced in memory") {
		t.Errorf("the first line is %q, want one that says %q", first, says)
	}
	if got := ask(t, p.url, "127.0.0.1", 3); !slices.Equal(got, []int{200, 200, 429}) {
		t.Errorf("the statuses are %v, want 200, 200, 429", got)
	}
	p.terminate()
	code, stderr := failed(t, dir, weir("serve", "--listen", "127.0.0.1:0", "--state", path, "--state-failure=refuse"))
	if code != 1 || !strings.Contains(stderr, says) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("with refuse: exit code %d, want 1 and one line:\n%s", code, stderr)
	}
	if after := tree(t, dir); after != before {
		t.Errorf("what is there was changed from\n%s\nto\n%s", before, after)
	}
}

// unprivileged returns a directory, and what makes a weir that cannot write
// everywhere: not as root.
func unprivileged(t *testing.T) (dir string, weir func(args ...string) *exec.Cmd) {
	t.Helper()
	if os.Geteuid() != 0 {
		return t.TempDir(), func(args ...string) *exec.Cmd { return exec.Command(binary, args...) }
	}
	dir, err := os.MkdirTemp("", "weir") // t.TempDir is root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "weir")
	write(t, path, string(program))
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir, func(args ...string) *exec.Cmd {
		cmd := exec.Command(path, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		return cmd
	}
}

func TestDamagedState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "weir.db")
	p := serve(t, dir, "--limit", "ip 2/day")
	ask(t, p.url, "127.0.0.1", 2)
	p.terminate()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(data) / 4; i < len(data); i++ { // it can still be told what it was
		data[i] ^= 0x5a
	}
	write(t, path, string(data))
	p = serve(t, dir, "--limit", "ip 2/day")
	aside, err := filepath.Glob(path + ".corrupt-*")
	if err != nil || len(aside) != 1 {
		t.Fatalf("set aside: %q, %v\n%s", aside, err, p.stderr())
	}
	if kept, err := os.ReadFile(aside[0]); err != nil || string(kept) != string(data) {
		t.Errorf("the damaged file was changed (%v)", err)
	}
	if said := p.stderr(); !strings.Contains(said, "it is kept as ") || !strings.Contains(said, filepath.Base(aside[0])) {
		t.Errorf("the banner does not say where the damaged file is:\n%s", p.stderr())
	}
	if got := ask(t, p.url, "127.0.0.1", 3); !slices.Equal(got, []int{200, 200, 429}) {
		t.Errorf("the statuses are %v, want 200, 200, 429", got)
	}
}

// Each mistake is one line on stderr, and a code that a service manager can
// tell from a failure.
func TestMistakesOnTheCommandLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line string // split at blanks; _ is a blank
		code int
		says string
	}{
		{"srve", 2, `; did you mean "serve"?`},
		{"--limit ip_1/s", 2, `unknown flag "--limit"; did you mean "weir serve --limit"?`},
		{"serve --lmit ip_1/s", 2, `unknown flag "--lmit"; did you mean "--limit"?`},
		{"serve --limit", 2, "--limit has no value: want --limit 'KEY LIMIT [dry-run]'"},
		{"serve http://127.0.0.1:3000", 2, `did you mean "--to http://127.0.0.1:3000"?`},
		{"serve --listen :1 --listen :2", 2, `--listen ":2": it is given twice`},
		{"serve --to http://a --to http://b", 3, `--to "http://b": "http://a" is the upstream for path "/": want one for each path`},
		{"version now", 2, `unexpected argument "now"`},
		{"serve --limit ipp_100/min", 3, `--limit "ipp 100/min": key "ipp": want ip, ip/BITS, user,`},
		{"serve --limit ip_0/min", 3, `--limit "ip 0/min": limit "0/min": quota "0": want a whole number from 1 to 2147483647`},
		{"serve --limit ip_1/s --limit ip_2/s", 3, `has the same key and window`},
		{"serve --limit header:Host_1/s", 3, `header name "Host" is part of the connection`},
		{"serve --limit \x1b[2J\n_1/s", 3, `key "\x1b[2J": want ip, ip/BITS, user,`},
		{"serve --to localhost:3000", 3, `did you mean "http://localhost:3000"?`},
		{"serve --to http://127.0.0.1:8089 --listen 127.0.0.1:8089", 3, `is the address that weir itself listens on`},
		{"serve --listen 8080", 3, `did you mean "127.0.0.1:8080"?`},
		{"serve --trust 10.0.0.0/33", 3, `--trust "10.0.0.0/33": want an address or a network`},
		{"serve --trust 0.0.0.0/0", 3, `0.0.0.0/0 is every address there is`},
		{"serve --user-header X_User", 3, `fields with a '_' in the name are dropped`},
		{"serve --ipv6-prefix 129", 3, `--ipv6-prefix "129": want a whole number from 32 to 128`},
		{"serve --snapshot-every 10", 3, `--snapshot-every "10": want a duration from 10ms to 24h0m0s`},
		{"serve --state-failure maybe", 3, `--state-failure "maybe": want memory or refuse`},
		{"serve --log-level loud", 3, `--log-level "loud": want debug, info, warn or error`},
		{"serve --listen 203.0.113.7:0", 3, `this machine does not have that address`},
	} {
		t.Run(tt.line, func(t *testing.T) {
			t.Parallel()
			args := strings.Split(tt.line, " ")
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "_", " ")
			}
			if strings.Contains(tt.line, "X_User") {
				args = []string{"serve", "--user-header", "X_User"}
			}
			dir := t.TempDir()
			code, stderr := fail(t, dir, args...)
			if code != tt.code || !strings.HasPrefix(stderr, "weir: ") || !strings.Contains(stderr, tt.says) ||
				strings.Count(stderr, "\n") != 1 || !strings.HasSuffix(stderr, "\n") {
				t.Errorf("exit code %d, want %d, and one line that says %s:\n%s", code, tt.code, tt.says, stderr)
			}
			if left := tree(t, dir); left != "" {
				t.Errorf("it left behind:\n%s", left)
			}
		})
	}
}

func TestVersionAndHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"version"}, {"--help"}, {}} {
		out, err := exec.Command(binary, args...).Output()
		if err != nil || !strings.Contains(string(out), "weir ") {
			t.Errorf("weir %q: %v\n%s", args, err, out)
		}
	}
}

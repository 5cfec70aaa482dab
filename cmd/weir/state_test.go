//go:build unix

package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// state runs weir state in a directory with an input, and returns what came of
// it.
func state(t *testing.T, dir, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"state"}, args...)...)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(stdin)
	cmd.WaitDelay = patience
	var out, said strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &said
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), said.String()
}

// waitForRecord waits until a snapshot has something in it.
func waitForRecord(t *testing.T, dir string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if _, stdout, _ := state(t, dir, "", "info"); strings.Contains(stdout, "1 live record") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("there is no snapshot")
		}
	}
}

// While a server has the file open it can be looked at and not be changed, and
// the server does not notice.
func TestStateWhileServing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serve(t, dir, "--limit", "ip 3/day", "--snapshot-every", "20ms")
	ask(t, p.url, "127.0.0.1", 3)
	waitForRecord(t, dir)
	before, err := os.ReadFile(filepath.Join(dir, "weir.db"))
	if err != nil {
		t.Fatal(err)
	}
	const note = "is in use: this is about a copy of it, as of its last snapshot\n"
	code, stdout, stderr := state(t, dir, "", "info")
	if code != 0 || !strings.HasSuffix(stderr, note) || !strings.Contains(stdout, "ended     not yet: it is in use\n") ||
		!strings.Contains(stdout, "policy    ip 3/day: 1 live record, the longest debt is 2") {
		t.Errorf("info: code %d, stderr %q\n%s", code, stderr, stdout)
	}
	code, stdout, stderr = state(t, dir, "", "info", "--json")
	var info struct {
		InUse bool `json:"in_use"`
		Live  int
	}
	if err := json.Unmarshal([]byte(stdout), &info); code != 0 || err != nil || !info.InUse || info.Live != 1 || !strings.HasSuffix(stderr, note) {
		t.Errorf("info --json: code %d, %v, stderr %q\n%s", code, err, stderr, stdout)
	}
	if code, stdout, stderr = state(t, dir, "", "verify"); code != 0 || !strings.HasPrefix(stdout, "ok: weir.db is sound") || !strings.HasSuffix(stderr, note) {
		t.Errorf("verify: code %d, stderr %q\n%s", code, stderr, stdout)
	}
	code, text, stderr := state(t, dir, "", "export")
	if code != 0 || strings.Count(text, "\n") != 2 || !strings.HasSuffix(stderr, note) {
		t.Errorf("export: code %d, stderr %q\n%s", code, stderr, text)
	}
	for _, args := range [][]string{{"compact"}, {"purge", "--yes"}, {"import"}} {
		code, stdout, stderr := state(t, dir, text, args...)
		if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "weir.db: state file is in use by another process: stop it") {
			t.Errorf("%q: code %d, stderr %q, stdout %q", args, code, stderr, stdout)
		}
	}
	if after, err := os.ReadFile(filepath.Join(dir, "weir.db")); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the file has changed (%v)", err)
	}
	if got := ask(t, p.url, "127.0.0.1", 1); got[0] != 429 {
		t.Errorf("the server answers %d, want 429", got[0])
	}
	p.terminate()

	// Now they work, and the limit holds through all of it until it is purged.
	for _, args := range [][]string{{"compact"}, {"import"}, {"verify"}} {
		if code, _, stderr := state(t, dir, text, args...); code != 0 || stderr != "" {
			t.Errorf("%q: code %d, stderr %q", args, code, stderr)
		}
	}
	p = serve(t, dir, "--limit", "ip 3/day")
	if got := ask(t, p.url, "127.0.0.1", 1); got[0] != 429 {
		t.Errorf("after compact and import the server answers %d, want 429", got[0])
	}
	p.terminate()
	if code, _, stderr := state(t, dir, "", "purge", "--yes"); code != 0 {
		t.Errorf("purge: code %d, %s", code, stderr)
	}
	p = serve(t, dir, "--limit", "ip 3/day")
	if got := ask(t, p.url, "127.0.0.1", 1); got[0] != 200 || strings.Contains(p.stderr(), "after a crash") {
		t.Errorf("after purge the server answers %d, want 200:\n%s", got[0], p.stderr())
	}
}

// A limit moves to another machine with an export and the secret.
func TestStateMoves(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), t.TempDir()
	p := serve(t, from, "--limit", "ip 3/day")
	ask(t, p.url, "127.0.0.1", 3)
	p.terminate()
	_, text, _ := state(t, from, "", "export")
	if code, _, stderr := state(t, to, text, "import"); code != 1 || !strings.Contains(stderr, "weir.db.key is missing: put the one of the exported file there") {
		t.Errorf("without the secret: code %d, %s", code, stderr)
	}
	key, err := os.ReadFile(filepath.Join(from, "weir.db.key"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(to, "weir.db.key"), string(key))
	if code, stdout, stderr := state(t, to, text, "import"); code != 0 || !strings.Contains(stdout, "1 records read, 1 of them stored") {
		t.Errorf("code %d, %s%s", code, stdout, stderr)
	}
	p = serve(t, to, "--limit", "ip 3/day")
	if got := ask(t, p.url, "127.0.0.1", 1); got[0] != 429 {
		t.Errorf("there the server answers %d, want 429:\n%s", got[0], p.stderr())
	}
}

// The secret can move to a file of its owner's, and no limit is forgotten.
func TestStateKeyMoves(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := filepath.Join(dir, "weir.db.key")
	p := serve(t, dir, "--limit", "ip 3/day")
	ask(t, p.url, "127.0.0.1", 3)
	p.terminate()
	secret, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "secret"), base64.StdEncoding.EncodeToString(secret)+"\n")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	for _, start := range []string{"first", "second"} {
		p := serve(t, dir, "--limit", "ip 3/day", "--state-key", "secret")
		if got := ask(t, p.url, "127.0.0.1", 1); got[0] != 429 {
			t.Errorf("after the %s start the server answers %d, want 429:\n%s", start, got[0], p.stderr())
		}
		p.terminate()
	}
	if _, err := os.Lstat(key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a file with the secret beside the state: %v", err)
	}
}

// Whatever a file holds, each command ends with one line and changes nothing.
func TestStateOfAnyFile(t *testing.T) {
	t.Parallel()
	garbage := make([]byte, 8<<20)
	rand.Read(garbage)
	good := t.TempDir()
	p := serve(t, good, "--limit", "ip 3/day")
	ask(t, p.url, "127.0.0.1", 1)
	p.terminate()
	_, text, _ := state(t, good, "", "export")
	sound, err := os.ReadFile(filepath.Join(good, "weir.db"))
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	for _, tt := range []struct {
		why  string
		make func(t *testing.T, path string)
		says string
	}{
		{"garbage", func(t *testing.T, path string) { write(t, path, string(garbage)) }, "not a state file"},
		{"a text", func(t *testing.T, path string) { write(t, path, "limits:\n") }, "not a state file"},
		{"a terabyte of nothing", func(t *testing.T, path string) {
			write(t, path, "")
			if err := os.Truncate(path, 1<<40); err != nil {
				t.Skip(err)
			}
		}, "state file is damaged: both meta pages are damaged"},
		{"a terabyte of garbage", func(t *testing.T, path string) {
			write(t, path, string(garbage))
			if err := os.Truncate(path, 1<<40); err != nil {
				t.Skip(err)
			}
		}, "not a state file"},
		{"garbage behind sound roots", func(t *testing.T, path string) {
			write(t, path, string(sound[:2*page])+string(garbage))
		}, "state file is damaged: "},
		{"cut off", func(t *testing.T, path string) { write(t, path, string(sound[:3*page])) }, "state file is damaged: "},
		{"a directory", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "is a directory: name a file in it"},
		{"a pipe, which nobody writes to", func(t *testing.T, path string) {
			if err := exec.Command("mkfifo", "-m", "600", path).Run(); err != nil {
				t.Skip(err)
			}
		}, "is not a regular file"},
		{"another's eyes", func(t *testing.T, path string) {
			write(t, path, string(sound))
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
		}, "run chmod 600"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "weir.db")
			tt.make(t, path)
			was, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"info"}, {"info", "--json"}, {"verify"}, {"compact"}, {"export"}, {"import"}} {
				code, stdout, stderr := state(t, dir, text, args...)
				if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "weir: ") || !strings.Contains(stderr, tt.says) {
					t.Errorf("%q: code %d, stdout %q, stderr %q: want %q", args, code, stdout, stderr, tt.says)
				}
			}
			is, err := os.Lstat(path)
			if err != nil || !os.SameFile(was, is) || !was.ModTime().Equal(is.ModTime()) || was.Size() != is.Size() {
				t.Errorf("the file has changed: %v", err)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
				t.Errorf("there are %v now, %v", entries, err)
			}
		})
	}
}

// An import that waits for its input can be stopped, and nothing has happened.
func TestStateImportInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serve(t, dir, "--limit", "ip 3/day")
	p.terminate()
	before, err := os.ReadFile(filepath.Join(dir, "weir.db"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := state(t, dir, "", "export")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	cmd := exec.Command(binary, "state", "import")
	cmd.Dir, cmd.Stdin = dir, r
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	kill := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer kill.Stop()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	// It takes its signals before it reads: once the pipe is empty it waits.
	for deadline := time.Now().Add(patience); unread(w) > 0 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 || !strings.Contains(stderr.String(), "interrupted") || strings.Count(stderr.String(), "\n") != 1 {
		t.Errorf("%v, stderr %q", err, stderr.String())
	}
	if after, err := os.ReadFile(filepath.Join(dir, "weir.db")); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the file has changed (%v)", err)
	}
}

// On a terminal purge asks, and takes nothing but yes for yes.
func TestStatePurgeAsks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		answer string
		code   int
		says   string
	}{
		{"no\n", 1, "weir: not confirmed: nothing was done"},
		{"\n", 1, "weir: not confirmed: nothing was done"},
		{"yes\n", 0, "removed"},
		{"\x03", 1, "interrupted"}, // Ctrl-C
	} {
		dir := t.TempDir()
		p := serve(t, dir, "--limit", "ip 3/day")
		p.terminate()
		key, err := os.ReadFile(filepath.Join(dir, "weir.db.key"))
		if err != nil {
			t.Fatal(err)
		}
		keyboard, screen := terminal(t)
		cmd := exec.Command(binary, "state", "purge")
		cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, screen, screen, screen
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		screen.Close()
		kill := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		var said []byte
		b := make([]byte, 4096)
		for answered := false; ; {
			n, err := keyboard.Read(b)
			said = append(said, b[:n]...)
			if !answered && bytes.Contains(said, []byte("weir.db: forget for good what all clients have used? [yes/no] ")) {
				answered = true
				if _, err := keyboard.WriteString(tt.answer); err != nil {
					t.Fatal(err)
				}
			}
			if err != nil {
				break // the other side is closed
			}
		}
		_ = cmd.Wait()
		kill.Stop()
		if cmd.ProcessState.ExitCode() != tt.code || !bytes.Contains(said, []byte(tt.says)) {
			t.Errorf("%q: code %d, want %d, and it says\n%s", tt.answer, cmd.ProcessState.ExitCode(), tt.code, said)
		}
		now, err := os.ReadFile(filepath.Join(dir, "weir.db.key"))
		if err != nil || slices.Equal(now, key) != (tt.code != 0) {
			t.Errorf("%q: the secret is the same: %v, %v", tt.answer, slices.Equal(now, key), err)
		}
	}
}

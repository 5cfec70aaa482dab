//go:build unix

package main

import (
	"bufio"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// A process in a time namespace sees another time since the boot than the one
// before it, under the same boot id: nothing may be forgiven for the difference.
func TestTimeNamespace(t *testing.T) {
	t.Parallel()
	const day = "86400"
	if runtime.GOOS != "linux" {
		t.Skip("this system has no time namespaces")
	}
	if out, err := exec.Command("unshare", "--time", "--boottime", day, "true").CombinedOutput(); err != nil {
		t.Skipf("no time namespace can be made here: %v: %s", err, out)
	}
	tests := []struct {
		why     string
		offsets []string // of each run; "" is outside
	}{
		{"into one that is ahead", []string{"", day}},
		{"out of one that is ahead", []string{day, ""}},
		{"from one into another", []string{day, "864000"}},
		{"and into one that is behind", []string{"864000", day}},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for i, offset := range tt.offsets {
				by := []string{}
				if offset != "" {
					by = []string{"unshare", "--time", "--boottime", offset, "--monotonic", offset}
				}
				url, stop := serveBy(t, dir, by, "--limit", "ip 3/day")
				want := 429
				if i == 0 {
					want = 200
					ask(t, url, "127.0.0.1", 2)
				}
				if got := ask(t, url, "127.0.0.1", 1)[0]; got != want {
					t.Errorf("run %d, offset %q: %d, want %d", i+1, offset, got, want)
				}
				stop()
			}
		})
	}
}

// serveBy runs weir serve by a command such as unshare, and returns its URL and
// how to stop it.
func serveBy(t *testing.T, dir string, by []string, args ...string) (url string, stop func()) {
	t.Helper()
	words := append(append(append([]string(nil), by...), binary, "serve", "--listen", "127.0.0.1:0"), args...)
	cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
	cmd.Dir = dir
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	var said strings.Builder
	lines := bufio.NewScanner(stderr)
	for url == "" && lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		url, _ = strings.CutPrefix(lines.Text(), "listening  ")
		if url == lines.Text() {
			url = ""
		}
	}
	if url == "" {
		t.Fatalf("%q does not serve:\n%s", words, &said)
	}
	return url, func() {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() {
			said.WriteString(lines.Text() + "\n")
		}
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%q: %v\n%s", words, err, &said)
		}
	}
}

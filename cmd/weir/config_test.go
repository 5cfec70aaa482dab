//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A process is configured by variables and a file, and a mistake in either ends
// it before anything is touched.
func TestVariablesAndAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "weir.yaml"), "listen: 127.0.0.1:0\nadmin: none\npolicies: [ip 3/day]\n")
	cmd := exec.Command(binary, "serve")
	cmd.Env = append(os.Environ(), "WEIR_CONFIG=weir.yaml", "WEIR_STATE=other.db")
	p := start(t, dir, cmd)
	if got := ask(t, p.url, "127.0.0.1", 4); !slices.Equal(got, []int{200, 200, 200, 429}) {
		t.Errorf("the statuses are %v, want 200 three times and then 429", got)
	}
	p.terminate()
	if _, err := os.Stat(filepath.Join(dir, "other.db")); err != nil {
		t.Error(err)
	}

	bad := t.TempDir()
	write(t, filepath.Join(bad, "weir.yaml"), "policies: [ip 3/dy]\n")
	code, stderr := failed(t, bad, exec.Command(binary, "serve", "--config", "weir.yaml"))
	if code != 3 || !strings.HasPrefix(stderr, "weir: weir.yaml:1:12: policies[0]: ") || !strings.HasSuffix(stderr, "            ^\n") {
		t.Errorf("exit code %d, want 3, and a caret below the line:\n%s", code, stderr)
	}
	if left := tree(t, bad); strings.Contains(left, "weir.db") {
		t.Errorf("it left behind:\n%s", left)
	}
}

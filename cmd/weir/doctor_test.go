//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A diagnosis is what weir doctor --json prints.
type diagnosis struct {
	Checks []struct{ Check, Outcome, Reason string }
}

// of returns the checks with an outcome.
func (d diagnosis) of(outcome string) []string {
	var names []string
	for _, c := range d.Checks {
		if c.Outcome == outcome {
			names = append(names, c.Check)
		}
	}
	return names
}

// doctor runs weir doctor, and returns its exit code with what it prints.
func doctor(t *testing.T, args ...string) (int, diagnosis, string) {
	t.Helper()
	var stdout, stderr strings.Builder
	cmd := exec.Command(binary, append([]string{"doctor", "--json"}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var d diagnosis
	if err := json.Unmarshal([]byte(stdout.String()), &d); err != nil {
		t.Fatalf("weir doctor %q: %v\n%s", args, err, &stderr)
	}
	return cmd.ProcessState.ExitCode(), d, stdout.String() + stderr.String()
}

// restart returns a command that kills a weir and starts it again where it was.
func restart(t *testing.T, dir string, p *process, args ...string) string {
	t.Helper()
	pid := filepath.Join(dir, "pid")
	t.Cleanup(func() {
		if text, err := os.ReadFile(pid); err == nil {
			if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && n > 1 {
				syscall.Kill(n, syscall.SIGKILL)
			}
		}
	})
	again := "'" + binary + "' serve --listen " + strings.TrimPrefix(p.url, "http://")
	for _, arg := range args {
		again += " '" + arg + "'"
	}
	// A process that is killed has its port for a moment longer.
	return fmt.Sprintf("kill -9 %[1]d; while kill -0 %[1]d 2>/dev/null; do sleep 0.01; done; cd '%[2]s'; %[3]s >again.log 2>&1 & echo $! > '%[2]s/pid'",
		p.cmd.Process.Pid, dir, again)
}

// Of weir itself the doctor complains of nothing, and what it does complain of
// is so.
func TestDoctor(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		serve    []string
		doctor   []string
		restart  bool
		code     int
		failed   []string
		untested []string
	}{
		"in front of an API": {
			serve: []string{"--limit", "ip 100/min"}, restart: true, untested: []string{"mapped", "network"}},
		"with its defaults": {
			untested: []string{"mapped", "network", "restart"}},
		"behind a proxy": {
			serve:  []string{"--limit", "ip 100/min", "--trust", "127.0.0.0/8"},
			doctor: []string{"--client-field", "X-Forwarded-For"}, untested: []string{"restart"}},
		"for users with keys": {
			serve:  []string{"--limit", "header:X-Api-Key 100/min"},
			doctor: []string{"--identity", "X-Api-Key: one", "--identity", "X-Api-Key: two"}, untested: []string{"blame", "mapped", "network", "restart"}},
		"without a state": {
			serve: []string{"--limit", "ip 100/min", "--state", "none"}, restart: true,
			code: 4, failed: []string{"restart"}, untested: []string{"mapped", "network"}},
		"for all clients together": {
			serve: []string{"--limit", "global 100/min"},
			code:  4, failed: []string{"isolation"}, untested: []string{"blame", "mapped", "network", "restart"}},
		"for each path": {
			serve: []string{"--limit", "ip+path 100/min"},
			code:  4, failed: []string{"paths"}, untested: []string{"mapped", "network", "restart"}},
		"for each IPv6 address": {
			serve:  []string{"--limit", "ip 100/min", "--trust", "127.0.0.0/8", "--ipv6-prefix", "128"},
			doctor: []string{"--client-field", "X-Forwarded-For"}, code: 4, failed: []string{"network"}, untested: []string{"restart"}},
		"that only counts": {
			serve: []string{"--limit", "ip 100/min dry-run"}, doctor: []string{"--limit", "100/min"}, code: 4, failed: []string{"limit"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			p := serve(t, dir, tt.serve...)
			args := append([]string{p.url + "/things"}, tt.doctor...)
			if tt.restart {
				args = append(args, "--restart", restart(t, dir, p, tt.serve...))
			}
			code, d, said := doctor(t, args...)
			if !canUse(t, "127.0.0.2") {
				t.Skip("this needs a second client")
			}
			if tt.untested == nil { // all but the limit
				tt.untested = d.of("not_tested")
			}
			if code != tt.code || !slices.Equal(d.of("fail"), tt.failed) || !slices.Equal(d.of("not_tested"), tt.untested) {
				t.Errorf("exit %d, want %d; failed %q, want %q; not tested %q, want %q\n%s",
					code, tt.code, d.of("fail"), tt.failed, d.of("not_tested"), tt.untested, said)
			}
		})
	}
}

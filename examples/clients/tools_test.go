package clients

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// missing skips a test for want of something, or fails it if nothing may be
// skipped.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("WEIR_CLIENTS") == "all" {
		t.Fatalf("WEIR_CLIENTS=all, but "+format, args...)
	}
	t.Skipf(format, args...)
}

// find returns the path of the first of the programs that is there.
func find(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, "there is no %s", strings.Join(names, " or "))
	return ""
}

// patience is how long a program may take to end.
const patience = 2 * time.Minute

// output runs a program and returns what it prints.
func output(name string, args ...string) (string, error) {
	return outputIn("", name, args...)
}

func outputIn(dir, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.WaitDelay = 5 * time.Second // for what it leaves running
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), errors.Join(err, ctx.Err()), said.String())
	}
	return strings.TrimSpace(string(out)), err
}

// python returns a python3 that has urllib3.
func python(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if _, err := output(name, "-c", "import urllib3"); err == nil {
			return name
		}
	}
	missing(t, "there is no python3 with urllib3 (on Debian: python3-urllib3)")
	return ""
}

// modules installs the npm packages, unless they are there from an earlier run,
// and returns the path of node_modules.
var modules = sync.OnceValues(func() (string, error) {
	version, err := output("node", "--version")
	if err != nil {
		return "", err
	}
	var major, minor, patch int
	if _, err := fmt.Sscanf(version, "v%d.%d.%d", &major, &minor, &patch); err != nil {
		return "", fmt.Errorf("node --version says %q: %w", version, err)
	}
	if major*1_000_000+minor*1000+patch < 20_018_001 {
		return "", fmt.Errorf("node %s is too old: the clients want v20.18.1 or later", version)
	}
	lock, err := os.ReadFile("testdata/package-lock.json")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "weir-clients")
	done := filepath.Join(cache, fmt.Sprintf("%x", sha256.Sum256(lock))[:16])
	if _, err := os.Stat(done); err == nil {
		return filepath.Join(done, "node_modules"), nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(cache, "new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return "", err
		}
	}
	if _, err := outputIn(dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		return "", err
	}
	// Whole or not at all; another process may have been first.
	if err := os.Rename(dir, done); err != nil {
		if _, there := os.Stat(done); there != nil {
			return "", err
		}
	}
	return filepath.Join(done, "node_modules"), nil
})

// script returns a copy of a script for node that finds its packages.
func script(t *testing.T, name string) string {
	t.Helper()
	find(t, "node")
	find(t, "npm")
	installed, err := modules()
	if err != nil {
		missing(t, "the npm packages can not be had: %v", err)
	}
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, name)
	if err := errors.Join(os.WriteFile(path, text, 0o644), os.Symlink(installed, filepath.Join(dir, "node_modules"))); err != nil {
		t.Fatal(err)
	}
	return path
}

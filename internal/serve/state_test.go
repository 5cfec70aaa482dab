package serve_test

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/internal/serve"
	"github.com/seed-0c889b51/weir/persist"
)

var discard = slog.New(slog.DiscardHandler)

func TestARestartForgetsNothing(t *testing.T) {
	t.Parallel()
	cfg := config(t, "ip 2/day", "user 5/day", "ip 100/h")
	cfg.State = stateFile(t)
	first := start(t, cfg)
	for range 2 {
		status(t, first.url)
	}
	first.close(t)
	second := start(t, cfg)
	if got := status(t, second.url); got != 429 {
		t.Errorf("after a restart: %d, want 429", got)
	}
	if strings.Contains(second.log.String(), "restored") {
		t.Errorf("the log says again what the banner says:\n%s", second.log)
	}
	if want := "3 debts restored, written "; !strings.Contains(second.banner.String(), want) {
		t.Errorf("the banner lacks %q:\n%s", want, second.banner)
	}
}

func TestAStartWithoutState(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"", stateFile(t)} {
		cfg := config(t, "ip 2/day")
		cfg.State, cfg.ColdStart = state, weir.EmptyBuckets
		first := start(t, cfg)
		if got := status(t, first.url); got != 429 {
			t.Errorf("state %q, empty buckets: %d, want 429", state, got)
		}
		if want := "new: every client starts with nothing, and is refilled\n"; state != "" && !strings.Contains(first.banner.String(), want) {
			t.Errorf("the banner lacks %q:\n%s", want, first.banner)
		}
	}
}

func TestACrash(t *testing.T) {
	t.Parallel()
	for crash, want := range map[weir.Crash]struct {
		status int
		banner string
	}{
		weir.Accept: {200, "after a crash (what was spent since its last snapshot may be missing)"},
		weir.Charge: {429, "after a crash (who had used some starts with nothing)"},
	} {
		cfg := config(t, "ip 3/day")
		cfg.State, cfg.Crash, cfg.SnapshotEvery = stateFile(t), crash, 10*time.Millisecond
		first := start(t, cfg)
		status(t, first.url)
		cfg.State = crashed(t, cfg.State)
		second := start(t, cfg)
		if got := status(t, second.url); got != want.status || !strings.Contains(second.banner.String(), want.banner) {
			t.Errorf("crash %v: %d, want %d; banner:\n%s", crash, got, want.status, second.banner)
		}
	}
}

// crashed returns a copy of a state file in use, once there is something in it.
func crashed(t *testing.T, path string) string {
	t.Helper()
	to := stateFile(t)
	for {
		for _, ext := range []string{"", ".key"} {
			content, err := os.ReadFile(path + ext)
			if err == nil {
				err = os.WriteFile(to+ext, content, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		// One that was copied while it was written is damaged: try again.
		if copied, err := persist.Read(to, persist.Config{}); err == nil && copied.Info().Restored.Records > 0 {
			return to
		}
		time.Sleep(time.Millisecond)
	}
}

func TestNoStateIsForgotten(t *testing.T) {
	t.Parallel()
	cfg := config(t, "ip 1/day")
	first := start(t, cfg)
	status(t, first.url)
	first.close(t)
	second := start(t, cfg)
	if got := status(t, second.url); got != 200 {
		t.Errorf("after a restart without state: %d, want 200", got)
	}
	if want := "state      none: limits are forgotten on exit\n"; !strings.Contains(second.banner.String(), want) {
		t.Errorf("the banner lacks %q:\n%s", want, second.banner)
	}
}

// A state that cannot be used is said, is not touched, and does not switch the
// limits off; or it stops the start, if that is what was asked for.
func TestUnusableState(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why   string
		state func(t *testing.T, dir string) string
		says  string
	}{
		{"a directory", func(t *testing.T, dir string) string { return dir }, "is a directory: name a file in it"},
		{"below a file", func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "file"), "mine")
			return filepath.Join(dir, "file", "weir.db")
		}, "not a directory"},
		{"a symbolic link", func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "target"), "mine")
			if err := os.Symlink("target", filepath.Join(dir, "weir.db")); err != nil {
				t.Skip(err)
			}
			return filepath.Join(dir, "weir.db")
		}, "is a symbolic link: name the file itself"},
		{"in use", func(t *testing.T, dir string) string {
			path := filepath.Join(dir, "weir.db")
			l, err := weir.Open(path, weir.Policy{Name: "ip", Limit: bucket.PerDay(1)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			return path
		}, "state file is in use"},
		{"open to others", func(t *testing.T, dir string) string {
			path := filepath.Join(dir, "weir.db")
			write(t, path, "mine")
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
			return path
		}, "run chmod 600"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cfg := config(t, "ip 1/day")
			cfg.State = tt.state(t, dir)
			before := contents(t, dir)
			s := start(t, cfg)
			first, rest, _ := strings.Cut(s.banner.String(), "\n")
			if !strings.HasPrefix(first, "weir: --state ") || !strings.Contains(first, tt.says) ||
				!strings.Contains(first, "limits are enforced in memory") || !strings.Contains(first, "--state-failure=refuse") {
				t.Errorf("the first line is %q, want one that says %q", first, tt.says)
			}
			if !strings.Contains(rest, "is not used: limits are forgotten on exit") {
				t.Errorf("the banner does not say that the state is not used:\n%s", rest)
			}
			if a, b := status(t, s.url), status(t, s.url); a != 200 || b != 429 {
				t.Errorf("statuses %d and %d, want 200 and 429", a, b)
			}
			s.close(t)
			if log := s.log.String(); !strings.Contains(log, `"level":"ERROR","msg":"the state cannot be used`) || !strings.Contains(log, tt.says) {
				t.Errorf("the log does not say that and why the state is not used:\n%s", log)
			}

			cfg.NeedState = true
			cfg.Logger, cfg.Banner = discard, io.Discard
			_, err := serve.New(cfg)
			if err == nil || errors.Is(err, serve.ErrConfig) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("with NeedState New = %v, want an error that says %q", err, tt.says)
			}
			if after := contents(t, dir); after != before {
				t.Errorf("what is there was changed from\n%s\nto\n%s", before, after)
			}
		})
	}
}

func TestDamagedStateIsKeptAside(t *testing.T) {
	t.Parallel()
	cfg := config(t, "ip 1/day")
	cfg.State = stateFile(t)
	s := start(t, cfg)
	status(t, s.url)
	s.close(t)
	good, err := os.ReadFile(cfg.State)
	if err != nil {
		t.Fatal(err)
	}
	bad := append([]byte{}, good...)
	for i := len(bad) / 4; i < len(bad); i++ {
		bad[i] ^= 0x5a
	}
	write(t, cfg.State, string(bad))
	s = start(t, cfg)
	aside, err := filepath.Glob(cfg.State + ".corrupt-*")
	if err != nil || len(aside) != 1 {
		t.Fatalf("set aside: %q, %v", aside, err)
	}
	if kept, err := os.ReadFile(aside[0]); err != nil || string(kept) != string(bad) {
		t.Errorf("the damaged file was changed (%v)", err)
	}
	for _, want := range []string{"begun afresh", "it is kept as " + aside[0]} {
		if !strings.Contains(s.banner.String(), want) {
			t.Errorf("the banner lacks %q:\n%s", want, s.banner)
		}
	}
	if strings.Contains(s.banner.String(), "secret") {
		t.Errorf("the secret is not what it lacks:\n%s", s.banner)
	}
	if a, b := status(t, s.url), status(t, s.url); a != 200 || b != 429 {
		t.Errorf("statuses %d and %d, want 200 and 429: limits go on", a, b)
	}
}

func TestBadPoliciesAreNoFaultOfTheState(t *testing.T) {
	t.Parallel()
	cfg := config(t, "ip 1/day")
	cfg.State = stateFile(t)
	cfg.Policies[0].Limit.Quota = -1
	cfg.Logger, cfg.Banner = discard, io.Discard
	if _, err := serve.New(cfg); !errors.Is(err, serve.ErrConfig) {
		t.Errorf("New = %v, want ErrConfig", err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// contents lists what is in a directory, and what is in the files.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b.WriteString(e.Name() + " " + e.Type().String() + " ")
		if e.Type().IsRegular() {
			data, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			b.Write(data)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

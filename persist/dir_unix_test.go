//go:build unix

package persist

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Whoever may write to a directory may put another file in the place of any in
// it, its mode and owner whatever, unless the directory is sticky.
func TestDirectoryOthersMayWriteTo(t *testing.T) {
	t.Parallel()
	const refused = "so every user may put another file in the place of state: run chmod o-w "
	const warned = "directory of the state file: others may put another file in its place"
	tests := []struct {
		why     string
		mode    fs.FileMode
		owner   int // root may give a directory away; -1 is nobody else
		refused bool
		warned  string // "" if not
	}{
		{"this user's alone", 0o700, -1, false, ""},
		{"others may look", 0o755, -1, false, ""},
		{"others may write, but only to what is theirs", 0o777 | fs.ModeSticky, -1, false, ""},
		{"the group may, but only to what is theirs", 0o770 | fs.ModeSticky, -1, false, ""},
		{"others may write", 0o777, -1, true, ""},
		{"others may write, and not read", 0o702, -1, true, ""},
		{"the group may write", 0o770, -1, false, "it has mode 0770: run chmod g-w "},
		{"somebody else's", 0o755, 12345, false, "it belongs to user 12345, and this runs as user 0"},
		{"somebody else's, who can remove what is in it, sticky or not", 0o755 | fs.ModeSticky, 12345, false, "it belongs to user 12345"},
		{"both", 0o775, 12345, false, "; it belongs to user 12345"},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			dir := filepath.Join(t.TempDir(), "dir")
			path := filepath.Join(dir, "state")
			f := mustOpen(t, path, Config{}, c)
			mustSave(t, f, Snapshot{Final: true, Sections: []Section{section("a", daily, debts{1: time.Hour})}})
			mustClose(t, f)
			text := exported(t, path, c)
			if tt.owner >= 0 {
				if os.Geteuid() != 0 {
					t.Skip("only root can give a directory away")
				}
				if err := os.Chown(dir, tt.owner, -1); err != nil {
					t.Skip(err)
				}
			}
			if err := os.Chmod(dir, tt.mode); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.Chmod(dir, 0o700) })
			for verb, do := range map[string]func(Config) error{
				"Open": func(cfg Config) error {
					f, err := open(path, cfg, c.read)
					return errors.Join(err, f.closeIfOpen())
				},
				"Import": func(cfg Config) error {
					_, err := importInto(path, cfg, strings.NewReader(text), c.read)
					return err
				},
			} {
				var log bytes.Buffer
				before := contentsOf(t, dir)
				err := do(Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
				if tt.refused {
					if err == nil || !strings.HasPrefix(err.Error(), "persist: directory ") || !strings.Contains(err.Error(), refused+dir) {
						t.Errorf("%s: %v: want %q", verb, err, refused)
					}
					if contentsOf(t, dir) != before {
						t.Errorf("%s: what is there was changed", verb)
					}
				} else if err != nil {
					t.Errorf("%s: %v", verb, err)
				}
				want := 0
				if tt.warned != "" {
					want = 1
				}
				if n := strings.Count(log.String(), warned); n != want || !strings.Contains(log.String(), tt.warned) {
					t.Errorf("%s: logged %s: want %d warnings, with %q", verb, &log, want, tt.warned)
				}
			}
		})
	}
}

func (f *File) closeIfOpen() error {
	if f == nil {
		return nil
	}
	return f.Close()
}

// Nor is a file made where it would be refused.
func TestNewFileWhereOthersMayWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(dir, "state"), Config{}); err == nil || !strings.Contains(err.Error(), "has mode 0777, so every user may") {
		t.Errorf("Open: %v", err)
	}
	if names := list(t, dir); len(names) != 0 {
		t.Errorf("it has made %q", names)
	}
	// But in one that it makes there itself.
	mustClose(t, mustOpen(t, filepath.Join(dir, "own", "state"), Config{}, newClock()))
}

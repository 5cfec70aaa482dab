//go:build unix

package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func init() { jobs["small"] = smallJob }

// operations are those that make files, with what each does to one.
var operations = map[string]func(path string) error{
	"open": func(path string) error {
		f, err := Open(path, Config{})
		if err != nil {
			return err
		}
		return f.Close()
	},
	"compact": func(path string) error {
		_, _, err := Compact(path, Config{})
		return err
	},
	"purge": func(path string) error {
		_, err := Purge(path, Config{}, false)
		return err
	},
}

// smallJob does an operation in a process that may not write to a file beyond
// some byte, and fails unless that fails.
func smallJob(args string) int {
	op, args, _ := strings.Cut(args, ":")
	size, path, _ := strings.Cut(args, ":")
	limit := syscall.Rlimit{} // of numbers that are not of one type everywhere
	for _, l := range []syscall.Rlimit{{Cur: 4096, Max: 4096}, {Cur: 20_000, Max: 20_000}} {
		if fmt.Sprint(l.Cur) == size {
			limit = l
		}
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		fmt.Println(err)
		return 1
	}
	err := operations[op](path)
	if err == nil || !strings.HasPrefix(err.Error(), "persist: ") || !strings.Contains(err.Error(), syscall.EFBIG.Error()) {
		fmt.Println("want an error of the system:", err)
		return 1
	}
	return 0
}

// Whatever there is no room for is an error, and leaves nothing half done lying
// about: the old file is there, or what Purge has still to do.
func TestNoRoomForANewFile(t *testing.T) {
	t.Parallel()
	tests := []struct {
		why  string
		op   string
		size int
	}{
		{"a new file: not a byte", "open", 0},
		{"a new file: its head only", "open", 4096},
		{"a new file: most of it", "open", 20_000},
		{"compact: not a byte", "compact", 0},
		{"compact: its head only", "compact", 4096},
		{"compact: most of it", "compact", 20_000},
		{"purge: not a byte can be overwritten", "purge", 0},
		{"purge: only some can", "purge", 4096},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			dir := t.TempDir()
			path := filepath.Join(dir, "state")
			if tt.op != "open" {
				f := mustOpen(t, path, Config{}, c)
				f.db.NoSync = true
				mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, many(9000, time.Hour))}})
				mustSave(t, f, Snapshot{Full: true, Sections: []Section{section("a", daily, many(2500, time.Hour))}})
				mustClose(t, f)
			}
			before := list(t, dir)
			links := watched(t, paths(dir, before)...)
			if out, err := child(t, "small", fmt.Sprintf("%s:%d:%s", tt.op, tt.size, path)).CombinedOutput(); err != nil {
				t.Fatalf("child: %v\n%s", err, out)
			}
			if names := list(t, dir); tt.op != "purge" && !slices.Equal(names, before) {
				t.Errorf("there are %q: want %q", names, before)
			}
			if tt.op == "compact" {
				same(t, copied(mustRead(t, path, c))["a"], many(2500, time.Hour), fine)
			}
			if err := operations[tt.op](path); err != nil {
				t.Fatalf("with room: %v", err)
			}
			if tt.op == "purge" {
				allZeros(t, links)
			}
			if names := list(t, dir); !slices.Equal(names, []string{"state", "state.key"}) {
				t.Errorf("with room: there are %q", names)
			}
			got, res := loadAll(mustOpen(t, path, Config{}, c))
			if tt.op == "compact" {
				same(t, got["a"], many(2500, time.Hour), fine)
			} else if len(got["a"]) != 0 {
				t.Errorf("%d records came back", len(got["a"]))
			}
			if res.MovedTo != "" {
				t.Errorf("Restored = %+v", res)
			}
		})
	}
}

// paths puts a directory before names.
func paths(dir string, names []string) []string {
	var all []string
	for _, name := range names {
		all = append(all, filepath.Join(dir, name))
	}
	return all
}

// In a directory that nothing may be made in, what needs a new file is an error
// and changes nothing, and what does not goes on.
func TestReadOnlyDirectory(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may write to any directory")
	}
	c := newClock()
	for _, mode := range []fs.FileMode{0o500, 0o100} { // the second cannot be listed or synced, either
		dir := filepath.Join(t.TempDir(), "dir")
		path := filepath.Join(dir, "state")
		grown(t, path, c)
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(dir, 0o700) })
		before := readFile(t, path)
		for op, do := range operations {
			if op == "open" {
				continue
			}
			if err := do(path); !errors.Is(err, fs.ErrPermission) || !strings.HasPrefix(err.Error(), "persist: ") {
				t.Errorf("mode %v: %s: %v", mode, op, err)
			}
		}
		if string(readFile(t, path)) != string(before) {
			t.Errorf("mode %v: the file was changed", mode)
		}
		if _, err := Open(filepath.Join(dir, "other"), Config{}); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("mode %v: Open of a new file: %v", mode, err)
		}
		f := mustOpen(t, path, Config{}, c)
		mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{7: time.Hour})}})
		got, res := reopened(t, f, c, 0)
		if len(got["a"]) != 3001 || res.MovedTo != "" {
			t.Errorf("mode %v: %d records, %+v", mode, len(got["a"]), res)
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if names := list(t, dir); !slices.Equal(names, []string{"state", "state.key"}) {
			t.Errorf("mode %v: there are %q", mode, names)
		}
	}
}

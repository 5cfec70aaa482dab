package persist

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// What is written to a file that has been removed is lost: a save says so
// instead, and a full one starts a new file, under the same secret.
func TestFileRemovedWhileOpen(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("an open file cannot be removed here")
	}
	d := debts{1: time.Hour, 2: time.Hour}
	delta := Snapshot{Sections: []Section{section("a", daily, debts{2: time.Hour})}}
	full := Snapshot{Full: true, Sections: []Section{section("a", daily, d)}}
	tests := []struct {
		why    string
		remove func(dir, path string) error
		back   func(dir string) error
	}{
		{"the file", func(_, path string) error { return os.Remove(path) }, nil},
		{"with its directory", func(dir, _ string) error { return os.RemoveAll(dir) }, func(dir string) error { return os.Mkdir(dir, 0o700) }},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			dir := filepath.Join(t.TempDir(), "dir")
			f := mustOpen(t, filepath.Join(dir, "state"), Config{}, c)
			mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{1: time.Hour})}})
			secret := string(f.Secret())
			if err := tt.remove(dir, f.path); err != nil {
				t.Fatal(err)
			}
			saved, err := f.Save(delta)
			if err == nil || !strings.Contains(err.Error(), f.path) || !saved.CheckpointDue {
				t.Fatalf("Save of what has changed: %+v, %v: want an error, and a full one due", saved, err)
			}
			if tt.back != nil {
				if saved, err := f.Save(full); err == nil || !saved.CheckpointDue {
					t.Fatalf("Save without a directory: %+v, %v: want an error", saved, err)
				}
				if err := tt.back(dir); err != nil {
					t.Fatal(err)
				}
			}
			mustSave(t, f, full)
			mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{3: time.Hour})}})
			d := debts{1: time.Hour, 2: time.Hour, 3: time.Hour}
			got, res := reopened(t, f, c, 0)
			same(t, got["a"], d, fine)
			if next := mustOpen(t, f.path, Config{}, c); string(next.Secret()) != secret || res.MovedTo != "" {
				t.Errorf("the secret is another, or Restored = %+v", res)
			}
			if names := list(t, dir); len(names) != 2 {
				t.Errorf("directory holds %q: want the file and its key", names)
			}
		})
	}
}

// A file that has come in place of the open one is somebody's: it is left
// alone, and the save fails until the one before is back.
func TestFileReplacedWhileOpen(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("an open file cannot be replaced here")
	}
	c := newClock()
	f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{}, c)
	full := Snapshot{Full: true, Sections: []Section{section("a", daily, debts{1: time.Hour})}}
	mustSave(t, f, full)
	if err := os.Rename(f.path, f.path+".before"); err != nil {
		t.Fatal(err)
	}
	writeFile(t, f.path, []byte("somebody's"))
	if _, err := f.Save(full); err == nil || !strings.Contains(err.Error(), "state: another file has taken its place: put back the one before, or restart") {
		t.Errorf("Save: %v: want an error", err)
	}
	if string(readFile(t, f.path)) != "somebody's" {
		t.Error("the other file has changed")
	}
	if err := os.Rename(f.path+".before", f.path); err != nil {
		t.Fatal(err)
	}
	mustSave(t, f, full)
	got, _ := reopened(t, f, c, 0)
	same(t, got["a"], debts{1: time.Hour}, fine)
}

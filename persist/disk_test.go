package persist

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A disk holds one state at a time.
type disk struct {
	path     string
	clock    *fakeClock
	old, new []byte
	last     *File
}

func newDisk(t *testing.T, tx transaction) *disk {
	t.Helper()
	d := &disk{path: filepath.Join(t.TempDir(), "state"), clock: &tx.clock, old: tx.before, new: tx.after}
	writeFile(t, d.path+".key", tx.key)
	t.Cleanup(func() {
		if d.last != nil {
			d.last.Close()
		}
	})
	return d
}

// open opens a state and returns what is in it. It must not fail.
func (d *disk) open(t *testing.T, b []byte) (*File, map[string]debts, Restored) {
	t.Helper()
	f, got, res, err := d.try(t, b)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return f, got, res
}

func (d *disk) try(t *testing.T, b []byte) (*File, map[string]debts, Restored, error) {
	t.Helper()
	if d.last != nil {
		mustClose(t, d.last)
	}
	writeFile(t, d.path, b)
	f, err := open(d.path, Config{LockTimeout: time.Second}, d.clock.read)
	if d.last = f; err != nil {
		return nil, nil, Restored{}, err
	}
	got, res := loadAll(f)
	if res.MovedTo != "" {
		if err := os.Remove(res.MovedTo); err != nil {
			t.Fatal(err)
		}
	}
	return f, got, res, nil
}

// goesOn checks that a file which was found good can be written, too.
func (d *disk) goesOn(t *testing.T, f *File, check bool) {
	t.Helper()
	if !check {
		return
	}
	next := many(300, 20*time.Hour)
	mustSave(t, f, Snapshot{Sections: []Section{section("after", daily, next)}})
	mustSave(t, f, Snapshot{Full: true, Sections: []Section{section("after", daily, next)}})
	mustClose(t, f)
	f = mustOpen(t, d.path, Config{}, d.clock)
	defer mustClose(t, f)
	got, res := loadAll(f)
	if res.MovedTo != "" {
		t.Fatalf("damaged by the saves after it: %s", res.Damage)
	}
	same(t, got["after"], next, fine)
}

func equal(a, b map[string]debts) bool {
	return maps.EqualFunc(a, b, func(a, b debts) bool { return maps.Equal(a, b) })
}

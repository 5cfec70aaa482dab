//go:build unix

package persist

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func init() { jobs["fsize"] = fsizeJob }

// A disk that is full, as far as a process can have one to itself: no file of
// it may grow beyond a limit.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state")
	c := newClock()
	f := mustOpen(t, path, Config{}, c)
	mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, many(1000, time.Hour))}})
	mustClose(t, f)
	if out, err := child(t, "fsize", path).CombinedOutput(); err != nil {
		t.Fatalf("child: %v\n%s", err, out)
	}
	f = mustOpen(t, path, Config{}, c)
	got, res := loadAll(f)
	same(t, got["a"], many(1000, time.Hour), fine)
	if res.MovedTo != "" {
		t.Errorf("the file was found damaged: %s", res.Damage)
	}
}

func fsizeJob(path string) int {
	fail := func(args ...any) int {
		fmt.Println(args...)
		return 1
	}
	limit := syscall.Rlimit{Cur: 2 << 20, Max: 2 << 20}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return fail(err)
	}
	c := newClock()
	f, err := open(path, Config{}, c.read)
	if err != nil {
		return fail(err)
	}
	saved, err := f.Save(Snapshot{Full: true, Sections: []Section{section("a", daily, many(400_000, time.Hour))}})
	if err == nil || !strings.Contains(err.Error(), "too large") || !saved.CheckpointDue {
		return fail("a save beyond the limit:", saved, err)
	}
	if _, err := f.Save(Snapshot{Full: true, Sections: []Section{section("a", daily, many(1000, time.Hour))}}); err != nil {
		return fail("a save within it:", err)
	}
	if err := f.Close(); err != nil {
		return fail(err)
	}
	return 0
}

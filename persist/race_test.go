package persist

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// rival is a File as another process would have it: only the lock of the file
// keeps it from those of this one.
func rival(path string, c *fakeClock, wait time.Duration) *File {
	cfg, _ := Config{LockTimeout: wait}.withDefaults()
	return &File{path: path, cfg: cfg, clocks: c.read, unlock: func() {}}
}

// Processes that find a damaged file at once: one moves it aside and has a new
// one, and none of the others takes that for the damaged one.
func TestManyFindADamagedFile(t *testing.T) {
	t.Parallel()
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	c := newClock()
	for range rounds {
		dir := t.TempDir()
		path := filepath.Join(dir, "state")
		damageSample(t, path)
		if err := os.Truncate(path, int64(9*os.Getpagesize())); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		files, errs := make([]*File, 6), make([]error, 6)
		for i := range files {
			all.Go(func() {
				files[i] = rival(path, c, 200*time.Millisecond)
				errs[i] = files[i].open()
			})
		}
		all.Wait()
		have := 0
		for i, err := range errs {
			if err == nil {
				have++
				mustClose(t, files[i])
			} else if !errors.Is(err, ErrLocked) && !errors.Is(err, errChanged) && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("open: %v", err)
			}
		}
		if names := list(t, dir); have != 1 || len(names) != 3 || !strings.Contains(names[1], ".corrupt-") {
			t.Errorf("%d have the file, there are %q: want one, and what was moved aside", have, names)
		}
	}
}

// A file is moved aside only if it is the one that was found damaged: what
// another process has put in its place meanwhile is left alone.
func TestOnlyTheDamagedFileIsMovedAside(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "state")
	for _, damage := range []func() error{
		func() error { return os.WriteFile(path, nil, 0o600) },
		func() error { return os.Remove(path + ".key") },
	} {
		mustClose(t, mustOpen(t, path, Config{}, c))
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		slow, fast := rival(path, c, time.Millisecond), rival(path, c, time.Second)
		_, err := slow.openFile()
		var bad *unusable
		if !errors.As(err, &bad) {
			t.Fatalf("openFile: %v: want it found unusable", err)
		}
		if err := fast.open(); err != nil {
			t.Fatal(err)
		}
		mustSave(t, fast, Snapshot{Sections: []Section{section("a", daily, debts{1: time.Hour})}})
		if err := slow.giveUp(bad); !errors.Is(err, errChanged) {
			t.Errorf("giveUp: %v: want errChanged", err)
		}
		mustSave(t, fast, Snapshot{Sections: []Section{section("a", daily, debts{2: time.Hour})}})
		mustClose(t, fast)
		if err := slow.open(); err != nil || slow.restored.MovedTo != "" {
			t.Fatalf("open: %v, %+v", err, slow.restored)
		}
		got, _ := loadAll(slow)
		same(t, got["a"], debts{1: time.Hour, 2: time.Hour}, fine)
		mustClose(t, slow)
	}
}

// Processes that take turns: each finds all that the others have saved, even
// what came between its first look at the file and its lock on it.
func TestTakingTurns(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state")
	c := newClock()
	mustClose(t, mustOpen(t, path, Config{}, c))
	const rivals, turns = 4, 8
	var held sync.Mutex
	saved := debts{}
	var all sync.WaitGroup
	for r := range rivals {
		all.Go(func() {
			for i := range turns {
				f := rival(path, c, time.Minute)
				err := f.open()
				if errors.Is(err, errChanged) {
					continue // it says so
				}
				if err != nil {
					t.Errorf("open: %v", err)
					return
				}
				got, res := loadAll(f)
				held.Lock()
				if len(got["a"]) != len(saved) || res.MovedTo != "" {
					t.Errorf("rival %d, turn %d: %d records came back of %d, %+v", r, i, len(got["a"]), len(saved), res)
				}
				hash := uint64(r*turns + i)
				_, err = f.Save(Snapshot{Sections: []Section{section("a", daily, debts{hash: time.Hour})}})
				saved[hash] = time.Hour
				held.Unlock()
				if err = errors.Join(err, f.Close()); err != nil {
					t.Errorf("save: %v", err)
				}
			}
		})
	}
	all.Wait()
	if len(saved) < rivals*turns/2 {
		t.Errorf("%d turns were taken of %d", len(saved), rivals*turns)
	}
}

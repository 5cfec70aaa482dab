package persist

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// What was not finished when its maker was killed goes with the next Open or
// Compact. All else stays, whatever it is called.
func TestLeftoversAreRemoved(t *testing.T) {
	t.Parallel()
	users := map[string]func(path string) error{
		"Open": func(path string) error {
			f, err := open(path, Config{}, newClock().read)
			if err != nil {
				return err
			}
			return f.Close()
		},
		"Compact": func(path string) error {
			_, _, err := Compact(path, Config{})
			return err
		},
	}
	tests := []struct {
		name string // after that of the state file
		why  string
		make func(path string) error
		stay bool
	}{
		{".tmp-1", "a state file in the making", nil, false},
		{".tmp-4294967295", "another", nil, false},
		{".key.tmp-42", "a secret in the making", nil, false},
		{".tmp-7", "one that has its name already, and this one still", func(path string) error {
			return os.Link(filepath.Join(filepath.Dir(path), "state"), path)
		}, false},
		{".tmp-", "no number", nil, true},
		{".tmp-1x", "no number either", nil, true},
		{".tmp-1.key", "the secret of something with such a name", nil, true},
		{"2.tmp-1", "of another state file", nil, true},
		{".key.key.tmp-1", "of a state file that is called like a secret", nil, true},
		{".corrupt-20300102T020405Z", "moved aside", nil, true},
		{".purge-20300102T020405Z", "for Purge, which overwrites it", nil, true},
		{".tmp-2", "a directory", func(path string) error { return os.Mkdir(path, 0o700) }, true},
		{".tmp-3", "a link", func(path string) error { return os.Symlink(filepath.Join(filepath.Dir(path), "state"), path) }, true},
		{".tmp-5", "open to others: ours are not", func(path string) error { return os.WriteFile(path, nil, 0o644) }, true},
		{".tmp-6", "of another user", func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, 12345, -1))
		}, true},
	}
	for user, use := range users {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			path := filepath.Join(t.TempDir(), "state")
			f := mustOpen(t, path, Config{}, c)
			mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{1: time.Hour})}})
			mustClose(t, f)
			want := []string{"state", "state.key"}
			for _, tt := range tests {
				if tt.make == nil {
					tt.make = func(path string) error { return os.WriteFile(path, []byte("half of it"), 0o600) }
				} else if runtime.GOOS == "windows" || os.Geteuid() != 0 && tt.name == ".tmp-6" {
					continue
				}
				if err := tt.make(path + tt.name); err != nil {
					t.Fatal(err)
				}
				if tt.stay {
					want = append(want, "state"+tt.name)
				}
			}
			if err := use(path); err != nil {
				t.Fatal(err)
			}
			slices.Sort(want)
			if got := list(t, filepath.Dir(path)); !slices.Equal(got, want) {
				t.Errorf("there are %q: want %q", got, want)
			}
			got, res := loadAll(mustOpen(t, path, Config{}, c))
			same(t, got["a"], debts{1: time.Hour}, fine)
			if res.MovedTo != "" {
				t.Errorf("Restored = %+v", res)
			}
		})
	}
}

// Many make the file at once, and each that gets it sweeps up after the others,
// who are in the midst of it: one has the file, and the others learn just that.
func TestManyMakeOneFile(t *testing.T) {
	t.Parallel()
	rounds := 20
	if testing.Short() {
		rounds = 4
	}
	c := newClock()
	for range rounds {
		dir := t.TempDir()
		path := filepath.Join(dir, "state")
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
			switch {
			case err == nil:
				have++
				mustClose(t, files[i])
			case !errors.Is(err, ErrLocked) && !errors.Is(err, errChanged):
				t.Errorf("open: %v", err)
			}
		}
		if have != 1 {
			t.Errorf("%d have the file: want one", have)
		}
		f := mustOpen(t, path, Config{}, c)
		if names := list(t, dir); fmt.Sprint(names) != "[state state.key]" || f.restored.MovedTo != "" {
			t.Errorf("there are %q, %+v", names, f.restored)
		}
		mustClose(t, f)
	}
}

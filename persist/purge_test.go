package persist

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// watched gives files a second name, under which what becomes of their bytes
// can be seen.
func watched(t *testing.T, paths ...string) (names []string) {
	t.Helper()
	dir := t.TempDir()
	for _, path := range paths {
		name := filepath.Join(dir, filepath.Base(path))
		if err := os.Link(path, name); err != nil {
			t.Skip(err) // a file system without links
		}
		names = append(names, name)
	}
	return names
}

func allZeros(t *testing.T, names []string) {
	t.Helper()
	for _, name := range names {
		if b := readFile(t, name); len(bytes.Trim(b, "\x00")) > 0 {
			t.Errorf("%s still has %d bytes that can be read", filepath.Base(name), len(bytes.Trim(b, "\x00")))
		}
	}
}

func TestPurge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why  string
		edit func(t *testing.T, path string)
		gone []string // of "", ".key"
	}{
		{"a sound file", func(*testing.T, string) {}, []string{"", ".key"}},
		{"a damaged file", func(t *testing.T, path string) {
			b := readFile(t, path)
			copy(b[len(b)/4:], bytes.Repeat([]byte{0x5a}, len(b)/2))
			writeFile(t, path, b)
		}, []string{"", ".key"}},
		{"a file that is cut off", func(t *testing.T, path string) {
			if err := os.Truncate(path, 100); err != nil {
				t.Fatal(err)
			}
		}, []string{"", ".key"}},
		{"an empty file", func(t *testing.T, path string) { writeFile(t, path, nil) }, []string{"", ".key"}},
		{"a secret that is not its own", func(t *testing.T, path string) {
			writeFile(t, path+".key", bytes.Repeat([]byte{7}, 32))
		}, []string{"", ".key"}},
		{"a file without a secret", func(t *testing.T, path string) {
			if err := os.Remove(path + ".key"); err != nil {
				t.Fatal(err)
			}
		}, []string{""}},
		{"a secret without a file", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, []string{".key"}},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			path := filepath.Join(t.TempDir(), "state")
			f := mustOpen(t, path, Config{}, c)
			secret := f.Secret()
			mustSave(t, f, Snapshot{Sections: []Section{section("a policy", daily, many(5000, time.Hour))}})
			mustClose(t, f)
			tt.edit(t, path)
			var gone []string
			for _, suffix := range tt.gone {
				gone = append(gone, path+suffix)
			}
			old := watched(t, gone...)
			done, err := Purge(path, Config{}, false)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(done.Removed, gone) || len(done.Aside) != 0 {
				t.Errorf("Purged = %+v: want %q removed", done, gone)
			}
			allZeros(t, old)
			if names := list(t, filepath.Dir(path)); !slices.Equal(names, []string{"state", "state.key"}) {
				t.Errorf("there are %q", names)
			}
			got, err := Read(path, Config{})
			if err != nil {
				t.Fatal(err)
			}
			if info := got.Info(); info.Records != 0 || len(info.Policies) != 0 || !info.Restored.Clean || info.SecretError != nil {
				t.Errorf("Info = %+v: want nothing in it", info)
			}
			f = mustOpen(t, path, Config{}, c)
			if bytes.Equal(f.Secret(), secret) || f.restored.MovedTo != "" {
				t.Errorf("the secret is still the same, or %+v", f.restored)
			}
		})
	}
}

// What a crash has left is purged with the rest. What was moved aside goes only
// if that is wanted, and what is not ours never.
func TestPurgeBeside(t *testing.T) {
	t.Parallel()
	left := []string{".key.purge-20300102T020405Z", ".key.tmp-123", ".purge-20300102T020405Z", ".purge-20300102T020405Z-2", ".tmp-123"}
	aside := []string{".corrupt-20300102T020405Z", ".corrupt-20300102T020405Z-2", ".unreadable-20300102T020405Z"}
	others := []string{"2", ".bak", ".corrupt-", ".corrupt-mine", ".tmp-", ".tmp-x", ".purge-20300102T020405Z.txt", ".corrupt-20300102T020405Z-"}
	for _, all := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "state")
		mustClose(t, mustOpen(t, path, Config{}, newClock()))
		name := func(suffixes []string) (names []string) {
			for _, s := range suffixes {
				names = append(names, path+s)
			}
			return names
		}
		for _, n := range name(slices.Concat(left, aside, others)) {
			writeFile(t, n, []byte("readable"))
		}
		stay, go_ := others, left
		if all {
			go_ = append(go_[:len(go_):len(go_)], aside...)
		} else {
			stay = append(stay[:len(stay):len(stay)], aside...)
		}
		old := watched(t, name(go_)...)
		done, err := Purge(path, Config{}, all)
		if err != nil {
			t.Fatal(err)
		}
		allZeros(t, old)
		for _, n := range name(go_) {
			if _, err := os.Lstat(n); err == nil {
				t.Errorf("%s is still there", n)
			}
		}
		for _, n := range name(stay) {
			if b, err := os.ReadFile(n); err != nil || string(b) != "readable" {
				t.Errorf("%s: %q, %v", n, b, err)
			}
		}
		if wantAside := name(aside); all && len(done.Aside) != 0 || !all && !slices.Equal(done.Aside, wantAside) {
			t.Errorf("aside %v: Aside = %q", all, done.Aside)
		}
		if len(done.Removed) != 2+len(go_) {
			t.Errorf("aside %v: Removed = %q", all, done.Removed)
		}
	}
}

func TestPurgeWithASecretGiven(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "state")
	cfg := Config{Secret: bytes.Repeat([]byte{7}, 32)}
	f := mustOpen(t, path, cfg, c)
	mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{1: time.Hour})}})
	mustClose(t, f)
	if _, err := Purge(path, cfg, false); err != nil {
		t.Fatal(err)
	}
	if names := list(t, filepath.Dir(path)); !slices.Equal(names, []string{"state"}) {
		t.Errorf("there are %q", names)
	}
	if got, res := loadAll(mustOpen(t, path, cfg, c)); len(got) != 0 || res.MovedTo != "" || !res.Clean {
		t.Errorf("%v, %+v", got, res)
	}
}

func TestPurgeRefuses(t *testing.T) {
	t.Parallel()
	lock := func(t *testing.T, path string) {
		db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
	}
	for _, tt := range []struct {
		why  string
		unix bool
		edit func(t *testing.T, path string)
		want string
		is   error
	}{
		{"nothing to purge", false, func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Remove(path+".key")); err != nil {
				t.Fatal(err)
			}
		}, "state: file does not exist", fs.ErrNotExist},
		{"in use by this process", false, func(t *testing.T, path string) { mustOpen(t, path, Config{}, newClock()) }, "in use by this process", ErrLocked},
		{"in use by another process", false, lock, "in use by another process", ErrLocked},
		{"damaged while in use", true, func(t *testing.T, path string) {
			lock(t, path)
			file, err := os.OpenFile(path, os.O_RDWR, 0)
			if err == nil {
				_, err = file.WriteAt(make([]byte, len(readFile(t, path))), 0)
			}
			if err = errors.Join(err, file.Close()); err != nil {
				t.Fatal(err)
			}
		}, "in use by another process", ErrLocked},
		{"of something else", false, func(t *testing.T, path string) { writeFile(t, path, []byte("limits:\n")) }, "not a state file", ErrForeign},
		{"a database of something else", false, func(t *testing.T, path string) {
			tamper(t, path, func(tx *bolt.Tx) error {
				return errors.Join(tx.DeleteBucket(bucketMeta), tx.DeleteBucket(bucketPolicy), tx.DeleteBucket(bucketSeg))
			})
		}, "not a state file", ErrForeign},
		{"of a newer version", false, func(t *testing.T, path string) {
			tamper(t, path, func(tx *bolt.Tx) error {
				return tx.Bucket(bucketMeta).Put(keyFormat, seal(keyFormat, append([]byte(formatMagic), 9, 0, 2, 0)))
			})
		}, "of a newer version", ErrNewer},
		{"a secret that is a link to something", true, func(t *testing.T, path string) {
			writeFile(t, path+".mine", []byte("mine"))
			if err := errors.Join(os.Remove(path+".key"), os.Symlink(path+".mine", path+".key")); err != nil {
				t.Fatal(err)
			}
		}, "state.key is a symbolic link", nil},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			if tt.unix && runtime.GOOS == "windows" {
				t.Skip("this system locks what is open, or has no links")
			}
			path := filepath.Join(t.TempDir(), "state")
			f := mustOpen(t, path, Config{}, newClock())
			mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, many(5000, time.Hour))}})
			mustClose(t, f)
			tt.edit(t, path)
			before := contentsOf(t, filepath.Dir(path))
			_, err := Purge(path, Config{LockTimeout: 10 * time.Millisecond}, true)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "persist: ") {
				t.Errorf("Purge: %v: want %s", err, tt.want)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%q is not %q", err, tt.is)
			}
			if contentsOf(t, filepath.Dir(path)) != before {
				t.Error("what is there was changed")
			}
		})
	}
}

package persist

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	tests := []struct {
		why  string
		cfg  Config
		want string
	}{
		{"an interval below 0", Config{Interval: -1}, "persist: Interval -1ns is out of range: want at least 0s"},
		{"a timeout below 0: bbolt would wait for ever", Config{LockTimeout: -1}, "persist: LockTimeout -1ns is out of range: want at least 0s"},
		{"a size below 0", Config{MaxSize: -1}, "persist: MaxSize -1 is out of range: want at least 1048576 (1 MiB), or 0 for the default"},
		{"a size that holds nothing", Config{MaxSize: 1<<20 - 1}, "persist: MaxSize 1048575 is out of range: want at least 1048576 (1 MiB), or 0 for the default"},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "dir", "state")
			if _, err := Open(path, tt.cfg); err == nil || err.Error() != tt.want {
				t.Errorf("Open: %v: want %s", err, tt.want)
			}
			if _, err := os.Stat(filepath.Dir(path)); err == nil {
				t.Error("a directory was made all the same")
			}
		})
	}
	if math.MaxInt == math.MaxInt32 {
		if _, err := (Config{MaxSize: 1 << 32}).withDefaults(); err == nil {
			t.Error("a size beyond 32 bits is accepted on a 32-bit system")
		}
	}
}

func TestNewFile(t *testing.T) {
	t.Parallel()
	c := newClock()
	dir := filepath.Join(t.TempDir(), "a", "b")
	f := mustOpen(t, filepath.Join(dir, "state"), Config{}, c)
	got, res := loadAll(f)
	if len(got) != 0 || !res.New || res.Clock != clockUnknown || res.Away != 0 || res.MovedTo != "" {
		t.Errorf("loaded %v, Restored = %+v", got, res)
	}
	if len(f.Secret()) != 32 || bytes.Equal(f.Secret(), make([]byte, 32)) {
		t.Errorf("Secret = %x", f.Secret())
	}
	if runtime.GOOS != "windows" {
		for name, want := range map[string]fs.FileMode{"": 0o700, "state": 0o600, "state.key": 0o600} {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil || info.Mode().Perm() != want {
				t.Errorf("mode of %q is %v (%v): want %v", name, info.Mode().Perm(), err, want)
			}
		}
	}
	if names := list(t, dir); len(names) != 2 {
		t.Errorf("directory holds %q: want the file and its key", names)
	}
	secret := bytes.Clone(f.Secret())
	mustClose(t, f)
	if again := mustOpen(t, f.path, Config{}, c); !bytes.Equal(again.Secret(), secret) || !again.restored.New {
		t.Errorf("second Open: another secret, or not New: %+v", again.restored)
	}
	if other := mustOpen(t, filepath.Join(dir, "other"), Config{}, c); bytes.Equal(other.Secret(), secret) {
		t.Error("two files have one secret")
	}
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestRefusedPaths(t *testing.T) {
	t.Parallel()
	// A good file with its key to start from.
	start := func(t *testing.T) (dir, path string) {
		dir = t.TempDir()
		path = filepath.Join(dir, "state")
		f := mustOpen(t, path, Config{}, newClock())
		mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{1: time.Hour})}})
		mustClose(t, f)
		return dir, path
	}
	ok := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	tests := []struct {
		why    string
		system string // "unix" where it takes modes or links
		edit   func(dir, path string) string
		want   string
		is     error
	}{
		{"no path", "", func(_, path string) string { return "" }, "path of the state file is empty", nil},
		{"a directory", "", func(dir, _ string) string { return dir }, "is a directory: name a file in it", nil},
		{"a file in place of a directory", "", func(_, path string) string { return filepath.Join(path, "state") }, "directory for ", nil},
		{"a link to a good file", "unix", func(dir, path string) string {
			link := filepath.Join(dir, "link")
			ok(os.Symlink(path, link))
			return link
		}, "link is a symbolic link: name the file itself", nil},
		{"a link to nothing", "unix", func(dir, path string) string {
			link := filepath.Join(dir, "link")
			ok(os.Symlink(filepath.Join(dir, "nothing"), link))
			return link
		}, "link is a symbolic link: name the file itself", nil},
		{"a device", "unix", func(_, _ string) string { return "/dev/full" }, "/dev/full is not a regular file", nil},
		{"a file that others may read", "unix", func(_, path string) string {
			ok(os.Chmod(path, 0o644))
			return path
		}, "has mode 0644, so others may open it: run chmod 600 ", nil},
		{"a key that the group may read", "unix", func(_, path string) string {
			ok(os.Chmod(path+".key", 0o640))
			return path
		}, "state.key has mode 0640, so others may open it: run chmod 600 ", nil},
		{"a key that is a link", "unix", func(dir, path string) string {
			ok(os.Rename(path+".key", filepath.Join(dir, "elsewhere")))
			ok(os.Symlink("elsewhere", path+".key"))
			return path
		}, "state.key is a symbolic link", nil},
		{"a key cut short", "", func(_, path string) string {
			ok(os.Truncate(path+".key", 31))
			return path
		}, "state.key has 31 bytes: want 32; put back the right one, or remove it and all limits start afresh", nil},
		{"an empty key", "", func(_, path string) string {
			ok(os.Truncate(path+".key", 0))
			return path
		}, "state.key has 0 bytes: want 32", nil},
		{"a key that was lost to zeros", "", func(_, path string) string {
			ok(os.WriteFile(path+".key", bytes.Repeat([]byte{0}, 32), 0o600))
			return path
		}, "state.key is all zeros", nil},
		{"a text", "", func(_, path string) string {
			ok(os.WriteFile(path, []byte("limits:\n  ip: 100/min\n  user: 1000/day\n"), 0o600))
			return path
		}, "not a state file: it is not a bbolt database: name another file; it has not been touched", ErrForeign},
		{"a bbolt database of something else", "", func(_, path string) string {
			ok(os.Remove(path))
			db, err := bolt.Open(path, 0o600, nil)
			ok(err)
			ok(db.Update(func(tx *bolt.Tx) error {
				_, err := tx.CreateBucket([]byte("users"))
				return err
			}))
			ok(db.Close())
			return path
		}, "not a state file: it is a bbolt database of something else: name another file", ErrForeign},
		{"a newer format", "", func(_, path string) string {
			db, err := bolt.Open(path, 0o600, nil)
			ok(err)
			row := append([]byte(formatMagic), 9, 0, 2, 0)
			row = append(row, "more that we know nothing of"...)
			ok(db.Update(func(tx *bolt.Tx) error {
				return tx.Bucket(bucketMeta).Put(keyFormat, seal(keyFormat, row))
			}))
			ok(db.Close())
			return path
		}, "state file is of a newer version: it needs a reader of format 2, this one knows 1: update, or name another file", ErrNewer},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			if tt.system == "unix" && runtime.GOOS == "windows" {
				t.Skip("this system has no modes or links to test")
			}
			dir, path := start(t)
			path = tt.edit(dir, path)
			names := list(t, dir)
			before := contentsOf(t, dir)
			f, err := Open(path, Config{})
			if err == nil {
				f.Close()
				t.Fatal("Open succeeded")
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "persist: ") {
				t.Errorf("error is %q: want %q", err, tt.want)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error %q is not %q", err, tt.is)
			}
			if now := list(t, dir); fmt.Sprint(now) != fmt.Sprint(names) || contentsOf(t, dir) != before {
				t.Errorf("directory holds %q: want %q, unchanged", now, names)
			}
			if f, err := Open(path, Config{}); err == nil || errors.Is(err, ErrLocked) {
				t.Errorf("second Open: %v, %v: want the same error", f, err)
			}
		})
	}
}

// contentsOf returns all that is in the files of a directory.
func contentsOf(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range list(t, dir) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		fmt.Fprintf(&all, "%s %v %s", name, err, b)
	}
	return all.String()
}

func TestForeignOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 || runtime.GOOS == "windows" {
		t.Skip("only root can give a file away")
	}
	path := filepath.Join(t.TempDir(), "state")
	mustClose(t, mustOpen(t, path, Config{}, newClock()))
	if err := os.Chown(path, 12345, -1); err != nil {
		t.Skip(err)
	}
	_, err := Open(path, Config{})
	if err == nil || !strings.Contains(err.Error(), "state belongs to user 12345, and this runs as user 0") {
		t.Errorf("Open: %v", err)
	}
}

func TestReadOnlyFile(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may write any file")
	}
	path := filepath.Join(t.TempDir(), "state")
	mustClose(t, mustOpen(t, path, Config{}, newClock()))
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Config{}); err == nil || !strings.Contains(err.Error(), "must be able to write it") {
		t.Errorf("Open: %v", err)
	}
}

func TestLockedByThisProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	f := mustOpen(t, path, Config{}, newClock())
	paths := []string{path, filepath.Join(dir, "x", "..", "state")}
	if runtime.GOOS != "windows" {
		link := filepath.Join(dir, "link")
		if err := os.Symlink(dir, link); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, filepath.Join(link, "state"))
	}
	for _, path := range paths {
		if _, err := Open(path, Config{}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "state: state file is in use by this process") {
			t.Errorf("Open(%s): %v: want ErrLocked", path, err)
		}
	}
	mustClose(t, f)
	mustClose(t, f)
	mustOpen(t, path, Config{}, newClock())
}

// The lock that bbolt takes is the one other processes meet with.
func TestLockedByAnother(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state")
	mustClose(t, mustOpen(t, path, Config{}, newClock()))
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = Open(path, Config{LockTimeout: 100 * time.Millisecond})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "state: state file is in use by another process: stop it") {
		t.Errorf("Open: %v: want ErrLocked", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, path, Config{}, newClock())
}

// Between looking for the file and locking it, another process may have put a
// new one in its place: the lock is then on the wrong one.
func TestLockOnAFileThatIsGone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state")
	writeFile(t, path, []byte("old"))
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	f := &File{path: path}
	if err := f.stillThere(file); err != nil {
		t.Errorf("the same file: %v", err)
	}
	writeFile(t, path+".new", []byte("new"))
	if err := os.Rename(path+".new", path); err != nil {
		t.Skip(err) // where an open file cannot be replaced
	}
	if err := f.stillThere(file); !errors.Is(err, errChanged) {
		t.Errorf("another file: %v: want errChanged", err)
	}
}

// The file as another program sees it holds no key, only names of policies.
func TestNoKeyIsStored(t *testing.T) {
	t.Parallel()
	c := newClock()
	f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{}, c)
	d := debts{}
	var keys [][]byte
	for i := range 1000 {
		ip := fmt.Sprintf("192.0.%d.%d", i>>8, i&255)
		keys = append(keys, []byte(ip))
		d[binary.LittleEndian.Uint64(hashOf(f.Secret(), ip))] = time.Hour
	}
	mustSave(t, f, Snapshot{Sections: []Section{section("a policy", daily, d)}})
	mustClose(t, f)
	b := readFile(t, f.path)
	for _, k := range keys {
		if bytes.Contains(b, k) {
			t.Fatalf("the file holds %q", k)
		}
	}
	if bytes.Contains(b, f.Secret()) {
		t.Error("the file holds its secret")
	}
	if !bytes.Contains(b, []byte("a policy")) {
		t.Error("this test looks in the wrong place: the name of the policy is not there")
	}
}

package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// grown makes a file that has been much larger.
func grown(t *testing.T, path string, c *fakeClock) {
	t.Helper()
	f := mustOpen(t, path, Config{Interval: time.Minute}, c)
	f.db.NoSync = true
	mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, many(100_000, time.Hour))}})
	mustSave(t, f, Snapshot{Full: true, Sections: []Section{section("a", daily, many(3000, 2*time.Hour))}})
	mustSave(t, f, Snapshot{Final: true, Sections: []Section{section("b", daily, debts{1: time.Hour})}})
	mustClose(t, f)
}

func TestCompact(t *testing.T) {
	t.Parallel()
	c := newClock()
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	grown(t, path, c)
	old, key := mustRead(t, path, c), readFile(t, path+".key")
	before, after, err := Compact(path, Config{})
	if err != nil {
		t.Fatal(err)
	}
	was, info := old.Info(), mustRead(t, path, c).Info()
	if before != was.Size || after != info.Size || after*10 > before {
		t.Errorf("%d bytes became %d: want %d and %d, a tenth at most", before, after, was.Size, info.Size)
	}
	was.Size, was.Pages, was.FreePages = info.Size, info.Pages, info.FreePages
	if fmt.Sprint(info) != fmt.Sprint(was) {
		t.Errorf("what it says has changed from\n%+v to\n%+v", was, info)
	}
	if fmt.Sprint(copied(mustRead(t, path, c))) != fmt.Sprint(copied(old)) {
		t.Error("records have changed")
	}
	if names := list(t, dir); len(names) != 2 || !bytes.Equal(readFile(t, path+".key"), key) {
		t.Errorf("there are %q, or the secret has changed", names)
	}
	if stat, err := os.Stat(path); err != nil || hasModes && stat.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", stat.Mode(), err)
	}
	// It goes on as before.
	f := mustOpen(t, path, Config{}, c)
	mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{7: time.Hour})}})
	got, res := reopened(t, f, c, 0)
	if len(got["a"]) != 3001 || res.MovedTo != "" {
		t.Errorf("%d records, Restored = %+v", len(got["a"]), res)
	}
}

func TestCompactWithoutGainLeavesTheFile(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "state")
	grown(t, path, c)
	if _, _, err := Compact(path, Config{}); err != nil {
		t.Fatal(err)
	}
	was, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	before, after, err := Compact(path, Config{})
	is, statErr := os.Stat(path)
	if err != nil || statErr != nil || before != after || before != was.Size() || !os.SameFile(was, is) {
		t.Errorf("%d, %d, %v, %v: want the same file of %d bytes", before, after, err, statErr, was.Size())
	}
	if names := list(t, filepath.Dir(path)); len(names) != 2 {
		t.Errorf("there are %q", names)
	}
}

// What a newer version has written stays, and no secret is needed.
func TestCompactKeepsWhatItCannotRead(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "state")
	grown(t, path, c)
	f := mustOpen(t, path, Config{}, c)
	err := f.db.Update(func(tx *bolt.Tx) error {
		last := &f.index.chunks[len(f.index.chunks)-1]
		b := tx.Bucket(bucketSeg).Bucket(segmentKey(last.segment))
		raw := resealed(bytes.Clone(b.Get(chunkKey(last.index))), func(raw []byte) []byte {
			raw[0] = 0x40
			return raw
		})
		newer, err := decodeChunk(raw)
		if !errors.Is(err, errUnknownChunk) {
			return err
		}
		last.crc = newer.crc
		s := f.state
		s.commit = commitOf(tx)
		s.chunks, s.digest = f.index.sum()
		return errors.Join(b.Put(chunkKey(last.index), raw), tx.Bucket(bucketMeta).Put(keyState, s.row()))
	})
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, f)
	if err := os.Remove(path + ".key"); err != nil {
		t.Fatal(err)
	}
	was := mustRead(t, path, c).Info()
	if _, _, err := Compact(path, Config{}); err != nil {
		t.Fatal(err)
	}
	if info := mustRead(t, path, c).Info(); was.Restored.Skipped != 1 || info.Restored != was.Restored || info.Chunks != was.Chunks {
		t.Errorf("Info = %+v: want as before, %+v", info, was)
	}
}

// What is put in the place of a file is compared with it first.
func TestSameContents(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state")
	grown(t, path, newClock())
	f, err := claim(path, Config{}, readClocks, resolve)
	if err != nil {
		t.Fatal(err)
	}
	defer f.unlock()
	held, err := f.openToKeep()
	if err != nil {
		t.Fatal(err)
	}
	if err := held.db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := sameContents(path, held.contents); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(tx *bolt.Tx) error{
		"a state of later": func(tx *bolt.Tx) error {
			s := held.state
			s.t++
			return errors.Join(tx.Bucket(bucketMeta).Put(keyState, s.row()), recommit(tx))
		},
		"another secret": func(tx *bolt.Tx) error {
			return errors.Join(tx.Bucket(bucketMeta).Put(keySecretID, seal(keySecretID, make([]byte, secretIDSize))), recommit(tx))
		},
	} {
		other := filepath.Join(t.TempDir(), "state")
		writeFile(t, other, readFile(t, path))
		tamper(t, other, change)
		if _, err := sameContents(other, held.contents); !errors.Is(err, errBroken) {
			t.Errorf("%s: %v: want errBroken", what, err)
		}
	}
}

// A file that has been made and not been written says of no transaction that it
// is its.
func TestCompactOfANewFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state")
	if err := create(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<20); err != nil { // something to gain
		t.Fatal(err)
	}
	before, after, err := Compact(path, Config{})
	if err != nil || before != 1<<20 || after >= before {
		t.Fatalf("Compact: %d, %d, %v", before, after, err)
	}
	f := mustOpen(t, path, Config{}, newClock())
	if !f.restored.New {
		t.Errorf("Restored = %+v", f.restored)
	}
}

// blocked are files that neither Compact nor Import may touch.
var blocked = []struct {
	why  string
	edit func(t *testing.T, path string) string // returns the path to use
	want string
	is   error
}{
	{"in use by this process", func(t *testing.T, path string) string {
		mustOpen(t, path, Config{}, newClock())
		return path
	}, "state file is in use by this process", ErrLocked},
	{"in use by another process", func(t *testing.T, path string) string {
		db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return path
	}, "state file is in use by another process", ErrLocked},
	{"damaged", func(t *testing.T, path string) string {
		tamper(t, path, func(tx *bolt.Tx) error { return tx.Bucket(bucketPolicy).Delete(policyKey(1)) })
		return path
	}, "state file is damaged: ", ErrDamaged},
	{"empty", func(t *testing.T, path string) string {
		writeFile(t, path, nil)
		return path
	}, "state file is damaged: both meta pages", ErrDamaged},
	{"of something else", func(t *testing.T, path string) string {
		writeFile(t, path, []byte("limits:\n"))
		return path
	}, "not a state file", ErrForeign},
	{"of a newer version", func(t *testing.T, path string) string {
		tamper(t, path, func(tx *bolt.Tx) error {
			return tx.Bucket(bucketMeta).Put(keyFormat, seal(keyFormat, append([]byte(formatMagic), 9, 0, 2, 0)))
		})
		return path
	}, "state file is of a newer version", ErrNewer},
}

func TestCompactRefuses(t *testing.T) {
	t.Parallel()
	cases := append(blocked[:len(blocked):len(blocked)], struct {
		why  string
		edit func(t *testing.T, path string) string
		want string
		is   error
	}{"nothing", func(_ *testing.T, path string) string { return path + "x" }, "statex: ", fs.ErrNotExist})
	for _, tt := range cases {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "state")
			c := newClock()
			grown(t, path, c)
			path = tt.edit(t, path)
			before := contentsOf(t, filepath.Dir(path))
			_, _, err := Compact(path, Config{LockTimeout: 10 * time.Millisecond})
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "persist: ") {
				t.Errorf("Compact: %v: want %s", err, tt.want)
			}
			if contentsOf(t, filepath.Dir(path)) != before {
				t.Error("what is there was changed")
			}
		})
	}
}

// Who has waited for the lock of the old file must not go on with that one.
func TestCompactUnderAWaitingProcess(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("an open file keeps its name")
	}
	c := newClock()
	path := filepath.Join(t.TempDir(), "state")
	grown(t, path, c)
	f, err := claim(path, Config{}, c.read, resolve)
	if err != nil {
		t.Fatal(err)
	}
	defer f.unlock()
	held, err := f.openToKeep()
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error)
	go func() {
		// Another process, as far as the lock is concerned.
		other := &File{path: path, cfg: f.cfg, clocks: c.read}
		found, err := other.openData()
		if err == nil {
			stat, statErr := os.Stat(path)
			if err = statErr; err == nil && stat.Size() > 1<<20 {
				err = errors.New("it has the old file")
			}
			err = errors.Join(err, found.db.Close())
		}
		waiting <- err
	}()
	temp := path + ".tmp-1"
	writeFile(t, temp, nil)
	if err := errors.Join(compactInto(temp, held), replace(temp, path), held.db.Close()); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err != nil && !errors.Is(err, errChanged) {
		t.Error(err)
	}
}

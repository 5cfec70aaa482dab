package persist

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/seed-0c889b51/weir/persist/internal/boltfile"
)

// breaks makes an open file one that does not hold what was written, so that
// the next save gives it up.
func breaks(t *testing.T, f *File) {
	t.Helper()
	if err := f.db.Update(func(tx *bolt.Tx) error { return tx.DeleteBucket(bucketMeta) }); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Save(Snapshot{Sections: []Section{section("a", daily, debts{2: time.Hour})}}); err == nil {
		t.Fatal("Save to a broken file succeeded")
	}
}

// A new file in place of a broken one begins with all that the owner has: with
// what has changed alone, the rest would be forgotten in silence.
func TestOnlyAFullSnapshotRevives(t *testing.T) {
	t.Parallel()
	c := newClock()
	f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{}, c)
	mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{1: time.Hour})}})
	breaks(t, f)
	for _, final := range []bool{false, true} {
		saved, err := f.Save(Snapshot{Final: final, Sections: []Section{section("a", daily, debts{2: time.Hour})}})
		if err == nil || !strings.Contains(err.Error(), "only a full snapshot can start a new one") || !saved.CheckpointDue {
			t.Errorf("Save of what has changed, final %v: %+v, %v: want an error", final, saved, err)
		}
	}
	mustSave(t, f, Snapshot{Full: true, Sections: []Section{section("a", daily, debts{1: time.Hour, 2: time.Hour})}})
	got, res := reopened(t, f, c, 0)
	same(t, got["a"], debts{1: time.Hour, 2: time.Hour}, fine)
	if res.MovedTo != "" {
		t.Errorf("Restored = %+v", res)
	}
}

// A broken file is given up, and so is its lock: another process may have moved
// it aside and started a file of its own since. That one is left alone.
func TestReviveLeavesTheFileOfAnother(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "state")
	f := mustOpen(t, path, Config{}, c)
	full := Snapshot{Full: true, Sections: []Section{section("a", daily, debts{1: time.Hour})}}
	mustSave(t, f, full)
	breaks(t, f)
	other := rival(path, c, time.Second)
	if err := other.open(); err != nil || other.restored.MovedTo == "" {
		t.Fatalf("open: %v, %+v: want the broken file moved aside", err, other.restored)
	}
	mustSave(t, other, Snapshot{Sections: []Section{section("a", daily, debts{7: time.Hour})}})
	for range 2 {
		if _, err := f.Save(full); err == nil || !strings.Contains(err.Error(), "another file has taken its place") {
			t.Errorf("Save: %v: want an error", err)
		}
	}
	mustSave(t, other, Snapshot{Sections: []Section{section("a", daily, debts{8: time.Hour})}})
	mustClose(t, other)
	mustClose(t, f)
	got, res := loadAll(mustOpen(t, path, Config{}, c))
	same(t, got["a"], debts{7: time.Hour, 8: time.Hour}, fine)
	if res.MovedTo != "" {
		t.Errorf("Restored = %+v", res)
	}
}

// A file that faults is not closed by bbolt, which may hold its own locks. The
// lock of the file is let go of all the same, so that it can be opened again.
func TestFaultLetsGoOfTheLock(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("a file that is mapped cannot be cut off here")
	}
	c := newClock()
	path := filepath.Join(t.TempDir(), "state")
	f := mustOpen(t, path, Config{}, c)
	mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{1: time.Hour})}})
	whole := readFile(t, path)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Save(Snapshot{Final: true}); err == nil {
		t.Fatal("Save to a file of no bytes succeeded")
	}
	writeFile(t, path, whole) // somebody has put it back
	mustClose(t, f)
	next, err := open(path, Config{LockTimeout: 10 * time.Millisecond}, c.read)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer mustClose(t, next)
	got, _ := loadAll(next)
	same(t, got["a"], debts{1: time.Hour}, fine)
}

// Of a file whose last commit is lost, nobody knows how the last run ended.
func TestNotCleanWithoutTheLastCommit(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "state")
	f := mustOpen(t, path, Config{}, c)
	mustSave(t, f, Snapshot{Final: true, Sections: []Section{section("a", daily, debts{1: time.Hour})}})
	mustClose(t, f)
	mustClose(t, mustOpen(t, path, Config{}, c)) // says that it goes on
	b := readFile(t, path)
	m, err := boltfile.ReadMeta(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	b[int64(m.Txid%2)*m.PageSize+30] ^= 1 // the newer root
	writeFile(t, path, b)
	if res := mustRead(t, path, c).Info().Restored; !res.FellBack || res.Clean {
		t.Errorf("Info.Restored = %+v: want FellBack, and not Clean", res)
	}
	if _, res := loadAll(mustOpen(t, path, Config{}, c)); !res.FellBack || res.Clean || res.Records != 1 {
		t.Errorf("Restored = %+v: want FellBack, and not Clean", res)
	}
}

// Another process makes a second file while the first is being made anew: a
// try that fails half-way goes on with its own file.
func TestReviveGoesOnWithItsOwnFile(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "state")
	f := mustOpen(t, path, Config{LockTimeout: time.Millisecond}, c)
	full := Snapshot{Full: true, Sections: []Section{section("a", daily, debts{1: time.Hour})}}
	breaks(t, f)
	key := readFile(t, path+".key")
	writeFile(t, path+".key", key[:10]) // so that the new file cannot be opened
	for range 2 {
		if _, err := f.Save(full); err == nil || !strings.Contains(err.Error(), "has 10 bytes: want 32") {
			t.Fatalf("Save: %v: want an error", err)
		}
	}
	writeFile(t, path+".key", key)
	mustSave(t, f, full)
	got, _ := reopened(t, f, c, 0)
	same(t, got["a"], debts{1: time.Hour}, fine)
}

// The parts of an Info are the caller's.
func TestInfoIsACopy(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "state")
	f := mustOpen(t, path, Config{}, c)
	mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{1: time.Hour})}})
	copied := mustRead(t, path, c)
	info := copied.Info()
	info.SecretID[0]++
	info.Policies[0].Name = "b"
	if again := copied.Info(); !bytes.Equal(again.SecretID, secretID(f.Secret())) || again.Policies[0].Name != "a" {
		t.Errorf("Info = %+v: it has changed with the one before", again)
	}
}

// A state that claims an interval below nothing is not believed.
func TestIntervalBelowNothing(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "state")
	mustClose(t, mustOpen(t, path, Config{}, c))
	tamper(t, path, func(tx *bolt.Tx) error {
		s, err := parseState(tx.Bucket(bucketMeta).Get(keyState))
		if err != nil {
			return err
		}
		s.commit, s.interval = commitOf(tx), -1
		return tx.Bucket(bucketMeta).Put(keyState, s.row())
	})
	if _, err := Read(path, Config{}); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "interval of -1ns: want at least 0s") {
		t.Errorf("Read: %v", err)
	}
}

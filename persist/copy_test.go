package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/persist/internal/boltfile"
)

// mustRead takes a copy.
func mustRead(t *testing.T, path string, c *fakeClock) *Copy {
	t.Helper()
	copied, err := read(path, Config{}, c.read)
	if err != nil {
		t.Fatalf("Read(%s): %v", path, err)
	}
	return copied
}

// copied returns the live records of a copy.
func copied(c *Copy) map[string]debts {
	got := map[string]debts{}
	c.load(func(policy string, hash uint64, debt time.Duration) {
		if got[policy] == nil {
			got[policy] = debts{}
		}
		got[policy][hash] = debt
	})
	return got
}

func TestReadSaysWhatIsThere(t *testing.T) {
	t.Parallel()
	c := newClock()
	f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{Interval: time.Minute}, c)
	mustSave(t, f, Snapshot{Sections: []Section{
		section("user", daily, debts{1: time.Hour, 2: 2 * time.Hour, 3: time.Minute}),
		section("ip", bucket.PerMinute(100), debts{1: time.Minute}),
	}})
	c.pass(10 * time.Second)
	mustSave(t, f, Snapshot{Final: true, Sections: []Section{section("user", daily, debts{1: 3 * time.Hour})}})
	stamp := f.state.stamp
	mustClose(t, f)
	c.pass(2 * time.Minute)
	c.synced = false
	before := contentsOf(t, filepath.Dir(f.path))
	first := mustRead(t, f.path, c)
	for range 2 { // nothing is used up
		info := first.Info()
		want := Restored{Records: 2, Policies: 1, Clean: true, Interval: time.Minute, Away: 2 * time.Minute, Clock: clockBoot}
		if info.Restored != want {
			t.Errorf("Restored = %+v: want %+v", info.Restored, want)
		}
		if info.Segments != 2 || info.Chunks != 3 || info.Records != 5 || info.InUse || info.Writer != 1 || info.OldestReader != 1 {
			t.Errorf("Info = %+v", info)
		}
		if size := len(readFile(t, f.path)); info.Size != int64(size) || info.PageSize*info.Pages > size || info.FreePages >= info.Pages {
			t.Errorf("%d pages of %d bytes, %d free, in %d: want those of %d bytes", info.Pages, info.PageSize, info.FreePages, info.Size, size)
		}
		if !bytes.Equal(info.SecretID, secretID(f.secret)) || info.SecretError != nil {
			t.Errorf("SecretID = %x, %v", info.SecretID, info.SecretError)
		}
		s := info.Stamp
		if s.Timeline != time.Duration(stamp.t) || s.Wall.UnixNano() != stamp.wall || s.Boot != time.Duration(stamp.boot) ||
			s.BootID != stamp.bootID || s.Synchronised.UnixNano() != stamp.anchorWall {
			t.Errorf("Stamp = %+v: want %+v", s, stamp)
		}
		if len(info.Policies) != 2 {
			t.Fatalf("Policies = %+v", info.Policies)
		}
		ip, user := info.Policies[0], info.Policies[1]
		if ip != (PolicyInfo{Name: "ip", Limit: bucket.PerMinute(100), Saved: 130 * time.Second}) {
			t.Errorf("ip: %+v: want no record that lives, saved 130 s ago", ip)
		}
		longest := 3*time.Hour - 2*time.Minute
		if user.Live != 2 || user.Longest < longest || user.Longest > longest+fine || user.Saved != 2*time.Minute || user.Limit != daily {
			t.Errorf("user: %+v: want 2 that live, at most %v, saved 2 min ago", user, longest)
		}
		same(t, copied(first)["user"], debts{1: longest, 2: 2*time.Hour - 130*time.Second}, fine)
	}
	if after := contentsOf(t, filepath.Dir(f.path)); after != before {
		t.Error("reading changed what is there")
	}
}

// A file that has been made and never written has nothing to say of clocks and
// secrets.
func TestReadOfANewFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state")
	if err := create(path); err != nil {
		t.Fatal(err)
	}
	info := mustRead(t, path, newClock()).Info()
	if info.SecretID != nil || info.SecretError != nil || !info.Restored.New || info.Restored.Clock != clockUnknown || len(info.Policies) != 0 {
		t.Errorf("Info = %+v", info)
	}
	if names := list(t, filepath.Dir(path)); len(names) != 1 {
		t.Errorf("reading made %q", names)
	}
}

func TestReadTellsOfTheSecret(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why  string
		edit func(t *testing.T, key string) Config
		want string
	}{
		{"it is gone", func(t *testing.T, key string) Config {
			if err := os.Remove(key); err != nil {
				t.Fatal(err)
			}
			return Config{}
		}, "state.key is missing: without it no key can be recognized"},
		{"it is another", func(t *testing.T, key string) Config {
			writeFile(t, key, bytes.Repeat([]byte{7}, 32))
			return Config{}
		}, "state.key is not the secret that it was written with"},
		{"another is given", func(*testing.T, string) Config {
			return Config{Secret: bytes.Repeat([]byte{7}, 32)}
		}, "the secret given is not the one that it was written with"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "state")
			mustClose(t, mustOpen(t, path, Config{}, newClock()))
			c, err := Read(path, tt.edit(t, path+".key"))
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Info().SecretError; err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("SecretError = %v: want %s", err, tt.want)
			}
		})
	}
}

func TestReadWhileInUse(t *testing.T) {
	t.Parallel()
	c := newClock()
	dir := t.TempDir()
	f := mustOpen(t, filepath.Join(dir, "state"), Config{}, c)
	mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{1: time.Hour})}})
	before := contentsOf(t, dir)
	got := mustRead(t, f.path, c)
	if info := got.Info(); !info.InUse || info.Restored.Clean {
		t.Errorf("Info = %+v: want one in use", info)
	}
	same(t, copied(got)["a"], debts{1: time.Hour}, fine)
	if contentsOf(t, dir) != before {
		t.Error("reading changed the file in use")
	}
	// Nor does it keep the owner from it.
	mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{2: time.Hour})}})
	mustClose(t, f)
	if mustRead(t, f.path, c).Info().InUse {
		t.Error("it is in use after Close")
	}
}

// Each snapshot of the writer holds as many records as its debts are hours
// long. A copy that mixes two of them does not.
func TestReadWhileWrittenTo(t *testing.T) {
	t.Parallel()
	c := newClock()
	f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{}, c)
	f.db.NoSync = true // as fast as can be
	save := func(n int) error {
		d := debts{}
		for i := range n * 300 {
			d[uint64(i)*0x9e3779b97f4a7c15] = time.Duration(n) * time.Hour
		}
		_, err := f.Save(Snapshot{Full: true, Sections: []Section{section("a", daily, d)}})
		return err
	}
	if err := save(1); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan bool), make(chan error)
	go func() {
		for n := 1; ; n = n%20 + 1 {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := save(n); err != nil {
				done <- err
				return
			}
		}
	}()
	seen := map[int]bool{}
	// On a busy machine the writer may not have had a turn by then.
	for reads := 0; reads < 200 || len(seen) < 2; reads++ {
		runtime.Gosched()
		got := copied(mustRead(t, f.path, c))["a"]
		n := len(got) / 300
		seen[n] = true
		for hash, debt := range got {
			if len(got)%300 != 0 || debt.Round(time.Minute) != time.Duration(n)*time.Hour {
				t.Fatalf("%d records, and one of them, %x, of %v", len(got), hash, debt)
			}
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why  string
		unix bool // takes modes or links
		edit func(t *testing.T, path string) string
		want string
		is   error
	}{
		{"nothing", false, func(_ *testing.T, path string) string { return path + "x" }, "statex: file does not exist", fs.ErrNotExist},
		{"no path", false, func(*testing.T, string) string { return "" }, "path of the state file is empty", nil},
		{"no directory", false, func(_ *testing.T, path string) string { return filepath.Join(path+"x", "state") }, "directory for ", fs.ErrNotExist},
		{"a directory", false, func(_ *testing.T, path string) string { return filepath.Dir(path) }, "is a directory: name a file in it", nil},
		{"a link", true, func(t *testing.T, path string) string {
			if err := os.Symlink(path, path+"link"); err != nil {
				t.Fatal(err)
			}
			return path + "link"
		}, "is a symbolic link", nil},
		{"a file that others may read", true, func(t *testing.T, path string) string {
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
			return path
		}, "run chmod 600", nil},
		{"garbage", false, func(t *testing.T, path string) string {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = byte(rand.Uint32())
			}
			writeFile(t, path, b)
			return path
		}, "not a state file: it is not a bbolt database", ErrForeign},
		{"zeros", false, func(t *testing.T, path string) string {
			writeFile(t, path, make([]byte, 1<<20))
			return path
		}, "state file is damaged: both meta pages are damaged", ErrDamaged},
		{"nothing but a name", false, func(t *testing.T, path string) string {
			writeFile(t, path, nil)
			return path
		}, "state file is damaged: both meta pages are damaged", ErrDamaged},
		{"a page that is gone", false, func(t *testing.T, path string) string {
			if err := os.Truncate(path, int64(3*os.Getpagesize())); err != nil {
				t.Fatal(err)
			}
			return path
		}, fmt.Sprintf("state file is damaged: %d bytes: want ", 3*os.Getpagesize()), ErrDamaged},
		{"a chunk that is gone", false, func(t *testing.T, path string) string {
			tamper(t, path, func(tx *bolt.Tx) error { return tx.Bucket(bucketSeg).DeleteBucket(segmentKey(1)) })
			return path
		}, "state file is damaged: 0 chunks with digest", ErrDamaged},
		{"a row that has changed", false, func(t *testing.T, path string) string {
			tamper(t, path, func(tx *bolt.Tx) error {
				row := bytes.Clone(tx.Bucket(bucketMeta).Get(keyState))
				row[3]++
				return tx.Bucket(bucketMeta).Put(keyState, row)
			})
			return path
		}, `state file is damaged: row "state" has a wrong checksum`, ErrDamaged},
		{"a newer version", false, func(t *testing.T, path string) string {
			tamper(t, path, func(tx *bolt.Tx) error {
				return tx.Bucket(bucketMeta).Put(keyFormat, seal(keyFormat, append([]byte(formatMagic), 9, 0, 2, 0)))
			})
			return path
		}, "state file is of a newer version: it needs a reader of format 2", ErrNewer},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			if tt.unix && runtime.GOOS == "windows" {
				t.Skip("this system has no modes or links to test")
			}
			path := filepath.Join(t.TempDir(), "state")
			f := mustOpen(t, path, Config{}, newClock())
			mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, many(1000, time.Hour))}})
			mustClose(t, f)
			dir := filepath.Dir(path)
			path = tt.edit(t, path)
			before := contentsOf(t, dir)
			_, err := Read(path, Config{})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "persist: ") {
				t.Errorf("Read: %v: want %s", err, tt.want)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%q is not %q", err, tt.is)
			}
			if contentsOf(t, dir) != before {
				t.Error("what is there was changed")
			}
		})
	}
}

// A file that says it is larger than any of ours is not read, however much of
// it there is.
func TestReadIsBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state")
	c := newClock()
	f := mustOpen(t, path, Config{}, c)
	mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, many(200_000, time.Hour))}})
	mustClose(t, f)
	if _, err := Read(path, Config{MaxSize: minMaxSize}); err == nil || !strings.Contains(err.Error(), "want at most 1048576 bytes in all (MaxSize)") {
		t.Errorf("Read: %v", err)
	}
	// What comes after the last page is of no concern.
	if err := os.Truncate(path, 1<<40); err != nil {
		t.Skip(err) // on file systems without holes
	}
	if info := mustRead(t, path, c).Info(); info.Restored.Records != 200_000 || info.Size != 1<<40 {
		t.Errorf("Info = %+v", info)
	}
	// And one of which nothing is left is told at once.
	if err := errors.Join(os.Truncate(path, 0), os.Truncate(path, 1<<40)); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path, Config{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("Read: %v: want ErrDamaged", err)
	}
}

// Whatever happens to a file, Read says that it is damaged, or what it holds,
// and lives.
func TestReadOfDamagedFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	damageSample(t, path)
	whole := readFile(t, path)
	meta, err := boltfile.ReadMeta(bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	whole = whole[:int64(meta.High)*meta.PageSize]
	c := newClock()
	want := copied(mustRead(t, path, c))
	counts := map[string]int{}
	for _, m := range mutations(len(whole), os.Getpagesize(), testing.Short()) {
		writeFile(t, path, m.edit(bytes.Clone(whole)))
		got, err := read(path, Config{}, c.read)
		switch {
		case errors.Is(err, ErrDamaged):
			counts["damaged"]++
		case err != nil:
			t.Errorf("%s: %v", m.name, err)
		case got.Info().Restored.FellBack:
			counts["fell back"]++
		case fmt.Sprint(copied(got)) == fmt.Sprint(want):
			counts["intact"]++
		default:
			t.Errorf("%s: something else came back, without a word", m.name)
		}
	}
	if counts["damaged"] == 0 || counts["intact"] == 0 || counts["fell back"] == 0 {
		t.Errorf("of the files, %v", counts)
	}
	t.Log(counts)
}

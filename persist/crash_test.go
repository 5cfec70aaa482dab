package persist

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// What Save has acknowledged survives a process that is killed at any moment.
func TestKill(t *testing.T) {
	t.Parallel()
	n := *kills
	if testing.Short() {
		n = min(n, 3)
	}
	path := filepath.Join(t.TempDir(), "state")
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	acked, saves := 0, 0
	for run := range n {
		cmd := child(t, "save", fmt.Sprintf("%d:%s", acked, path))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Killed after some number of lines, and then some part of a save.
		left := 1 + r.IntN(30)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			i, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatalf("run %d: child says %q", run, lines.Text())
			}
			acked = i
			saves++
			if left--; left == 0 {
				time.AfterFunc(time.Duration(r.IntN(3000))*time.Microsecond, func() { cmd.Process.Kill() })
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("child ended by itself")
		}
		f, err := Open(path, Config{})
		if err != nil {
			t.Fatal(err)
		}
		got, res := loadAll(f)
		mustClose(t, f)
		if res.MovedTo != "" {
			t.Fatalf("run %d: the file was found damaged: %s", run, res.Damage)
		}
		// Save i holds the hashes up to i; one more may have been written.
		last := uint64(len(got["a"]))
		if last != uint64(acked) && last != uint64(acked)+1 || res.Records != int(last) {
			t.Fatalf("run %d: %d records came back: %d saves were acknowledged", run, last, acked)
		}
		for h := range last {
			if got["a"][h+1] == 0 {
				t.Fatalf("run %d: record %d of %d is missing", run, h+1, last)
			}
		}
		acked = int(last)
	}
	t.Logf("%d kills, %d saves", n, saves)
}

// saveJob saves until it is killed, and prints the number of each save.
func saveJob(args string) int {
	from, path, _ := strings.Cut(args, ":")
	i, _ := strconv.Atoi(from)
	f, err := Open(path, Config{})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	loadAll(f)
	for {
		i++
		s := Snapshot{Sections: []Section{section("a", daily, debts{uint64(i): 20 * time.Hour})}}
		if i%5 == 0 {
			d := debts{}
			for h := range i {
				d[uint64(h+1)] = 20 * time.Hour
			}
			s = Snapshot{Full: true, Sections: []Section{section("a", daily, d)}}
		}
		if _, err := f.Save(s); err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println(i)
	}
}

// A file that may not grow any more is no disaster: a save fails and says so,
// what was saved is there, and so is the next save that fits.
func TestMaxSize(t *testing.T) {
	t.Parallel()
	c := newClock()
	f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{MaxSize: 2 << 20}, c)
	small := []Section{section("a", daily, debts{1: time.Hour})}
	mustSave(t, f, Snapshot{Full: true, Sections: small})
	large := []Section{section("a", daily, many(400_000, 2*time.Hour))}
	for _, full := range []bool{false, true} {
		saved, err := f.Save(Snapshot{Full: full, Sections: large})
		if err == nil || !strings.Contains(err.Error(), "persist: saving to "+f.path) || !saved.CheckpointDue {
			t.Fatalf("Save: %+v, %v: want an error", saved, err)
		}
		if info, err := os.Stat(f.path); err != nil || info.Size() > 2<<20 {
			t.Errorf("the file has %d bytes: want at most 2 MiB", info.Size())
		}
	}
	if saved := mustSave(t, f, Snapshot{Full: true, Sections: small}); saved.CheckpointDue {
		t.Error("CheckpointDue after a full snapshot")
	}
	got, res := reopened(t, f, c, 0)
	same(t, got["a"], debts{1: time.Hour}, fine)
	if res.MovedTo != "" {
		t.Errorf("the file was found damaged: %s", res.Damage)
	}
}

// What a failed full snapshot has written already is taken back, and the room
// is there for others.
func TestFailedCheckpointMakesRoom(t *testing.T) {
	t.Parallel()
	c := newClock()
	f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{MaxSize: 4 << 20}, c)
	mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, many(10, time.Hour))}})
	before := len(f.index.chunks)
	if _, err := f.Save(Snapshot{Full: true, Sections: []Section{section("a", daily, many(800_000, time.Hour))}}); err == nil {
		t.Fatal("Save of 10 MB into 4 succeeded")
	}
	if len(f.index.chunks) != before {
		t.Errorf("%d chunks are left: want %d", len(f.index.chunks), before)
	}
	for range 3 {
		mustSave(t, f, Snapshot{Full: true, Sections: []Section{section("a", daily, many(80_000, time.Hour))}})
	}
}

func TestSaveAfterClose(t *testing.T) {
	t.Parallel()
	f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{}, newClock())
	mustClose(t, f)
	if _, err := f.Save(Snapshot{Final: true}); !errors.Is(err, ErrClosed) {
		t.Errorf("Save: %v: want ErrClosed", err)
	}
}

// A file that breaks while it is open costs a save, and the next one starts
// anew with all that the owner has.
func TestFileBreaksWhileOpen(t *testing.T) {
	t.Parallel()
	tests := []struct {
		why  string
		harm func(f *File) error
	}{
		{"somebody cuts it off: reading it faults", func(f *File) error { return os.Truncate(f.path, 0) }},
		{"what was written is not there", func(f *File) error {
			return f.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketSeg).DeleteBucket(segmentKey(1)) })
		}},
		{"nor is its place", func(f *File) error {
			return f.db.Update(func(tx *bolt.Tx) error { return tx.DeleteBucket(bucketMeta) })
		}},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{}, c)
			mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{1: time.Hour})}})
			if err := tt.harm(f); err != nil {
				t.Fatal(err)
			}
			full := Snapshot{Full: true, Sections: []Section{section("a", daily, debts{1: time.Hour, 2: time.Hour})}}
			saved, err := f.Save(full)
			if err == nil || !saved.CheckpointDue {
				t.Fatalf("Save: %+v, %v: want an error", saved, err)
			}
			mustSave(t, f, full)
			mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{3: time.Hour})}})
			got, res := reopened(t, f, c, 0)
			same(t, got["a"], debts{1: time.Hour, 2: time.Hour, 3: time.Hour}, fine)
			if res.MovedTo != "" {
				t.Errorf("the new file was found damaged: %s", res.Damage)
			}
			if names := list(t, filepath.Dir(f.path)); len(names) != 3 || !strings.Contains(names[1], "state.corrupt-") {
				t.Errorf("directory holds %q: want the broken file, too", names)
			}
		})
	}
}

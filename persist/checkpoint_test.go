package persist

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

func TestFileDoesNotGrow(t *testing.T) {
	t.Parallel()
	c := newClock()
	f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{}, c)
	n := 1000
	if testing.Short() {
		n = 200
	}
	r := rand.New(rand.NewPCG(1, 2))
	var size int64
	for i := range n {
		d := debts{}
		for range 100 {
			d[r.Uint64()] = time.Minute
		}
		c.pass(10 * time.Second)
		mustSave(t, f, Snapshot{Live: 600, Sections: []Section{section("a", bucket.PerMinute(10), d)}})
		info, err := os.Stat(f.path)
		if err != nil {
			t.Fatal(err)
		}
		if i == 50 {
			size = info.Size()
		}
		if i > 50 && info.Size() > size {
			t.Fatalf("save %d: the file has grown from %d to %d bytes", i, size, info.Size())
		}
		if len(f.index.chunks) > 7 { // a debt that ends just now is rounded up
			t.Fatalf("save %d: %d chunks are kept: want the seven of the last minute", i, len(f.index.chunks))
		}
	}
}

func TestCheckpointDue(t *testing.T) {
	t.Parallel()
	tests := []struct {
		why   string
		saves int
		each  int
		live  int
		want  bool
	}{
		{"as many as there are live", 1, 3000, 3000, false},
		{"twice as many", 2, 3000, 3000, false},
		{"more than twice as many", 3, 3000, 3000, true},
		{"few are not worth it", 2, 1000, 10, false},
		{"unless they are many for the few", 3, 1000, 10, true},
		{"very many small segments", maxSegments + 1, 1, 10, true},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{}, c)
			f.db.NoSync = true // many saves, and no crash
			d := many(tt.each, time.Hour)
			var saved Saved
			for i := range tt.saves {
				if saved.CheckpointDue {
					t.Errorf("due after save %d", i)
				}
				saved = mustSave(t, f, Snapshot{Live: tt.live, Sections: []Section{section("a", daily, d)}})
			}
			if saved.CheckpointDue != tt.want {
				t.Errorf("CheckpointDue = %v: want %v", saved.CheckpointDue, tt.want)
			}
			if saved := mustSave(t, f, Snapshot{Full: true, Live: tt.live, Sections: []Section{section("a", daily, d)}}); saved.CheckpointDue {
				t.Error("CheckpointDue after a full snapshot")
			}
			got, _ := reopened(t, f, c, 0)
			same(t, got["a"], d, fine)
		})
	}
}

// A checkpoint that ends between any two of its transactions leaves a file
// that holds all that was saved: the old, overridden by what is new already.
func TestCheckpointCutShort(t *testing.T) {
	t.Parallel()
	c := newClock()
	dir := t.TempDir()
	f := mustOpen(t, filepath.Join(dir, "state"), Config{}, c)
	n := 3*maxSegmentChunks*maxChunkRecords - 5
	mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, many(n, time.Hour))}})
	p, err := f.plan(Snapshot{Full: true, Sections: []Section{section("a", daily, many(n, 2*time.Hour))}})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.segments) != 3 {
		t.Fatalf("%d transactions: want 3", len(p.segments))
	}
	for i, segment := range p.segments[:2] {
		if _, err := f.commit(change{add: segment, policies: p.policies}); err != nil {
			t.Fatal(err)
		}
		whole := readFile(t, f.path)
		path := filepath.Join(dir, fmt.Sprint("copy", i))
		writeFile(t, path, whole)
		writeFile(t, path+".key", readFile(t, f.path+".key"))
		next := mustOpen(t, path, Config{}, c)
		got, res := loadAll(next)
		older, newer := 0, 0
		for _, d := range got["a"] {
			if d >= 2*time.Hour {
				newer++
			} else if d >= time.Hour {
				older++
			}
		}
		if want := (i + 1) * maxSegmentChunks * maxChunkRecords; newer != want || older != n-want || res.MovedTo != "" {
			t.Errorf("after transaction %d: %d new and %d old records: want %d and %d", i+1, newer, older, want, n-want)
		}
		mustClose(t, next)
	}
}

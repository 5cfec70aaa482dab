package persist

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// New is what an owner goes by when it has to take all for spent: it is to hold
// until there is something else to go by.
func TestNew(t *testing.T) {
	t.Parallel()
	run := func(saves ...Snapshot) func(*testing.T, *fakeClock, string) {
		return func(t *testing.T, c *fakeClock, path string) {
			f := mustOpen(t, path, Config{}, c)
			for _, s := range saves {
				mustSave(t, f, s)
			}
			mustClose(t, f)
		}
	}
	some := Snapshot{Sections: []Section{section("a", daily, debts{1: time.Hour})}}
	type does = []func(*testing.T, *fakeClock, string)
	tests := []struct {
		why        string
		before     does
		new, clean bool
	}{
		{"there is no file", nil, true, false},
		{"one that was only made", does{func(t *testing.T, _ *fakeClock, path string) {
			if err := create(path); err != nil {
				t.Fatal(err)
			}
		}}, true, false},
		{"a run that saved nothing before it crashed", does{run()}, true, false},
		{"and several of them", does{run(), run(), run()}, true, false},
		{"a run that saved", does{run(some)}, false, false},
		{"a run that had nothing to save, and did so", does{run(Snapshot{})}, false, false},
		{"a run that ended with nothing to save", does{run(Snapshot{Final: true})}, false, true},
		{"a run that saved nothing after one that did", does{run(some), run()}, false, false},
		{"a run that saved after one that did not", does{run(), run(some)}, false, false},
		{"a snapshot that was refused", does{func(t *testing.T, c *fakeClock, path string) {
			f := mustOpen(t, path, Config{}, c)
			if _, err := f.Save(Snapshot{Sections: []Section{{}}}); err == nil {
				t.Fatal("Save of no policy succeeded")
			}
			mustClose(t, f)
		}}, true, false},
		{"a file that was compacted while new", does{run(), func(t *testing.T, _ *fakeClock, path string) {
			if _, _, err := Compact(path, Config{}); err != nil {
				t.Fatal(err)
			}
		}}, true, false},
		{"a file that was purged", does{run(some), func(t *testing.T, _ *fakeClock, path string) {
			if _, err := Purge(path, Config{}, false); err != nil {
				t.Fatal(err)
			}
		}}, true, true},
		{"a run that crashed after a damaged file was moved aside", does{run(some), func(t *testing.T, c *fakeClock, path string) {
			writeFile(t, path, nil)
			f := mustOpen(t, path, Config{}, c)
			if f.restored.New || f.restored.Damage == "" {
				t.Errorf("Restored = %+v: want damage, which is not new", f.restored)
			}
			mustClose(t, f)
		}}, true, false},
		{"a run that had to begin another file, and crashed in its first save", does{func(t *testing.T, c *fakeClock, path string) {
			f := mustOpen(t, path, Config{}, c)
			mustSave(t, f, some)
			breaks(t, f)
			cut(t, f, true)
			mustClose(t, f)
		}}, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			path := filepath.Join(t.TempDir(), "state")
			for _, do := range tt.before {
				do(t, c, path)
			}
			if len(tt.before) > 0 {
				if res := mustRead(t, path, c).Info().Restored; res.New != tt.new || res.Clean != tt.clean {
					t.Errorf("Info.Restored = %+v: want New %v, Clean %v", res, tt.new, tt.clean)
				}
			}
			if _, res := loadAll(mustOpen(t, path, Config{}, c)); res.New != tt.new || res.Clean != tt.clean {
				t.Errorf("Restored = %+v: want New %v, Clean %v", res, tt.new, tt.clean)
			}
		})
	}
}

// cut does the first transaction of a save that has several.
func cut(t *testing.T, f *File, full bool) {
	t.Helper()
	s := Snapshot{Full: full, Sections: []Section{section("a", daily, many(maxSegmentChunks*maxChunkRecords+1, time.Hour))}}
	if _, err := f.prepare(full); err != nil {
		t.Fatal(err)
	}
	p, err := f.plan(s)
	if err != nil || len(p.segments) != 2 {
		t.Fatalf("%d transactions, %v: want 2", len(p.segments), err)
	}
	if _, err := f.commit(change{add: p.segments[0], policies: p.policies}); err != nil {
		t.Fatal(err)
	}
}

// A first snapshot is there when all of it is: what comes first in it may say
// nothing of the policies that come last.
func TestNewUntilTheFirstSnapshotIsWhole(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "state")
	f := mustOpen(t, path, Config{MaxSize: 2 << 20}, c)
	all := many(3*maxSegmentChunks*maxChunkRecords, time.Hour)
	saved, err := f.Save(Snapshot{Sections: []Section{section("a", daily, all)}})
	if err == nil || saved.Records == 0 || saved.Records == len(all) {
		t.Fatalf("Save = %+v, %v: want that there is room for some of it", saved, err)
	}
	mustClose(t, f)
	f = mustOpen(t, path, Config{}, c)
	if got, res := loadAll(f); !res.New || res.Clean || len(got["a"]) != saved.Records {
		t.Errorf("%d records, %+v: want New, and the %d that were saved", len(got["a"]), res, saved.Records)
	}
	mustSave(t, f, Snapshot{Full: true, Sections: []Section{section("a", daily, all)}})
	if got, res := reopened(t, f, c, 0); res.New || len(got["a"]) != len(all) {
		t.Errorf("%d records, %+v: want all, and not New", len(got["a"]), res)
	}
}

// What is imported was saved, and says nothing of how a run has ended.
func TestImportIntoANewFile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why    string
		opened bool
		clean  bool
	}{
		{"there is no file", false, true},
		{"a run has crashed before it saved", true, false},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			from := newState(t, c, true, section("a", daily, debts{1: time.Hour}))
			text := exported(t, from, c)
			to := withKeyOf(t, from)
			if tt.opened {
				mustClose(t, mustOpen(t, to, Config{}, c))
			}
			if _, err := importInto(to, Config{}, strings.NewReader(text), c.read); err != nil {
				t.Fatal(err)
			}
			if res := mustRead(t, to, c).Info().Restored; res.New || res.Clean != tt.clean || res.Records != 1 {
				t.Errorf("Restored = %+v: want Clean %v and not New", res, tt.clean)
			}
		})
	}
}

package persist

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"github.com/seed-0c889b51/weir/bucket"
)

const fine = 100 * time.Microsecond // rounding of debts up to four days

func TestSaveAndLoad(t *testing.T) {
	t.Parallel()
	one := func(d debts) []Section { return []Section{section("a", daily, d)} }
	type step struct {
		after time.Duration
		Snapshot
	}
	tests := []struct {
		why   string
		steps []step
		away  time.Duration
		want  debts
	}{
		{"debts are paid while away", []step{
			{0, Snapshot{Sections: one(debts{1: time.Hour, 2: time.Minute})}},
		}, 10 * time.Minute, debts{1: 50 * time.Minute}},
		{"and while running", []step{
			{0, Snapshot{Sections: one(debts{1: time.Hour})}},
			{time.Minute, Snapshot{Sections: one(debts{2: time.Hour})}},
		}, 0, debts{1: 59 * time.Minute, 2: time.Hour}},
		{"the last record of a hash counts if it is longer", []step{
			{0, Snapshot{Sections: one(debts{1: time.Minute})}},
			{0, Snapshot{Sections: one(debts{1: time.Hour})}},
		}, 0, debts{1: time.Hour}},
		{"and if it is shorter: there was a refund", []step{
			{0, Snapshot{Sections: one(debts{1: time.Hour})}},
			{0, Snapshot{Sections: one(debts{1: time.Minute})}},
		}, 0, debts{1: time.Minute}},
		{"and if it is none: there was a reset", []step{
			{0, Snapshot{Sections: one(debts{1: time.Hour, 2: time.Hour})}},
			{0, Snapshot{Sections: one(debts{1: 0})}},
		}, 0, debts{2: time.Hour}},
		{"a debt below 0 is none", []step{
			{0, Snapshot{Sections: one(debts{1: time.Hour})}},
			{0, Snapshot{Sections: one(debts{1: -time.Hour})}},
		}, 0, debts{}},
		{"a full snapshot replaces what is not in it", []step{
			{0, Snapshot{Sections: one(debts{1: time.Hour, 2: time.Hour})}},
			{0, Snapshot{Full: true, Sections: one(debts{2: time.Minute})}},
		}, 0, debts{2: time.Minute}},
		{"by nothing, too", []step{
			{0, Snapshot{Sections: one(debts{1: time.Hour})}},
			{0, Snapshot{Full: true, Sections: one(debts{})}},
		}, 0, debts{}},
		{"what is saved after a full snapshot counts", []step{
			{0, Snapshot{Full: true, Sections: one(debts{1: time.Minute, 2: time.Minute})}},
			{0, Snapshot{Sections: one(debts{1: time.Hour})}},
		}, 0, debts{1: time.Hour, 2: time.Minute}},
		{"the shortest debt is kept", []step{
			{0, Snapshot{Sections: one(debts{1: 1})}},
		}, 0, debts{1: 1}},
		{"no debt is longer than a refill of the limit", []step{
			{0, Snapshot{Sections: one(debts{1: 1000 * time.Hour})}},
		}, 0, debts{1: 24 * time.Hour}},
		{"policies are apart", []step{
			{0, Snapshot{Sections: []Section{section("b", daily, debts{1: time.Hour}), section("a", daily, debts{1: time.Minute})}}},
			{0, Snapshot{Full: true, Sections: []Section{section("b", daily, debts{})}}},
		}, 0, debts{1: time.Minute}},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{}, c)
			for _, s := range tt.steps {
				c.pass(s.after)
				mustSave(t, f, s.Snapshot)
			}
			got, _ := reopened(t, f, c, tt.away)
			same(t, got["a"], tt.want, fine)
		})
	}
}

func TestSnapshotAt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		why   string
		taken time.Duration // before the save
		zero  bool
		want  time.Duration
	}{
		{"debts count from At, not from the save", 5 * time.Minute, false, 55 * time.Minute},
		{"the zero time is now", 0, true, time.Hour},
		{"a time to come is now", -time.Hour, false, time.Hour},
		{"a time before the file was opened is when it was", 24 * time.Hour, false, 50 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{}, c)
			c.pass(10 * time.Minute)
			s := Snapshot{At: c.mono.Add(-tt.taken), Sections: []Section{section("a", daily, debts{1: time.Hour})}}
			if tt.zero {
				s.At = time.Time{}
			}
			mustSave(t, f, s)
			got, _ := reopened(t, f, c, 0)
			same(t, got["a"], debts{1: tt.want}, fine)
		})
	}
}

func TestNothingToSaveWritesNothing(t *testing.T) {
	t.Parallel()
	c := newClock()
	f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{}, c)
	mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{1: time.Hour})}})
	c.pass(2 * time.Hour)
	before := f.state.commit
	for _, s := range []Snapshot{
		{},
		{Sections: []Section{section("a", daily, nil), section("b", daily, nil)}},
		{Sections: []Section{section("a", daily, debts{1: 0, 2: 0})}},
		{Full: true, Sections: []Section{section("b", daily, nil)}},
	} {
		if saved := mustSave(t, f, s); saved.Records != 0 || saved.Bytes != 0 || f.state.commit != before {
			t.Errorf("Save(%+v) = %+v and made %d transactions: want none", s, saved, f.state.commit-before)
		}
	}
	if mustSave(t, f, Snapshot{Final: true}); f.state.commit != before+1 {
		t.Errorf("the final snapshot made %d transactions: want 1", f.state.commit-before)
	}
	if _, res := reopened(t, f, c, 0); !res.Clean {
		t.Error("Clean = false after a final snapshot")
	}
}

// That a bucket is full is only worth a record if the file may say otherwise.
func TestFullBucketsAreWrittenIfNeeded(t *testing.T) {
	t.Parallel()
	full := []Section{section("a", daily, debts{1: 0, 2: time.Minute})}
	tests := []struct {
		why  string
		pass time.Duration // since an hour's debt of policy "a" was saved
		save Snapshot
		want int
	}{
		{"the file may hold a debt of it", 0, Snapshot{Sections: full}, 2},
		{"under another limit, too", 0, Snapshot{Sections: []Section{section("a", bucket.PerDay(10), debts{1: 0, 2: time.Minute})}}, 2},
		{"all that it held is over", time.Hour + fine, Snapshot{Sections: full}, 1},
		{"it holds nothing of the policy", 0, Snapshot{Sections: []Section{section("b", daily, debts{1: 0, 2: time.Minute})}}, 1},
		{"all that it holds is replaced", 0, Snapshot{Full: true, Sections: full}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{}, c)
			mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{1: time.Hour})}})
			c.pass(tt.pass)
			if saved := mustSave(t, f, tt.save); saved.Records != tt.want {
				t.Errorf("%d records were written: want %d", saved.Records, tt.want)
			}
		})
	}
}

func TestCleanIsOfTheLastRun(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "state")
	f := mustOpen(t, path, Config{Interval: time.Minute}, c)
	mustSave(t, f, Snapshot{Final: true})
	_, res := reopened(t, f, c, time.Hour) // ends without a snapshot
	if !res.Clean || res.Away != time.Hour || res.Interval != time.Minute || res.Clock != clockBoot {
		t.Errorf("after a final snapshot: Restored = %+v", res)
	}
	c.pass(time.Second)
	_, res = loadAll(mustOpen(t, path, Config{}, c))
	if res.Clean || res.Away != time.Second {
		t.Errorf("after a run that saved nothing: Restored = %+v", res)
	}
}

func TestChangedLimit(t *testing.T) {
	t.Parallel()
	slow, fast := bucket.PerHour(100), bucket.PerMinute(100) // a token takes 36 s, 0.6 s
	c := newClock()
	f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{}, c)
	// 1, 2 and 3 owe ten tokens each, 4 one.
	mustSave(t, f, Snapshot{Sections: []Section{section("a", fast, debts{
		1: 6 * time.Second, 2: 6 * time.Second, 3: 6 * time.Second, 4: 600 * time.Millisecond,
	})}})
	c.pass(3 * time.Second)
	// Now five each. The limit becomes slow, 2 is charged one, 3 is reset.
	saved := mustSave(t, f, Snapshot{Sections: []Section{section("a", slow, debts{2: 6 * 36 * time.Second, 3: 0})}})
	if !saved.CheckpointDue {
		t.Error("a limit has changed and CheckpointDue is false")
	}
	got, _ := reopened(t, f, c, 36*time.Second)
	same(t, got["a"], debts{1: 4 * 36 * time.Second, 2: 5 * 36 * time.Second}, fine)

	f = mustOpen(t, f.path, Config{}, c)
	if saved := mustSave(t, f, Snapshot{Full: true, Sections: []Section{section("a", slow, debts{1: time.Hour})}}); saved.CheckpointDue {
		t.Error("CheckpointDue after a full snapshot")
	}
	if n := len(f.index.policies); n != 1 {
		t.Errorf("%d limits are kept of a policy: want 1", n)
	}
	f.Load(func(_ string, saved bucket.Limit) bool {
		if saved != fast && saved != slow {
			t.Errorf("saved limit is %v", saved)
		}
		return true
	}, func(string, uint64, time.Duration) {})
}

func TestUnwantedPoliciesStay(t *testing.T) {
	t.Parallel()
	c := newClock()
	f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{}, c)
	gone := many(maxChunkRecords+10, time.Hour)
	mustSave(t, f, Snapshot{Sections: []Section{section("kept", daily, debts{1: time.Hour}), section("gone", daily, gone)}})
	mustClose(t, f)

	f = mustOpen(t, f.path, Config{}, c)
	var asked []string
	res := f.Load(func(policy string, saved bucket.Limit) bool {
		asked = append(asked, fmt.Sprint(policy, saved == daily))
		return policy == "kept"
	}, func(policy string, _ uint64, _ time.Duration) {
		if policy != "kept" {
			t.Errorf("record of %q was handed out", policy)
		}
	})
	if strings.Join(asked, " ") != "gonetrue kepttrue" || res.Kept != len(gone) || res.Records != 1 {
		t.Errorf("asked for %q, Restored = %+v", asked, res)
	}
	for range 3 { // full snapshots do not know of it
		c.pass(time.Minute)
		saved := mustSave(t, f, Snapshot{Full: true, Sections: []Section{section("kept", daily, debts{1: time.Hour})}})
		if saved.CheckpointDue {
			t.Error("CheckpointDue because of records that no full snapshot replaces")
		}
	}
	again, res := loadAll(f)
	same(t, again["gone"], many(len(gone), 57*time.Minute), fine)
	if len(again["kept"]) != 0 || res.Records != len(gone) {
		t.Errorf("another Load handed out %d records of kept, Restored = %+v", len(again["kept"]), res)
	}
	got, _ := reopened(t, f, c, 0)
	same(t, got["gone"], many(len(gone), 57*time.Minute), fine)
	same(t, got["kept"], debts{1: time.Hour}, fine)

	c.pass(time.Hour + fine)
	f = mustOpen(t, f.path, Config{}, c)
	if n := len(f.index.chunks) + len(f.index.policies); n != 0 {
		t.Errorf("%d chunks and policies are left when all is over", n)
	}
}

func TestBadSnapshots(t *testing.T) {
	t.Parallel()
	ok := section("a", daily, debts{1: time.Hour})
	replaces := func(name string, before ...string) Section {
		sec := section(name, daily, nil)
		sec.Replaces = before
		return sec
	}
	tests := []struct {
		why      string
		sections []Section
		want     string
	}{
		{"no name", []Section{{Limit: daily, Records: ok.Records}}, "section 0: name of a policy of 0 bytes: want 1 to 1024"},
		{"a very long name", []Section{ok, section(strings.Repeat("x", 1025), daily, nil)}, "section 1: name of a policy of 1025 bytes: want 1 to 1024"},
		{"no limit", []Section{section("a", bucket.Limit{}, nil)}, `section 0: policy "a": bucket: quota 0 is out of range`},
		{"no records", []Section{{Policy: "a", Limit: daily}}, `section 0: policy "a": Records is nil`},
		{"the same policy twice", []Section{ok, ok}, `section 1: policy "a" has a section already`},
		{"an earlier name with a section of its own", []Section{replaces("b", "x", "a"), ok}, `section 0: policy "b": "a" in Replaces has a section of its own`},
		{"in either order", []Section{ok, replaces("b", "a")}, `section 1: policy "b": "a" in Replaces has a section of its own`},
		{"an earlier name that is the present one", []Section{replaces("b", "b")}, `section 0: policy "b": "b" in Replaces has a section of its own`},
		{"an earlier name of nothing", []Section{replaces("b", "a", "")}, `section 0: policy "b": name in Replaces of 0 bytes: want 1 to 1024`},
		{"a very long earlier name", []Section{replaces("b", strings.Repeat("x", 1025))}, `section 0: policy "b": name in Replaces of 1025 bytes: want 1 to 1024`},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{}, c)
			before := f.state
			saved, err := f.Save(Snapshot{Sections: tt.sections})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Save: %v: want %q", err, tt.want)
			}
			if f.state != before || !saved.CheckpointDue {
				t.Errorf("something was written, or no full snapshot asked for: %+v", saved)
			}
		})
	}
}

// A failed transaction may have happened all the same: the next snapshot finds
// out which, and the file is right in either case.
func TestFailedCommitThatHappened(t *testing.T) {
	t.Parallel()
	for _, happened := range []bool{false, true} {
		t.Run(fmt.Sprint(happened), func(t *testing.T) {
			t.Parallel()
			c := newClock()
			f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{}, c)
			mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{1: time.Hour})}})
			row, state, index := f.row, f.state, f.index
			mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{2: time.Hour})}})
			failed := &pending{row: f.row, state: f.state, index: f.index}
			f.row, f.state, f.index, f.pending = row, state, index, failed
			if !happened {
				err := f.db.Update(func(tx *bolt.Tx) error {
					return errors.Join(
						tx.Bucket(bucketSeg).DeleteBucket(segmentKey(f.segment)),
						tx.Bucket(bucketMeta).Put(keyState, row))
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{3: time.Hour})}})
			want := debts{1: time.Hour, 3: time.Hour}
			if happened {
				want[2] = time.Hour
			}
			got, res := reopened(t, f, c, 0)
			same(t, got["a"], want, fine)
			if res.MovedTo != "" {
				t.Errorf("the file was found damaged: %s", res.Damage)
			}
		})
	}
}

// Whatever is saved, what comes back is what a map would hold.
func TestAnyHistory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		c := newClock()
		path := filepath.Join(dir, fmt.Sprint(run))
		f, err := open(path, Config{}, c.read)
		if err != nil {
			rt.Fatal(err)
		}
		f.db.NoSync = true
		type owed struct{ policy, hash uint64 }
		model := map[owed]time.Time{} // when full
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			c.pass(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(rt, "pass")))
			full := rapid.Bool().Draw(rt, "full")
			var sections []Section
			for p := range uint64(3) {
				if rapid.IntRange(0, 3).Draw(rt, "absent") == 0 {
					continue
				}
				d := debts{}
				for range rapid.IntRange(0, 5).Draw(rt, "records") {
					d[rapid.Uint64Range(0, 7).Draw(rt, "hash")] = time.Duration(rapid.Int64Range(0, int64(4*time.Hour)).Draw(rt, "debt"))
				}
				if full {
					for k := range model {
						if k.policy == p {
							delete(model, k)
						}
					}
				}
				for hash, debt := range d {
					model[owed{p, hash}] = c.mono.Add(debt)
				}
				sections = append(sections, section(fmt.Sprint(p), daily, d))
			}
			if _, err := f.Save(Snapshot{Full: full, Sections: sections}); err != nil {
				rt.Fatal(err)
			}
			if rapid.IntRange(0, 3).Draw(rt, "restart") == 0 {
				f.Close()
				if f, err = open(path, Config{}, c.read); err != nil {
					rt.Fatal(err)
				}
				if f.restored.MovedTo != "" {
					rt.Fatal(f.restored.Damage)
				}
				f.db.NoSync = true
			}
		}
		f.Close()
		if f, err = open(path, Config{}, c.read); err != nil {
			rt.Fatal(err)
		}
		defer f.Close()
		got, _ := loadAll(f)
		n := 0
		for _, d := range got {
			n += len(d)
		}
		for k, at := range model {
			want := at.Sub(c.mono)
			have := got[fmt.Sprint(k.policy)][k.hash]
			// Rounded up with each chunk, by its unit of at most 3.4 µs.
			if want > 0 && (have < want || have > want+fine) || want <= 0 && have > fine {
				rt.Fatalf("debt of %v is %v: want %v", k, have, want)
			}
			if have > 0 {
				n--
			}
		}
		if n != 0 {
			rt.Fatalf("%d records came back that were not saved", n)
		}
	})
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

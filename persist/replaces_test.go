package persist

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// renamed is a section of a policy that had other names before.
func renamed(name string, d debts, before ...string) Section {
	s := section(name, daily, d)
	s.Replaces = before
	return s
}

// What was saved under an earlier name would come back, as it was long ago,
// if the policy ever had that name again.
func TestReplaces(t *testing.T) {
	t.Parallel()
	hour := time.Hour
	tests := []struct {
		why  string
		save Snapshot
		want map[string]debts
	}{
		{"a full snapshot replaces what is under the earlier names",
			Snapshot{Full: true, Sections: []Section{renamed("new", debts{1: hour, 2: hour}, "older", "old")}},
			map[string]debts{"new": {1: hour, 2: hour}, "other": {7: hour}}},
		{"also by nothing",
			Snapshot{Full: true, Sections: []Section{renamed("new", nil, "older", "old")}},
			map[string]debts{"other": {7: hour}}},
		{"and at the end",
			Snapshot{Full: true, Final: true, Sections: []Section{renamed("new", debts{1: hour}, "old")}},
			map[string]debts{"new": {1: hour}, "older": {3: hour}, "other": {7: hour}}},
		{"names that the file does not know are nothing",
			Snapshot{Full: true, Sections: []Section{renamed("new", debts{1: hour}, "unheard of")}},
			map[string]debts{"new": {1: hour}, "older": {3: hour}, "old": {1: 2 * hour}, "other": {7: hour}}},
		{"two sections may have had one name",
			Snapshot{Full: true, Sections: []Section{renamed("new", debts{1: hour}, "old"), renamed("other", debts{7: hour}, "older", "old")}},
			map[string]debts{"new": {1: hour}, "other": {7: hour}}},
		{"what has changed replaces nothing",
			Snapshot{Sections: []Section{renamed("new", debts{1: hour}, "older", "old")}},
			map[string]debts{"new": {1: hour, 5: hour}, "older": {3: hour}, "old": {1: 2 * hour}, "other": {7: hour}}},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{}, c)
			// The limit of one changes, so that its name is in the file twice.
			mustSave(t, f, Snapshot{Sections: []Section{section("old", bucket.PerHour(10), debts{1: hour})}})
			mustSave(t, f, Snapshot{Sections: []Section{
				section("older", daily, debts{3: hour}), section("old", daily, debts{1: 2 * hour}),
				section("other", daily, debts{7: hour}), section("new", daily, debts{5: hour}),
			}})
			mustSave(t, f, tt.save)
			var names, want []string
			names = append(names, f.index.names()...)
			for name := range tt.want {
				want = append(want, name)
			}
			if slices.Sort(want); !slices.Equal(names, want) {
				t.Errorf("the file knows the policies %q: want %q", names, want)
			}
			got, res := reopened(t, f, c, 0)
			if res.MovedTo != "" || len(got) != len(want) {
				t.Errorf("%d policies came back, %+v: want %q", len(got), res, want)
			}
			for name, d := range tt.want {
				same(t, got[name], d, fine)
			}
		})
	}
}

// The earlier names go in the last transaction: until then all debts are there
// under one name or the other.
func TestReplacesInTheLastTransaction(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "state")
	n := maxSegmentChunks*maxChunkRecords + 1
	f := mustOpen(t, path, Config{MaxSize: minMaxSize}, c)
	mustSave(t, f, Snapshot{Sections: []Section{section("old", daily, debts{1: time.Hour})}})
	saved, err := f.Save(Snapshot{Full: true, Sections: []Section{renamed("new", many(3*n, time.Hour), "old")}})
	if err == nil {
		t.Fatalf("Save = %+v: want that the file is full before the last transaction", saved)
	}
	got, _ := reopened(t, f, c, 0)
	same(t, got["old"], debts{1: time.Hour}, fine)

	f = mustOpen(t, path, Config{}, c)
	before := f.state.commit
	mustSave(t, f, Snapshot{Full: true, Sections: []Section{renamed("new", many(n, time.Hour), "old")}})
	if n := f.state.commit - before; n != 2 {
		t.Errorf("%d transactions: want two, with no third to drop what is replaced", n)
	}
	got, res := reopened(t, f, c, 0)
	same(t, got["new"], many(n, time.Hour), fine)
	if len(got) != 1 || res.Policies != 1 {
		t.Errorf("there are %d policies, %s", len(got), fmt.Sprint(res))
	}
}

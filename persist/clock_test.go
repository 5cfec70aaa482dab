package persist

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0c889b51/weir/bucket"
)

func TestCredit(t *testing.T) {
	t.Parallel()
	const (
		day  = int64(24 * time.Hour)
		hour = int64(time.Hour)
		year = 365 * day
		noon = 20_000 * day // a wall time
	)
	a, b, none := [16]byte{1}, [16]byte{2}, [16]byte{}
	unsynced := stamp{t: 5 * hour, wall: noon, boot: hour, bootID: a}
	synced := unsynced
	synced.anchored, synced.anchorT, synced.anchorWall = true, 5*hour, noon
	earlier := synced // last synchronised an hour before the stamp
	earlier.anchorT, earlier.anchorWall = 4*hour, noon-hour
	earlier.wall = 0 // and then the machine came up in 1970
	noBoot := stamp{t: 5 * hour, wall: noon}
	tests := []struct {
		why  string
		from stamp
		now  reading
		want int64
		how  string
	}{
		{"rule 1: one boot is exact", synced, reading{wall: noon + hour, boot: 2 * hour, bootID: a, synced: true}, hour, clockBoot},
		{"rule 1: the wall clock was set back", synced, reading{wall: noon - year, boot: 2 * hour, bootID: a, synced: true}, hour, clockBoot},
		{"rule 1: the wall clock was set forward", synced, reading{wall: noon + year, boot: 2 * hour, bootID: a, synced: true}, hour, clockBoot},
		{"rule 1: the wall clock was never right", unsynced, reading{wall: 0, boot: 2 * hour, bootID: a}, hour, clockBoot},
		{"rule 1: at the same moment", synced, reading{wall: noon, boot: hour, bootID: a, synced: true}, 0, clockBoot},
		{"rule 2: the boot clock went back", synced, reading{wall: noon + hour, boot: hour - 1, bootID: a, synced: true}, 0, clockNone},
		{"rule 3: rebooted, synchronised on both sides", synced, reading{wall: noon + hour, boot: 60e9, bootID: b, synced: true}, hour, clockSynced},
		{"rule 3: on another machine that is up for long", synced, reading{wall: noon + hour, boot: year, bootID: b, synced: true}, hour, clockSynced},
		{"rule 3: synchronised, yet the wall clock is earlier", synced, reading{wall: noon - hour, boot: 60e9, bootID: b, synced: true}, 0, clockSynced},
		{"rule 3: synchronised long before the stamp counts from there", earlier, reading{wall: noon + hour, boot: 60e9, bootID: b, synced: true}, hour, clockSynced},
		{"rule 3: not synchronised now", synced, reading{wall: noon + hour, boot: 60e9, bootID: b}, 60e9, clockUptime},
		{"rule 3: never synchronised before", unsynced, reading{wall: noon + hour, boot: 60e9, bootID: b, synced: true}, 60e9, clockUptime},
		{"rule 3: without a clock in 1970", unsynced, reading{wall: 60e9, boot: 60e9, bootID: b}, 60e9, clockUptime},
		{"rule 3: set forward by 116 days", unsynced, reading{wall: noon + 116*day, boot: 60e9, bootID: b}, 60e9, clockUptime},
		{"rule 3: decades away fill every bucket", synced, reading{wall: noon + 200*year, boot: 60e9, bootID: b, synced: true}, int64(maxDebt), clockSynced},
		{"rule 4: no boot id, wall clocks agree", noBoot, reading{wall: noon + hour}, hour, clockWall},
		{"rule 4: set back", noBoot, reading{wall: noon - 10*year}, 0, clockWall},
		{"rule 4: set forward", noBoot, reading{wall: noon + 10*year}, int64(maxDowntime), clockWall},
		{"rule 4: no boot id any more", synced, reading{wall: noon + hour, bootID: none, synced: true}, hour, clockWall},
		{"rule 4: no boot id before", noBoot, reading{wall: noon + hour, boot: year, bootID: b, synced: true}, hour, clockWall},
		{"rule 4: the wall clock at both ends of time", stamp{wall: -1 << 63}, reading{wall: 1<<63 - 1}, int64(maxDowntime), clockWall},
		{"rule 4: and back", stamp{wall: 1<<63 - 1}, reading{wall: -1 << 63}, 0, clockWall},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			got, how := tt.from.credit(tt.now)
			if int64(got) != tt.want || how != tt.how {
				t.Errorf("credit = %v, %q: want %v, %q", got, how, time.Duration(tt.want), tt.how)
			}
		})
	}
}

// Rule 5: whatever the clocks say, a bucket is full after one refill.
func TestNoDebtOutlastsOneRefill(t *testing.T) {
	t.Parallel()
	c := newClock()
	f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{}, c)
	minute := bucket.PerMinute(10)
	mustSave(t, f, Snapshot{Final: true, Sections: []Section{section("a", minute, debts{1: time.Hour, 2: time.Second})}})
	c.boot = 0
	c.wall = 0
	got, res := reopened(t, f, c, 0)
	same(t, got["a"], debts{1: time.Minute, 2: time.Second}, fine)
	if res.Away != 0 || res.Clock != clockNone {
		t.Errorf("Restored = %+v: want no credit", res)
	}
}

// Rule 6: what could not be credited at the start is when the clock has
// become synchronised, once.
func TestLateSynchronisation(t *testing.T) {
	t.Parallel()
	c := newClock()
	f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{}, c)
	mustSave(t, f, Snapshot{Final: true, Sections: []Section{section("a", daily, debts{1: 10 * time.Hour})}})
	mustClose(t, f)

	wall := c.wall
	c.pass(2 * time.Hour)
	c.bootID, c.boot, c.wall, c.synced = [16]byte{2}, int64(time.Minute), 0, false
	f = mustOpen(t, f.path, Config{}, c)
	got, _ := loadAll(f)
	same(t, got["a"], debts{1: 10*time.Hour - time.Minute}, fine)
	mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{2: 10 * time.Hour})}}) // keeps the anchor
	c.pass(time.Minute)
	c.wall, c.synced = wall+int64(2*time.Hour+time.Minute), true
	saved := debts{3: 10 * time.Hour}
	told := mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, saved)}})
	if want := 2*time.Hour - time.Minute; told.Credit != want || !told.CheckpointDue {
		t.Errorf("Saved = %+v: want a Credit of %v, and a full snapshot asked for", told, want)
	}
	c.pass(time.Minute)
	c.wall += int64(time.Hour) // a step that is not time
	if told := mustSave(t, f, Snapshot{Final: true}); told.Credit != 0 {
		t.Errorf("Saved = %+v: want a Credit told once", told)
	}
	got, _ = reopened(t, f, c, 0)
	left := 2*time.Hour - time.Minute // of the time away, credited late
	same(t, got["a"], debts{
		1: 10*time.Hour - time.Minute - left - 2*time.Minute,
		2: 10*time.Hour - left - 2*time.Minute,
		3: 10*time.Hour - time.Minute,
	}, fine)
}

// A credit is told once, by the save that makes it, whatever comes of the save:
// the time of the file has gone forward.
func TestCreditIsToldOnce(t *testing.T) {
	t.Parallel()
	a := section("a", daily, debts{1: 10 * time.Hour})
	fill := []Section{section("a", daily, many(200_000, 10*time.Hour))}
	tests := []struct {
		why   string
		first func(t *testing.T, f *File) (Saved, error) // the save when the clock is synchronised
		told  bool
		fails bool
	}{
		{"a save that succeeds", func(t *testing.T, f *File) (Saved, error) {
			return f.Save(Snapshot{Sections: []Section{a}})
		}, true, false},
		{"a full one, taken without the credit as well", func(t *testing.T, f *File) (Saved, error) {
			return f.Save(Snapshot{Full: true, Sections: []Section{a}})
		}, true, false},
		{"one with nothing to write", func(t *testing.T, f *File) (Saved, error) { return f.Save(Snapshot{}) }, true, false},
		{"a snapshot that is refused", func(t *testing.T, f *File) (Saved, error) {
			return f.Save(Snapshot{Sections: []Section{{}}})
		}, true, true},
		{"a disk that is full", func(t *testing.T, f *File) (Saved, error) {
			return f.Save(Snapshot{Full: true, Sections: fill})
		}, true, true},
		{"a save that fails before it looks at the clock: the next tells", func(t *testing.T, f *File) (Saved, error) {
			if err := os.Rename(f.path, f.path+".away"); err != nil {
				t.Skip(err) // where an open file cannot be renamed
			}
			saved, err := f.Save(Snapshot{Sections: []Section{a}})
			if err := os.Rename(f.path+".away", f.path); err != nil {
				t.Fatal(err)
			}
			return saved, err
		}, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{}, c)
			mustSave(t, f, Snapshot{Final: true, Sections: []Section{a}})
			mustClose(t, f)
			wall := c.wall
			c.pass(2 * time.Hour)
			c.bootID, c.boot, c.wall, c.synced = [16]byte{2}, int64(time.Minute), 0, false
			f = mustOpen(t, f.path, Config{MaxSize: minMaxSize}, c)
			loadAll(f)
			if saved := mustSave(t, f, Snapshot{Sections: []Section{a}}); saved.Credit != 0 {
				t.Errorf("Saved = %+v: want no Credit before the clock is synchronised", saved)
			}
			c.wall, c.synced = wall+int64(2*time.Hour), true
			credit := 2*time.Hour - time.Minute
			saved, err := tt.first(t, f)
			if (err != nil) != tt.fails || !saved.CheckpointDue {
				t.Errorf("Save = %+v, %v: want a full snapshot asked for, and an error: %v", saved, err, tt.fails)
			}
			next := mustSave(t, f, Snapshot{Full: true, Sections: []Section{a}})
			want, later := credit, time.Duration(0)
			if !tt.told {
				want, later = later, want
			}
			if saved.Credit != want || next.Credit != later {
				t.Errorf("Credit is %v, then %v: want %v and %v", saved.Credit, next.Credit, want, later)
			}
			if last := mustSave(t, f, Snapshot{Full: true, Sections: []Section{a}}); last.Credit != 0 || last.CheckpointDue {
				t.Errorf("Saved = %+v: want nothing more", last)
			}
		})
	}
}

// Through any reboots and steps of the wall clock, as long as a clock that
// says it is synchronised is right, the timeline never runs faster than time.
func TestTimelineNeverRunsFast(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const epoch = int64(20_000 * 24 * time.Hour)
		start := time.Now()
		var now time.Duration // true time since start
		booted := -time.Hour
		boots := byte(1)
		read := func() reading {
			r := reading{mono: start.Add(now), boot: int64(now - booted), bootID: [16]byte{boots}}
			r.synced = rapid.Bool().Draw(t, "synced")
			r.wall = epoch + int64(now)
			if !r.synced {
				r.wall = rapid.Int64().Draw(t, "wall")
			}
			return r
		}
		var last stamp
		var savedAt time.Duration
		first := true
		for range rapid.IntRange(1, 10).Draw(t, "runs") {
			r := read()
			line := timeline{start: r.mono, synced: r.synced}
			if !first {
				credit, _ := last.credit(r)
				line.t0, line.last = advance(last.t, credit), last
			}
			first = false
			for range rapid.IntRange(1, 4).Draw(t, "saves") {
				now += time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "run"))
				r := read()
				line.catchUp(r)
				s := line.stamp(r)
				if s.t < last.t || s.t > int64(now) {
					t.Fatalf("timeline is at %v after %v: true time is %v", time.Duration(s.t), time.Duration(last.t), now)
				}
				line.last, last, savedAt = s, s, now
			}
			now += time.Duration(rapid.Int64Range(0, int64(100*24*time.Hour)).Draw(t, "away"))
			if rapid.Bool().Draw(t, "reboot") {
				boots++ // up to a minute ago, and after the last save
				booted = max(savedAt, now-time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "uptime")))
			}
		}
	})
}

func TestClocksOfThisSystem(t *testing.T) {
	t.Parallel()
	a := readClocks()
	b := readClocks()
	if a.bootID != b.bootID || b.boot < a.boot || b.mono.Before(a.mono) || a.wall == 0 {
		t.Errorf("two readings: %+v, %+v", a, b)
	}
}

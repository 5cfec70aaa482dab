package persist

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

const sector = 512 // what a disk writes whole

// A transaction is one commit as a disk sees it: the file before and after,
// and what a reader finds in each. A disk that is cut off writes any part of
// what has not been synced, in any order.
type transaction struct {
	why           string
	key           []byte // the file of the secret
	before, after []byte
	old, new      map[string]debts
	final         bool // it is the last one, which only adds that there is no more to come
	page          int
	clock         fakeClock // at that moment
	data          []int     // pages that differ, the roots left out
	root          int       // the root that differs, 0 or 1
}

// transactions returns one commit of each kind.
func transactions(t *testing.T) []transaction {
	t.Helper()
	c := newClock()
	path := filepath.Join(t.TempDir(), "state")
	f := mustOpen(t, path, Config{}, c)
	full := func(d debts) Snapshot { return Snapshot{Full: true, Sections: []Section{section("a", daily, d)}} }
	delta := func(d debts) Snapshot { return Snapshot{Sections: []Section{section("a", daily, d)}} }
	steps := []struct {
		why   string
		after time.Duration
		save  Snapshot
	}{
		{"the first snapshot", 0, delta(many(40, time.Hour))},
		{"another policy", 0, Snapshot{Sections: []Section{section("b", daily, many(30, 10*time.Minute))}}},
		{"a small one beside others", 0, delta(many(7, 2*time.Hour))},
		{"one with an overflow page", 0, delta(many(1500, 3*time.Hour))},
		{"a full one that replaces the others", 0, full(many(1000, 4*time.Hour))},
		{"one that drops what is over", 11 * time.Minute, delta(debts{1: time.Hour})},
		{"a changed limit", 0, Snapshot{Sections: []Section{section("a", bucket.PerHour(500), many(9, 30*time.Minute))}}},
		{"one that makes the file grow", 0, delta(many(12_000, 5*time.Hour))},
		{"the full one after it", 0, full(many(12_000, 6*time.Hour))},
		{"policies that take a page of their own", 0, Snapshot{Sections: policies(30, time.Minute)}},
		{"one that drops most of them", 2 * time.Minute, delta(debts{2: time.Hour})},
		{"others under their numbers", 0, Snapshot{Sections: policies(25, 2*time.Minute)}},
		{"the final one", 0, Snapshot{Final: true}},
	}
	// Through the path of a closed copy, since nothing else is like a reader.
	copied := filepath.Join(t.TempDir(), "state")
	writeFile(t, copied+".key", readFile(t, path+".key"))
	read := func(b []byte) map[string]debts {
		writeFile(t, copied, b)
		reader := mustOpen(t, copied, Config{}, c)
		defer mustClose(t, reader)
		got, _ := loadAll(reader)
		return got
	}
	var all []transaction
	for _, s := range steps {
		c.pass(s.after)
		tx := transaction{why: s.why, key: readFile(t, path+".key"), before: readFile(t, path), page: os.Getpagesize(), clock: *c}
		commits := f.state.commit
		mustSave(t, f, s.save)
		if f.state.commit != commits+1 {
			t.Fatalf("%s: %d transactions: want 1", s.why, f.state.commit-commits)
		}
		tx.after = readFile(t, path)
		tx.old, tx.new = read(tx.before), read(tx.after)
		tx.final = s.save.Final
		if fmt.Sprint(tx.old) == fmt.Sprint(tx.new) && !tx.final {
			t.Fatalf("%s: changes nothing", s.why)
		}
		tx.compare(t)
		all = append(all, tx)
	}
	return all
}

// policies returns sections of n policies, whose names no other n has.
func policies(n int, debt time.Duration) []Section {
	var all []Section
	for i := range n {
		all = append(all, section(fmt.Sprintf("policy %d of %d", i, n), daily, debts{uint64(i + 1): debt}))
	}
	return all
}

// touched tells whether n bytes of the new root differ from the old one in what
// counts, the header and the fields behind it.
func (tx *transaction) touched(n int) bool {
	at := tx.root * tx.page
	n = min(n, 80)
	return !bytes.Equal(tx.before[at:at+n], tx.after[at:at+n])
}

// compare finds the pages that differ.
func (tx *transaction) compare(t *testing.T) {
	t.Helper()
	roots := []int{}
	for i := 0; i < len(tx.after)/tx.page; i++ {
		if bytes.Equal(pageOf(tx.before, i, tx.page), pageOf(tx.after, i, tx.page)) {
			continue
		}
		if i < 2 {
			roots = append(roots, i)
		} else {
			tx.data = append(tx.data, i)
		}
	}
	if len(roots) != 1 || len(tx.data) == 0 {
		t.Fatalf("%s: roots %v and %d pages differ: want one root and some pages", tx.why, roots, len(tx.data))
	}
	tx.root = roots[0]
}

// pageOf returns a page of a file, zeros beyond its end.
func pageOf(b []byte, i, page int) []byte {
	p := make([]byte, page)
	if i*page < len(b) {
		copy(p, b[i*page:])
	}
	return p
}

// A written says which parts of a transaction have reached the disk: of each
// page in data its sectors, and so many bytes of the root.
type written struct {
	data [][]bool
	root int
}

// state is the file after that.
func (tx *transaction) state(w written) []byte {
	b := make([]byte, max(len(tx.before), len(tx.after)))
	copy(b, tx.before)
	for i, sectors := range w.data {
		for s, done := range sectors {
			if at := tx.data[i]*tx.page + s*sector; done {
				copy(b[at:at+sector], tx.after[at:])
			}
		}
	}
	at := tx.root * tx.page
	copy(b[at:at+w.root], tx.after[at:])
	return b
}

// subsets yields sets of the pages of data: all of them if those are few, but
// the one of all pages, and otherwise a sample of so many.
func (tx *transaction) subsets(r *rand.Rand, sample int, yield func(pages []bool)) {
	n := len(tx.data)
	if n <= 10 && 1<<n <= 16*sample {
		for set := range 1<<n - 1 {
			pages := make([]bool, n)
			for i := range pages {
				pages[i] = set>>i&1 == 1
			}
			yield(pages)
		}
		return
	}
	for range sample {
		pages, share := make([]bool, n), r.Float64()
		all := true
		for i := range pages {
			pages[i] = r.Float64() < share
			all = all && pages[i]
		}
		if r.IntN(4) == 0 || all { // all but one: the hardest to notice
			for i := range pages {
				pages[i] = true
			}
			pages[r.IntN(n)] = false
		}
		yield(pages)
	}
}

// sectors is the written part of data if whole pages are.
func (tx *transaction) sectors(pages []bool) [][]bool {
	all := make([][]bool, len(pages))
	for i, done := range pages {
		all[i] = make([]bool, tx.page/sector)
		for s := range all[i] {
			all[i][s] = done
		}
	}
	return all
}

// torn is w with one page written in part.
func (w written) torn(r *rand.Rand) written {
	i := r.IntN(len(w.data))
	for s := range w.data[i] {
		w.data[i][s] = r.IntN(2) == 0
	}
	return w
}

func sampleSize() int {
	if testing.Short() {
		return 8
	}
	return 250
}

// A power cut in the midst of a save, at any point: a reader finds the snapshot
// before or the one after, whole. What has to be so of the disk is that a sync
// waits for what was written before, as bbolt's two in each commit rely on.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	for _, tx := range transactions(t) {
		t.Run(tx.why, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(5, 6))
			d := newDisk(t, tx)
			states, old, fell := 0, 0, 0
			check := func(w written, what string, olds, news bool) {
				t.Helper()
				states++
				switch f, got, res := d.open(t, tx.state(w)); {
				case res.MovedTo != "":
					t.Fatalf("%s: found damaged: %s", what, res.Damage)
				case olds && equal(got, tx.old) && !res.Clean:
					old++
					if res.FellBack {
						fell++
					} else if tx.touched(w.root) {
						t.Fatalf("%s: the snapshot before, and no word of it: %+v", what, res)
					}
					d.goesOn(t, f, states%16 == 0)
				case news && equal(got, tx.new) && res.Clean == tx.final:
					d.goesOn(t, f, states%16 == 0)
				default:
					t.Fatalf("%s: neither the snapshot before nor the one after: %+v", what, res)
				}
			}
			// Before the first sync: any data, and the old root.
			tx.subsets(r, sampleSize(), func(pages []bool) {
				check(written{data: tx.sectors(pages)}, fmt.Sprint("pages ", pages), true, false)
				check(written{data: tx.sectors(pages)}.torn(r), fmt.Sprint("with a torn page, ", pages), true, false)
			})
			// Between the two: all data, and none, some or all of the root.
			every := make([]bool, len(tx.data))
			for i := range every {
				every[i] = true
			}
			check(written{data: tx.sectors(every)}, "all pages, no root", true, false)
			for _, n := range []int{sector, tx.page} {
				check(written{tx.sectors(every), n}, fmt.Sprintf("all pages, %d bytes of the root", n), false, true)
			}
			for n := 8; n < sector; n += 8 { // by a disk with smaller sectors
				check(written{tx.sectors(every), n}, fmt.Sprintf("all pages, %d bytes of the root", n), true, true)
			}
			t.Logf("%d pages, %d states: %d as before (%d by the other root), %d as after", len(tx.data), states, old, fell, states-old)
		})
	}
}

// The twin of TestPowerCut, on a disk that does not wait: the new root is
// there, and some of the pages that it leads to are not. This is what would come
// of saves that are not synced. It must be noticed each time, even where the
// pages hold, by chance, all of an earlier snapshot; and it must be really wrong
// for a reader that does not look for it, or the test above shows nothing.
func TestPowerCutWithoutSync(t *testing.T) {
	t.Parallel()
	for _, tx := range transactions(t) {
		t.Run(tx.why, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(7, 8))
			d := newDisk(t, tx)
			states, noticed := 0, 0
			var control [][]byte
			check := func(w written) {
				states++
				b := tx.state(w)
				if len(control) < controlSize() {
					control = append(control, b)
				}
				switch f, got, res := d.open(t, b); {
				case res.MovedTo != "":
					noticed++
				case equal(got, tx.new) && res.Clean == tx.final:
					d.goesOn(t, f, true) // what is missing is of no account
				default:
					t.Fatalf("%v: wrong, in silence: %+v", w, res)
				}
			}
			tx.subsets(r, sampleSize(), func(pages []bool) {
				check(written{tx.sectors(pages), tx.page})
				check(written{tx.sectors(pages), tx.page}.torn(r))
			})
			if noticed < states*3/4 {
				t.Errorf("of %d states %d were noticed: want nearly all", states, noticed)
			}
			wrong, deaths := d.naive(t, control)
			if wrong+deaths == 0 {
				t.Errorf("bbolt alone reads all %d of them right: this test tests nothing", len(control))
			}
			t.Logf("%d pages, %d states: %d noticed; bbolt alone reads %d of %d wrong and dies of %d more",
				len(tx.data), states, noticed, wrong, len(control), deaths)
		})
	}
}

func controlSize() int {
	if testing.Short() {
		return 4
	}
	return 40
}

// A new file is made under another name and synced before it gets its own.
// The twin: bbolt makes it in place, and the power is cut. A reader finds a new
// file, or one that it moves aside, or leaves alone what looks like a database
// of something else; bbolt alone dies of some.
func TestPowerCutWhileMakingAFile(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "state")
	if err := create(path); err != nil {
		t.Fatal(err)
	}
	whole := readFile(t, path)
	mustClose(t, mustOpen(t, path, Config{}, c))
	tx := transaction{key: readFile(t, path+".key"), after: whole, page: os.Getpagesize(), clock: *c}
	d := newDisk(t, tx)
	r := rand.New(rand.NewPCG(9, 10))
	var control [][]byte
	fresh, moved, refused := 0, 0, 0
	sample := 8 * controlSize()
	for i := range sample {
		b := make([]byte, len(whole))
		for at := 0; at < len(b); at += sector {
			if i == 0 || r.IntN(sample) >= i {
				copy(b[at:at+sector], whole[at:])
			}
		}
		if i%3 == 1 { // cut off as well
			b = b[:r.IntN(len(b)/sector)*sector]
		}
		if i > 0 && len(control) < controlSize() {
			control = append(control, b)
		}
		f, got, res, err := d.try(t, b)
		switch {
		case errors.Is(err, ErrForeign):
			refused++
		case err != nil || len(got) > 0:
			t.Fatalf("loaded %v, %+v, %v from an empty file", got, res, err)
		case res.MovedTo != "":
			moved++
		default:
			fresh++
			d.goesOn(t, f, true)
		}
	}
	wrong, deaths := d.naive(t, control)
	if fresh == 0 || moved == 0 || wrong+deaths == 0 {
		t.Errorf("%d as new, %d moved aside, bbolt alone: %d wrong, %d deaths: want some of each", fresh, moved, wrong, deaths)
	}
	t.Logf("%d states: %d as new, %d moved aside, %d left alone; bbolt alone reads %d of %d wrong and dies of %d more",
		sample, fresh, moved, refused, wrong, len(control), deaths)
}

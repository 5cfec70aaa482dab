package subjects

import (
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/internal/measure"
)

// Every subject gives the right answers, allowed and denied, with one key and
// with many, from one goroutine and from several: Throughput checks each.
func TestSubjectsAreRight(t *testing.T) {
	all := append(Ours(), Floors()...)
	settings := measure.Settings{Rounds: 1, Window: time.Millisecond, Procs: []int{1, 3}}
	for _, row := range []struct {
		name   string
		denied bool
		cells  int
	}{
		{"hot", false, 2 * 13}, {"hot", true, 2 * 6}, {"1k", false, 2 * 8}, {"1k", true, 2 * 5},
	} {
		w, err := measure.NewWorkload(row.name, row.denied)
		if err != nil {
			t.Fatal(err)
		}
		cells, err := measure.Throughput(t.Context(), all, []*measure.Workload{w}, settings)
		if err != nil {
			t.Fatal(err)
		}
		if len(cells) != row.cells {
			t.Errorf("%s: %d cells: want %d", w.Title(), len(cells), row.cells)
		}
	}
}

// What a decision by weir allocates is nothing, however it is asked.
func TestNoAllocations(t *testing.T) {
	for _, denied := range []bool{false, true} {
		w, err := measure.NewWorkload("hot", denied)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range Ours() {
			decide, done, err := s.Make(w)
			if err != nil {
				t.Fatal(err)
			}
			for range 11 { // more than is allowed, if it is to be denied
				decide(w.Key(0))
			}
			if got := testing.AllocsPerRun(100, func() { decide(w.Asked(0)) }); got != 0 {
				t.Errorf("%s, %s: %v allocations", s.Name, w.Title(), got)
			}
			if done != nil {
				done()
			}
		}
	}
}

// What is said to go on beside does: snapshots are written, keys are evicted,
// the limit changes, and answers stay right.
func TestWhatGoesOnBesideDoes(t *testing.T) {
	t.Parallel()
	w, err := measure.NewWorkload("1k", false)
	if err != nil {
		t.Fatal(err)
	}
	w.Limit = LongDebts
	for _, what := range []string{"", Snapshots, Flood, Reloads} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			l, stop, err := limiterDuring(w, what)
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			seen := func() bool {
				st := l.Stats()
				switch what {
				case Snapshots:
					return st.Saves > 1 && st.Written > 1000*12
				case Flood:
					return st.Policies[0].Evicted > 1000
				case Reloads:
					return st.Policies[0].Limit.Quota == w.Limit.Quota/2
				}
				return st.Saves == 0 && st.Policies[0].Evicted == 0 && st.Policies[0].Limit.Quota == w.Limit.Quota
			}
			for deadline := time.Now().Add(time.Minute); ; {
				for i := range w.Keys {
					if !l.Allow(w.Asked(i)) {
						t.Fatalf("key %d is denied", i)
					}
				}
				if seen() {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("after a minute: %+v", l.Stats())
				}
			}
		})
	}
}

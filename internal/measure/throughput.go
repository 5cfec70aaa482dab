package measure

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// Settings say how much is measured. The zero value is not valid.
type Settings struct {
	Rounds int           `json:"rounds"`   // of each cell
	Window time.Duration `json:"windowNs"` // that a cell is measured for in a round
	Procs  []int         `json:"procs"`    // GOMAXPROCS and goroutines
	// Progress, if not nil, is told what is measured next: the done-th, from 0,
	// of all. The last call has done equal to all.
	Progress func(done, all int, what string) `json:"-"`
}

func (s *Settings) check() error {
	if s.Rounds < 1 {
		return fmt.Errorf("rounds %d: want 1 or more", s.Rounds)
	}
	if s.Window <= 0 {
		return fmt.Errorf("window %v: want more than 0s", s.Window)
	}
	if len(s.Procs) == 0 {
		return errors.New("no number of processors: want one or more")
	}
	for _, p := range s.Procs {
		if p < 1 || p > 1024 {
			return fmt.Errorf("%d processors: want 1 to 1024", p)
		}
	}
	return nil
}

func (s *Settings) progress(done, all int, what string) {
	if s.Progress != nil {
		s.Progress(done, all, what)
	}
}

// Throughput measures each subject with each workload that it is made for, at
// each number of processors. The workloads come one after the other; in each
// round of one the subjects take turns, another one first each time, and each is
// made anew. A wrong answer is an error, unless the subject is known for them,
// and so is a subject that can not be made.
//
// Nothing else should run meanwhile.
func Throughput(ctx context.Context, subjects []Subject, workloads []*Workload, s Settings) ([]Cell, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	all, done := 0, 0
	for _, w := range workloads {
		all += len(fitting(subjects, w)) * s.Rounds
	}
	var cells []Cell
	for _, w := range workloads {
		fit := fitting(subjects, w)
		rows := make([][]Cell, len(fit))
		for i, sub := range fit {
			for _, procs := range s.Procs {
				rows[i] = append(rows[i], Cell{Subject: sub.Name, Workload: w.Name, Denied: w.Denied, Procs: procs})
			}
		}
		for round := range s.Rounds {
			for turn := range fit {
				i := (round + turn) % len(fit)
				s.progress(done, all, fmt.Sprintf("%s, %s, round %d of %d", w.Title(), fit[i].Name, round+1, s.Rounds))
				if err := measureRound(ctx, fit[i], w, &s, round, rows[i]); err != nil {
					return nil, err
				}
				done++
			}
		}
		for _, row := range rows {
			for _, c := range row {
				c.sum()
				cells = append(cells, c)
			}
		}
	}
	s.progress(all, all, "")
	return cells, nil
}

func fitting(subjects []Subject, w *Workload) (fit []*Subject) {
	for i := range subjects {
		if subjects[i].Fits(w) {
			fit = append(fit, &subjects[i])
		}
	}
	return fit
}

// measureRound measures one subject in one round, at each number of processors.
func measureRound(ctx context.Context, s *Subject, w *Workload, settings *Settings, round int, row []Cell) error {
	a, err := s.ready(ctx, w)
	if err != nil {
		return err
	}
	defer a.close()
	for i := range row {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c := &row[i]
		got := a.run(w, c.Procs, round*len(row)+i, settings.Window)
		if got.wrong > 0 && !s.MayFail {
			return fmt.Errorf("%s, %s, %d processors: %d of %d answers were wrong", s.Name, w.Title(), c.Procs, got.wrong, got.ops)
		}
		c.Rounds = append(c.Rounds, float64(got.took)/float64(got.ops))
		c.allocs = append(c.allocs, float64(got.mallocs)/float64(got.ops))
		c.bytes = append(c.bytes, float64(got.bytes)/float64(got.ops))
		c.Ops += got.ops
		c.Wrong += got.wrong
		if got.apart {
			c.Apart++
		}
	}
	return nil
}

type ran struct {
	took                       time.Duration
	ops, wrong, mallocs, bytes uint64
	apart                      bool // the goroutines did not run at once
}

// batch is how many requests are made between two looks at the clock.
const batch = 256

// run has so many goroutines ask for about so long. Where in the sequence they
// begin depends on the turn.
func (a *asked) run(w *Workload, procs, turn int, window time.Duration) ran {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
	type client struct {
		ops, wrong uint64
		at         int // in the sequence
		took       time.Duration
		_          [128]byte // no two in a cache line
	}
	clients := make([]client, procs)
	offset := turn * 100_003
	if w.Miss { // no key that is still there from the run before
		offset = a.next
	}
	runtime.GC() // of what was before
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	line := lineup{goroutines: int64(procs), patience: max(5*window, 50*time.Millisecond)}
	var all sync.WaitGroup
	for g := range procs {
		all.Go(func() {
			c := &clients[g]
			// Parts that are far from one another, and others each time.
			at := (len(w.Sequence)/procs*g + offset) % len(w.Sequence)
			line.begin(g == 0)
			for c.ops == 0 || time.Since(line.start) < window {
				c.wrong += a.batch(w, at)
				at = (at + batch) % len(w.Sequence)
				c.ops += batch
			}
			c.at, c.took = at, time.Since(line.start)
		})
	}
	all.Wait()
	r := ran{apart: line.apart}
	for i := range clients {
		r.took = max(r.took, clients[i].took)
	}
	runtime.ReadMemStats(&after)
	r.mallocs, r.bytes = after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc
	a.next = clients[0].at
	for i := range clients {
		r.ops += clients[i].ops
		r.wrong += clients[i].wrong
	}
	return r
}

// batch makes requests from a place in the sequence on, and returns how many
// answers were wrong.
func (a *asked) batch(w *Workload, at int) (wrong uint64) {
	// A key is in the cache when it is asked for, as it is when it has just been
	// read from the network: it is looked at some requests before.
	const ahead = 16
	seen := byte(0)
	next := at + ahead
	for next >= len(w.Sequence) {
		next -= len(w.Sequence)
	}
	for range batch {
		seen ^= w.asked[int(w.Sequence[next])*keyLength]
		if next++; next == len(w.Sequence) {
			next = 0
		}
		if a.decide(w.Asked(int(w.Sequence[at]))) != a.want {
			wrong++
		}
		if at++; at == len(w.Sequence) {
			at = 0
		}
	}
	if seen == 255 { // no key has that; but the compiler does not know
		wrong++
	}
	return wrong
}

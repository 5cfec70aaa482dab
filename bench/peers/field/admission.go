package field

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// An Admission is what one contender admitted.
type Admission struct {
	Name      string    `json:"name"`
	Algorithm Algorithm `json:"algorithm"`
	Bounded   bool      `json:"bounded"`

	// Traces are the requests admitted at each step of each trace. Of one that
	// could not be judged, since the machine was late each time, there are none.
	Traces map[string][]int `json:"traces"`
	// Crowds are what a crowd on one key was allowed under each of CrowdLimits,
	// as parts of what a token bucket could have given in that time: the most of
	// some attempts, since what goes wrong there goes wrong by chance.
	Crowds []float64 `json:"crowds"`
	// Edges is by how many requests a crowd that comes at the edges of windows
	// certainly gets more than a token bucket of 100 gives, in the worst stretch.
	Edges int `json:"edges"`
	// Refused are requests of a crowd that were refused though they were within
	// a quota, 96,000 of 100,000; Beyond are those allowed beyond it.
	Refused int `json:"refused"`
	Beyond  int `json:"beyond"`
	// First are the requests allowed of a crowd that asks for 500 new keys, each
	// with a quota of 1.
	First int `json:"first"`
	// Flood is what a key with 10 an hour is allowed when after each time that
	// it has used that up more new keys come than are kept, 10 times; DearFlood
	// the same where these use up their own quota, too.
	Flood     int `json:"flood"`
	DearFlood int `json:"dearFlood"`
}

// CrowdLimits are those under which a crowd asks as fast as it can.
func CrowdLimits() []Limit {
	return []Limit{{1000, 10 * time.Millisecond}, {10_000, 10 * time.Millisecond}, {100_000, time.Second}}
}

// How the other parts of an Admission are asked.
var (
	edges  = Limit{100, 100 * time.Millisecond}
	year   = Limit{100_000, 360 * 24 * time.Hour} // within seconds nothing is refilled
	once   = Limit{1, 24 * time.Hour}
	hourly = Limit{10, time.Hour}
)

const (
	crowdTimes  = 3 // attempts
	firstKeys   = 500
	floodSize   = 1000 // keys that a Bounded one is told to keep
	floodCycles = 10
	floodKeys   = 8 * floodSize // new in each cycle
)

// Admissions has contenders that are Keyed asked the same, and returns what each
// admitted. The traces are of so long a window, 2 s or more on a machine that
// has other things to do, and are played to all at the same time. After them one
// contender at a time is asked by a crowd, for d a limit. Progress is told what
// is asked next.
func Admissions(ctx context.Context, contenders []Contender, window, d time.Duration, progress func(string)) ([]Admission, error) {
	all := make([]Admission, len(contenders))
	for i, c := range contenders {
		if !c.Keyed {
			return nil, fmt.Errorf("%s has no keys: what it admits after a flood has no meaning", c.Name)
		}
		all[i] = Admission{Name: c.Name, Algorithm: c.Algorithm, Bounded: c.Bounded, Crowds: make([]float64, len(CrowdLimits()))}
	}
	progress("traces")
	if err := playAll(ctx, contenders, window, all); err != nil {
		return nil, err
	}
	for i, c := range contenders {
		progress(c.Name)
		for _, part := range parts(d) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			for range part.times {
				limiter, err := c.Make(part.limit, part.size)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", c.Name, err)
				}
				part.ask(limiter, &all[i])
				limiter.Close()
			}
		}
	}
	return all, nil
}

// A part of an Admission is asked of a limiter of its own each time.
type part struct {
	times int
	limit Limit
	size  int
	ask   func(limiter Limiter, into *Admission)
}

func parts(d time.Duration) (all []part) {
	const room = 2 * firstKeys
	for i, l := range CrowdLimits() {
		all = append(all, part{crowdTimes, l, room, func(limiter Limiter, into *Admission) {
			admitted, most := contend(limiter, l, d)
			into.Crowds[i] = max(into.Crowds[i], float64(admitted)/most)
		}})
	}
	return append(all,
		part{1, edges, room, func(limiter Limiter, into *Admission) {
			into.Edges = max(0, int(math.Floor(overBucket(atEdges(limiter, edges.Window), edges))))
		}},
		part{1, year, room, func(limiter Limiter, into *Admission) {
			const within = 1500
			key := keyOf(0)
			into.Refused = within*crowd - useUp(limiter, key, within)
			// What is left of the quota, and as much again.
			left := useUp(limiter, key, 2*(year.Quota/crowd-within))
			into.Beyond = max(0, within*crowd-into.Refused+left-year.Quota)
		}},
		part{1, once, room, func(limiter Limiter, into *Admission) {
			for i := range firstKeys {
				into.First += useUp(limiter, keyOf(i), 1)
			}
		}},
		part{1, hourly, floodSize, func(limiter Limiter, into *Admission) {
			into.Flood = flood(limiter, hourly, floodCycles, floodKeys, 1)
		}},
		part{1, hourly, floodSize, func(limiter Limiter, into *Admission) {
			into.DearFlood = flood(limiter, hourly, floodCycles, floodKeys, hourly.Quota)
		}},
	)
}

// playAll plays each trace to each contender, and again if it was late.
func playAll(ctx context.Context, contenders []Contender, window time.Duration, into []Admission) error {
	const attempts = 5
	type play struct {
		contender int
		trace     Trace
		admitted  []int
		err       error
	}
	var left []*play
	for i := range contenders {
		into[i].Traces = map[string][]int{}
		for _, tr := range Traces() {
			left = append(left, &play{contender: i, trace: tr})
		}
	}
	for n := 0; n < attempts && len(left) > 0; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		var group sync.WaitGroup
		for _, p := range left {
			group.Go(func() { p.admitted, p.err = contenders[p.contender].play(p.trace, window) })
		}
		group.Wait()
		for _, p := range left {
			if p.err != nil {
				return p.err
			}
			if p.admitted != nil {
				into[p.contender].Traces[p.trace.Name] = p.admitted
			}
		}
		left = slices.DeleteFunc(left, func(p *play) bool { return p.admitted != nil })
	}
	return nil
}

// play plays a trace to a new limiter, which is made when the trace begins. What
// was admitted is nil if a step was late.
func (c *Contender) play(tr Trace, window time.Duration) ([]int, error) {
	var limiter Limiter
	var err error
	admitted, late := tr.Play(window, func() bool {
		if limiter.Allow == nil && err == nil {
			limiter, err = c.Make(Limit{TraceQuota, window}, floodSize)
		}
		return err == nil && limiter.Allow(keyOf(0))
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	limiter.Close()
	if late != nil {
		return nil, nil
	}
	return admitted, nil
}

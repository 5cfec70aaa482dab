package field

import (
	"fmt"
	"math"

	"github.com/seed-0c889b51/weir/internal/measure"
	"github.com/seed-0c889b51/weir/internal/measure/subjects"
)

// What weir is to reach: its time as a part of that of the fastest peer.
const (
	goalHotAllowed = 0.8
	goalHotDenied  = 0.7
	goalKeys       = 1.0 // many keys, beside peers of any kind
	goalBounded    = 0.6 // many keys, beside those whose memory is bounded
	goalTwoLimits  = 1.9 // times one limit
	goalHitAllocs  = 0
	goalMissAllocs = 1
	goalGC         = 100 // ms
)

// goalBytes is what a key is to take at most: 200 bytes, its own 16, and 16 for
// each slot of the debt table, of which there are four for each that there is
// room for.
func goalBytes(keys int) float64 {
	room := keys + keys/8 + 4096 // as workloads have it
	return math.Round(200 + 16 + 4*16*float64(room)/float64(keys))
}

// Targets returns what weir is to reach and what it did in this report, of what
// was measured there. A ratio is the median of those of the rounds, and the peer
// that it is against is the one with which it is the highest.
func Targets(r *measure.Report) (targets []measure.Target) {
	add := func(name, unit, against string, got, goal float64) {
		got = math.Round(1000*got) / 1000
		targets = append(targets, measure.Target{Name: name, Goal: goal, Got: got, Unit: unit, Against: against, Reached: got <= goal})
	}
	for _, ours := range r.Cells {
		cell := fmt.Sprintf("%s, %s, %d procs", ours.Workload, answer(ours.Denied), ours.Procs)
		switch ours.Subject {
		case subjects.Weir:
			any, got := fastest(r, &ours, false)
			bounded, gotBounded := fastest(r, &ours, true)
			switch {
			case ours.Workload == "miss":
				if bounded != "" {
					add(cell, "×", bounded, gotBounded, goalKeys)
				}
			case any == "":
			case ours.Workload == "hot" && ours.Denied:
				add(cell, "×", any, got, goalHotDenied)
			case ours.Workload == "hot":
				add(cell, "×", any, got, goalHotAllowed)
			default:
				add(cell, "×", any, got, goalKeys)
				if bounded != "" {
					add(cell+", bounded memory", "×", bounded, gotBounded, goalBounded)
				}
			}
			goal := float64(goalHitAllocs)
			if ours.Workload == "miss" {
				goal = goalMissAllocs
			}
			add("allocations, "+cell, "", "", ours.Allocs, goal)
		case subjects.TwoLimits:
			if one := find(r, subjects.Weir, &ours); one != nil && ours.Workload != "miss" {
				add("two limits, "+cell, "×", subjects.Weir, measure.Median(measure.Ratios(ours.Rounds, one.Rounds)), goalTwoLimits)
			}
		}
	}
	for _, m := range r.Memory {
		if m.Subject == subjects.Weir {
			add(fmt.Sprintf("memory of %d keys", m.Keys), "bytes a key", "", m.BytesPerKey, goalBytes(m.Keys))
			add(fmt.Sprintf("garbage collection with %d keys", m.Keys), "ms of CPU", "", m.GCCPUMs, goalGC)
		}
	}
	return targets
}

func answer(denied bool) string {
	if denied {
		return "denied"
	}
	return "allowed"
}

// fastest returns the peer beside which a cell is the slowest, and its time as
// a part of that one's. The name is "" if there is none.
func fastest(r *measure.Report, ours *measure.Cell, bounded bool) (name string, ratio float64) {
	for _, s := range r.Subjects {
		if s.Kind != measure.Peer || bounded && !s.Bounded {
			continue
		}
		peer := find(r, s.Name, ours)
		if peer == nil {
			continue
		}
		if got := measure.Median(measure.Ratios(ours.Rounds, peer.Rounds)); got > ratio {
			name, ratio = s.Name, got
		}
	}
	return name, ratio
}

// find returns the cell of a subject beside another, or nil.
func find(r *measure.Report, subject string, beside *measure.Cell) *measure.Cell {
	for i := range r.Cells {
		c := &r.Cells[i]
		if c.Subject == subject && c.Workload == beside.Workload && c.Denied == beside.Denied && c.Procs == beside.Procs {
			return c
		}
	}
	return nil
}

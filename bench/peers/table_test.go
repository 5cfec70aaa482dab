package peers

import (
	"flag"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	rounds = flag.Int("rounds", 1, "how many `rounds` TestTable measures")
	slot   = flag.Duration("slot", 50*time.Millisecond, "about how `long` TestTable asks a peer at a time")
)

// What weir is to reach: its time as a part of that of the fastest peer that
// sends header fields, and allocations on top of the handler's.
const (
	targetAllowed = 0.5
	targetDenied  = 0.4
	targetAllocs  = 6
)

// A measured is what one peer took in one scenario, round by round.
type measured struct {
	peer   peer
	ns     []float64 // per request
	allocs []float64 // per request
}

// TestTable measures all peers side by side: in each round each is asked for a
// slot, one after the other, another one first each time. It fails if an answer
// is not the expected one. A target that is missed is in the table, and no
// failure.
//
// Not parallel: nothing else should run.
func TestTable(t *testing.T) {
	if *rounds < 1 || *slot <= 0 {
		t.Fatalf("-rounds %d, -slot %v: want 1 or more, and more than 0s", *rounds, *slot)
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Log("\n" + table(s, measure(t, s)))
		})
	}
}

// measure has all peers take turns in a scenario.
func measure(t *testing.T, s scenario) []measured {
	t.Helper()
	all := make([]measured, len(peers))
	subjects := make([]*subject, len(peers))
	requests := make([]int, len(peers)) // a slot
	for i, p := range peers {
		all[i].peer = p
		subjects[i] = newSubject(t, p, s)
		const warm = 2_000
		start := time.Now()
		subjects[i].run(warm)
		requests[i] = max(warm, int(warm*slot.Seconds()/time.Since(start).Seconds()))
	}
	for round := range *rounds {
		for turn := range peers {
			i := (round + turn) % len(peers)
			var before, after runtime.MemStats
			runtime.GC() // that of the one before
			runtime.ReadMemStats(&before)
			start := time.Now()
			subjects[i].run(requests[i])
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			n := float64(requests[i])
			all[i].ns = append(all[i].ns, float64(took)/n)
			all[i].allocs = append(all[i].allocs, float64(after.Mallocs-before.Mallocs)/n)
		}
	}
	for i, sub := range subjects {
		if sub.wrong > 0 {
			t.Errorf("%s: %d answers were not of status %d", peers[i].name, sub.wrong, sub.status)
		}
	}
	return all
}

// table prints what was measured, and whether the targets are reached.
func table(s scenario, all []measured) string {
	var out strings.Builder
	ours := find(all, weirMemory)
	fmt.Fprintf(&out, "%-12s %9s %7s %8s  %s\n", s.name, "ns", "allocs", "to weir", "range of that")
	for _, m := range all {
		each := ratios(m.ns, ours.ns)
		note := ""
		if len(m.peer.fields) == 0 && !m.peer.unlimited {
			note = "  (no header fields)"
		}
		fmt.Fprintf(&out, "%-12s %9.0f %7.1f %8.2f  %.2f to %.2f%s\n",
			m.peer.name, median(m.ns), median(m.allocs), median(each), slices.Min(each), slices.Max(each), note)
	}
	best, target := fastest(all), targetDenied
	if s.allowed {
		target = targetAllowed
	}
	nothing := find(all, bare)
	for _, name := range []string{weirMemory, weirFile} {
		m := find(all, name)
		ratio := median(ratios(m.ns, best.ns))
		extra := median(m.allocs) - median(nothing.allocs)
		fmt.Fprintf(&out, "%s is at %.2f of %s, the fastest with fields: target %.1f %s; %.1f allocations more than the handler: target %d %s\n",
			name, ratio, best.peer.name, target, verdict(ratio, target), extra, targetAllocs, verdict(math.Round(10*extra)/10, targetAllocs))
	}
	return out.String()
}

// fastest returns the peer, not weir, with the lowest median of those that send
// header fields.
func fastest(all []measured) measured {
	others := slices.DeleteFunc(slices.Clone(all), func(m measured) bool { return m.peer.ours || len(m.peer.fields) == 0 })
	return slices.MinFunc(others, func(a, b measured) int {
		if median(a.ns) < median(b.ns) {
			return -1
		}
		return 1
	})
}

func find(all []measured, name string) measured {
	return all[slices.IndexFunc(all, func(m measured) bool { return m.peer.name == name })]
}

// ratios returns a/b, round by round.
func ratios(a, b []float64) []float64 {
	quotients := make([]float64, len(a))
	for i := range a {
		quotients[i] = a[i] / b[i]
	}
	return quotients
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func verdict(value, target float64) string {
	if value <= target {
		return "reached"
	}
	return "MISSED"
}

func TestTableSaysWhatWasMeasured(t *testing.T) {
	t.Parallel()
	made := func(name string, ours bool, fields []string, allocs float64, ns ...float64) measured {
		return measured{peer: peer{name: name, ours: ours, fields: fields, unlimited: name == bare}, ns: ns, allocs: []float64{allocs, allocs, allocs}}
	}
	fields := []string{"F"}
	all := []measured{
		made(bare, false, nil, 1, 1, 1, 1),
		made(weirMemory, true, fields, 7, 40, 50, 400), // the last round was disturbed, for all
		made(weirFile, true, fields, 8, 60, 60, 600),
		made("slow", false, fields, 20, 500, 500, 5000),
		made("quick", false, fields, 10, 100, 100, 1000),
		made("fieldless", false, nil, 3, 10, 10, 100),
	}
	for _, row := range []struct {
		why     string
		allowed bool
		want    []string
	}{
		{"a ratio is the median of those of the rounds, and the peer without fields is not the fastest", true,
			[]string{"weir is at 0.40 of quick, the fastest with fields: target 0.5 reached; 6.0 allocations more than the handler: target 6 reached"}},
		{"ratio and allocations over the targets", true,
			[]string{"weir-file is at 0.60 of quick, the fastest with fields: target 0.5 MISSED; 7.0 allocations more than the handler: target 6 MISSED"}},
		{"at the target it is reached", false, []string{"weir is at 0.40 of quick, the fastest with fields: target 0.4 reached"}},
		{"a line for each peer", true, []string{
			"quick              100    10.0     2.50  2.00 to 2.50\n",
			"fieldless           10     3.0     0.25  0.20 to 0.25  (no header fields)\n"}},
	} {
		got := table(scenario{name: "s", allowed: row.allowed}, all)
		for _, want := range row.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q is not in\n%s", row.why, want, got)
			}
		}
	}
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("median of 1 to 4 is %v: want 2.5", got)
	}
}

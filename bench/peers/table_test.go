package peers

import (
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	rounds = flag.Int("rounds", 1, "how many `rounds` TestTable measures")
	slot   = flag.Duration("slot", 50*time.Millisecond, "about how `long` TestTable asks a peer at a time")

	markdown = flag.String("markdown", "", "`file` that TestTable writes its tables to")
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
// failure. What it prints is Markdown.
//
// Not parallel: nothing else should run.
func TestTable(t *testing.T) {
	if *rounds < 1 || *slot <= 0 {
		t.Fatalf("-rounds %d, -slot %v: want 1 or more, and more than 0s", *rounds, *slot)
	}
	var results []result
	for _, s := range scenarios {
		results = append(results, result{s, measure(t, s)})
	}
	text := figures(results) + "\n" + verdicts(results)
	t.Log("\n" + text)
	if *markdown != "" {
		if err := os.WriteFile(*markdown, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// A result is what all peers took in a scenario.
type result struct {
	scenario scenario
	all      []measured
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

// figures is a table of ns a request, allocations a request, and times weir's.
func figures(results []result) string {
	var out strings.Builder
	out.WriteString("| |")
	for _, r := range results {
		fmt.Fprintf(&out, " %s | | |", r.scenario.name)
	}
	out.WriteString("\n|---|" + strings.Repeat("---:|---:|---:|", len(results)) + "\n")
	for i, p := range results[0].all {
		fmt.Fprintf(&out, "| %s |", p.peer.name)
		for _, r := range results {
			m := r.all[i]
			fmt.Fprintf(&out, " %.0f | %.0f | %.2f |", median(m.ns), median(m.allocs), median(ratios(m.ns, find(r.all, weirMemory).ns)))
		}
		out.WriteString("\n")
	}
	return out.String()
}

// verdicts is a table of weir beside the fastest peer that sends header fields,
// and of its allocations beside those of the handler alone.
func verdicts(results []result) string {
	var out strings.Builder
	out.WriteString("| | target | weir | weir-file | beside | |\n|---|---:|---:|---:|---|---|\n")
	row := func(name string, target float64, format string, weir, file float64, against string) {
		fmt.Fprintf(&out, "| %s | %v | "+format+" | "+format+" | %s | %s |\n", name, target, weir, file, against, verdict(max(weir, file), target))
	}
	extra := map[string]float64{}
	for _, r := range results {
		best, target := fastest(r.all), targetDenied
		if r.scenario.allowed {
			target = targetAllowed
		}
		var got []float64
		for _, name := range []string{weirMemory, weirFile} {
			m := find(r.all, name)
			got = append(got, median(ratios(m.ns, best.ns)))
			more := math.Round(10*(median(m.allocs)-median(find(r.all, bare).allocs))) / 10
			extra[name] = max(extra[name], more)
		}
		row(r.scenario.name, target, "%.2f", got[0], got[1], best.peer.name)
	}
	row("allocations more than the handler", targetAllocs, "%.0f", extra[weirMemory], extra[weirFile], "")
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
	return "**missed**"
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
	got := figures([]result{{scenario{name: "a", allowed: true}, all}, {scenario{name: "d"}, all}}) +
		verdicts([]result{{scenario{name: "a", allowed: true}, all}, {scenario{name: "d"}, all}})
	for _, row := range []struct{ why, want string }{
		{"three columns a scenario", "| | a | | | d | | |\n|---|---:|---:|---:|---:|---:|---:|\n"},
		{"a line for each peer, of both", "| quick | 100 | 10 | 2.50 | 100 | 10 | 2.50 |\n"},
		{"a ratio is the median of those of the rounds, and the peer without fields is not the fastest; weir-file is over", "| a | 0.5 | 0.40 | 0.60 | quick | **missed** |\n"},
		{"what is denied has a target of its own", "| d | 0.4 | 0.40 | 0.60 | quick | **missed** |\n"},
		{"allocations beside those of the handler", "| allocations more than the handler | 6 | 6 | 7 |  | **missed** |\n"},
	} {
		if !strings.Contains(got, row.want) {
			t.Errorf("%s: %q is not in\n%s", row.why, row.want, got)
		}
	}
	reached := slices.Clone(all)
	reached[2] = made(weirFile, true, fields, 7, 40, 50, 400)
	if got, want := verdicts([]result{{scenario{name: "d"}, reached}}), "| d | 0.4 | 0.40 | 0.40 | quick | reached |\n| allocations more than the handler | 6 | 6 | 6 |  | reached |\n"; !strings.Contains(got, want) {
		t.Errorf("at the targets they are reached: %q is not in\n%s", want, got)
	}
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("median of 1 to 4 is %v: want 2.5", got)
	}
}

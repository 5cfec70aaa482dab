package field

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/perf/benchmath"

	"github.com/seed-0c889b51/weir/internal/measure"
	"github.com/seed-0c889b51/weir/internal/measure/subjects"
)

// made is a report of what never was.
func made() *measure.Report {
	cell := func(subject, workload string, denied bool, procs int, allocs float64, rounds ...float64) measure.Cell {
		return measure.Cell{Subject: subject, Workload: workload, Denied: denied, Procs: procs, Allocs: allocs, Rounds: rounds, NsPerOp: measure.Median(rounds), Ops: 1000}
	}
	r := &measure.Report{
		Subjects: []measure.SubjectInfo{
			{Name: subjects.Weir, Kind: measure.Ours, Keyed: true, Bounded: true},
			{Name: subjects.TwoLimits, Kind: measure.Ours, Keyed: true, Bounded: true},
			{Name: "lru", Kind: measure.Peer, Keyed: true, Bounded: true},
			{Name: "map", Kind: measure.Peer, Keyed: true},
			{Name: "clock", Kind: measure.Floor},
		},
		Cells: []measure.Cell{
			cell(subjects.Weir, "hot", false, 1, 0, 40, 41, 42, 43, 400), // the last round was disturbed, for all
			cell(subjects.TwoLimits, "hot", false, 1, 0, 80, 82, 84, 86, 800),
			cell("lru", "hot", false, 1, 1.5, 160, 164, 168, 172, 1600),
			cell("map", "hot", false, 1, 0, 50, 51.25, 52.5, 53.75, 500),
			cell("clock", "hot", false, 1, 0, 4, 4.1, 4.2, 4.3, 40),
			cell(subjects.Weir, "1k", false, 2, 0.5, 100, 101, 102, 103, 104),
			cell("lru", "1k", false, 2, 0, 150, 151.5, 153, 154.5, 156),
			cell("map", "1k", false, 2, 0, 104, 103, 102, 101, 100),
			cell(subjects.Weir, "miss", false, 1, 2, 100, 100, 100, 100, 100),
			cell("lru", "miss", false, 1, 4, 200, 200, 200, 200, 200),
			cell(subjects.Weir, "hot", true, 1, 0, 30, 30, 30, 30, 30),
			cell("map", "hot", true, 1, 0, 60, 60, 60, 60, 60),
		},
		Memory: []measure.Memory{{Subject: subjects.Weir, Keys: 1000, BytesPerKey: 551, GCCPUMs: 5}, {Subject: "map", Keys: 1000, BytesPerKey: 99.6, GCCPUMs: 7}},
	}
	r.Cells[3].Wrong = 25
	return r
}

func TestTablesSayWhatWasMeasured(t *testing.T) {
	t.Parallel()
	r := made()
	for _, row := range []struct {
		why, got, want string
	}{
		{"columns are workloads and processors", SpeedTable(r, false), "| allowed | hot, 1 | 1k, 2 | miss, 1 | allocs |\n|---|---:|---:|---:|---:|\n"},
		{"weir has no ratio to itself; the most allocations of the row", SpeedTable(r, false), "| weir ● | 42 | 102 | 100 | 2 |\n"},
		{"a ratio is the median of those of the rounds", SpeedTable(r, false), "| lru ● | 168 (4.00 ~) | 153 (1.50) | 200 (2.00) | 4 |\n"},
		{"not told apart, and not measured", SpeedTable(r, false), "| map | 52 (1.25 ~) | 102 (1.00 ~) | | 0 |\n"},
		{"a floor", SpeedTable(r, false), "| *clock* | 4.2 (0.10) | | | 0 |\n"},
		{"the denied are in another table", SpeedTable(r, true), "| denied | hot, 1 | allocs |\n|---|---:|---:|\n| weir ● | 30 | 0 |\n| map | 60 (2.00) | 0 |\n"},
		{"wrong answers", ErrorNote(r), "map, hot, allowed, 1 procs: 2.5 %."},
		{"memory", MemoryTable(r), "| weir ● | 1000 | 551 | 5 |\n| map | 1000 | 100 | 7 |\n"},
		{"against the fastest, not bounded", TargetTable(Targets(r)), "| hot, allowed, 1 procs | 0.8 | 0.8 | × | map | reached |\n"},
		{"at one over the goal it is missed", TargetTable(Targets(r)), "| memory of 1000 keys | 550 | 551 | bytes a key |  | **missed** |\n"},
	} {
		if !strings.Contains(row.got, row.want) {
			t.Errorf("%s: %q is not in\n%s", row.why, row.want, row.got)
		}
	}
	r.Cells[3].Wrong = 0
	if got := ErrorNote(r); got != "" {
		t.Errorf("without wrong answers: %q: want nothing", got)
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	want := []measure.Target{
		{Name: "hot, allowed, 1 procs", Goal: 0.8, Got: 0.8, Unit: "×", Against: "map", Reached: true},
		{Name: "allocations, hot, allowed, 1 procs", Goal: 0, Got: 0, Reached: true},
		{Name: "two limits, hot, allowed, 1 procs", Goal: 1.9, Got: 2, Unit: "×", Against: subjects.Weir},
		{Name: "1k, allowed, 2 procs", Goal: 1, Got: 1, Unit: "×", Against: "map", Reached: true},
		{Name: "1k, allowed, 2 procs, bounded memory", Goal: 0.6, Got: 0.667, Unit: "×", Against: "lru"},
		{Name: "allocations, 1k, allowed, 2 procs", Goal: 0, Got: 0.5},
		{Name: "miss, allowed, 1 procs", Goal: 1, Got: 0.5, Unit: "×", Against: "lru", Reached: true},
		{Name: "allocations, miss, allowed, 1 procs", Goal: 1, Got: 2},
		{Name: "hot, denied, 1 procs", Goal: 0.7, Got: 0.5, Unit: "×", Against: "map", Reached: true},
		{Name: "allocations, hot, denied, 1 procs", Goal: 0, Got: 0, Reached: true},
		{Name: "memory of 1000 keys", Goal: 550, Got: 551, Unit: "bytes a key"},
		{Name: "garbage collection with 1000 keys", Goal: 100, Got: 5, Unit: "ms of CPU", Reached: true},
	}
	got := Targets(made())
	if !slices.Equal(got, want) {
		t.Errorf("targets are\n%+v\nwant\n%+v", got, want)
	}
	if got := goalBytes(1_000_000); got != 288 {
		t.Errorf("a key of a million is to take %v bytes: want 200, 16 of its own, and 72 of debt slots", got)
	}
	if got := Targets(&measure.Report{}); len(got) != 0 {
		t.Errorf("of nothing that was measured there are targets: %v", got)
	}
}

// The harness has the same median as the benchmark tools have.
func TestMedianIsThatOfBenchstat(t *testing.T) {
	t.Parallel()
	for _, values := range [][]float64{{3}, {4, 1, 3, 2}, {5, 1, 1, 9, 2}} {
		want := benchmath.AssumeNothing.Summary(benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds), 0.95).Center
		if got := measure.Median(values); got != want {
			t.Errorf("median of %v is %v: want %v", values, got, want)
		}
	}
}

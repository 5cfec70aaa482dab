package field

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"golang.org/x/perf/benchmath"

	"github.com/seed-0c889b51/weir/internal/measure"
	"github.com/seed-0c889b51/weir/internal/measure/subjects"
)

// SpeedTable returns what decisions took as a table in Markdown: ns, the median
// of the rounds, and times weir's, the median of the ratios of the rounds. That
// has a ~ if the two may as well be the same: the Mann-Whitney U test gives 5 %
// or more to rounds that differ like these by chance. The table has the
// workloads that are denied or the others.
func SpeedTable(r *measure.Report, denied bool) string {
	var columns []measure.Cell // of which only what they are of is used
	for _, c := range r.Cells {
		if c.Denied == denied && !slices.ContainsFunc(columns, func(have measure.Cell) bool {
			return have.Workload == c.Workload && have.Procs == c.Procs
		}) {
			columns = append(columns, c)
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "| %s |", answer(denied))
	for _, c := range columns {
		fmt.Fprintf(&out, " %s, %d |", c.Workload, c.Procs)
	}
	out.WriteString(" allocs |\n|---|" + strings.Repeat("---:|", len(columns)+1) + "\n")
	for _, s := range r.Subjects {
		row, most, any := "", 0.0, false
		for _, column := range columns {
			c := find(r, s.Name, &column)
			if c == nil {
				row += " |"
				continue
			}
			any, most = true, max(most, c.Allocs)
			row += fmt.Sprintf(" %s%s |", nanoseconds(c.NsPerOp), beside(c, find(r, subjects.Weir, &column)))
		}
		if any {
			fmt.Fprintf(&out, "| %s |%s %s |\n", italic(s.Kind == measure.Floor, Marked(s.Name, s.Bounded && s.Kind != measure.Floor)), row, allocations(most))
		}
	}
	return out.String()
}

// beside returns how many times another's time a cell takes, with ~ if the
// rounds do not tell them apart.
func beside(c, other *measure.Cell) string {
	if other == nil || c.Subject == other.Subject {
		return ""
	}
	sample := func(rounds []float64) *benchmath.Sample {
		return benchmath.NewSample(slices.Clone(rounds), &benchmath.DefaultThresholds)
	}
	apart := ""
	// Samples without an order, as of equal values, have no p.
	if p := benchmath.AssumeNothing.Compare(sample(c.Rounds), sample(other.Rounds)).P; math.IsNaN(p) || p >= benchmath.DefaultThresholds.CompareAlpha {
		apart = " ~"
	}
	return fmt.Sprintf(" (%.2f%s)", measure.Median(measure.Ratios(c.Rounds, other.Rounds)), apart)
}

func nanoseconds(ns float64) string {
	if ns < 10 {
		return fmt.Sprintf("%.1f", ns)
	}
	return fmt.Sprintf("%.0f", ns)
}

func allocations(n float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", n), ".0")
}

func italic(is bool, text string) string {
	if is {
		return "*" + text + "*"
	}
	return text
}

// MemoryTable returns what keys take as a table in Markdown.
func MemoryTable(r *measure.Report) string {
	var out strings.Builder
	out.WriteString("| | keys | bytes a key | CPU of a collection, ms |\n|---|---:|---:|---:|\n")
	for _, m := range r.Memory {
		bounded := slices.ContainsFunc(r.Subjects, func(s measure.SubjectInfo) bool { return s.Name == m.Subject && s.Bounded })
		fmt.Fprintf(&out, "| %s | %d | %.0f | %.0f |\n", Marked(m.Subject, bounded), m.Keys, m.BytesPerKey, m.GCCPUMs)
	}
	return out.String()
}

// TargetTable returns targets as a table in Markdown.
func TargetTable(targets []measure.Target) string {
	var out strings.Builder
	out.WriteString("| | goal, at most | got | | beside | |\n|---|---:|---:|---|---|---|\n")
	for _, t := range targets {
		reached := "reached"
		if !t.Reached {
			reached = "**missed**"
		}
		fmt.Fprintf(&out, "| %s | %.4g | %.3g | %s | %s | %s |\n", t.Name, t.Goal, t.Got, t.Unit, t.Against, reached)
	}
	return out.String()
}

// ErrorNote returns a sentence about those that gave wrong answers, or "".
func ErrorNote(r *measure.Report) string {
	var notes []string
	for _, c := range r.Cells {
		if c.Wrong > 0 {
			notes = append(notes, fmt.Sprintf("%s, %s, %s, %d procs: %.2g %%", c.Subject, c.Workload, answer(c.Denied), c.Procs, 100*float64(c.Wrong)/float64(c.Ops)))
		}
	}
	if len(notes) == 0 {
		return ""
	}
	return "Errors instead of answers: " + strings.Join(notes, "; ") + ".\n"
}

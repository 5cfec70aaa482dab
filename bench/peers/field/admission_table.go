package field

import (
	"fmt"
	"strings"
	"time"
)

// AdmissionTables returns admissions as two tables in Markdown, of one client
// and of many, below the exact answers. What is beyond these is bold, as is what
// is refused though it should not be.
func AdmissionTables(all []Admission) string {
	return oneClient(all) + "\n" + crowds(all)
}

func oneClient(all []Admission) string {
	var out strings.Builder
	out.WriteString("| |")
	for _, tr := range Traces() {
		fmt.Fprintf(&out, " %s |", tr.Name)
	}
	out.WriteString("\n|---|" + strings.Repeat("---|", len(Traces())) + "\n")
	const window = time.Minute // whatever it is, the exact answers are the same
	for _, exact := range []struct {
		name   string
		admits func(Trace) []int
	}{
		{"*exact: token bucket*", func(tr Trace) []int { return tr.Bucket(window) }},
		{"*exact: no window, wherever it starts, with more than 10*", func(tr Trace) []int { return tr.Log(window) }},
	} {
		fmt.Fprintf(&out, "| %s |", exact.name)
		for _, tr := range Traces() {
			fmt.Fprintf(&out, " %s |", tr.show(exact.admits(tr)))
		}
		out.WriteString("\n")
	}
	for _, a := range all {
		fmt.Fprintf(&out, "| %s, %s |", a.Name, a.Algorithm)
		for _, tr := range Traces() {
			admitted, ok := a.Traces[tr.Name]
			if !ok {
				out.WriteString(" (late) |")
				continue
			}
			beyond := total(admitted) > max(total(tr.Bucket(window)), total(tr.Log(window)))
			fmt.Fprintf(&out, " %s |", bold(beyond, tr.show(admitted)))
		}
		out.WriteString("\n")
	}
	return out.String()
}

func crowds(all []Admission) string {
	var out strings.Builder
	out.WriteString("| |")
	for _, l := range CrowdLimits() {
		fmt.Fprintf(&out, " %d in %v |", l.Quota, l.Window)
	}
	out.WriteString(" at edges | refused | beyond | first | flood | dear flood |\n|---|" + strings.Repeat("---:|", len(CrowdLimits())+6) + "\n")
	fmt.Fprintf(&out, "| *exact* |%s 0 | 0 | 0 | %d | %d | %d |\n", strings.Repeat(" ≤ 1 |", len(CrowdLimits())), firstKeys, hourly.Quota, hourly.Quota)
	for _, a := range all {
		fmt.Fprintf(&out, "| %s |", Marked(a.Name, a.Bounded))
		for _, part := range a.Crowds {
			// What a token bucket could have given is known to some thousandths.
			fmt.Fprintf(&out, " %s |", bold(part > 1.01, fmt.Sprintf("%.2f", part)))
		}
		for _, cell := range []struct{ got, exact int }{
			{a.Edges, 0}, {a.Refused, 0}, {a.Beyond, 0}, {a.First, firstKeys}, {a.Flood, hourly.Quota}, {a.DearFlood, hourly.Quota},
		} {
			fmt.Fprintf(&out, " %s |", bold(cell.got != cell.exact, fmt.Sprint(cell.got)))
		}
		out.WriteString("\n")
	}
	return out.String()
}

// show has each step of a short trace, and of a long one the sum.
func (tr Trace) show(admitted []int) string {
	if len(tr.Steps) > 3 {
		return fmt.Sprint(total(admitted))
	}
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(admitted), " ", ", "), "[]")
}

func bold(is bool, text string) string {
	if is {
		return "**" + text + "**"
	}
	return text
}

// Marked returns a name as tables have it: with a mark where memory is bounded.
func Marked(name string, bounded bool) string {
	if bounded {
		return name + " ●"
	}
	return name
}

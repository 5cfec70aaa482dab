package digest

import (
	"fmt"
	"io"
	"strings"

	"github.com/seed-0c889b51/weir/internal/measure"
)

// significant is below which probability a difference is not taken for chance.
const significant = 0.05

// Compare writes how a report differs from an earlier one, in all that both
// have. A difference of times that would come about by chance in one of twenty
// comparisons is a "~".
func Compare(w io.Writer, old, now *measure.Report) error {
	out := &strings.Builder{}
	if old.Machine.CPU != now.Machine.CPU || old.Machine.Procs != now.Machine.Procs || old.Machine.GOARCH != now.Machine.GOARCH {
		fmt.Fprintf(out, "The earlier report is of another machine, so that the times say little:\n  then %s\n  now  %s\n", MachineLine(&old.Machine), MachineLine(&now.Machine))
	}
	if old.Settings.Window != now.Settings.Window {
		fmt.Fprintf(out, "The earlier rounds were of %v, these are of %v.\n", old.Settings.Window, now.Settings.Window)
	}
	found := false
	t := table(out, "A decision, ns", "", "", "then", "now", "", "p", "allocs")
	for _, was := range old.Cells {
		for _, is := range now.Cells {
			if was.Subject != is.Subject || was.Workload != is.Workload || was.Denied != is.Denied || was.Procs != is.Procs {
				continue
			}
			found = true
			p := measure.PValue(was.Rounds, is.Rounds)
			change := "~"
			if p < significant {
				change = fmt.Sprintf("%+.0f%%", 100*(is.NsPerOp/was.NsPerOp-1))
			}
			allocs := fmt.Sprintf("%.3g", is.Allocs)
			if was.Allocs != is.Allocs {
				allocs = fmt.Sprintf("%.3g, was %.3g", is.Allocs, was.Allocs)
			}
			fmt.Fprintf(t, "%s\t%s\tp%d\t%s\t%s\t%s\t%.3f\t%s\n", is.Subject, title(is.Workload, is.Denied), is.Procs, digits(was.NsPerOp), digits(is.NsPerOp), change, p, allocs)
		}
	}
	t.Flush()
	t = table(out, "Latency", "", "p50 then", "now", "p99 then", "now", "p99.9 then", "now")
	for _, was := range old.Latency {
		for _, is := range now.Latency {
			if was.Subject != is.Subject || LatencyTitle(&was) != LatencyTitle(&is) {
				continue
			}
			found = true
			fmt.Fprintf(t, "%s\t%s", is.Subject, LatencyTitle(&is))
			for _, ns := range [][2]int64{{was.P50Ns, is.P50Ns}, {was.P99Ns, is.P99Ns}, {was.P999Ns, is.P999Ns}} {
				fmt.Fprintf(t, "\t%s\t%s", Time(float64(ns[0])), Time(float64(ns[1])))
			}
			fmt.Fprintln(t)
		}
	}
	t.Flush()
	t = table(out, "Memory", "keys", "bytes a key then", "now", "garbage collection then", "now")
	for _, was := range old.Memory {
		for _, is := range now.Memory {
			if was.Subject == is.Subject && was.Keys == is.Keys {
				found = true
				fmt.Fprintf(t, "%s\t%d\t%.0f\t%.0f\t%s\t%s\n", is.Subject, is.Keys, was.BytesPerKey, is.BytesPerKey, Time(was.GCCPUMs*1e6), Time(is.GCCPUMs*1e6))
			}
		}
	}
	t.Flush()
	if !found {
		return fmt.Errorf("the earlier report has nothing that this one has too: run it with the same flags")
	}
	if n := min(old.Settings.Rounds, now.Settings.Rounds); n < 4 {
		fmt.Fprintf(out, "\nWith %d rounds no difference is more than chance: want 4 or more in both.\n", n)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

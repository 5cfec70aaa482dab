package digest

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/seed-0c889b51/weir/internal/measure"
)

// Table writes what is in a report as text.
func Table(w io.Writer, r *measure.Report) error {
	out := &strings.Builder{}
	fmt.Fprintln(out, MachineLine(&r.Machine))
	fmt.Fprintf(out, "%d rounds of %v, medians; rows of one table took turns\n", r.Settings.Rounds, time.Duration(r.Settings.Window))
	for _, denied := range []bool{false, true} {
		decisions(out, r, denied)
	}
	latencies(out, r)
	if len(r.Memory) > 0 {
		t := table(out, "Memory", "keys", "bytes a key", "garbage collection, CPU")
		for _, m := range r.Memory {
			fmt.Fprintf(t, "%s\t%d\t%.0f\t%s\n", m.Subject, m.Keys, m.BytesPerKey, Time(m.GCCPUMs*1e6))
		}
		t.Flush()
	}
	if len(r.Targets) > 0 {
		t := table(out, "Targets", "at most", "is", "", "beside")
		for _, g := range r.Targets {
			verdict := "reached"
			if !g.Reached {
				verdict = "MISSED"
			}
			fmt.Fprintf(t, "%s\t%.4g %s\t%.4g\t%s\t%s\n", g.Name, g.Goal, g.Unit, g.Got, verdict, g.Against)
		}
		t.Flush()
	}
	if n := apart(r); n > 0 {
		fmt.Fprintf(out, "\nIn %d rounds goroutines had to share a processor: the machine was busy, and what\nis measured with several of them is too slow.\n", n)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// MachineLine says on what a report was made.
func MachineLine(m *measure.Machine) string {
	cpu := m.CPU
	if cpu == "" {
		cpu = "unknown processor"
	}
	return fmt.Sprintf("%s/%s, %d × %s, %s, weir %s", m.GOOS, m.GOARCH, m.Procs, cpu, m.Go, m.Weir)
}

// apart returns in how many rounds goroutines did not run at once.
func apart(r *measure.Report) (n int) {
	for _, c := range r.Cells {
		n += c.Apart
	}
	return n
}

// table begins a table. What is written to it is aligned by tabs.
func table(out io.Writer, heads ...string) *tabwriter.Writer {
	fmt.Fprintln(out)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(heads, "\t"))
	return t
}

// decisions writes the times of decisions: subjects down, workloads across.
func decisions(out io.Writer, r *measure.Report, denied bool) {
	type column struct {
		workload string
		procs    int
	}
	var columns []column
	var rows []string
	cells := map[string]map[column]*measure.Cell{}
	for i := range r.Cells {
		c := &r.Cells[i]
		if c.Denied != denied {
			continue
		}
		at := column{c.Workload, c.Procs}
		if cells[c.Subject] == nil {
			cells[c.Subject] = map[column]*measure.Cell{}
			rows = append(rows, c.Subject)
		}
		cells[c.Subject][at] = c
		known := false
		for _, other := range columns {
			known = known || other == at
		}
		if !known {
			columns = append(columns, at)
		}
	}
	if len(rows) == 0 {
		return
	}
	heads := []string{"Allowed, ns"}
	if denied {
		heads[0] = "Denied, ns"
	}
	for _, c := range columns {
		heads = append(heads, fmt.Sprintf("%s p%d", c.workload, c.procs))
	}
	t := table(out, append(heads, "allocs")...)
	for _, subject := range rows {
		fmt.Fprint(t, subject)
		allocs := 0.0
		for _, at := range columns {
			c := cells[subject][at]
			if c == nil {
				fmt.Fprint(t, "\t-")
				continue
			}
			fmt.Fprintf(t, "\t%s ±%.0f%%", digits(c.NsPerOp), 100*c.Mad/c.NsPerOp)
			allocs = max(allocs, c.Allocs)
		}
		fmt.Fprintf(t, "\t%.3g\n", allocs)
	}
	t.Flush()
}

func latencies(out io.Writer, r *measure.Report) {
	for _, open := range []bool{false, true} {
		all := slices.DeleteFunc(slices.Clone(r.Latency), func(l measure.Latency) bool { return (l.EveryNs > 0) != open })
		if len(all) == 0 {
			continue
		}
		head := "Latency, back to back"
		if open {
			head = "Latency, from when due"
		}
		t := table(out, head, "", "p50", "p90", "p99", "p99.9", "p99.99", "max", "requests")
		for _, l := range all {
			fmt.Fprintf(t, "%s\t%s", l.Subject, strings.TrimSuffix(LatencyTitle(&l), ", back to back"))
			for _, ns := range []int64{l.P50Ns, l.P90Ns, l.P99Ns, l.P999Ns, l.P9999Ns, l.MaxNs} {
				fmt.Fprintf(t, "\t%s", Time(float64(ns)))
			}
			fmt.Fprintf(t, "\t%d\n", l.Count)
		}
		t.Flush()
	}
}

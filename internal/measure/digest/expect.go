// Package digest says in a few lines what is in a report: as a table, beside
// another one, and whether it is as expected.
package digest

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-0c889b51/weir/internal/measure"
)

// An Expectation is something that a report has to show, such as hot.p99<1us.
// Use ParseExpectation.
type Expectation struct {
	text     string
	subject  string // "" is weir, in whichever way it was asked there
	workload string
	denied   bool
	open     bool   // on a schedule
	during   string // "" is nothing
	procs    int    // 0 is any number
	metric   string
	relation string
	bound    float64 // ns for times
}

var expectation = regexp.MustCompile(`^(?:([^/]+)/)?([a-z0-9]+)((?:\.[a-z]+)*?)(?:@([0-9]+))?\.(ns|allocs|bytes|gc|p50|p90|p99|p999|p9999|max)\s*(<=|<|>=|>)\s*(\S+)$`)

const expectationForm = "want [SUBJECT/]WORKLOAD[.denied][.open][.snapshots|.flood|.reloads][@PROCS].METRIC<VALUE, such as hot.p99<1us"

// metrics are those that a cell, a latency and a memory have.
var (
	cellMetrics    = []string{"ns", "allocs", "bytes"}
	latencyMetrics = []string{"p50", "p90", "p99", "p999", "p9999", "max"}
	memoryMetrics  = []string{"bytes", "gc"}
)

// Memory is the workload of an expectation about memory.
const Memory = "memory"

// proxyWorkload is the one of whole servers, which are always on a schedule.
const proxyWorkload = "proxy"

// ParseExpectation reads an expectation:
//
//	[SUBJECT/]WORKLOAD[.denied][.open][.DURING][@PROCS].METRIC RELATION VALUE
//
// WORKLOAD is one of measure.Workloads, or proxy or memory. METRIC is ns,
// allocs or bytes of a decision; p50, p90, p99, p999, p9999 or max of its
// latency, back to back or, with open, on a schedule; with memory bytes, of a
// key, or gc, the CPU time of a garbage collection. DURING is what went on
// beside: snapshots, flood or reloads. RELATION is <, <=, > or >=. VALUE is a
// number or, for times, a duration such as 1us or 250ns.
func ParseExpectation(text string) (Expectation, error) {
	e := Expectation{text: text}
	m := expectation.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return e, errors.New(expectationForm)
	}
	e.subject, e.workload, e.metric, e.relation = m[1], m[2], m[5], m[6]
	if known := append(measure.Workloads(), proxyWorkload, Memory); !slices.Contains(known, e.workload) {
		return e, fmt.Errorf("workload %q: want one of %s", e.workload, strings.Join(known, ", "))
	}
	for word := range strings.SplitSeq(strings.TrimPrefix(m[3], "."), ".") {
		switch word {
		case "":
		case "denied":
			e.denied = true
		case "open":
			e.open = true
		case "snapshots", "flood", "reloads":
			e.during, e.open = word, true
		default:
			return e, fmt.Errorf("%q: want denied, open, snapshots, flood or reloads", word)
		}
	}
	if m[4] != "" {
		n, err := strconv.Atoi(m[4])
		if err != nil || n < 1 || n > 1024 {
			return e, fmt.Errorf("processors %q: want 1 to 1024", m[4])
		}
		e.procs = n
	}
	e.open = e.open || e.workload == proxyWorkload
	allowed := append(slices.Clone(cellMetrics), latencyMetrics...)
	switch {
	case e.workload == Memory:
		allowed = memoryMetrics
	case e.open:
		allowed = latencyMetrics
	}
	if !slices.Contains(allowed, e.metric) {
		return e, fmt.Errorf("metric %q of %s: want one of %s", e.metric, e.workload, strings.Join(allowed, ", "))
	}
	var err error
	e.bound, err = parseBound(e.metric, m[7])
	return e, err
}

func parseBound(metric, text string) (float64, error) {
	if metric == "allocs" || metric == "bytes" {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || v < 0 || math.IsNaN(v) || math.IsInf(v, 0) {
			return 0, fmt.Errorf("value %q of %s: want a number from 0", text, metric)
		}
		return v, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("value %q of %s: want a duration such as 250ns, 1us or 3ms", text, metric)
	}
	return float64(d), nil
}

// String returns the text of the expectation.
func (e Expectation) String() string { return e.text }

// A Finding is what became of an expectation.
type Finding struct {
	Expectation Expectation
	Met         bool
	// Got is what was measured, the worst if it was measured in several ways, such
	// as with several numbers of processors; Of says of what.
	Got string
	Of  string
}

// Check looks an expectation up in a report. It is an error if the report has
// nothing that it is about.
func (e Expectation) Check(r *measure.Report) (Finding, error) {
	type value struct {
		got float64
		of  string
	}
	var all []value
	for _, name := range e.subjects(r) {
		all = all[:0]
		for _, c := range r.Cells {
			if slices.Contains(cellMetrics, e.metric) && !e.open && e.is(name, c.Subject, c.Workload, c.Denied, c.Procs) {
				got := map[string]float64{"ns": c.NsPerOp, "allocs": c.Allocs, "bytes": c.Bytes}[e.metric]
				all = append(all, value{got, fmt.Sprintf("%s, %s, %s", c.Subject, title(c.Workload, c.Denied), goroutines(c.Procs))})
			}
		}
		for _, l := range r.Latency {
			if slices.Contains(latencyMetrics, e.metric) && e.open == (l.EveryNs > 0) && e.during == l.During && e.is(name, l.Subject, l.Workload, l.Denied, l.Procs) {
				got := map[string]int64{"p50": l.P50Ns, "p90": l.P90Ns, "p99": l.P99Ns, "p999": l.P999Ns, "p9999": l.P9999Ns, "max": l.MaxNs}[e.metric]
				all = append(all, value{float64(got), l.Subject + ", " + LatencyTitle(&l)})
			}
		}
		for _, m := range r.Memory {
			if e.workload == Memory && m.Subject == name {
				got := map[string]float64{"bytes": m.BytesPerKey, "gc": m.GCCPUMs * 1e6}[e.metric]
				all = append(all, value{got, fmt.Sprintf("%s, %d keys", m.Subject, m.Keys)})
			}
		}
		if len(all) > 0 {
			break
		}
	}
	if len(all) == 0 {
		return Finding{}, fmt.Errorf("%s: nothing of that kind was measured", e.text)
	}
	worst := all[0]
	for _, v := range all[1:] {
		if strings.HasPrefix(e.relation, "<") == (v.got > worst.got) {
			worst = v
		}
	}
	f := Finding{Expectation: e, Of: worst.of, Got: e.show(worst.got)}
	switch e.relation {
	case "<":
		f.Met = worst.got < e.bound
	case "<=":
		f.Met = worst.got <= e.bound
	case ">":
		f.Met = worst.got > e.bound
	case ">=":
		f.Met = worst.got >= e.bound
	}
	return f, nil
}

// subjects returns whom it may be about: the first of whom there is something.
func (e Expectation) subjects(r *measure.Report) []string {
	if e.subject != "" {
		return []string{e.subject}
	}
	names := []string{"weir"}
	for _, s := range r.Subjects {
		if s.Kind == measure.Ours && s.Name != "weir" {
			names = append(names, s.Name)
		}
	}
	return append(names, "weir serve")
}

func (e Expectation) is(name, subject, workload string, denied bool, procs int) bool {
	return name == subject && e.workload == workload && e.denied == denied && (e.procs == 0 || e.procs == procs)
}

func (e Expectation) show(v float64) string {
	if e.metric == "allocs" || e.metric == "bytes" {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return Time(v)
}

func title(workload string, denied bool) string {
	if denied {
		return workload + " denied"
	}
	return workload
}

func goroutines(n int) string {
	if n == 1 {
		return "1 goroutine"
	}
	return fmt.Sprintf("%d goroutines", n)
}

// LatencyTitle says what a latency is of, but for the subject.
func LatencyTitle(l *measure.Latency) string {
	text := title(l.Workload, l.Denied)
	if l.Workload == proxyWorkload {
		text += fmt.Sprintf(", %d connections", l.Procs)
	} else {
		text += ", " + goroutines(l.Procs)
	}
	if l.EveryNs > 0 {
		text += ", one each " + Time(float64(l.EveryNs))
	} else {
		text += ", back to back"
	}
	if l.During != "" {
		text += ", during " + l.During
	}
	return text
}

// Time returns ns in the unit that suits, with three digits.
func Time(ns float64) string {
	for _, u := range []struct {
		ns   float64
		name string
	}{{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}} {
		if ns >= 0.9995*u.ns {
			return digits(ns/u.ns) + " " + u.name
		}
	}
	return digits(ns) + " ns"
}

// digits returns three digits of a number, or all before the point.
func digits(v float64) string {
	switch {
	case v >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

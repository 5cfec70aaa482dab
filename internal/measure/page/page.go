// Package page shows a report as one HTML page that needs nothing else: no
// network, no script, no font.
package page

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/seed-0c889b51/weir/internal/measure"
	"github.com/seed-0c889b51/weir/internal/measure/digest"
)

//go:embed page.html
var source string

var page = template.Must(template.New("page").Parse(source))

// A figure is a drawing with a heading and a note.
type figure struct {
	Title, Note string
	Drawing     template.HTML
}

// A card is one of the numbers at the top.
type card struct{ Name, Value, Note string }

type view struct {
	Made, Machine, Settings string
	Apart                   int
	Cards                   []card
	Peers                   bool
	Decisions, Scaling      []figure
	Back, Schedule, Memory  []figure
	Targets                 []targetRow
	Names                   []measure.SubjectInfo
	Table                   string
}

type targetRow struct {
	Name, Goal, Got, Against string
	Reached                  bool
}

// Write writes the page of a report.
func Write(w io.Writer, r *measure.Report) error {
	v := view{
		Made:     r.Made.UTC().Format("2 January 2006, 15:04 UTC"),
		Machine:  digest.MachineLine(&r.Machine),
		Settings: fmt.Sprintf("%d rounds of %v", r.Settings.Rounds, time.Duration(r.Settings.Window)),
		Cards:    cards(r),
	}
	for _, c := range r.Cells {
		v.Apart += c.Apart
	}
	kinds := map[string]measure.Kind{}
	for _, s := range r.Subjects {
		kinds[s.Name] = s.Kind
		if s.About != "" {
			v.Names = append(v.Names, s)
		}
		v.Peers = v.Peers || s.Kind == measure.Peer && s.Name != "rate.Limiter-map"
	}
	v.Decisions = decisions(r, kinds)
	v.Scaling = scaling(r, kinds)
	v.Back, v.Schedule = latencies(r)
	v.Memory = memory(r, kinds)
	for _, t := range r.Targets {
		v.Targets = append(v.Targets, targetRow{t.Name, fmt.Sprintf("%.4g %s", t.Goal, t.Unit), fmt.Sprintf("%.4g", t.Got), t.Against, t.Reached})
	}
	var text strings.Builder
	if err := digest.Table(&text, r); err != nil {
		return err
	}
	v.Table = text.String()
	return page.Execute(w, v)
}

func cards(r *measure.Report) (all []card) {
	procs := 0
	for _, c := range r.Cells {
		procs = max(procs, c.Procs)
	}
	for _, c := range r.Cells {
		if c.Subject == "weir" && c.Workload == "hot" && c.Procs == procs {
			name := "allowed, one key"
			if c.Denied {
				name = "denied, one key"
			}
			all = append(all, card{name, digest.Time(c.NsPerOp), fmt.Sprintf("%d goroutines at once, %.3g allocations", c.Procs, c.Allocs)})
		}
	}
	for _, l := range r.Latency {
		switch {
		case l.Subject == "weir" && l.Workload == "hot" && !l.Denied && l.EveryNs == 0:
			all = append(all, card{"p99 of a decision", digest.Time(float64(l.P99Ns)), "one key, with the two readings of the clock"})
		case l.Subject == "weir serve" && l.During == "":
			all = append(all, card{"p99 of the whole proxy", digest.Time(float64(l.P99Ns)), "over loopback, with the client's share"})
		}
	}
	for _, m := range r.Memory {
		if m.Subject == "weir" {
			all = append(all, card{"memory a key", fmt.Sprintf("%.0f B", m.BytesPerKey), fmt.Sprintf("with the key, of %s", count(m.Keys))})
		}
	}
	return all
}

// count writes a number with spaces between the thousands.
func count(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

var workloads = map[string]string{
	"hot":      "one key",
	"1k":       "1,000 keys",
	"zipf100k": "100,000 keys, Zipf",
	"1m":       "a million keys",
	"miss":     "each key new, another evicted",
}

func workloadName(name string, denied bool) string {
	text := workloads[name]
	if text == "" {
		text = name
	}
	if denied {
		return text + ", denied"
	}
	return text
}

func class(k measure.Kind) string {
	switch k {
	case measure.Ours:
		return "ours"
	case measure.Floor:
		return "floor"
	}
	return "peer"
}

// decisions draws what a decision takes, a figure for each workload.
func decisions(r *measure.Report, kinds map[string]measure.Kind) (all []figure) {
	for _, w := range workloadsOf(r) {
		var rows []bar
		procs := 0
		for _, c := range r.Cells {
			if c.Workload == w.name && c.Denied == w.denied {
				procs = max(procs, c.Procs)
			}
		}
		for _, c := range r.Cells {
			if c.Workload != w.name || c.Denied != w.denied || c.Procs != procs {
				continue
			}
			b := bar{
				name: c.Subject, class: class(kinds[c.Subject]), value: c.NsPerOp, apart: c.Mad, text: digest.Time(c.NsPerOp),
				title: fmt.Sprintf("%s: %s ± %s, %.3g allocations, with %d goroutines", c.Subject, digest.Time(c.NsPerOp), digest.Time(c.Mad), c.Allocs, c.Procs),
			}
			if c.Allocs >= 0.5 {
				b.text += fmt.Sprintf(" · %.2g a", c.Allocs)
			}
			if one := find(r, &c, 1); one != nil && procs > 1 {
				b.mark = one.NsPerOp
				b.title += fmt.Sprintf("; with one %s", digest.Time(one.NsPerOp))
			}
			rows = append(rows, b)
		}
		slices.SortStableFunc(rows, func(a, b bar) int {
			switch {
			case a.value < b.value:
				return -1
			case a.value > b.value:
				return 1
			}
			return 0
		})
		title := workloadName(w.name, w.denied)
		all = append(all, figure{Title: title, Drawing: bars("Time of a decision: "+title, rows, axisTime)})
	}
	return all
}

type workload struct {
	name   string
	denied bool
}

// workloadsOf returns those of a report in order: the denied beside the allowed.
func workloadsOf(r *measure.Report) (all []workload) {
	var names []string
	for _, c := range r.Cells {
		if !slices.Contains(names, c.Workload) {
			names = append(names, c.Workload)
		}
	}
	for _, name := range names {
		for _, denied := range []bool{false, true} {
			if slices.ContainsFunc(r.Cells, func(c measure.Cell) bool { return c.Workload == name && c.Denied == denied }) {
				all = append(all, workload{name, denied})
			}
		}
	}
	return all
}

func find(r *measure.Report, like *measure.Cell, procs int) *measure.Cell {
	for i := range r.Cells {
		c := &r.Cells[i]
		if c.Subject == like.Subject && c.Workload == like.Workload && c.Denied == like.Denied && c.Procs == procs {
			return c
		}
	}
	return nil
}

// mostLines is how many lines of a chart can be told apart.
const mostLines = 6

// scaling draws decisions a second by goroutines: weir and the fastest others.
func scaling(r *measure.Report, kinds map[string]measure.Kind) (all []figure) {
	for _, w := range workloadsOf(r) {
		if w.denied {
			continue
		}
		var cells []measure.Cell // of the most goroutines
		var procs []float64
		for _, c := range r.Cells {
			if c.Workload == w.name && !c.Denied && kinds[c.Subject] != measure.Floor {
				if !slices.Contains(procs, float64(c.Procs)) {
					procs = append(procs, float64(c.Procs))
				}
			}
		}
		slices.Sort(procs)
		if len(procs) < 2 {
			continue
		}
		last := procs[len(procs)-1]
		for _, c := range r.Cells {
			if c.Workload == w.name && !c.Denied && kinds[c.Subject] != measure.Floor && float64(c.Procs) == last {
				cells = append(cells, c)
			}
		}
		slices.SortStableFunc(cells, func(a, b measure.Cell) int {
			if ours := a.Subject == "weir"; ours != (b.Subject == "weir") {
				if ours {
					return -1
				}
				return 1
			}
			if a.NsPerOp < b.NsPerOp {
				return -1
			}
			return 1
		})
		most := 0.0
		var charted []series
		for i, c := range cells[:min(len(cells), mostLines)] {
			one := series{name: c.Subject, colour: i, title: c.Subject}
			for _, p := range procs {
				if at := find(r, &c, int(p)); at != nil {
					one.x, one.y = append(one.x, p), append(one.y, 1e3/at.NsPerOp)
					most = max(most, 1e3/at.NsPerOp)
				}
			}
			charted = append(charted, one)
		}
		step := roundStep(most / 4)
		var ticks []float64
		for v := 0.0; v < most+step; v += step {
			ticks = append(ticks, v)
		}
		number := func(v float64) string { return fmt.Sprintf("%.4g", v) }
		x := linear(procs[0], last, plotLeft+8, plotRight-8, procs, number)
		y := linear(0, ticks[len(ticks)-1], plotBottom, plotTop, ticks, number)
		title := workloadName(w.name, false)
		all = append(all, figure{Title: title, Drawing: lines("Decisions a second by goroutines: "+title, "million a second; below: goroutines", charted, x, y)})
	}
	return all
}

// latencies draws percentiles: of requests back to back, and on a schedule.
func latencies(r *measure.Report) (back, schedule []figure) {
	type group struct {
		workload string
		denied   bool
		every    int64
	}
	var order []group
	members := map[group][]measure.Latency{}
	for _, l := range r.Latency {
		g := group{l.Workload, l.Denied, l.EveryNs}
		if members[g] == nil {
			order = append(order, g)
		}
		members[g] = append(members[g], l)
	}
	for _, g := range order {
		least, most, furthest := math.Inf(1), 0.0, 0.0
		var charted []series
		colour := 0
		for _, l := range members[g] {
			one := series{name: l.Subject, colour: colour}
			if l.Subject == "noop" || l.Subject == "no limiter" { // what is only there for comparison is grey
				one.colour = mostLines - 1
			} else {
				colour = (colour + 1) % (mostLines - 1)
			}
			switch {
			case l.During != "":
				one.name += " during " + l.During
			case g.every > 0 && g.workload != "proxy":
				one.name += " alone"
			}
			one.title = fmt.Sprintf("%s: p50 %s, p99 %s, p99.9 %s, max %s", one.name, digest.Time(float64(l.P50Ns)), digest.Time(float64(l.P99Ns)), digest.Time(float64(l.P999Ns)), digest.Time(float64(l.MaxNs)))
			for _, p := range l.Curve {
				n := math.Log10(float64(max(l.Count, 1)))
				if p.Part < 1 {
					n = min(-math.Log10(1-p.Part), n)
				}
				one.x, one.y = append(one.x, n), append(one.y, float64(max(p.Ns, 1)))
				least, most, furthest = min(least, float64(max(p.Ns, 1))), max(most, float64(p.Ns)), max(furthest, n)
			}
			charted = append(charted, one)
		}
		f := figure{Title: workloadName(g.workload, g.denied)}
		l := members[g][0]
		switch {
		case g.workload == "proxy":
			f.Title = "The whole proxy, over loopback"
			f.Note = fmt.Sprintf("%d connections, each with a request every %s", l.Procs, axisTime(float64(g.every)))
		case g.every > 0:
			f.Title = "Decisions, " + f.Title
			f.Note = fmt.Sprintf("%s, a request every %s", goroutines(l.Procs), axisTime(float64(g.every)))
		default:
			f.Note = goroutines(l.Procs) + ", back to back"
		}
		f.Drawing = lines("Latency by percentile: "+f.Title, "latency; below: % of the requests that took at most so long", charted, nines(furthest), logTime(least, most))
		if g.every > 0 {
			schedule = append(schedule, f)
		} else {
			back = append(back, f)
		}
	}
	return back, schedule
}

func goroutines(n int) string {
	if n == 1 {
		return "1 goroutine"
	}
	return fmt.Sprintf("%d goroutines", n)
}

// memory draws the bytes of a key, and the cost of a garbage collection.
func memory(r *measure.Report, kinds map[string]measure.Kind) []figure {
	if len(r.Memory) == 0 {
		return nil
	}
	var bytes, gc []bar
	for _, m := range r.Memory {
		b := bar{name: m.Subject, class: class(kinds[m.Subject])}
		b.value, b.text = m.BytesPerKey, fmt.Sprintf("%.0f B", m.BytesPerKey)
		b.title = fmt.Sprintf("%s: %.0f bytes a key of %d", m.Subject, m.BytesPerKey, m.Keys)
		bytes = append(bytes, b)
		b.value, b.text = m.GCCPUMs*1e6, digest.Time(m.GCCPUMs*1e6)
		b.title = fmt.Sprintf("%s: %s of CPU time for a garbage collection with %d keys", m.Subject, b.text, m.Keys)
		gc = append(gc, b)
	}
	byValue := func(a, b bar) int {
		if a.value < b.value {
			return -1
		}
		return 1
	}
	slices.SortStableFunc(bytes, byValue)
	slices.SortStableFunc(gc, byValue)
	keys := count(r.Memory[0].Keys) + " keys"
	return []figure{
		{Title: "Bytes a key", Note: keys + "; the bytes of the key are in it", Drawing: bars("Bytes a key", bytes, func(v float64) string { return fmt.Sprintf("%.0f B", v) })},
		{Title: "A garbage collection", Note: keys + "; CPU time", Drawing: bars("CPU time of a garbage collection", gc, axisTime)},
	}
}

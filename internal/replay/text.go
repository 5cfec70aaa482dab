package replay

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/seed-0c889b51/weir/internal/oneline"
)

// instantText is how instants are written.
const instantText = "2006-01-02 15:04:05"

// textTop is how many keys the text shows of each limit.
const textTop = 5

// WriteText writes the result for a person, in lines of a terminal.
func (r *Result) WriteText(w io.Writer) error {
	out := bufio.NewWriter(w)
	line := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	line("%s of %s, %s", plural(r.Lines.Requests, "request"), r.Span(), strings.Join(r.Files, ", "))
	for _, text := range r.LineNotes() {
		line("  %s", text)
	}
	for _, b := range r.Bad {
		text := ""
		if b.Text != "" {
			text = ": " + b.Text
		}
		line("  %s", oneline.Text(fmt.Sprintf("%s, line %d: %s%s", b.File, b.Line, b.Problem, text)))
	}
	if more := r.Lines.Bad - int64(len(r.Bad)); more > 0 && len(r.Bad) > 0 {
		line("  and %s more", number(more))
	}
	line("")
	r.Present.write(out, r.Lines.Requests)
	if at, denied, ok := r.Timeline.Busiest(); ok {
		line("  most in the %s from %s: %s", r.Timeline.Step(), at.Format(instantText), number(denied))
	}
	if d := r.Difference; d != nil {
		line("")
		line("Candidate")
		r.Candidate.write(out, r.Lines.Requests)
		line("  against the limits above: %s more denied, %s fewer; %s newly hurt, %s spared",
			plural(d.OnlyCandidate, "request"), number(d.OnlyPresent), plural(d.ClientsNewlyHit, "client"), number(d.ClientsSpared))
	}
	hidden := false
	for _, l := range r.Present.Limits {
		if len(l.Top) > 0 {
			hidden = hidden || !r.ShowsClients
			line("")
			line("Denied most by %s", l.Limit)
			table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			for _, h := range l.Top[:min(len(l.Top), textTop)] {
				fmt.Fprintf(table, "  %s\t%s\tfrom %s\tto %s\n", oneline.Text(h.Key), plural(h.Denied, "time"), h.First.Format(instantText), h.Last.Format(instantText))
			}
			table.Flush()
		}
	}
	if hidden {
		line("  (# is a hash by a secret of this run, since addresses are personal data; --show-clients shows who it is)")
	}
	for _, l := range r.Present.Limits {
		if len(l.Fits) == 0 {
			continue
		}
		line("")
		line("What would fit in place of %s", l.Limit)
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintf(table, "  never denied\tleast limit\tor with the same quota\n")
		for _, f := range l.Fits {
			fmt.Fprintf(table, "  %g %% of %s\t%s\t%s\n", f.Percent, number(l.Keys), f.Flag, f.Burst)
		}
		table.Flush()
		last := l.Fits[len(l.Fits)-1]
		line("  in the configuration file, for %g %%:", last.Percent)
		for text := range strings.Lines(last.YAML) {
			fmt.Fprintf(out, "    %s", text)
		}
	}
	for _, n := range r.Notes {
		line("note: %s", oneline.Text(n))
	}
	return out.Flush()
}

// Span says from when to when the requests are.
func (r *Result) Span() string {
	if r.From == nil {
		return "no time at all"
	}
	return r.From.Format(instantText) + " to " + r.To.Format(instantText) + " UTC"
}

// LineNotes says which lines were not simply requests in order.
func (r *Result) LineNotes() []string {
	var notes []string
	if n := r.Lines.OutOfOrder; n > 0 {
		notes = append(notes, plural(n, "line")+" with an earlier time than one before, put in order")
	}
	if n := r.Lines.Other; n > 0 {
		notes = append(notes, plural(n, "line")+" that are of no request")
	}
	if n := r.Lines.Bad; n > 0 {
		notes = append(notes, plural(n, "line")+" that could not be read")
	}
	return notes
}

func (o *Outcome) write(w io.Writer, requests int64) {
	for _, l := range o.Limits {
		fmt.Fprintf(w, "%s\n  %s of %s would be denied (%s), of %s of %s\n", l.Limit,
			number(l.Denied), plural(requests, "request"), Share(l.Denied, requests), number(l.KeysHurt), plural(l.Keys, "key"))
	}
	if len(o.Limits) > 1 {
		fmt.Fprintf(w, "all together\n  %s of %s would be denied (%s)\n", number(o.Denied), plural(requests, "request"), Share(o.Denied, requests))
	}
	if o.Denied > 0 {
		fmt.Fprintf(w, "  %s hurt, first %s, last %s\n", plural(o.ClientsHurt, "client"), o.First.Format(instantText), o.Last.Format(instantText))
	}
}

// Share writes which part of a whole a number is, in percent.
func Share(part, whole int64) string {
	switch p := 100 * float64(part) / float64(max(whole, 1)); {
	case part == 0:
		return "0 %"
	case p < 0.01:
		return "less than 0.01 %"
	case p < 10:
		return fmt.Sprintf("%.2g %%", p)
	default:
		return fmt.Sprintf("%.3g %%", p)
	}
}

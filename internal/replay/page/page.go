// Package page shows the result of a replay as one HTML page that needs nothing
// else: no network, no script, no font.
package page

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/seed-0c889b51/weir/internal/replay"
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

type row struct{ Limit, Of, Denied, Hurt, Keys string }

type fit struct {
	Limit string
	Need  figure
	Fits  []replay.Fit
	YAML  string
}

type top struct {
	Limit string
	Keys  []key
}

type key struct{ Key, Times, First, Last string }

type view struct {
	Files, Span, Difference string
	LineNotes, Notes        []string
	Cards                   []card
	Time                    *figure
	Candidate, Hidden       bool
	Rows                    []row
	Fits                    []fit
	Tops                    []top
	Bad                     []replay.BadLine
}

const instantText = "2006-01-02 15:04:05"

// Write writes the page of a result.
func Write(w io.Writer, r *replay.Result) error {
	v := view{
		Files: strings.Join(r.Files, ", "), Span: r.Span(), LineNotes: r.LineNotes(), Notes: r.Notes,
		Cards: cards(r), Candidate: r.Candidate != nil, Rows: rows("", r.Present, r.Lines.Requests), Bad: r.Bad,
	}
	if r.From != nil {
		v.Time = &figure{
			Title:   "Requests over time",
			Note:    "in UTC",
			Drawing: timeline(&r.Timeline),
		}
	}
	if r.Candidate != nil {
		v.Rows = append(v.Rows, rows("candidate", *r.Candidate, r.Lines.Requests)...)
		d := r.Difference
		v.Difference = fmt.Sprintf("The candidate denies %s requests more and %s fewer; it newly hurts %s clients and spares %s.",
			count(d.OnlyCandidate), count(d.OnlyPresent), count(d.ClientsNewlyHit), count(d.ClientsSpared))
	}
	for _, l := range r.Present.Limits {
		if len(l.Fits) > 0 {
			f := fit{Limit: l.Limit, Fits: l.Fits}
			last := l.Fits[len(l.Fits)-1]
			f.YAML = fmt.Sprintf("# never denies %g %% of them\n%s", last.Percent, last.YAML)
			f.Need = figure{
				Title:   "Least quota by how many are never denied",
				Note:    fmt.Sprintf("of %s keys; the dots are the rows of the table", count(l.Keys)),
				Drawing: needs(l),
			}
			if strings.Contains(string(f.Need.Drawing), dashed) {
				f.Need.Note += ", the dashed line is the limit as it is"
			}
			v.Fits = append(v.Fits, f)
		}
		if len(l.Top) > 0 {
			t := top{Limit: l.Limit}
			for _, h := range l.Top {
				t.Keys = append(t.Keys, key{h.Key, count(h.Denied), h.First.Format(instantText), h.Last.Format(instantText)})
			}
			v.Tops = append(v.Tops, t)
			v.Hidden = v.Hidden || !r.ShowsClients
		}
	}
	return page.Execute(w, v)
}

func cards(r *replay.Result) []card {
	all := []card{{"requests", count(r.Lines.Requests), fmt.Sprintf("of %s lines", count(r.Lines.All))}}
	note := "by the limits together"
	if at, denied, ok := r.Timeline.Busiest(); ok {
		note = fmt.Sprintf("%s of them in the %s from %s", count(denied), r.Timeline.Step(), at.Format(instantText))
	}
	all = append(all, card{"would be denied", replay.Share(r.Present.Denied, r.Lines.Requests), count(r.Present.Denied) + "; " + note})
	hurt := "nobody was denied"
	if r.Present.First != nil {
		hurt = "first " + r.Present.First.Format(instantText) + ", last " + r.Present.Last.Format(instantText)
	}
	all = append(all, card{"clients hurt", count(r.Present.ClientsHurt), hurt})
	if r.Candidate != nil {
		all = append(all, card{"denied by the candidate", replay.Share(r.Candidate.Denied, r.Lines.Requests),
			fmt.Sprintf("%s; %s clients hurt", count(r.Candidate.Denied), count(r.Candidate.ClientsHurt))})
	}
	return all
}

func rows(of string, o replay.Outcome, requests int64) []row {
	var all []row
	for _, l := range o.Limits {
		all = append(all, row{l.Limit, of, fmt.Sprintf("%s (%s)", count(l.Denied), replay.Share(l.Denied, requests)), count(l.KeysHurt), count(l.Keys)})
	}
	return all
}

// count writes a number with thin spaces between the thousands.
func count(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

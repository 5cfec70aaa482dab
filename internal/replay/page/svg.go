package page

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
	"time"

	"github.com/seed-0c889b51/weir/internal/policy"
	"github.com/seed-0c889b51/weir/internal/replay"
)

// The drawings, in units of which text is 11 high on a screen of usual width.
const (
	width, height = 480.0, 230.0
	left, right   = 44.0, width - 12
	above, below  = 14.0, height - 26
)

// An svg is a drawing in progress.
type svg struct{ strings.Builder }

func (s *svg) add(format string, args ...any) { fmt.Fprintf(s, format, args...) }

// text writes text; anchor is start, middle or end.
func (s *svg) text(x, y float64, anchor, text string) {
	s.add(`<text x="%.1f" y="%.1f" class="tick" text-anchor="%s">%s</text>`, x, y, anchor, html.EscapeString(text))
}

func (s *svg) line(x1, y1, x2, y2 float64, class string) {
	s.add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`, x1, y1, x2, y2, class)
}

func (s *svg) done(label string) template.HTML {
	return template.HTML(fmt.Sprintf(`<svg viewBox="0 0 %g %g" role="img" aria-label="%s">%s</svg>`, width, height, html.EscapeString(label), s.String()))
}

// timeline draws requests over time, those denied at the bottom of each bar, and
// a line of what the candidate denies.
func timeline(t *replay.Timeline) template.HTML {
	const columns = 120 // bars that can be told apart on a phone
	per := (len(t.Requests) + columns - 1) / columns
	var all, denied, candidate []float64
	for i := 0; i < len(t.Requests); i += per {
		var a, d, c float64
		for j := i; j < min(i+per, len(t.Requests)); j++ {
			a, d = a+float64(t.Requests[j]), d+float64(t.Denied[j])
			if len(t.Candidate) > 0 {
				c += float64(t.Candidate[j])
			}
		}
		all, denied, candidate = append(all, a), append(denied, d), append(candidate, c)
	}
	most := 1.0
	for _, a := range all {
		most = max(most, a)
	}
	s := &svg{}
	y := func(v float64) float64 { return below - v/most*(below-above) }
	step := max(roundStep(most/4), 1)
	for v := 0.0; v <= most; v += step {
		s.line(left, y(v), right, y(v), "rule")
		s.text(left-5, y(v)+4, "end", short(v))
	}
	each := (right - left) / float64(len(all))
	gap := 0.0
	if each > 5 {
		gap = 1
	}
	for i := range all {
		x := left + float64(i)*each
		from := t.From.Add(time.Duration(float64(i*per) * t.StepS * float64(time.Second)))
		s.add(`<g><title>%s: %.0f requests, %.0f denied</title>`, from.Format(instantText), all[i], denied[i])
		s.add(`<rect x="%.1f" y="%.1f" width="%.2f" height="%.1f" class="all"/>`, x, y(all[i]), each-gap, below-y(all[i]))
		if denied[i] > 0 {
			h := max(below-y(denied[i]), 1)
			s.add(`<rect x="%.1f" y="%.1f" width="%.2f" height="%.1f" class="denied"/>`, x, below-h, each-gap, h)
		}
		s.add(`</g>`)
	}
	if len(t.Candidate) > 0 {
		points := make([]string, len(candidate))
		for i, c := range candidate {
			points[i] = fmt.Sprintf("%.1f,%.1f", left+(float64(i)+0.5)*each, y(c))
		}
		s.add(`<polyline class="line candidate" points="%s"/>`, strings.Join(points, " "))
	}
	span := time.Duration(float64(len(t.Requests)) * t.StepS * float64(time.Second))
	layout := "2 Jan 15:04"
	switch {
	case span < 20*time.Minute:
		layout = "15:04:05"
	case span < 20*time.Hour:
		layout = "15:04"
	case span > 20*24*time.Hour:
		layout = "2 Jan 2006"
	}
	const ticks = 3
	for i := range ticks + 1 {
		part := float64(i) / ticks
		anchor := [...]string{"start", "middle", "middle", "end"}[i]
		s.text(left+part*(right-left), below+15, anchor, t.From.Add(time.Duration(part*float64(span))).Format(layout))
	}
	return s.done("Requests over time, and how many of them were denied")
}

// needs draws the least quota by the part of the keys that are never denied.
func needs(l replay.LimitOutcome) template.HTML {
	if len(l.Needs) == 0 {
		return ""
	}
	most := float64(l.Needs[len(l.Needs)-1].Quota)
	var present float64
	if p, err := policy.Parse(l.Limit); err == nil && p.Limit.Burst == p.Limit.Quota {
		present = float64(p.Limit.Quota)
		most = max(most, present)
	}
	high := max(math.Ceil(math.Log10(most)+1e-9), 1)
	s := &svg{}
	y := func(quota float64) float64 { return below - math.Log10(max(quota, 1))/high*(below-above) }
	x := func(part float64) float64 { return left + min(nines(part), lastNine)/lastNine*(right-left) }
	for p := 0.0; p <= high; p++ {
		v := math.Pow(10, p)
		s.line(left, y(v), right, y(v), "rule")
		s.text(left-5, y(v)+4, "end", short(v))
	}
	for i, name := range [...]string{"0 %", "90 %", "99 %", "99.9 %", "99.99 %"} {
		at := left + float64(i)/lastNine*(right-left)
		s.line(at, above, at, below, "rule")
		anchor := "middle"
		if i == lastNine {
			anchor = "end"
		}
		s.text(at, below+15, anchor, name)
	}
	// So many need this quota, or less: the line steps up where it is not enough.
	points := []string{fmt.Sprintf("%.1f,%.1f", x(0), y(float64(l.Needs[0].Quota)))}
	for i, n := range l.Needs {
		points = append(points, fmt.Sprintf("%.1f,%.1f", x(n.Part), y(float64(n.Quota))))
		if i+1 < len(l.Needs) {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(n.Part), y(float64(l.Needs[i+1].Quota))))
		}
	}
	s.add(`<polyline class="line need" points="%s"/>`, strings.Join(points, " "))
	if present > 0 {
		s.line(left, y(present), right, y(present), "mark")
	}
	for _, f := range l.Fits {
		p, err := policy.Parse(f.Limit)
		if err != nil {
			continue
		}
		s.add(`<circle cx="%.1f" cy="%.1f" r="3.5" class="dot"><title>%g %%: %s</title></circle>`,
			x(f.Percent/100), y(float64(p.Limit.Quota)), f.Percent, html.EscapeString(f.Limit))
	}
	return s.done("Least quota, from below, by the part of the keys that are never denied")
}

// dashed is what a drawing has just if the limit is in it as a line: it has no
// burst of its own.
const dashed = `class="mark"`

// lastNine is how many nines of a part are drawn.
const lastNine = 4

// nines returns how many nines a part has, in steps that have no corners.
func nines(part float64) float64 {
	if part >= 1 {
		return lastNine
	}
	return -math.Log10(1 - part)
}

// roundStep returns 1, 2 or 5 times a power of ten, about as large as v.
func roundStep(v float64) float64 {
	if !(v > 0) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*power {
			return m * power
		}
	}
	return 10 * power
}

// short writes a number in few characters.
func short(v float64) string {
	switch {
	case v >= 1e9:
		return fmt.Sprintf("%gG", v/1e9)
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%gk", v/1e3)
	}
	return fmt.Sprintf("%g", v)
}

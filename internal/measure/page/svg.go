package page

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"

	"github.com/seed-0c889b51/weir/internal/measure"
	"github.com/seed-0c889b51/weir/internal/measure/digest"
)

// width is that of all drawings, in units of which text is 11 high. They are as
// wide as there is room, at most some 1.4 px a unit.
const width = 400

// An svg is a drawing in progress.
type svg struct{ strings.Builder }

func (s *svg) add(format string, args ...any) { fmt.Fprintf(s, format, args...) }

// text writes text; anchor is start, middle or end.
func (s *svg) text(x, y float64, class, anchor, text string) {
	s.add(`<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`, x, y, class, anchor, html.EscapeString(text))
}

func (s *svg) line(x1, y1, x2, y2 float64, class string) {
	s.add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`, x1, y1, x2, y2, class)
}

func (s *svg) done(height float64, label string) template.HTML {
	return template.HTML(fmt.Sprintf(`<svg viewBox="0 0 %d %.0f" role="img" aria-label="%s">%s</svg>`, width, height, html.EscapeString(label), s.String()))
}

// cutBeyond is how many times as long as the usual a bar may be.
const cutBeyond = 6

// A bar is one row of a bar chart.
type bar struct {
	name  string
	class string  // ours, peer or floor
	value float64 // of the bar
	apart float64 // how far rounds are from it, ±
	mark  float64 // of the dot; 0 is none
	text  string  // the value as it is written
	title string  // what is said when pointed at
}

// bars draws a bar chart from 0 on.
func bars(label string, rows []bar, unit func(float64) string) template.HTML {
	const (
		top, pitch = 4, 19
		axis       = 18
		letter     = 7.1 // about as wide as one is on a phone, where text is larger
	)
	most, left, right := 0.0, 60.0, 50.0
	values := make([]float64, len(rows))
	for i, r := range rows {
		values[i] = r.value
		most = max(most, r.value+r.apart, r.mark)
		left = max(left, letter*float64(len(r.name))+8)
		right = max(right, letter*float64(len([]rune(r.text))+2)+8)
	}
	// One that is far out would make all others too short to be told apart: it
	// is cut off, and says so.
	if usual := cutBeyond * measure.Median(values); len(rows) > 2 && most > usual && usual > 0 {
		most = usual
	}
	step := roundStep(most / 3)
	if most == 0 {
		most, step = 1, 1
	}
	scale := func(v float64) float64 { return left + v/most*(width-left-right) }
	bottom := top + pitch*float64(len(rows))
	s := &svg{}
	for v := 0.0; v <= most*1.0001; v += step {
		s.line(scale(v), top, scale(v), bottom, "grid")
		s.text(scale(v), bottom+12, "tick", "middle", unit(v))
	}
	for i, r := range rows {
		y := top + pitch*float64(i)
		s.add(`<g><title>%s</title>`, html.EscapeString(r.title))
		if max(r.value+r.apart, r.mark) > most {
			if r.value > most {
				r.text = "› " + r.text
			}
			r.value, r.apart, r.mark = min(r.value, most), min(r.apart, most-min(r.value, most)), min(r.mark, most)
		}
		s.text(left-6, y+13, "name "+r.class, "end", r.name)
		s.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="12" rx="1.5" class="bar %s"/>`, scale(0), y+3, max(scale(r.value)-scale(0), 0.5), r.class)
		if r.apart > 0 {
			s.line(scale(max(r.value-r.apart, 0)), y+9, scale(r.value+r.apart), y+9, "whisker")
		}
		if r.mark > 0 {
			s.add(`<circle cx="%.1f" cy="%.1f" r="3" class="dot"/>`, scale(r.mark), y+9)
		}
		s.text(scale(max(r.value+r.apart, r.mark))+7, y+13, "value", "start", r.text)
		s.add(`</g>`)
	}
	return s.done(bottom+axis, label)
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

// A series is one line of a chart.
type series struct {
	name   string
	colour int // of those in the style sheet
	x, y   []float64
	title  string
}

// A scale maps what is measured to places in a drawing, and says where the
// lines are drawn.
type scale struct {
	place func(float64) float64
	ticks []float64
	write func(float64) string
}

// tickLetter is about as wide as a letter at an axis is, on a phone.
const tickLetter = 6.6

// The place of the plot in a drawing.
const (
	plotLeft, plotRight, plotTop, plotBottom = 52.0, width - 12.0, 24.0, 216.0
	plotHeight                               = 242.0
)

// lines draws a chart with a legend below.
func lines(label, yName string, all []series, x, y scale) template.HTML {
	s := &svg{}
	for _, v := range y.ticks {
		s.line(plotLeft, y.place(v), plotRight, y.place(v), "grid")
		s.text(plotLeft-6, y.place(v)+4, "tick", "end", y.write(v))
	}
	taken := 0.0 // by the label before
	for _, v := range x.ticks {
		at, text := x.place(v), x.write(v)
		s.line(at, plotTop, at, plotBottom, "grid")
		wide := tickLetter * float64(len([]rune(text)))
		anchor, from := "middle", at-wide/2
		if at+wide/2 > width {
			anchor, from = "end", at-wide // or it would be cut off
		}
		if from > taken || taken == 0 {
			s.text(at, plotBottom+14, "tick", anchor, text)
			taken = from + wide + tickLetter
		}
	}
	s.text(0, 10, "tick", "start", yName)
	for _, one := range all {
		var points []string
		for i := range one.x {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x.place(one.x[i]), y.place(one.y[i])))
		}
		s.add(`<g><title>%s</title><polyline class="line c%d" points="%s"/>`, html.EscapeString(one.title), one.colour, strings.Join(points, " "))
		if len(points) <= 12 {
			for i := range one.x {
				s.add(`<circle cx="%.1f" cy="%.1f" r="3" class="point c%d"/>`, x.place(one.x[i]), y.place(one.y[i]), one.colour)
			}
		}
		s.add(`</g>`)
	}
	return s.done(plotHeight, label) + legend(all)
}

func legend(all []series) template.HTML {
	var out strings.Builder
	out.WriteString(`<ul class="legend">`)
	for _, one := range all {
		fmt.Fprintf(&out, `<li><i class="c%d"></i>%s</li>`, one.colour, html.EscapeString(one.name))
	}
	out.WriteString(`</ul>`)
	return template.HTML(out.String())
}

// logTime returns the scale of times, from the power of ten below the least.
func logTime(least, most float64) scale {
	low := math.Floor(math.Log10(max(least, 1)))
	high := max(math.Ceil(math.Log10(max(most, 1))), low+1)
	sc := scale{
		place: func(ns float64) float64 {
			return plotBottom - (math.Log10(max(ns, math.Pow(10, low)))-low)/(high-low)*(plotBottom-plotTop)
		},
		write: axisTime,
	}
	for p := low; p <= high; p++ {
		sc.ticks = append(sc.ticks, math.Pow(10, p))
	}
	return sc
}

// axisTime writes a time of an axis without digits that say nothing.
func axisTime(ns float64) string {
	if ns == 0 {
		return "0"
	}
	number, unit, _ := strings.Cut(digest.Time(ns), " ")
	if strings.Contains(number, ".") {
		number = strings.TrimRight(strings.TrimRight(number, "0"), ".")
	}
	return number + " " + unit
}

// nines returns the scale of parts of all requests by how many nines they have.
func nines(most float64) scale {
	names := []string{"0", "90", "99", "99.9", "99.99", "99.999", "99.9999", "99.99999"}
	most = max(most, 1)
	sc := scale{
		place: func(n float64) float64 { return plotLeft + n/most*(plotRight-plotLeft) },
		write: func(n float64) string {
			return names[min(int(n), len(names)-1)]
		},
	}
	for n := 0.0; n <= most && int(n) < len(names); n++ {
		sc.ticks = append(sc.ticks, n)
	}
	return sc
}

// linear returns scales of numbers from 0, or for x from 1.
func linear(from, most, start, end float64, ticks []float64, write func(float64) string) scale {
	return scale{
		place: func(v float64) float64 {
			if most == from {
				return (start + end) / 2
			}
			return start + (v-from)/(most-from)*(end-start)
		},
		ticks: ticks, write: write,
	}
}

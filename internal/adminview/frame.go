package adminview

import (
	"fmt"
	"strings"
	"time"

	"github.com/seed-0c889b51/weir/internal/adminapi"
	"github.com/seed-0c889b51/weir/internal/oneline"
)

// A View is what weir top shows at one time.
type View struct {
	Status *adminapi.Status // nil before the first answer
	Keys   []adminapi.Key   // those with least left first
	// KeysNote says why there are no keys to show.
	KeysNote string
	Trend    *Trend
	// At is when Status and Keys came, and Now is the time: what counts down
	// goes on in between.
	At, Now time.Time
	// Problem is why there is no news, "" if there is.
	Problem string
	// Colour and Unicode tell what the terminal can show.
	Colour, Unicode bool
}

// A style is how text looks where there are colours.
type style string

const (
	plain style = ""
	bold  style = "1"
	dim   style = "2"
	red   style = "31"
	green style = "32"
	amber style = "33"
	blue  style = "36"
	alarm style = "1;31"
)

// A piece is text in one style. None has a control character.
type piece struct {
	style style
	text  string
}

// Lines draws the view: at most height lines, none wider than width columns and
// without an end of line. A height of 0 is any number.
func (v *View) Lines(width, height int) []string {
	var lines [][]piece
	add := func(pieces ...piece) { lines = append(lines, pieces) }
	s := v.Status
	if s == nil {
		add(piece{alarm, v.Problem})
		return v.draw(lines, width, height)
	}
	add(piece{bold, "weir"}, piece{plain, " " + oneline.Text(s.Version) + "  up " + Span(s.UptimeMs) + "  " + oneline.Text(s.Listen) + " to " + upstreamText(s.Upstreams)})
	state := piece{dim, "state " + stateText(&s.State)}
	if s.State.Error != "" {
		state.style = alarm
	}
	add(state)
	if v.Problem != "" {
		add(piece{alarm, fmt.Sprintf("no news for %s: %s", Span(v.Now.Sub(v.At).Milliseconds()), v.Problem)})
	}
	for _, n := range notes(s) {
		of := map[string]piece{adminapi.LevelError: {alarm, "error   "}, adminapi.LevelWarning: {amber, "warning "}, adminapi.LevelInfo: {blue, "note    "}}[n.level]
		add(of, piece{plain, n.text})
		if n.cure != "" {
			add(piece{dim, "  cure  " + n.cure})
		}
	}
	if len(notes(s)) == 0 {
		add(piece{green, "all is well"}, piece{dim, ": no warning since the start"})
	}
	const roomy = 16 // lines: enough for empty ones in between
	if height == 0 || height >= roomy {
		add()
	}
	v.limits(add, width)
	if height == 0 || height >= roomy {
		add()
	}
	left := 0
	if height > 0 {
		left = max(1, height-len(lines))
	}
	v.keys(add, width, left)
	return v.draw(lines, width, height)
}

// limits adds a line for each limit.
func (v *View) limits(add func(...piece), width int) {
	longest := len("LIMIT")
	for i := range v.Status.Policies {
		longest = max(longest, widthOf(name(&v.Status.Policies[i])))
	}
	numbers, asked := 10+9+12+8+7, true
	if width < longest+numbers {
		numbers, asked = numbers-12, false
	}
	named := max(8, min(longest, width-numbers))
	each := min(points, (width-named-numbers-4)/2) // columns of a strip
	strips := v.Trend != nil && each >= 8
	figures := func(consulted, denied, peak string) string {
		text := fit(denied, 8, true) + fit(peak, 7, true)
		if asked {
			text = fit(consulted, 12, true) + text
		}
		return text
	}
	head := fit("LIMIT", named, false) + fit("allowed/s", 10, true) + fit("denied/s", 9, true) + figures("consulted", "denied", "peak")
	if strips {
		head += "  " + fit("allowed", each, false) + "  denied"
	}
	add(piece{bold, head})
	for i := range v.Status.Policies {
		p := &v.Status.Policies[i]
		allowed, denied := v.Trend.of(p.Name)
		line := []piece{
			{plain, fit(name(p), named, false)},
			{blue, fit(rate(last(allowed)), 10, true)}, {red, fit(rate(last(denied)), 9, true)},
			{plain, figures(count(p.Asked), share(float64(p.Denied), float64(p.Asked)), share(p.PeakUse, 1))},
		}
		if strips {
			line = append(line, piece{plain, "  "}, piece{blue, v.strip(allowed, each)}, piece{plain, "  "}, piece{red, v.strip(denied, each)})
		}
		add(line...)
	}
	if len(v.Status.Policies) == 0 {
		add(piece{dim, "no limits"})
	}
}

// keys adds a line for each key, most lines at most, with its bar. 0 is any
// number.
func (v *View) keys(add func(...piece), width, most int) {
	if v.KeysNote != "" || len(v.Keys) == 0 {
		note := v.KeysNote
		if note == "" {
			note = "nobody has used any of a limit just now"
		}
		add(piece{bold, "KEYS  "}, piece{dim, note})
		return
	}
	const left, when = 16, 26
	keyed, of := len("KEY"), len("LIMIT")
	for i := range v.Keys {
		keyed = max(keyed, widthOf(oneline.Text(v.Keys[i].Key)))
		of = max(of, widthOf(oneline.Text(v.Keys[i].Policy)))
	}
	keyed = min(keyed, 46, max(14, (width-left-when)*3/5)) // so that they stay where they are, mostly
	of = min(of, max(6, (width-left-when-keyed)*3/5))
	bar := min(40, width-keyed-of-left-when-3)
	head := fit("KEY", keyed, false) + " " + fit("LIMIT", of, false) + " "
	if bar >= 5 {
		head += fit("TOKENS LEFT", bar+left+1, false)
	} else {
		head += fit("LEFT", left, true) + " "
	}
	add(piece{bold, head + " FREE AGAIN"})
	for i := range v.Keys {
		if most > 0 && i >= most-1 {
			return
		}
		k := &v.Keys[i]
		part := 0.0
		if k.Burst > 0 {
			part = min(1, max(0, float64(k.Remaining)/float64(k.Burst)))
		}
		free, denied := freeText(k, v.Now.Sub(v.At))
		full, freeStyle := blue, plain
		if part < 0.2 {
			full = red
		}
		if denied {
			freeStyle = alarm
		}
		line := []piece{{plain, fit(oneline.Text(k.Key), keyed, false) + " "}, {dim, fit(oneline.Text(k.Policy), of, false) + " "}}
		if bar >= 5 {
			n := int(part*float64(bar) + 0.5)
			filled, empty := "#", "-"
			if v.Unicode {
				filled, empty = "█", "░"
			}
			line = append(line, piece{full, strings.Repeat(filled, n)}, piece{dim, strings.Repeat(empty, bar-n)}, piece{plain, " "})
		}
		add(append(line, piece{plain, fit(fmt.Sprintf("%d of %d", k.Remaining, k.Burst), left, true) + " "}, piece{freeStyle, " " + free})...)
	}
}

// strip draws the latest points in so many columns, the highest as high as can
// be.
func (v *View) strip(points []float64, width int) string {
	marks := []rune("_.-=#")
	if v.Unicode {
		marks = []rune("▁▂▃▄▅▆▇█")
	}
	points = points[max(0, len(points)-width):]
	most := 0.0
	for _, p := range points {
		most = max(most, p)
	}
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", width-len(points)))
	for _, p := range points {
		i := 0
		if most > 0 && p > 0 {
			i = min(len(marks)-1, 1+int(p/most*float64(len(marks)-1)))
		}
		b.WriteRune(marks[i])
	}
	return b.String()
}

// draw cuts lines to the size and gives them their colours.
func (v *View) draw(lines [][]piece, width, height int) []string {
	if height > 0 && len(lines) > height {
		lines = lines[:height]
	}
	drawn := make([]string, len(lines))
	for i, line := range lines {
		var b strings.Builder
		room := width
		for _, p := range line {
			took := widthOf(p.text)
			if took > room {
				p.text = strings.TrimRight(fit(p.text, room, false), " ")
				took = room
			}
			room -= took
			if !v.Unicode {
				p.text = strings.ReplaceAll(p.text, "…", ".")
			}
			if v.Colour && p.style != plain && p.text != "" {
				fmt.Fprintf(&b, "\x1b[%sm%s\x1b[0m", p.style, p.text)
			} else {
				b.WriteString(p.text)
			}
			if room <= 0 {
				break
			}
		}
		drawn[i] = strings.TrimRight(b.String(), " ")
	}
	return drawn
}

func last(points []float64) float64 {
	if len(points) == 0 {
		return 0
	}
	return points[len(points)-1]
}

// Package adminview shows in text, on a terminal or not, what the admin listener
// says: the terminal's counterpart of the page.
package adminview

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/seed-0c889b51/weir/internal/adminapi"
	"github.com/seed-0c889b51/weir/internal/oneline"
)

// Span says how long ms milliseconds are, in two units at most and rounded up.
func Span(ms int64) string {
	switch {
	case ms <= 0:
		return "0 s"
	case ms < 1000:
		return strconv.FormatInt(ms, 10) + " ms"
	}
	const minute, hour, day = 60, 60 * 60, 24 * 60 * 60
	left := (ms-1)/1000 + 1
	up := func(unit int64) { left = ((left-1)/unit + 1) * unit }
	if left >= day {
		up(hour)
	} else if left >= hour {
		up(minute)
	}
	var words []string
	for _, unit := range []struct {
		seconds int64
		name    string
	}{{day, "day"}, {hour, "h"}, {minute, "min"}, {1, "s"}} {
		n := left / unit.seconds
		left -= n * unit.seconds
		if n == 0 || len(words) == 2 {
			continue
		}
		name := unit.name
		if name == "day" && n > 1 {
			name = "days"
		}
		words = append(words, fmt.Sprintf("%d %s", n, name))
	}
	return strings.Join(words, " ")
}

// count writes a number with a comma for each thousand.
func count(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// share is a part in per cent. What is not none is not written as 0 %, and what
// is not all not as 100 %.
func share(part, all float64) string {
	percent := 100 * part / all
	switch {
	case !(all > 0) || !(part > 0):
		return "0 %"
	case percent < 0.1:
		return "<0.1 %"
	case percent < 10:
		return strconv.FormatFloat(percent, 'f', 1, 64) + " %"
	case part < all:
		return strconv.Itoa(min(99, int(math.Round(percent)))) + " %"
	}
	return "100 %"
}

// rate is a number a second.
func rate(n float64) string {
	if n >= 10 || n == math.Trunc(n) {
		return count(uint64(math.Round(n)))
	}
	return strconv.FormatFloat(n, 'f', 1, 64)
}

// verdict says whether a limit matters.
func verdict(p *adminapi.Policy) string {
	text := "it bites"
	switch {
	case p.Asked == 0:
		text = "never consulted"
	case p.Denied == 0 && p.PeakUse < 1:
		text = "never reached"
	case p.Denied == 0:
		text = "reached, nobody denied"
	}
	if p.Shadow != nil {
		text += fmt.Sprintf("; candidate %s would have denied %s", oneline.Text(p.Shadow.Limit), count(p.Shadow.WouldDeny))
	}
	return text
}

// name is what a policy is called, with its limit.
func name(p *adminapi.Policy) string {
	text := oneline.Text(p.Name + " " + p.Limit)
	if p.Scope != "" {
		text += " on " + oneline.Text(p.Scope)
	}
	if p.DryRun {
		text += " dry-run"
	}
	return text
}

// stateText says where the state is and how old.
func stateText(s *adminapi.State) string {
	switch {
	case s.Path == "":
		return "none: limits are forgotten on exit"
	case s.Error != "":
		return fmt.Sprintf("%s, not saved for %s: %s", oneline.Text(s.Path), Span(s.AgeMs), oneline.Text(s.Error))
	case s.LastSaved == nil:
		return oneline.Text(s.Path) + ", not saved yet"
	}
	return fmt.Sprintf("%s, saved %s ago", oneline.Text(s.Path), Span(s.AgeMs))
}

// upstreamText says where requests go.
func upstreamText(list []string) string {
	if len(list) == 0 {
		return "built in"
	}
	return oneline.Text(strings.Join(list, ", "))
}

// freeText says when a key is allowed again, if that was said ago back.
func freeText(k *adminapi.Key, ago time.Duration) (text string, denied bool) {
	retry, reset := k.RetryAfterMs-ago.Milliseconds(), k.ResetAfterMs-ago.Milliseconds()
	switch {
	case retry > 0:
		return "free again in " + Span(max(1000, retry)), true
	case reset > 0:
		return "free, full in " + Span(max(1000, reset)), false
	}
	return "free", false
}

// A note is a warning or what is wrong with the health.
type note struct{ level, text, cure string }

// notes are those of a status, the worst first.
func notes(s *adminapi.Status) []note {
	var list []note
	add := func(level string) {
		for _, h := range s.Health {
			known := h.Level == adminapi.LevelError || h.Level == adminapi.LevelInfo
			if h.Level == level || !known && level == adminapi.LevelWarning {
				list = append(list, note{level, oneline.Text(h.Text), oneline.Text(h.Cure)})
			}
		}
	}
	add(adminapi.LevelError)
	add(adminapi.LevelWarning)
	for _, w := range s.Warnings {
		list = append(list, note{adminapi.LevelWarning, oneline.Text(w.Text), oneline.Text(w.Cure)})
	}
	add(adminapi.LevelInfo)
	return list
}

// wide are ranges of characters that take two columns.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1}, {Lo: 0x2e80, Hi: 0x303e, Stride: 1}, {Lo: 0x3041, Hi: 0xa4cf, Stride: 1}, {Lo: 0xa960, Hi: 0xa97f, Stride: 1},
		{Lo: 0xac00, Hi: 0xd7a3, Stride: 1}, {Lo: 0xf900, Hi: 0xfaff, Stride: 1}, {Lo: 0xfe30, Hi: 0xfe6f, Stride: 1}, {Lo: 0xff00, Hi: 0xff60, Stride: 1}, {Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{{Lo: 0x1f300, Hi: 0x1f64f, Stride: 1}, {Lo: 0x1f680, Hi: 0x1f6ff, Stride: 1}, {Lo: 0x1f900, Hi: 0x1f9ff, Stride: 1}, {Lo: 0x20000, Hi: 0x3fffd, Stride: 1}},
}

// columns is how many columns of a terminal a character takes.
func columns(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}

// widthOf is how many columns text takes.
func widthOf(text string) int {
	n := 0
	for _, r := range text {
		n += columns(r)
	}
	return n
}

// fit makes text as wide as it is to be, by cutting it or by blanks after it or,
// with right set, before it.
func fit(text string, width int, right bool) string {
	took := 0
	for i, r := range text {
		if took+columns(r) > width {
			for cut := i; ; { // room for the dot that says so
				if took <= width-1 {
					return text[:cut] + strings.Repeat(" ", width-1-took) + "…"
				}
				last := []rune(text[:cut])
				took -= columns(last[len(last)-1])
				cut -= len(string(last[len(last)-1]))
			}
		}
		took += columns(r)
	}
	blank := strings.Repeat(" ", width-took)
	if right {
		return blank + text
	}
	return text + blank
}

package policy

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// An Explanation is what a policy means, in numbers and in words.
type Explanation struct {
	// Policy is its text, Who whose requests count together, in words.
	Policy string `json:"policy"`
	Who    string `json:"who"`
	// The limit as it is written.
	Quota   int     `json:"quota"`
	WindowS float64 `json:"window_s"`
	Strict  bool    `json:"strict"`
	DryRun  bool    `json:"dry_run"`
	// AtOnce is how many requests may come at once after a pause.
	AtOnce int `json:"at_once"`
	// Sustained is how many pass in a window in the long run, EveryS the seconds
	// from one to the next.
	Sustained int     `json:"sustained"`
	EveryS    float64 `json:"every_s"`
	// Worst is the most that can pass in the window of the limit, and in others.
	Worst []WorstCase `json:"worst"`
	// RetryAfterS is after how many seconds the next request passes when all is
	// used up, FullAfterS after how many all is there again.
	RetryAfterS float64 `json:"retry_after_s"`
	FullAfterS  float64 `json:"full_after_s"`

	limit bucket.Limit
}

// A WorstCase is the most that passes in any stretch of time of that length.
type WorstCase struct {
	WindowS  float64 `json:"window_s"`
	Requests int64   `json:"requests"`

	window time.Duration
}

// Explain returns what a policy means. Its limit must be normalized.
func Explain(p Policy) Explanation {
	l := p.Limit
	e := Explanation{
		Policy: p.String(), Who: p.Key.who(), Quota: l.Quota, WindowS: l.Window.Seconds(), Strict: l.Strict, DryRun: p.DryRun,
		AtOnce: l.Burst, Sustained: l.Sustained(), EveryS: 1 / l.Rate(), FullAfterS: l.Refill().Seconds(), limit: l,
	}
	e.RetryAfterS = e.EveryS
	for i, window := range []time.Duration{l.Window, time.Second, time.Minute, time.Hour, 24 * time.Hour} {
		if i > 0 && window <= l.Window { // which sees little but the burst
			continue
		}
		e.Worst = append(e.Worst, WorstCase{WindowS: window.Seconds(), Requests: WorstIn(l, window), window: window})
	}
	return e
}

// String returns the explanation in lines of at most a hundred characters or so.
func (e Explanation) String() string {
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "  %-11s %s\n", what, fmt.Sprintf(format, args...))
	}
	b.WriteString(e.Policy + "\n")
	line("who", "%s", e.Who)
	line("at once", "%s, after a pause", number(int64(e.AtOnce)))
	line("sustained", "%s: %s in %s%s", pace(e.limit), number(int64(e.Sustained)), aWindow(e.limit.Window), e.perDay())
	var worst []string
	for _, w := range e.Worst {
		worst = append(worst, fmt.Sprintf("%s in any %s", number(w.Requests), windowWord(w.window)))
	}
	line("worst case", "%s", strings.Join(worst, ", "))
	line("when empty", "the next request passes after %s, all is back after %s", nearly(e.RetryAfterS), nearly(e.FullAfterS))
	line("keeps", "a few bytes for each key that has used some, whatever the numbers are")
	if e.Strict {
		line("strict", "no %s ever sees more than %s: the bucket of %s is refilled by %s in it", windowWord(e.limit.Window), number(int64(e.Quota)),
			number(int64(e.AtOnce)), number(int64(e.Sustained)))
	}
	if e.DryRun {
		line("dry run", "it is counted, and never refuses")
	}
	return b.String()
}

// perDay says how many that is a day, where that says something.
func (e Explanation) perDay() string {
	const day = 24 * time.Hour
	if e.limit.Window%day == 0 {
		return ""
	}
	n := new(big.Int).Mul(big.NewInt(int64(e.Sustained)), big.NewInt(int64(day)))
	n.Div(n, big.NewInt(int64(e.limit.Window)))
	return fmt.Sprintf(", %s a day", number(n.Int64()))
}

// nearly returns seconds as a duration of three digits or so.
func nearly(seconds float64) string {
	d := time.Duration(math.Round(seconds * float64(time.Second)))
	unit := time.Duration(1)
	for v := d; v >= 10_000; v /= 10 {
		unit *= 10
	}
	switch {
	case seconds >= 100 && seconds < 600*3600:
		unit = time.Second
	case seconds >= 600*3600:
		unit = time.Hour
	}
	if d < 1 {
		return "less than 1ns"
	}
	switch d = d.Round(unit); d {
	case time.Second:
		return "1 second"
	case time.Minute:
		return "1 minute"
	case time.Hour:
		return "1 hour"
	case 24 * time.Hour:
		return "1 day"
	}
	return durationWord(d)
}

// aWindow returns a window as it follows "in".
func aWindow(d time.Duration) string {
	word := windowWord(d)
	switch {
	case word == "hour":
		return "an hour"
	case word[0] >= '0' && word[0] <= '9':
		return word
	}
	return "a " + word
}

// who says whose requests count together.
func (k Key) who() string {
	parts := make([]string, len(k))
	for i, p := range k {
		switch p.Kind {
		case IP:
			parts[i] = "client address (of IPv6 the /64 network, unless --ipv6-prefix says another)"
			if p.Bits > 0 {
				parts[i] = fmt.Sprintf("client address (of IPv6 the /%d network)", p.Bits)
			}
		case User:
			parts[i] = "user that a trusted proxy names"
		case Header:
			parts[i] = "value of the request header field " + p.Name
		case Cookie:
			parts[i] = "value of the cookie " + p.Name
		case Bearer:
			parts[i] = "bearer token"
		case Basic:
			parts[i] = "user of basic authentication"
		case Path:
			parts[i] = "path"
		case Global:
			return "all requests together"
		}
	}
	return "each " + strings.Join(parts, " with each ") + " by itself"
}

// number writes a number with commas between the thousands.
func number(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

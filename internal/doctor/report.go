package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/seed-0c889b51/weir/internal/oneline"
)

// An Outcome is what came out of a check.
type Outcome string

// The outcomes of a check.
const (
	Pass      Outcome = "pass"
	Fail      Outcome = "fail"
	NotTested Outcome = "not_tested"
)

// Schema is the version of the JSON of a Report.
const Schema = 1

// A Report is what an exam has found.
type Report struct {
	Schema int    `json:"schema"`
	URL    string `json:"url"`
	// Limit is how many requests passed at once, 0 if none was refused.
	Limit int `json:"limit"`
	// Said is how many the API says there are, or the user, 0 if neither does.
	Said int `json:"limit_said"`
	// Window is the seconds that Said is for, 0 if nobody says.
	Window   float64 `json:"window_seconds"`
	Requests int     `json:"requests"` // that were sent
	Seconds  float64 `json:"seconds"`  // that it took
	Passed   int     `json:"passed"`
	Failed   int     `json:"failed"`
	Untested int     `json:"not_tested"`
	Checks   []Check `json:"checks"`
}

// A Check is one thing that was to be proven.
type Check struct {
	Name    string  `json:"check"`
	What    string  `json:"what"` // is to be proven
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason"`         // for the outcome
	Cure    string  `json:"cure,omitempty"` // of a failure
	// Requests is how many were sent for it.
	Requests int `json:"requests"`
}

func passed(format string, args ...any) Check {
	return Check{Outcome: Pass, Reason: fmt.Sprintf(format, args...)}
}

func failed(cure, format string, args ...any) Check {
	return Check{Outcome: Fail, Cure: cure, Reason: fmt.Sprintf(format, args...)}
}

func untested(format string, args ...any) Check {
	return Check{Outcome: NotTested, Reason: fmt.Sprintf(format, args...)}
}

// add adds a check to the report.
func (r *Report) add(c Check) {
	switch c.Outcome {
	case Pass:
		r.Passed++
	case Fail:
		r.Failed++
	case NotTested:
		r.Untested++
	}
	r.Checks = append(r.Checks, c)
}

// JSON writes the report as one JSON object.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// columns is how wide a table is.
const columns = 100

// Table writes the report for people.
func (r *Report) Table(w io.Writer) error {
	name := 0
	for _, c := range r.Checks {
		name = max(name, len(c.Name))
	}
	words := map[Outcome]string{Pass: "pass", Fail: "FAIL", NotTested: "not tested"}
	var b strings.Builder
	for _, c := range r.Checks {
		head := fmt.Sprintf("%-10s  %-*s  ", words[c.Outcome], name, c.Name)
		wrap(&b, head, c.Reason)
		if c.Cure != "" {
			wrap(&b, strings.Repeat(" ", len(head)), "cure: "+c.Cure)
		}
	}
	fmt.Fprintf(&b, "\n%d passed, %d failed, %d not tested; %d requests in %.1f s\n", r.Passed, r.Failed, r.Untested, r.Requests, r.Seconds)
	_, err := io.WriteString(w, b.String())
	return err
}

// wrap writes text in lines that begin below the end of head.
func wrap(b *strings.Builder, head, text string) {
	line := head
	for _, word := range strings.Fields(oneline.Text(text)) {
		if len(line) > len(head) && len(line)+1+len(word) > columns {
			b.WriteString(line + "\n")
			line = strings.Repeat(" ", len(head))
		}
		if len(line) > len(head) {
			line += " "
		}
		line += word
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
}

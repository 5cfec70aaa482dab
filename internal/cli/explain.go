package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-0c889b51/weir/internal/policy"
)

// An explanation is what explain prints as JSON.
type explanation struct {
	Limits   []policy.Explanation `json:"limits"`
	Findings []policy.Finding     `json:"findings"`
}

func newExplain(w World) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "explain 'KEY LIMIT'...",
		Short: "Say what a limit means, and whether it is what was meant",
		Long: `Examples:
  weir explain 'ip 100/min burst 20'
  weir explain 'ip 100/min strict'               # never more than 100 in any minute
  weir explain 'ip 100/min' 'user 1000/day' --json

Says of each limit what passes at once, in the long run and in the worst case,
and how long to wait when all is used up; and of all of them together what may
not be as it was meant. Nothing is opened, kept or sent.

A bucket of BURST tokens, QUOTA of which come back in a WINDOW, lets more than
QUOTA through in its worst window: BURST + QUOTA. Of a strict limit less comes
back, QUOTA - BURST, so that no window ever sees more than QUOTA. Its burst is a
tenth of the quota, rounded up, unless it says another.

Exit codes: 0 done, 1 failed, 2 unknown command, flag or argument, 3 a limit that
is not valid.`,
		Args: cobra.ArbitraryArgs, // so that RunE can say what it wants
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("no limit: want weir explain 'KEY LIMIT'..., such as 'ip 100/min burst 20'")
			}
			policies, err := policy.ParseList(args...)
			if err != nil {
				if len(args) > 1 && strings.Contains(strings.Join(args[1:], " "), "/") && !strings.Contains(args[0], " ") {
					err = fmt.Errorf("%w (a limit is one argument in quotes, such as 'ip 100/min')", err)
				}
				return valueError{err}
			}
			e := explanation{Limits: []policy.Explanation{}, Findings: append([]policy.Finding{}, policy.Lint(policies)...)}
			for _, p := range policies {
				e.Limits = append(e.Limits, policy.Explain(p))
			}
			if !asJSON {
				return e.write(w)
			}
			out := json.NewEncoder(w.Stdout)
			out.SetEscapeHTML(false)
			out.SetIndent("", "  ")
			return out.Encode(e)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with durations in seconds")
	return cmd
}

// write writes the explanation for a person.
func (e explanation) write(w World) error {
	var b strings.Builder
	for _, l := range e.Limits {
		b.WriteString(l.String() + "\n")
	}
	for _, f := range e.Findings {
		fmt.Fprintf(&b, "%s: %s\n", f.Severity, f)
	}
	_, err := fmt.Fprint(w.Stdout, b.String())
	return err
}

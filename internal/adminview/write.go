package adminview

import (
	"fmt"
	"io"
	"strings"

	"github.com/seed-0c889b51/weir/internal/adminapi"
	"github.com/seed-0c889b51/weir/internal/oneline"
)

// WriteStatus writes how a server does, one fact a line.
func WriteStatus(w io.Writer, s *adminapi.Status) error {
	var b strings.Builder
	line := func(what, text string) { fmt.Fprintf(&b, "%-10s %s\n", what, text) }
	line("weir", fmt.Sprintf("%s, up for %s", oneline.Text(s.Version), Span(s.UptimeMs)))
	line("listening", oneline.Text(s.Listen))
	line("upstream", upstreamText(s.Upstreams))
	line("state", stateText(&s.State))
	for i := range s.Policies {
		p := &s.Policies[i]
		line("limit", name(p))
		line("", fmt.Sprintf("consulted %s, denied %s (%s), peak use of the burst %s: %s",
			count(p.Asked), count(p.Denied), share(float64(p.Denied), float64(p.Asked)), share(p.PeakUse, 1), verdict(p)))
		text := fmt.Sprintf("keys in memory %s, evicted %s", count(uint64(max(0, p.KeysInMemory))), count(p.Evicted))
		if p.Missing > 0 {
			text += fmt.Sprintf(", requests without the identity %s", count(p.Missing))
		}
		if p.DebtsDropped > 0 {
			text += fmt.Sprintf(", debts forgotten %s", count(p.DebtsDropped))
		}
		line("", text)
	}
	for _, n := range notes(s) {
		what := n.level
		if what == adminapi.LevelInfo {
			what = "note"
		}
		line(what, n.text)
		if n.cure != "" {
			line("", "cure: "+n.cure)
		}
	}
	if len(notes(s)) == 0 {
		line("health", "all is well: no warning since the start")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteKeys writes a table of keys.
func WriteKeys(w io.Writer, keys []adminapi.Key) error {
	rows := [][4]string{{"KEY", "LIMIT", "LEFT", "WHEN"}}
	for i := range keys {
		free, _ := freeText(&keys[i], 0)
		rows = append(rows, [4]string{oneline.Text(keys[i].Key), oneline.Text(keys[i].Policy), fmt.Sprintf("%d of %d", keys[i].Remaining, keys[i].Burst), free})
	}
	var widths [3]int
	for _, row := range rows {
		for i := range widths {
			widths[i] = max(widths[i], widthOf(row[i]))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, width := range widths {
			b.WriteString(fit(row[i], width+2, false))
		}
		b.WriteString(row[3] + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteWhoami writes how a request would be counted.
func WriteWhoami(w io.Writer, of *adminapi.Whoami) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%-10s %s\n", "connected", oneline.Text(of.Peer))
	fmt.Fprintf(&b, "%-10s %s: %s\n", "client", oneline.Text(of.Client), oneline.Text(of.Why))
	for _, p := range of.Policies {
		key := "not asked"
		if p.Applies {
			key = oneline.Text(p.Key)
		}
		fmt.Fprintf(&b, "%-10s %s: %s: %s\n", "limit", oneline.Text(p.Policy+" "+p.Limit), key, oneline.Text(p.Why))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

package serve

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/internal/oneline"
	"github.com/seed-0c889b51/weir/internal/policy"
	"github.com/seed-0c889b51/weir/persist"
)

// writeBanner says what is served, one fact a line.
func writeBanner(cfg Config, addr net.Addr, restored persist.Restored, stateErr error) {
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", what, oneline.Text(fmt.Sprintf(format, args...)))
	}
	if stateErr != nil {
		fmt.Fprintf(&b, "weir: %s\n", oneline.Text(fmt.Sprintf(
			"--state %q: %v; limits are enforced in memory meanwhile, and forgotten on exit (--state-failure=refuse exits instead)",
			cfg.State, stateErr)))
	}
	line("listening", "http://%s", addr)
	if cfg.To == nil {
		line("upstream", "built in: it answers by itself; --to URL names your API")
	} else {
		line("upstream", "%s", cfg.To.Redacted())
	}
	for _, p := range cfg.Policies {
		line("limit", "%s: %s%s", p, policy.Worst(p.Limit), dryRunNote(p))
	}
	if cfg.DefaultPolicies {
		line("", "(the default, since no --limit is given)")
	}
	if note := evadable(cfg.Policies); note != "" {
		line("note", "%s", note)
	}
	line("trust", "%s", trustText(cfg))
	line("state", "%s", stateText(cfg, restored, stateErr))
	if restored.MovedTo != "" {
		line("", "the file that was there was not used: %s; it is kept as %s", restored.Damage, restored.MovedTo)
		if after, _ := strings.CutPrefix(filepath.Base(restored.MovedTo), filepath.Base(cfg.State)); strings.HasPrefix(after, ".unreadable-") {
			line("", "it takes the secret that it was written with: stop weir, move it back to %s, and start weir with that secret", cfg.State)
		}
	}
	line("try", "curl -i http://%s/", reachable(addr))
	fmt.Fprint(cfg.Banner, b.String())
}

func dryRunNote(p policy.Policy) string {
	if p.DryRun {
		return " (dry run: counted, never refused)"
	}
	return ""
}

// evadable says so if nothing is refused, or all limits are by what a client can
// make up.
func evadable(policies []policy.Policy) string {
	dry := true
	for _, p := range policies {
		if p.DryRun {
			continue
		}
		dry = false
		if !p.Key.Has(policy.Path) && !p.Key.Has(policy.Header) && !p.Key.Has(policy.Cookie) {
			return ""
		}
	}
	if dry {
		return "all limits are dry runs: nothing is refused"
	}
	return "no limit is by ip, user or global alone: a client that makes up paths, headers or cookies is not held"
}

// trustText says who is believed.
func trustText(cfg Config) string {
	var text string
	if len(cfg.Trust) == 0 {
		text = "nobody: the client is who connects"
	} else {
		var list []string
		for _, p := range cfg.Trust {
			list = append(list, p.String())
		}
		text = strings.Join(list, ", ") + ": believed about X-Forwarded-For and " + cfg.UserHeader
	}
	for _, p := range cfg.Policies {
		if len(cfg.Trust) == 0 && p.Key.Has(policy.User) {
			return text + ", and no " + cfg.UserHeader + " is believed, so that user counts by address (--trust)"
		}
	}
	return text
}

// stateText says where the state is and what came back from it.
func stateText(cfg Config, r persist.Restored, stateErr error) string {
	switch {
	case cfg.State == "":
		return "none: limits are forgotten on exit"
	case stateErr != nil:
		return cfg.State + " is not used: limits are forgotten on exit"
	}
	text := fmt.Sprintf("%s, snapshot every %v: ", cfg.State, cfg.SnapshotEvery)
	switch {
	case r.MovedTo != "":
		return text + "begun afresh" + emptyText(cfg)
	case r.New:
		return text + "new" + emptyText(cfg)
	case r.Records == 1:
		text += "1 debt restored"
	default:
		text += fmt.Sprintf("%d debts restored", r.Records)
	}
	if age := ageText(r); age != "" {
		text += ", written " + age
	}
	if !r.Clean {
		text += ", after a crash"
		if cfg.Crash == weir.Charge {
			text += " (who had used some starts with nothing)"
		} else {
			text += " (what was spent since its last snapshot may be missing)"
		}
	}
	if r.FellBack {
		text += ", from the snapshot before the last"
	}
	return text
}

// emptyText says what clients start with where there is no state.
func emptyText(cfg Config) string {
	if cfg.ColdStart == weir.EmptyBuckets {
		return ": every client starts with nothing, and is refilled"
	}
	return ""
}

// ageText says how long ago the file was written, as far as is known.
func ageText(r persist.Restored) string {
	age := r.Away.Round(time.Second)
	switch r.Clock {
	case "same boot", "synchronised":
		return fmt.Sprintf("%v ago", age)
	case "since boot":
		return fmt.Sprintf("at least %v ago", age)
	case "wall clock":
		return fmt.Sprintf("about %v ago", age)
	}
	return ""
}

// reachable returns an address to reach the listener at from this machine.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	return (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: tcp.Port}).String()
}

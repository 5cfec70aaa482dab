package serve

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/internal/oneline"
	"github.com/seed-0c889b51/weir/internal/policy"
	"github.com/seed-0c889b51/weir/internal/proxy"
	"github.com/seed-0c889b51/weir/persist"
)

// writeBanner says what is served, one fact a line.
func writeBanner(cfg Config, addr net.Addr, restored persist.Restored, stateErr error, admin string) {
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", what, oneline.Text(fmt.Sprintf(format, args...)))
	}
	if stateErr != nil {
		fmt.Fprintf(&b, "weir: %s\n", oneline.Text(fmt.Sprintf(
			"--state %q: %v; limits are enforced in memory meanwhile, and forgotten on exit (--state-failure=refuse exits instead)",
			cfg.State, stateErr)))
	}
	scheme := "http"
	if cfg.TLSCert != "" {
		scheme = "https"
	}
	if addr.Network() == "unix" {
		line("listening", "%s (%s, %04o)", name(addr), scheme, cfg.SocketMode.Perm())
	} else {
		line("listening", "%s://%s", scheme, addr)
	}
	if !cfg.ProxyProtocol.none() {
		line("", "(only for %s, which must send a header of the PROXY protocol)", strings.Join(cfg.ProxyProtocol.list(), ", "))
	}
	switch {
	case cfg.ForwardAuth != "":
		line("upstream", "none: weir answers %s, which asks about its requests, with 204 or %d", cfg.ForwardAuth, cfg.DenyStatus)
	case len(cfg.Routes) == 0:
		line("upstream", "built in: it answers by itself; --to URL names your API")
	default:
		for _, text := range upstreamTexts(cfg.Routes) {
			line("upstream", "%s", text)
		}
	}
	for _, p := range cfg.Policies {
		line("limit", "%s: %s%s", p, policy.Worst(p.Limit), dryRunNote(p)+termsNote(p))
	}
	if cfg.DefaultPolicies {
		line("", "(the default, since no --limit is given)")
	}
	for _, f := range cfg.InFlight {
		line("in flight", "%s: at most %d at once", f.Key, f.Max)
	}
	if note := evadable(cfg.Policies); note != "" {
		line("note", "%s", note)
	}
	if evadableInFlight(cfg.InFlight) {
		line("note", "no --in-flight is by ip, user or global alone: a client that makes up paths, headers, cookies or credentials may have any number")
	}
	if note := lumped(cfg, addr); note != "" {
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
	if admin != "" {
		line("admin", "%s", admin)
	}
	line("try", "%s", tryText(cfg, addr, scheme))
	fmt.Fprint(cfg.Banner, b.String())
}

// upstreamTexts says where requests go, path by path.
func upstreamTexts(routes []proxy.Route) []string {
	var texts []string
	all := false
	for _, r := range routes {
		text := r.To.Redacted()
		if r.Path != "/" {
			text = r.Path + " to " + text
		} else {
			all = true
			if len(routes) > 1 {
				text = "all else to " + text
			}
		}
		if r.Strip {
			text += ", which is asked for what follows " + r.Path
		}
		texts = append(texts, text)
	}
	if !all {
		texts = append(texts, "none for all else: it is answered with 404")
	}
	return texts
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
		if !p.Key.Evadable() {
			return ""
		}
	}
	if dry {
		return "all limits are dry runs: nothing is refused"
	}
	return "no limit is by ip, user or global alone: a client that makes up paths, headers, cookies or credentials is not held"
}

// evadableInFlight tells whether all of them, if any, are by what a client can
// make up.
func evadableInFlight(list []policy.InFlight) bool {
	return len(list) > 0 && !slices.ContainsFunc(list, func(f policy.InFlight) bool { return !f.Key.Evadable() })
}

// lumped says so if all clients count as one, since who connects is a proxy that
// is not trusted.
func lumped(cfg Config, addr net.Addr) string {
	switch {
	case !cfg.Trust.none() && cfg.ClientIP.From != FromPeer:
	case !cfg.Trust.none() && cfg.ForwardAuth != "":
		return "the client is who asks (--client-ip peer), so that all requests that it asks about are limited as its own"
	case !cfg.Trust.none() && addr.Network() == "unix" && cfg.ProxyProtocol.none():
		return "who connects to a Unix socket has no address: with --client-ip peer all clients are limited as one"
	case !cfg.Trust.none():
	case cfg.ForwardAuth != "":
		return "who asks is not trusted (--trust), so that all requests that it asks about are limited as its own"
	case addr.Network() == "unix" && cfg.ProxyProtocol.none():
		return "who connects to a Unix socket has no address: with nobody trusted (--trust unix) all clients are limited as one"
	}
	return ""
}

// trustText says who is believed.
func trustText(cfg Config) string {
	var text string
	switch {
	case !cfg.Trust.none():
		text = strings.Join(cfg.Trust.list(), ", ") + ": believed about "
		if cfg.ClientIP.From == FromPeer {
			text += cfg.UserHeader + "; the client is who connects, even if that is one of them"
		} else {
			text += cfg.ClientIP.String() + " and " + cfg.UserHeader
		}
	case !cfg.ProxyProtocol.none():
		text = "nobody else: the client is who the PROXY header names"
	default:
		text = "nobody: the client is who connects"
	}
	for _, p := range cfg.Policies {
		if cfg.Trust.none() && p.Key.Has(policy.User) {
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

// tryText returns a command line that sends a request.
func tryText(cfg Config, addr net.Addr, scheme string) string {
	curl := "curl -i "
	if scheme == "https" {
		curl += "-k "
	}
	if !cfg.ProxyProtocol.none() {
		curl += "--haproxy-protocol "
	}
	if addr.Network() == "unix" {
		return curl + "--unix-socket " + addr.String() + " " + scheme + "://localhost/"
	}
	return curl + scheme + "://" + reachable(addr) + "/"
}

// reachable returns an address to reach the listener at from this machine.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	return (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: tcp.Port}).String()
}

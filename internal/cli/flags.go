package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/nearest"
	"github.com/seed-0c889b51/weir/internal/policy"
	"github.com/seed-0c889b51/weir/internal/proxy"
	"github.com/seed-0c889b51/weir/internal/serve"
)

// serveFlags are the flags of serve as they were given. They are read by
// config, and not while they are parsed, so that all errors are of one form.
type serveFlags struct {
	listen, to, userHeader, ipv6Prefix, state, stateFailure, every, crash, coldStart, timeout, logLevel once

	edge bool

	stateKey keyFlag

	limits, trust []string
}

// add defines the flags. A word in `backquotes` is what the value is called.
func (f *serveFlags) add(set *pflag.FlagSet) {
	set.SortFlags = false
	set.Var(&f.to, "to", "`URL` of the upstream, http or https (default: a built-in one that answers by itself)")
	set.Var(&f.listen, "listen", "`HOST:PORT` to listen on; port 0 is a free one")
	set.StringArrayVar(&f.limits, "limit", nil, "`'KEY LIMIT [dry-run]'`, such as 'ip 100/min'; may be given several times (default 'ip 100/min' and 'user 1000/day')")
	set.StringArrayVar(&f.trust, "trust", nil, "`CIDR` or address of a proxy that is believed about X-Forwarded-For and --user-header; may be given several times (default: nobody)")
	set.Var(&f.userHeader, "user-header", "`NAME` of the request header field in which a trusted proxy says who the user is")
	set.Var(&f.ipv6Prefix, "ipv6-prefix", "`BITS` of the network that IPv6 clients are limited by, 32 to 128")
	set.Var(&f.state, "state", "`FILE` that keeps what clients have used, or none")
	f.stateKey.add(set)
	set.Var(&f.stateFailure, "state-failure", "`WHAT` to do if the file cannot be used: memory (go on without it) or refuse (exit)")
	set.Var(&f.every, "snapshot-every", "`TIME` between snapshots, 10ms to 24h: what a crash can forget; with --edge the default is 1m")
	set.BoolVar(&f.edge, "edge", false, "spare flash: debts that are over within --snapshot-every are saved only when weir stops")
	set.Var(&f.crash, "crash", "`WHAT` is made of what was spent since the last snapshot: accept (forget it) or charge (all who had used some start with nothing)")
	set.Var(&f.coldStart, "cold-start", "`WHAT` clients start with if there is no state, be it new, lost or damaged: full or empty buckets")
	set.Var(&f.timeout, "upstream-timeout", "`TIME` that the upstream may take to begin its answer; 0 is for ever")
	set.Var(&f.logLevel, "log-level", "`LEVEL` of what is logged: debug, info, warn or error")
}

// A once is a string flag that may be given once.
type once struct {
	value string
	given bool
}

func (o *once) String() string { return o.value }
func (o *once) Type() string   { return "string" }

func (o *once) Set(text string) error {
	if o.given {
		return fmt.Errorf("it is given twice, before as %s: want it once", shown(o.value))
	}
	o.value, o.given = text, true
	return nil
}

// config returns what the flags say, or an error that names the flag, its
// value and what is allowed.
func (f *serveFlags) config() (serve.Config, error) {
	var cfg serve.Config
	for _, step := range []struct {
		flag string
		of   *once
		read func(text string) error
	}{
		{"to", &f.to, func(text string) (err error) {
			if f.to.given {
				cfg.To, err = proxy.ParseTarget(text)
			}
			return err
		}},
		{"listen", &f.listen, func(text string) error { cfg.Listen = text; return checkListen(text) }},
		{"user-header", &f.userHeader, func(text string) (err error) {
			cfg.UserHeader, err = parseUserHeader(text)
			return err
		}},
		{"ipv6-prefix", &f.ipv6Prefix, func(text string) (err error) {
			cfg.IPv6Prefix, err = parseBits(text)
			return err
		}},
		{"state", &f.state, func(text string) error {
			if text != "none" {
				cfg.State = text
			}
			if text == "" {
				return errors.New("it is empty: want the path of a file, or none")
			}
			if strings.ContainsRune(text, 0) {
				return errors.New("it has a NUL byte: want the path of a file, or none")
			}
			return nil
		}},
		{"state-failure", &f.stateFailure, func(text string) error {
			cfg.NeedState = text == "refuse"
			return checkWord(text, "memory", "refuse")
		}},
		{"snapshot-every", &f.every, func(text string) (err error) {
			cfg.SnapshotEvery, err = parseTime(text, 10*time.Millisecond, 24*time.Hour)
			if cfg.Edge = f.edge; f.edge && !f.every.given {
				cfg.SnapshotEvery = time.Minute
			}
			return err
		}},
		{"crash", &f.crash, func(text string) error {
			if text == "charge" {
				cfg.Crash = weir.Charge
			}
			return checkWord(text, "accept", "charge")
		}},
		{"cold-start", &f.coldStart, func(text string) error {
			if text == "empty" {
				cfg.ColdStart = weir.EmptyBuckets
			}
			return checkWord(text, "full", "empty")
		}},
		{"upstream-timeout", &f.timeout, func(text string) (err error) {
			cfg.Timeout, err = parseTime(text, 0, 24*time.Hour)
			return err
		}},
	} {
		if err := step.read(step.of.value); err != nil {
			shown := quote(step.of.value)
			if step.flag == "to" && strings.Contains(step.of.value, "@") {
				shown = "(not shown)" // it may hold a password
			}
			return serve.Config{}, fmt.Errorf("--%s %s: %w", step.flag, shown, err)
		}
	}
	if f.stateKey.given && cfg.State == "" {
		return serve.Config{}, errors.New("--state-key: with --state none there is no file that needs it: want one of them")
	}
	var err error
	if cfg.Trust, err = parseTrust(f.trust, cfg.IPv6Prefix); err != nil {
		return serve.Config{}, err
	}
	limits := f.limits
	if len(limits) == 0 {
		limits, cfg.DefaultPolicies = []string{"ip 100/min", "user 1000/day"}, true
	}
	if cfg.Policies, err = parseLimits(limits, cfg.UserHeader); err != nil {
		return serve.Config{}, err
	}
	return cfg, nil
}

// parseLimits reads the limits. One by the header that says who the user is
// would believe it of anybody.
func parseLimits(texts []string, userHeader string) ([]policy.Policy, error) {
	policies, err := policy.ParseList(texts...)
	if err != nil {
		return nil, fmt.Errorf("--limit %w", err)
	}
	for i, p := range policies {
		if slices.Contains(p.Key, policy.Part{Kind: policy.Header, Name: userHeader}) {
			return nil, fmt.Errorf("--limit %s: %s is the --user-header, which only trusted proxies are believed about: want key \"user\"",
				quote(texts[i]), userHeader)
		}
	}
	return policies, nil
}

// parseUserHeader reads the name of a field of its own: of one that means
// something else, either the upstream or the limits would read it wrong.
func parseUserHeader(text string) (string, error) {
	name, err := policy.HeaderName(text)
	if err != nil {
		return "", err
	}
	switch {
	case strings.HasPrefix(name, "X-Forwarded-"), strings.HasPrefix(name, "Proxy-"), slices.Contains([]string{
		"Forwarded", "X-Real-Ip", "Authorization", "Cookie", "Keep-Alive", "Te", "Upgrade"}, name): // and those of HeaderName
		return "", fmt.Errorf("%s has a meaning of its own: want a field that only says who the user is, such as X-User", name)
	}
	return name, nil
}

// parseTrust reads addresses and networks of proxies.
func parseTrust(texts []string, bits int) ([]netip.Prefix, error) {
	const want = "want an address or a network, such as 10.0.0.5 or 10.0.0.0/8, one for each --trust"
	var list []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			addr, addrErr := netip.ParseAddr(text)
			if addrErr != nil || addr.Zone() != "" {
				return nil, fmt.Errorf("--trust %s: %s", quote(text), want)
			}
			p = netip.PrefixFrom(addr, addr.BitLen())
		}
		if _, err := httpmw.NewClientIP(bits, p); err != nil {
			return nil, fmt.Errorf("--trust %s: %w", quote(text), errors.Unwrap(err))
		}
		list = append(list, p)
	}
	return list, nil
}

// checkListen returns an error unless text is an address to listen on.
func checkListen(text string) error {
	const want = "want HOST:PORT, such as 127.0.0.1:8080, or :8080 for all addresses"
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		if !strings.Contains(text, ":") {
			if _, err := strconv.ParseUint(text, 10, 16); err == nil {
				return fmt.Errorf("%s; did you mean %q?", want, "127.0.0.1:"+text)
			}
			if text != "" {
				return fmt.Errorf("it has no port: %s", want)
			}
		}
		return errors.New(want)
	}
	if strings.ContainsAny(host, "/@ \t") {
		return errors.New("it is not an address: " + want)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %s: want a number from 0 to 65535, where 0 is a free one", quote(port))
	}
	return nil
}

// parseBits reads the length of an IPv6 network.
func parseBits(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 32 || n > 128 {
		return 0, errors.New("want a whole number from 32 to 128")
	}
	return n, nil
}

// parseTime reads a duration within bounds.
func parseTime(text string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("want a duration from %v to %v, with its unit, such as 500ms, 10s or 1m30s", least, most)
	}
	if d < least || d > most {
		return 0, fmt.Errorf("it is out of range: want %v to %v", least, most)
	}
	return d, nil
}

func parseLevel(text string) (slog.Level, error) {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	if err := checkWord(text, "debug", "info", "warn", "error"); err != nil {
		return 0, fmt.Errorf("--log-level %s: %w", quote(text), err)
	}
	return levels[text], nil
}

// checkWord returns an error unless text is one of the words.
func checkWord(text string, words ...string) error {
	if slices.Contains(words, text) {
		return nil
	}
	last := len(words) - 1
	return fmt.Errorf("want %s or %s%s", strings.Join(words[:last], ", "), words[last], nearest.Hint(text, words))
}

// quote quotes a value for an error message, cut short.
func quote(s string) string {
	if len(s) > 80 {
		return strconv.QuoteToASCII(s[:80]) + "..."
	}
	return strconv.QuoteToASCII(s)
}

package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/internal/nearest"
	"github.com/seed-0c889b51/weir/internal/policy"
	"github.com/seed-0c889b51/weir/internal/serve"
)

// serveFlags are the flags of serve as they were given. They are read by
// config, and not while they are parsed, so that all errors are of one form.
type serveFlags struct {
	listen, userHeader, ipv6Prefix, state, stateFailure, every, crash, coldStart, timeout, logLevel      once
	clientIP, socketMode, tlsCert, tlsKey, maxConnections, maxPerClient, forwardAuth, denyStatus, fields once

	edge, jitter, exposeFields bool

	stateKey keyFlag

	to, limits, inFlight, trust, exempt, proxyProtocol []string
}

// add defines the flags. A word in `backquotes` is what the value is called.
func (f *serveFlags) add(set *pflag.FlagSet) {
	set.SortFlags = false
	set.StringArrayVar(&f.to, "to", nil, "`[PATH=]URL` of the upstream, http or https, for PATH and what is below it; in quotes with the word strip after it the upstream is asked without PATH; may be given several times, and the longest PATH counts (default: a built-in one that answers by itself)")
	set.Var(&f.listen, "listen", "`HOST:PORT` to listen on, where port 0 is a free one, or unix:PATH")
	set.StringArrayVar(&f.limits, "limit", nil, "`'KEY LIMIT [dry-run]'`, such as 'ip 100/min'; may be given several times (default 'ip 100/min' and 'user 1000/day')")
	set.StringArrayVar(&f.inFlight, "in-flight", nil, "`'KEY N'`, such as 'ip 10': how many requests of a KEY may be in flight at once; may be given several times (default: any number)")
	set.StringArrayVar(&f.trust, "trust", nil, "`CIDR` or address of a proxy that is believed about the client (--client-ip) and the user (--user-header), or unix for all on a Unix socket; may be given several times (default: nobody)")
	set.Var(&f.clientIP, "client-ip", "`WHERE` a trusted proxy says who the client is: xff (X-Forwarded-For, from the right), forwarded (Forwarded), header:NAME (a field with one address, which it sets for every request) or hops:N (address N from the right in X-Forwarded-For); or peer, who connects (default: xff with --trust, else peer)")
	set.Var(&f.userHeader, "user-header", "`NAME` of the request header field in which a trusted proxy says who the user is")
	set.Var(&f.ipv6Prefix, "ipv6-prefix", "`BITS` of the network that IPv6 clients are limited by, 32 to 128")
	set.StringArrayVar(&f.exempt, "exempt", nil, "`CIDR` or address of clients that are not limited; may be given several times")
	set.Var(&f.fields, "fields", "`FORMS` of the fields that tell clients what they have left: draft-11, draft-7, draft-6, x or none, or one with x such as draft-6+x")
	set.BoolVar(&f.exposeFields, "expose-fields", false, "let scripts of other origins read the fields (CORS) of the answers that the upstream lets them read")
	set.BoolVar(&f.jitter, "jitter", true, "add up to a tenth, a minute at most, to Retry-After, so that clients that were refused together do not come back together")
	set.Var(&f.forwardAuth, "forward-auth", "`PROXY` that asks weir whether its requests may go on, in place of --to: nginx (auth_request), caddy (forward_auth) or traefik (forwardAuth)")
	set.Var(&f.denyStatus, "deny-status", "`STATUS` that --forward-auth refuses with, 403 or 429 (default 403 for nginx, which knows no other, and else 429)")
	set.Var(&f.tlsCert, "tls-cert", "`FILE` of the certificate and its chain, in PEM; it is read again when it changes (default: no TLS)")
	set.Var(&f.tlsKey, "tls-key", "`FILE` of the key of --tls-cert, in PEM")
	set.StringArrayVar(&f.proxyProtocol, "proxy-protocol", nil, "`CIDR` or address of a proxy that says by the PROXY protocol who the client is, or unix; nobody else can connect then; may be given several times")
	set.Var(&f.socketMode, "socket-mode", "`MODE` of the Unix socket of --listen: who may connect")
	set.Var(&f.maxConnections, "max-connections", "`NUMBER` of connections that may be open at once, or unlimited")
	set.Var(&f.maxPerClient, "max-connections-per-client", "`NUMBER` of them that one client may have, who is not in --trust, or unlimited")
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
		{"listen", &f.listen, func(text string) error { cfg.Listen = text; return checkListen(text) }},
		{"socket-mode", &f.socketMode, func(text string) (err error) {
			cfg.SocketMode, err = parseMode(text)
			if f.socketMode.given && !strings.HasPrefix(cfg.Listen, "unix:") {
				return errors.New("--listen is no Unix socket: want --listen unix:PATH with it")
			}
			return err
		}},
		{"tls-cert", &f.tlsCert, func(text string) error { cfg.TLSCert = text; return f.tlsCert.with(&f.tlsKey, "--tls-key") }},
		{"tls-key", &f.tlsKey, func(text string) error { cfg.TLSKey = text; return f.tlsKey.with(&f.tlsCert, "--tls-cert") }},
		{"max-connections", &f.maxConnections, func(text string) (err error) {
			cfg.MaxConnections, err = parseNumber(text)
			return err
		}},
		{"max-connections-per-client", &f.maxPerClient, func(text string) (err error) {
			cfg.MaxPerClient, err = parseNumber(text)
			return err
		}},
		{"forward-auth", &f.forwardAuth, func(text string) error { return f.readForwardAuth(&cfg, text) }},
		{"deny-status", &f.denyStatus, func(text string) error { return f.readDenyStatus(&cfg, text) }},
		{"fields", &f.fields, func(text string) (err error) {
			cfg.Fields, err = parseFields(text)
			return err
		}},
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
			return serve.Config{}, fmt.Errorf("--%s %s: %w", step.flag, quote(step.of.value), err)
		}
	}
	if f.stateKey.given && cfg.State == "" {
		return serve.Config{}, errors.New("--state-key: with --state none there is no file that needs it: want one of them")
	}
	cfg.Jitter, cfg.ExposeFields = f.jitter, f.exposeFields
	var err error
	if cfg.Routes, err = parseRoutes(f.to); err != nil {
		return serve.Config{}, err
	}
	if cfg.Trust, err = parsePeers("trust", f.trust); err != nil {
		return serve.Config{}, err
	}
	if cfg.ClientIP, err = f.readClientIP(cfg); err != nil {
		return serve.Config{}, fmt.Errorf("--client-ip %s: %w", quote(f.clientIP.value), err)
	}
	if cfg.ProxyProtocol, err = parsePeers("proxy-protocol", f.proxyProtocol); err != nil {
		return serve.Config{}, err
	}
	if cfg.Exempt, err = parseNetworks("exempt", f.exempt); err != nil {
		return serve.Config{}, err
	}
	limits := f.limits
	if len(limits) == 0 {
		limits, cfg.DefaultPolicies = []string{"ip 100/min", "user 1000/day"}, true
	}
	if cfg.Policies, err = parseLimits(limits, cfg.UserHeader); err != nil {
		return serve.Config{}, err
	}
	cfg.InFlight, err = parseInFlight(f.inFlight, cfg)
	return cfg, err
}

// parseInFlight reads how many requests may be in flight.
func parseInFlight(texts []string, cfg serve.Config) ([]policy.InFlight, error) {
	list, err := policy.ParseInFlightList(texts...)
	if err != nil {
		return nil, fmt.Errorf("--in-flight %w", err)
	}
	for i, of := range list {
		if cfg.ForwardAuth != "" {
			return nil, fmt.Errorf("--in-flight %s: with --forward-auth no request is in flight here, but at the proxy that asks: want one of them", quote(texts[i]))
		}
		if err := believed(of.Key, cfg.UserHeader); err != nil {
			return nil, fmt.Errorf("--in-flight %s: %w", quote(texts[i]), err)
		}
	}
	return list, nil
}

// believed returns an error if a key is by the header that says who the user is:
// it would believe it of anybody.
func believed(key policy.Key, userHeader string) error {
	if slices.Contains(key, policy.Part{Kind: policy.Header, Name: userHeader}) {
		return fmt.Errorf("%s is the --user-header, which only trusted proxies are believed about: want key \"user\"", userHeader)
	}
	return nil
}

// parseLimits reads the limits.
func parseLimits(texts []string, userHeader string) ([]policy.Policy, error) {
	policies, err := policy.ParseList(texts...)
	if err != nil {
		return nil, fmt.Errorf("--limit %w", err)
	}
	for i, p := range policies {
		if err := believed(p.Key, userHeader); err != nil {
			return nil, fmt.Errorf("--limit %s: %w", quote(texts[i]), err)
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

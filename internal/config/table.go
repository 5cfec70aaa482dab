package config

import (
	"reflect"
	"strings"
)

// A kind is what a setting holds.
type kind uint8

const (
	text kind = iota
	number
	truth
	list
)

// A row is a setting. This table is all there are: the flags and their help, the
// variables, the keys of the file, its schema and what weir config show prints
// are made from it.
type row struct {
	name   string // in the file
	flag   string // "" is the name
	kind   kind
	arg    string       // what a value is called in the help
	help   string       // what follows that
	preset []string     // the default; nil is none
	words  []string     // that a value can be; nil is others too
	least  int          // of a number
	most   int          // 0 is any
	also   string       // of the schema: another type that YAML can take a text for
	item   reflect.Type // of a list: the struct that an item can be in place of a text
}

var (
	truths   = []string{"true", "false"}
	defaults = []string{"ip 100/min", "user 1000/day"}
)

// rows are in the order in which the help has them.
var rows = []row{
	{name: "upstreams", flag: "to", kind: list, item: reflect.TypeFor[upstreamFile](), arg: "[PATH=]URL", help: "of the upstream, http or https, for PATH and what is below it; in quotes with the word strip after it the upstream is asked without PATH; may be given several times, and the longest PATH counts (default: a built-in one that answers by itself)"},
	{name: "listen", arg: "HOST:PORT", preset: []string{"127.0.0.1:8080"}, help: "to listen on, where port 0 is a free one, or unix:PATH"},
	{name: "policies", flag: "limit", kind: list, item: reflect.TypeFor[policyFile](), preset: defaults, arg: "'KEY LIMIT [dry-run]'", help: ", such as 'ip 100/min'; may be given several times (default 'ip 100/min' and 'user 1000/day')"},
	{name: "in-flight", kind: list, item: reflect.TypeFor[inFlightFile](), arg: "'KEY N'", help: ", such as 'ip 10': how many requests of a KEY may be in flight at once; may be given several times (default: any number)"},
	{name: "trust", kind: list, arg: "CIDR", help: "or address of a proxy that is believed about the client (--client-ip) and the user (--user-header), or unix for all on a Unix socket; may be given several times (default: nobody)"},
	{name: "client-ip", arg: "WHERE", help: "a trusted proxy says who the client is: xff (X-Forwarded-For, from the right), forwarded (Forwarded), header:NAME (a field with one address, which it sets for every request) or hops:N (address N from the right in X-Forwarded-For); or peer, who connects (default: xff with --trust, else peer)"},
	{name: "user-header", arg: "NAME", preset: []string{"X-User"}, help: "of the request header field in which a trusted proxy says who the user is"},
	{name: "ipv6-prefix", kind: number, least: 32, most: 128, arg: "BITS", preset: []string{"64"}, help: "of the network that IPv6 clients are limited by, 32 to 128"},
	{name: "exempt", kind: list, arg: "CIDR", help: "or address of clients that are not limited; may be given several times"},
	{name: "exempt-routes", kind: list, arg: "PATTERN", help: "of requests that are not limited, as of net/http's ServeMux, such as 'GET /healthz'; may be given several times"},
	{name: "fold-case", kind: truth, preset: []string{"false"}, help: "take /Login for /login in the patterns of routes, as the servers behind do"},
	{name: "preflight", arg: "WHAT", preset: []string{"apart"}, words: []string{"apart", "skip", "charge"}, help: "becomes of CORS preflights: apart (they have buckets of their own), skip (all pass) or charge (as any request)"},
	{name: "fail-open", kind: truth, preset: []string{"false"}, help: "let requests pass that cannot be counted, in place of answering 503"},
	{name: "fields", arg: "FORMS", preset: []string{"draft-11"}, help: "of the fields that tell clients what they have left: draft-11, draft-7, draft-6, x or none, or one with x such as draft-6+x"},
	{name: "fields-on-redirect", kind: truth, preset: []string{"true"}, help: "leave these fields in responses with status 300 to 399"},
	{name: "expose-fields", kind: truth, preset: []string{"false"}, help: "let scripts of other origins read the fields (CORS)"},
	{name: "partition-key", arg: "KEY", preset: []string{"none"}, help: "by a hash of which clients are told in which quota they are: ip, user, header:NAME or none"},
	{name: "partition-secret", arg: "FILE", help: "of the secret of that hash, as of --state-key (default: a new one at each start)"},
	{name: "jitter", kind: truth, preset: []string{"true"}, help: "add up to a tenth, a minute at most, to Retry-After, so that clients that were refused together do not come back together"},
	{name: "forward-auth", arg: "PROXY", words: []string{"nginx", "caddy", "traefik"}, help: "that asks weir whether its requests may go on, in place of --to: nginx (auth_request), caddy (forward_auth) or traefik (forwardAuth)"},
	{name: "deny-status", kind: number, arg: "STATUS", words: []string{"403", "429"}, help: "that --forward-auth refuses with, 403 or 429 (default 403 for nginx, which knows no other, and else 429)"},
	{name: "tls-cert", arg: "FILE", help: "of the certificate and its chain, in PEM; it is read again when it changes (default: no TLS)"},
	{name: "tls-key", arg: "FILE", help: "of the key of --tls-cert, in PEM"},
	{name: "proxy-protocol", kind: list, arg: "CIDR", help: "or address of a proxy that says by the PROXY protocol who the client is, or unix; nobody else can connect then; may be given several times"},
	{name: "socket-mode", also: "integer", arg: "MODE", preset: []string{"0600"}, help: "of the Unix socket of --listen: who may connect"},
	{name: "max-connections", kind: number, least: 1, most: maxInt32, words: []string{"unlimited"}, arg: "NUMBER", preset: []string{"10000"}, help: "of connections that may be open at once, or unlimited"},
	{name: "max-connections-per-client", kind: number, least: 1, most: maxInt32, words: []string{"unlimited"}, arg: "NUMBER", preset: []string{"500"}, help: "of them that one client may have, who is not in --trust, or unlimited"},
	{name: "state", arg: "FILE", preset: []string{"weir.db"}, help: "that keeps what clients have used, or none"},
	{name: "state-key", arg: "FILE", help: "of the secret that keys of clients are hashed with (default: that of --state with .key after its name)"},
	{name: "state-failure", arg: "WHAT", preset: []string{"memory"}, words: []string{"memory", "refuse"}, help: "to do if the file cannot be used: memory (go on without it) or refuse (exit)"},
	{name: "snapshot-every", arg: "TIME", preset: []string{"10s"}, help: "between snapshots, 10ms to 24h: what a crash can forget; with --edge the default is 1m"},
	{name: "edge", kind: truth, preset: []string{"false"}, help: "spare flash: debts that are over within --snapshot-every are saved only when weir stops"},
	{name: "crash", arg: "WHAT", preset: []string{"accept"}, words: []string{"accept", "charge"}, help: "is made of what was spent since the last snapshot: accept (forget it) or charge (all who had used some start with nothing)"},
	{name: "cold-start", arg: "WHAT", preset: []string{"full"}, words: []string{"full", "empty"}, help: "clients start with if there is no state, be it new, lost or damaged: full or empty buckets"},
	{name: "upstream-timeout", also: "integer", arg: "TIME", preset: []string{"60s"}, help: "that the upstream may take to begin its answer; 0 is for ever"},
	{name: "admin", arg: "ADDRESS", preset: []string{"127.0.0.1:9429"}, help: "to look at weir by, HOST:PORT or unix:PATH: the page, metrics, health and the commands top, keys and status; or none. If it is not given and the address is in use, weir does without"},
	{name: "admin-token", arg: "FILE", help: "of the token that --admin wants from who may see clients and reset them, 32 random bytes as of --state-key (default: that of --state with .token after its name, which is made if there is none)"},
	{name: "admin-pprof", kind: truth, preset: []string{"false"}, help: "add profiles of the process to --admin, for who has the token"},
	{name: "log-keys", kind: truth, preset: []string{"false"}, help: "name clients in the log, by address for one, where one is over a limit; otherwise it only tells which lines are about the same one"},
	{name: "log-level", arg: "LEVEL", preset: []string{"info"}, words: []string{"debug", "info", "warn", "error"}, help: "of what is logged: debug, info, warn or error"},
}

const maxInt32 = 1<<31 - 1

// rowOf returns the row with a name.
func rowOf(name string) *row {
	for i := range rows {
		if rows[i].name == name {
			return &rows[i]
		}
	}
	return nil
}

// flagName returns the name of the flag, without dashes.
func (r *row) flagName() string {
	if r.flag != "" {
		return r.flag
	}
	return r.name
}

// envName returns the name of the variable.
func (r *row) envName() string { return envPrefix + envWord(r.flagName()) }

const envPrefix = "WEIR_"

func envWord(flag string) string { return strings.ToUpper(strings.ReplaceAll(flag, "-", "_")) }

// A Setting is a row of the table as a command line shows it.
type Setting struct {
	// Flag is the name of the flag, without dashes, and Key that in the file.
	Flag, Key string
	// Usage is the help, with what the value is called in `backquotes`.
	Usage string
	// Default is what one that is not given is, "" for nothing or for a list.
	Default string
	// Bool tells that it is a switch, and List that it may be given several
	// times.
	Bool, List bool
}

// Settings returns all settings, in the order of the help.
func Settings() []Setting {
	settings := make([]Setting, len(rows))
	for i, r := range rows {
		s := Setting{Flag: r.flagName(), Key: r.name, Usage: r.help, Bool: r.kind == truth, List: r.kind == list}
		if !s.Bool {
			s.Usage = "`" + r.arg + "`" + space(r.help) + r.help
		}
		if !s.List && len(r.preset) > 0 {
			s.Default = r.preset[0]
		}
		settings[i] = s
	}
	return settings
}

// space returns what stands between the name of a value and what follows.
func space(help string) string {
	if strings.HasPrefix(help, ",") {
		return ""
	}
	return " "
}

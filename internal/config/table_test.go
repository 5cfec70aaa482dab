package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/config"
	"github.com/seed-0c889b51/weir/internal/policy"
)

// A sample is three values of a setting that are valid, by flag, variable and
// file, and what the setting needs beside it.
type sample struct{ flag, env, file, with string }

var samples = map[string]sample{
	"upstreams":                  {"http://a", "http://b", "http://c", ""},
	"listen":                     {"a:1", "a:2", "a:3", ""},
	"policies":                   {"ip 1/s", "ip 2/s", "ip 3/s", ""},
	"in-flight":                  {"ip 1", "ip 2", "ip 3", ""},
	"trust":                      {"10.0.0.1", "10.0.0.2", "10.0.0.3", ""},
	"client-ip":                  {"hops:1", "hops:2", "hops:3", "trust: [10.0.0.1]"},
	"user-header":                {"X-A", "X-B", "X-C", ""},
	"ipv6-prefix":                {"48", "49", "50", ""},
	"exempt":                     {"10.0.0.1", "10.0.0.2", "10.0.0.3", ""},
	"exempt-routes":              {"/a", "/b", "/c", ""},
	"fold-case":                  {"true", "false", "true", ""},
	"preflight":                  {"skip", "charge", "skip", ""},
	"fail-open":                  {"true", "false", "true", ""},
	"fields":                     {"draft-7", "draft-6", "x", ""},
	"fields-on-redirect":         {"false", "true", "false", ""},
	"expose-fields":              {"true", "false", "true", ""},
	"partition-key":              {"ip", "user", "header:A", ""},
	"partition-secret":           {"a", "b", "c", "partition-key: ip"},
	"jitter":                     {"false", "true", "false", ""},
	"forward-auth":               {"nginx", "caddy", "traefik", ""},
	"deny-status":                {"403", "429", "403", "forward-auth: caddy"},
	"tls-cert":                   {"a", "b", "c", "tls-key: k"},
	"tls-key":                    {"a", "b", "c", "tls-cert: k"},
	"proxy-protocol":             {"10.0.0.1", "10.0.0.2", "10.0.0.3", ""},
	"socket-mode":                {"0601", "0602", "0603", "listen: unix:/a"},
	"max-connections":            {"1", "2", "unlimited", ""},
	"max-connections-per-client": {"1", "2", "unlimited", ""},
	"state":                      {"a", "b", "none", ""},
	"state-key":                  {"a", "b", "c", ""},
	"state-failure":              {"refuse", "memory", "refuse", ""},
	"snapshot-every":             {"1s", "2s", "3s", ""},
	"edge":                       {"true", "false", "true", ""},
	"crash":                      {"charge", "accept", "charge", ""},
	"cold-start":                 {"empty", "full", "empty", ""},
	"upstream-timeout":           {"1s", "2s", "3s", ""},
	"admin":                      {"a:1", "a:2", "none", ""},
	"admin-token":                {"a", "b", "c", ""},
	"admin-pprof":                {"true", "false", "true", ""},
	"log-keys":                   {"true", "false", "true", ""},
	"log-level":                  {"debug", "warn", "error", ""},
}

// Each setting can be given by a flag, a variable and the file, and that is the
// order in which they go before one another and the default.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	for _, s := range config.Settings() {
		of, ok := samples[s.Key]
		if !ok {
			t.Errorf("setting %s has no sample", s.Key)
			continue
		}
		for given := range 8 {
			checkPrecedence(t, s, of, given)
		}
	}
	if len(samples) != len(config.Settings()) {
		t.Errorf("%d samples for %d settings", len(samples), len(config.Settings()))
	}
}

// checkPrecedence holds what a setting is if it is given in the file (1), by a
// variable (2) and by a flag (4), or by some of these.
func checkPrecedence(t *testing.T, s config.Setting, of sample, given int) {
	t.Helper()
	if given == 0 {
		of.with = "" // which may need the setting
	}
	in := config.Input{Name: "f", File: []byte(of.with + "\n")}
	want, origin := "", "default"
	if given&1 != 0 {
		line := s.Key + ": " + of.file
		if s.List {
			line = s.Key + ": ['" + of.file + "']"
		}
		in.File = append(in.File, line...)
		want, origin = of.file, "f:2:"
	}
	if given&2 != 0 {
		variable := "WEIR_" + strings.ToUpper(strings.ReplaceAll(s.Flag, "-", "_"))
		in.Environ = []string{"HOME=/", variable + "=" + of.env}
		want, origin = of.env, variable
	}
	if given&4 != 0 {
		in.Flags = map[string][]string{s.Flag: {of.flag}}
		want, origin = of.flag, "--"+s.Flag
	}
	cfg, err := config.Load(in)
	if err != nil {
		t.Errorf("%s, %03b: %v", s.Key, given, err)
		return
	}
	var b bytes.Buffer
	if err := cfg.Show(&b, true); err != nil {
		t.Fatal(err)
	}
	shown := "\n" + b.String()
	if given == 0 {
		checkDefault(t, s, shown)
		return
	}
	parts := []string{"\n" + s.Key + ": " + want + "  # " + origin}
	if s.List {
		parts = []string{"\n" + s.Key + ":  # " + origin, "\n  - " + want + "  # " + origin}
	}
	for _, part := range parts {
		if !strings.Contains(shown, part) {
			t.Errorf("%s, %03b: want%s in%s", s.Key, given, part, shown)
		}
	}
}

// checkDefault holds that a setting that nobody has given is the default.
func checkDefault(t *testing.T, s config.Setting, shown string) {
	t.Helper()
	want := ""
	switch {
	case s.Key == "policies":
		want = "\npolicies:  # default\n  - ip 100/min  # default\n  - user 1000/day  # default\n"
	case s.List:
		want = "\n" + s.Key + ": []  # default\n"
	case s.Default != "" && s.Key != "socket-mode":
		want = "\n" + s.Key + ": " + s.Default + "  # default\n"
	}
	if !strings.Contains(shown, want) {
		t.Errorf("%s: want%sin%s", s.Key, want, shown)
	}
}

// A variable can hold a list; an empty one is none; one that is no setting is a
// warning, unless Kubernetes made it.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(config.Input{Environ: []string{
		"WEIR_LIMIT=ip 1/s, user 2/s\nip 5/h", "WEIR_TRUST=10.0.0.1", "WEIR_STATE=", "WEIR_JITTER=false",
		"WEIR_LISTN=:1", "WEIR_FROBNICATE=1", "WEIR_PORT=tcp://10.0.0.1:80", "WEIR_PORT_80_TCP_ADDR=a", "WEIR_SERVICE_HOST=b", "XWEIR_A=1", "WEIR_CONFIG=x",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if s := cfg.Serve; len(s.Policies) != 3 || s.Policies[2].String() != "ip 5/h" || len(s.Trust.Networks) != 1 || s.State != "weir.db" || s.Jitter {
		t.Errorf("%+v", s)
	}
	want := []string{`variable "WEIR_FROBNICATE" is no setting`, `variable "WEIR_LISTN" is no setting; did you mean "WEIR_LISTEN"?`}
	if !slices.Equal(cfg.Warnings, want) {
		t.Errorf("warnings %q, want %q", cfg.Warnings, want)
	}
	for environ, want := range map[string]string{
		"WEIR_LIMIT=ip":            `WEIR_LIMIT "ip": there is no limit after key "ip": want QUOTA/WINDOW [burst N], such as 100/min`,
		"WEIR_LIMIT=,":             `WEIR_LIMIT: there is none: want one or more, such as 'ip 100/min', or the setting left out for the default`,
		"WEIR_JITTER=0":            `WEIR_JITTER "0": want true or false`,
		"WEIR_CLIENT_IP=xff":       `WEIR_CLIENT_IP "xff": nobody is trusted to say it: want WEIR_TRUST with the addresses of your proxies, or peer`,
		"WEIR_SOCKET_MODE=0600":    `WEIR_SOCKET_MODE "0600": WEIR_LISTEN is no Unix socket: want WEIR_LISTEN=unix:PATH with it`,
		"WEIR_TRUST=10.0.0.1 a, b": "WEIR_TRUST \"10.0.0.1 a\": want an address or a network, such as 10.0.0.5 or 10.0.0.0/8\nWEIR_TRUST \"b\": want an address or a network, such as 10.0.0.5 or 10.0.0.0/8",
	} {
		if _, err := config.Load(config.Input{Environ: []string{environ}}); err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", environ, err, want)
		}
	}
	if got := config.Lookup([]string{"A=1", "B=2", "A=3"}, "A"); got != "3" {
		t.Errorf("of two of a name the last counts, not %q", got)
	}
}

// What is shown is a file that says the same, to the last value.
func TestShowIsTheConfiguration(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("../../examples/weir.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{
		string(file), "", "forward-auth: nginx", "listen: unix:/a\nsocket-mode: 0660", "edge: true", "state: 'null'", "state: \"a: b # \\\"c\\\"\\t\"",
		"state: '- a'", "state: 'a:'", "state: '{a}'", "state: é", "upstreams: [{path: /a, to: 'http://a', strip: true}]", "exempt-routes: ['/a,b', 'GET /c']",
		"policies: [{key: user, limit: 5/s, cost: {header: X-A, max: 5}, tiers: [{limit: 1/s, keys: ['a, b', 'c: d', '[e]']}, {plan: x y, limit: 2/s, keys: [42]}]}]",
	} {
		cfg := load(t, file)
		for _, origins := range []bool{false, true} {
			var first, second bytes.Buffer
			if err := cfg.Show(&first, origins); err != nil {
				t.Fatal(err)
			}
			again := load(t, first.String())
			if err := again.Show(&second, false); err != nil {
				t.Fatal(err)
			}
			if got, want := texts(again), texts(cfg); got != want {
				t.Errorf("%s\nis shown as\n%s\nwhich is\n%s\nwant\n%s", file, first.String(), got, want)
			}
			if !origins && first.String() != second.String() {
				t.Errorf("%s\nis shown as\n%s\nand that as\n%s", file, first.String(), second.String())
			}
		}
	}
}

// texts returns all of a configuration as text, but for what tells whether
// somebody chose it.
func texts(cfg *config.Config) string {
	s := cfg.Serve
	s.DefaultPolicies, s.Admin.Optional = false, false
	text := fmt.Sprint(cfg.LogLevel, cfg.StateKey, cfg.PartitionSecret, cfg.AdminToken)
	for _, p := range s.Policies {
		p := struct{ policy.Policy }{p}
		b, err := json.Marshal(p)
		if err != nil {
			panic(err)
		}
		text += "\n" + string(b)
	}
	for _, r := range s.Routes {
		text += fmt.Sprint("\n", r.Path, r.To, r.Strip)
	}
	s.Policies, s.Routes = nil, nil
	return text + fmt.Sprintf("\n%+v", s)
}

// Each setting has a name of its own, and says what its value is called.
func TestSettings(t *testing.T) {
	t.Parallel()
	flags, keys := map[string]bool{}, map[string]bool{}
	for _, s := range config.Settings() {
		if flags[s.Flag] || keys[s.Key] || s.Flag == "" || s.Usage == "" {
			t.Errorf("%+v", s)
		}
		flags[s.Flag], keys[s.Key] = true, true
		if strings.Contains(s.Usage, "`") == s.Bool {
			t.Errorf("--%s: %s", s.Flag, s.Usage)
		}
	}
}

package config_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/config"
	"github.com/seed-0c889b51/weir/internal/policy"
	"github.com/seed-0c889b51/weir/internal/serve"
)

// load loads a file that is valid.
func load(t *testing.T, file string) *config.Config {
	t.Helper()
	cfg, err := config.Load(config.Input{Name: "weir.yaml", File: []byte(file)})
	if err != nil {
		t.Fatalf("%s\n%v", file, err)
	}
	return cfg
}

// The sample is valid, and is what it says it is.
func TestTheSample(t *testing.T) {
	t.Parallel()
	cfg, err := config.Source{Path: "../../examples/weir.yaml"}.Load()
	if err != nil {
		t.Fatal(err)
	}
	s := cfg.Serve
	var names []string
	for _, p := range s.Policies {
		names = append(names, p.Name)
	}
	if got, want := strings.Join(names, ", "), "ip, ip/48, user, header:X-Api-Key, failed-logins, report-work, ip+path"; got != want {
		t.Errorf("policies %s, want %s", got, want)
	}
	if got := s.Policies[2].Limits()["alice"]; got != (bucket.Limit{Quota: 20000, Window: 24 * time.Hour, Burst: 500}) {
		t.Errorf("alice has %v", got)
	}
	if len(s.Routes) != 2 || !s.Routes[1].Strip || len(s.InFlight) != 2 || s.InFlight[1].RetryAfter != 2*time.Second || len(cfg.Warnings) != 0 {
		t.Errorf("%+v", cfg)
	}
}

// All that a policy can say becomes what it is to do.
func TestAPolicyWithAllItsKeys(t *testing.T) {
	t.Parallel()
	s := load(t, `
policies:
  - name: work
    previous-names: [job, "task"]
    key: header:x-api-key
    limit: 100/min burst 20
    dry-run: true
    missing: shared
    routes: [/a/, "POST /b"]
    cost: {header: x-cost, min: 0, max: 50}
    settle: {statuses: [401, 5xx, 402-403], header: x-work, max: 9}
    tiers:
      - {plan: gold, limit: 9/s, keys: ["sha256:000102030405060708090a0b0c0d0e0f"]}
    change: keep-fraction
    crash: charge
    cold-start: empty
    size: 1024
    debts: 8192
  - {key: ip, limit: 5/s, cost: 7}
`).Serve
	charge, empty := weir.Charge, weir.EmptyBuckets
	want := []policy.Policy{{
		Name: "work", Key: policy.Key{{Kind: policy.Header, Name: "X-Api-Key"}},
		Limit: bucket.Limit{Quota: 100, Window: time.Minute, Burst: 20}, DryRun: true,
		Terms: policy.Terms{
			PreviousNames: []string{"job", "task"}, Missing: policy.Shared, Routes: []string{"/a/", "POST /b"},
			Cost:   &policy.Cost{Header: "X-Cost", Min: 0, Max: 50},
			Settle: &policy.Settle{Statuses: []policy.Statuses{{First: 401, Last: 401}, {First: 500, Last: 599}, {First: 402, Last: 403}}, Header: "X-Work", Max: 9},
			Tiers: []policy.Tier{{Plan: "gold", Limit: bucket.Limit{Quota: 9, Window: time.Second, Burst: 9},
				Keys: []string{"sha256:000102030405060708090a0b0c0d0e0f"}}},
			Change: bucket.KeepFraction, Crash: &charge, ColdStart: &empty, Size: 1024, Debts: 8192,
		},
	}, {
		Name: "ip", Key: policy.Key{{Kind: policy.IP}}, Limit: bucket.Limit{Quota: 5, Window: time.Second, Burst: 5},
		Terms: policy.Terms{Cost: &policy.Cost{Tokens: 7}},
	}}
	if !reflect.DeepEqual(s.Policies, want) {
		t.Errorf("got  %+v\nwant %+v", s.Policies, want)
	}
}

// Each setting of the file is what it is meant to be.
func TestSettingsOfTheFile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		file string
		got  func(*config.Config) any
		want any
	}{
		{"listen: :0", func(c *config.Config) any { return c.Serve.Listen }, ":0"},
		{"listen: unix:/a\nsocket-mode: 0660", func(c *config.Config) any { return fmt.Sprintf("%o", c.Serve.SocketMode) }, "660"},
		{"tls-cert: a\ntls-key: b", func(c *config.Config) any { return c.Serve.TLSCert + c.Serve.TLSKey }, "ab"},
		{"proxy-protocol: [10.0.0.1, unix]", func(c *config.Config) any { return c.Serve.ProxyProtocol },
			serve.Peers{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}, Unix: true}},
		{"max-connections: unlimited", func(c *config.Config) any { return c.Serve.MaxConnections }, 0},
		{"max-connections-per-client: 7", func(c *config.Config) any { return c.Serve.MaxPerClient }, 7},
		{"upstream-timeout: 0", func(c *config.Config) any { return c.Serve.Timeout }, time.Duration(0)},
		{"forward-auth: nginx", func(c *config.Config) any { return c.Serve.DenyStatus }, 403},
		{"forward-auth: nginx\ndeny-status: 429", func(c *config.Config) any { return c.Serve.DenyStatus }, 429},
		{"trust: [10.0.0.1]\nclient-ip: hops:2", func(c *config.Config) any { return c.Serve.ClientIP }, serve.ClientIP{From: serve.FromHops, Hops: 2}},
		{"user-header: x-id", func(c *config.Config) any { return c.Serve.UserHeader }, "X-Id"},
		{"ipv6-prefix: 48", func(c *config.Config) any { return c.Serve.IPv6Prefix }, 48},
		{"exempt: ['::1']", func(c *config.Config) any { return c.Serve.Exempt[0].String() }, "::1/128"},
		{"exempt-routes: [/a, /b]", func(c *config.Config) any { return c.Serve.ExemptRoutes }, []string{"/a", "/b"}},
		{"fold-case: true", func(c *config.Config) any { return c.Serve.FoldCase }, true},
		{"preflight: skip", func(c *config.Config) any { return c.Serve.Preflight }, httpmw.PreflightSkip},
		{"preflight: charge", func(c *config.Config) any { return c.Serve.Preflight }, httpmw.PreflightCharge},
		{"fail-open: true", func(c *config.Config) any { return c.Serve.FailOpen }, true},
		{"fields: draft-6+x", func(c *config.Config) any { return c.Serve.Fields }, httpmw.Draft6 | httpmw.XRateLimit},
		{"fields-on-redirect: false", func(c *config.Config) any { return c.Serve.NoFieldsOnRedirect }, true},
		{"expose-fields: true", func(c *config.Config) any { return c.Serve.ExposeFields }, true},
		{"partition-key: header:x-tenant", func(c *config.Config) any { return c.Serve.PartitionKey }, policy.Part{Kind: policy.Header, Name: "X-Tenant"}},
		{"partition-key: ip\npartition-secret: f", func(c *config.Config) any { return c.PartitionSecret }, "f"},
		{"jitter: false", func(c *config.Config) any { return c.Serve.Jitter }, false},
		{"in-flight: [{key: user, max: 3, missing: refuse, routes: [/a]}]", func(c *config.Config) any { return c.Serve.InFlight },
			[]policy.InFlight{{Name: "user/in-flight", Key: policy.Key{{Kind: policy.User}}, Max: 3,
				InFlightTerms: policy.InFlightTerms{Missing: policy.Refuse, Routes: []string{"/a"}}}}},
		{"state: none", func(c *config.Config) any { return c.Serve.State }, ""},
		{"state-key: f", func(c *config.Config) any { return c.StateKey + " " + c.StateKeyAt.String() }, "f weir.yaml:1:12"},
		{"state-failure: refuse", func(c *config.Config) any { return c.Serve.NeedState }, true},
		{"snapshot-every: 20ms", func(c *config.Config) any { return c.Serve.SnapshotEvery }, 20 * time.Millisecond},
		{"edge: true", func(c *config.Config) any { return c.Serve.SnapshotEvery }, time.Minute},
		{"edge: true\nsnapshot-every: 5s", func(c *config.Config) any { return c.Serve.SnapshotEvery }, 5 * time.Second},
		{"crash: charge", func(c *config.Config) any { return c.Serve.Crash }, weir.Charge},
		{"cold-start: empty", func(c *config.Config) any { return c.Serve.ColdStart }, weir.EmptyBuckets},
		{"log-level: debug", func(c *config.Config) any { return c.LogLevel.String() }, "DEBUG"},
		{"admin: none", func(c *config.Config) any { return c.Serve.Admin.Listen }, ""},
		{"admin-token: f", func(c *config.Config) any { return c.AdminToken }, "f"},
		{"admin-pprof: true\nlog-keys: true", func(c *config.Config) any { return c.Serve.Admin.Pprof && c.Serve.Admin.NameKeys }, true},
		{"x: &a [10.0.0.1]\ntrust: *a", nil, nil},
		{"trust: &a [10.0.0.1]\nexempt: *a", func(c *config.Config) any { return c.Serve.Exempt[0].String() }, "10.0.0.1/32"},
		{"state: |\n  a.db", func(c *config.Config) any { return c.Serve.State }, "a.db"},
		{"\ufeffstate: a.db\r\ncrash: charge\r\n", func(c *config.Config) any { return c.Serve.State }, "a.db"},
		{"{\"state\": \"a.db\"}", func(c *config.Config) any { return c.Serve.State }, "a.db"},
		{"", func(c *config.Config) any { return c.Serve.DefaultPolicies }, true},
		{"# nothing\n---\n", func(c *config.Config) any { return c.Serve.DefaultPolicies }, true},
	} {
		if tt.got == nil {
			if _, err := config.Load(config.Input{Name: "w", File: []byte(tt.file)}); err == nil {
				t.Errorf("%q is valid", tt.file)
			}
			continue
		}
		if got := tt.got(load(t, tt.file)); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q: %v, want %v", tt.file, got, tt.want)
		}
	}
}

// What cannot be told in a file of text: control characters, what is not UTF-8,
// and too much of anything.
func TestFilesThatAreNoText(t *testing.T) {
	t.Parallel()
	const laughs = "trust: &a [10.0.0.1, 10.0.0.2]\n"
	for _, tt := range []struct{ why, file, want string }{
		{"a NUL byte", "listen: a\x00b", "w:1:10: there is the control character U+0000: want text"},
		{"an escape sequence of a terminal", "a: 1\nlisten: \x1b[2J", "w:2:9: there is the control character U+001B: want text"},
		{"one of latin-1", "listen: \u0085", "w:1:9: there is the control character U+0085: want text"},
		{"a line separator", "listen: \u2028", "w:1:9: there is the control character U+2028: want text"},
		{"latin-1", "state: caf\xe9.db", "w:1:1: the line is not UTF-8: want text in UTF-8"},
		{"UTF-16", "\xff\xfel\x00", "w:1:1: the line is not UTF-8: want text in UTF-8"},
		{"more than a MiB", strings.Repeat("# a\n", 1<<18) + "#", "w: it is longer than 1048576 bytes: want at most that"},
		{"many keys", strings.Repeat("a: 1\n", 5001), "w:5001:2: there are more than 5000 keys: want at most that"},
		{"many aliases", laughs + "exempt: [" + strings.Repeat("*a, ", 1001) + "]", "there are more than 1000 anchors and aliases: want at most that"},
		{"levels beyond counting", "trust: " + strings.Repeat("[", 500_000), "w:1:39: there are more than 32 levels: want at most that"},
		{"dashes beyond counting", strings.Repeat("- ", 500_000), "w:1:65: there are more than 32 levels: want at most that"},
		{"an alias of what is large, many times", "exempt: &a [" + strings.Repeat("10.0.0.1, ", 90_000) + "]\ntrust: *a\nproxy-protocol: *a\n",
			"there are more than 200000 values, with those of aliases: want at most that"},
		{"many policies", "policies: [" + strings.Repeat("ip 5/s, ", 90_000) + "]", "w:1:8012: policies[1000]: \"ip 5/s\": there are more than 1000: want at most that"},
		{"many patterns", "exempt-routes: [" + strings.Repeat("/, ", 90_000) + "]", "w:1:3017: exempt-routes[1000]: \"/\": there are more than 1000 patterns: want at most that"},
		{"many mistakes", "trust: [" + strings.Repeat("x, ", 90_000) + "]", "w:1:9: trust[0]: \"x\": want an address"},
	} {
		begin := time.Now()
		_, err := config.Load(config.Input{Name: "w", File: []byte(tt.file)})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %.300v\nwant %s", tt.why, err, tt.want)
		}
		t.Log(tt.why, time.Since(begin))
	}
}

// All problems are shown with the line, and a caret under the column; of very
// many only some.
func TestHowProblemsAreShown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ file, want string }{
		{"# é\npolicies:\n  - {key: ip, limit: 100/mn} # ü", `weir: w:3:22: policies[0].limit: limit "100/mn": window "mn": want s, min, h, day, week, or a duration such as 500ms or 1h30m
    3 |   - {key: ip, limit: 100/mn} # ü
      |                      ^
`},
		{"state: 'äöü'\ncrash:\t x", `weir: w:2:9: crash: "x": want accept or charge
    2 | crash:\t x
      |          ^
`},
		{"trust: [" + strings.Repeat("10.0.0.1, ", 50) + "x]", `weir: w:1:509: trust[50]: "x": want an address or a network, such as 10.0.0.5 or 10.0.0.0/8
    1 | ` + strings.Repeat("10.0.0.1, ", 12)[2:] + `x]
      | ` + strings.Repeat(" ", 118) + `^
`},
	} {
		_, err := config.Load(config.Input{Name: "w", File: []byte(tt.file)})
		var problems config.Problems
		if !errors.As(err, &problems) {
			t.Fatalf("%q: %v", tt.file, err)
		}
		if got := problems.Text("weir: "); got != tt.want {
			t.Errorf("got\n%s\nwant\n%s", got, tt.want)
		}
	}
	_, err := config.Load(config.Input{Name: "w", File: []byte("trust: [" + strings.Repeat("x, ", 100) + "]")})
	var problems config.Problems
	if errors.As(err, &problems); len(problems) != 100 || !strings.HasSuffix(problems.Text("weir: "), "\nweir: and 80 more\n") {
		t.Errorf("%d problems:\n%s", len(problems), problems.Text("weir: "))
	}
}

// What may be a secret is in no message and in no line that is shown.
func TestNoSecretIsShown(t *testing.T) {
	t.Parallel()
	const secret = "5ecre75ecre75ecre75ecre75ecre75ecre75ecre75ecre75ecre75ecre75ecr"
	hexSecret := strings.Repeat("0badc0de", 8)
	keyed := "policies:\n  - key: header:X-Api-Key\n    limit: 5/s\n"
	for why, file := range map[string]string{
		"a password of an upstream":                    "upstreams: ['http://me:" + secret + "@a']",
		"and another mistake beside it":                "upstreams: ['http://me:" + secret + "@a', x]",
		"in keys of its own":                           "upstreams: [{to: 'http://me:" + secret + "@a', strip: maybe}]",
		"a key of a tier":                              keyed + "    tiers: [{limit: 5/s, keys: [" + secret + "]}]",
		"and a limit that is wrong beside it":          keyed + "    tiers: [{limit: 5/x, keys: [" + secret + "]}]",
		"and a key that is unknown beside it":          keyed + "    tiers: [{limit: 5/s, foo: 1, keys: [" + secret + "]}]",
		"one as a key":                                 keyed + "    tiers: [{" + secret + ": 5/s}]",
		"tiers as a mapping":                           keyed + "    tiers: {" + secret + ": 5/s}",
		"tiers as a value":                             keyed + "    tiers: " + secret,
		"keys as a mapping":                            keyed + "    tiers: [{limit: 5/s, keys: {" + secret + ": 1}}]",
		"keys as a value":                              keyed + "    tiers: [{limit: 5/s, keys: " + secret + "}]",
		"keys by an alias":                             "x: &k [" + secret + "]\n" + keyed + "    tiers: [{limit: 5/s, keys: *k}]",
		"with a key of the policy that is wrong":       "policies: [{key: heder:X, limit: 5/s, tiers: [{limit: 5/s, keys: [" + secret + "]}]}]",
		"with no key of the policy":                    "policies: [{limit: 5/s, tiers: [{limit: 5/s, keys: [" + secret + "]}]}]",
		"twice":                                        keyed + "    tiers: [{limit: 5/s, keys: [" + secret + ", " + secret + "]}]",
		"in a file that is not YAML":                   keyed + "    tiers: [{limit: 5/s, keys: [" + secret + "]",
		"in a file that is not YAML, on the very line": keyed + "    tiers:\n      - limit: 5/s\n        keys: [" + secret + " }",
		"a user of Basic with a password":              "policies: [{key: basic, limit: 5/s, tiers: [{limit: 5/s, keys: ['me:" + secret + "']}]}]",
		"a secret in place of the name of its file":    "state-key: " + hexSecret,
		"a secret in place of that of partitions":      "partition-key: ip\npartition-secret: " + hexSecret,
		"a token in place of its file":                 "admin-token: " + hexSecret,
		"a secret for a key":                           hexSecret + ": 1",
		"a secret for a word":                          "crash: " + hexSecret,
		"a secret in a list, beside a mistake":         "trust: [x, " + hexSecret + "]",
		"a secret where the line is wrong":             "state-key: " + hexSecret + " }: [",
	} {
		_, err := config.Load(config.Input{Name: "w", File: []byte(file)})
		var problems config.Problems
		if !errors.As(err, &problems) {
			t.Errorf("%s: %v", why, err)
			continue
		}
		for _, s := range []string{secret, hexSecret} {
			if text := problems.Text("weir: ") + problems.Error(); strings.Contains(text, s) || strings.Contains(text, s[:20]) {
				t.Errorf("%s: it is shown:\n%s", why, text)
			}
		}
	}
	for _, in := range []config.Input{
		{Flags: map[string][]string{"state-key": {hexSecret}}},
		{Flags: map[string][]string{"to": {"http://me:" + secret + "@a"}}},
		{Environ: []string{"WEIR_STATE_KEY=" + hexSecret}},
		{Environ: []string{"WEIR_TO=http://me:" + secret + "@a"}},
		{Environ: []string{"WEIR_ADMIN_TOKEN=" + hexSecret}},
	} {
		_, err := config.Load(in)
		if err == nil || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), hexSecret) {
			t.Errorf("%v: %v", in, err)
		}
	}
}

// A file that cannot be read is one error that says why.
func TestFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	closed := filepath.Join(dir, "closed.yaml")
	if err := os.WriteFile(closed, nil, 0); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, want string }{
		{filepath.Join(dir, "none.yaml"), `none.yaml": it does not exist: want the name of a file in YAML`},
		{dir, `": it is a directory: want the name of a file in YAML`},
		{"a\x00b", `configuration file "a\x00b": want the name of a file in YAML`},
		{closed, `closed.yaml": permission denied: want one that this user may read`},
		{filepath.Join(closed, "a"), `: not a directory`},
	} {
		if tt.path == closed && os.Geteuid() == 0 {
			continue // root may read it
		}
		if _, err := (config.Source{Path: tt.path}).Load(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %s", tt.path, err, tt.want)
		}
	}
	if _, err := config.ReadFile(""); err == nil {
		t.Error("no name is one")
	}
}

package cli_test

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/cli"
)

// run runs a command line that is not meant to serve.
func run(args ...string) (code int, stdout, stderr string) {
	var out, err strings.Builder
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	code = cli.Run(ended, cli.World{Args: args, Stdout: &out, Stderr: &err, Force: context.Background()})
	return code, out.String(), err.String()
}

const (
	wantURL     = ": want a URL such as http://127.0.0.1:3000"
	wantPaths   = ": want one for each path, such as /api=http://127.0.0.1:3000"
	wantClient  = ": want peer, xff, forwarded, header:NAME or hops:N"
	wantTrusted = ": nobody is trusted to say it: want --trust with the addresses of your proxies, or peer"
	wantListen  = "want HOST:PORT, such as 127.0.0.1:8080, or :8080 for all addresses"
	wantTrust   = ": want an address or a network, such as 10.0.0.5 or 10.0.0.0/8, one for each --trust"
	wantUser    = " has a meaning of its own: want a field that only says who the user is, such as X-User"
	wantBits    = ": want a whole number from 32 to 128"
	wantKey     = "want ip, ip/BITS, user, header:NAME, cookie:NAME, bearer, basic, path, global, or several joined by '+', such as ip+path"
)

// Each mistake is one line that names the flag, the value and what is allowed.
func TestMistakes(t *testing.T) {
	t.Parallel()
	serve := func(args ...string) []string { return append([]string{"serve"}, args...) }
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"srve"}, 2, `unknown command "srve": want bench, completion, config, doctor, explain, help, keys, replay, serve, state, status, top, validate, version, whoami; did you mean "serve"?`},
		{[]string{"run"}, 2, `unknown command "run": want bench, completion, config, doctor, explain, help, keys, replay, serve, state, status, top, validate, version, whoami`},
		{[]string{"\x1b[2J\n"}, 2, `unknown command "\x1b[2J\n": want bench, completion, config, doctor, explain, help, keys, replay, serve, state, status, top, validate, version, whoami`},
		{[]string{"help", "srve"}, 2, `unknown command "srve": want bench, completion, config, doctor, explain, help, keys, replay, serve, state, status, top, validate, version, whoami; did you mean "serve"?`},
		{[]string{"completion", "bsh"}, 2, `unknown command "bsh": want bash, fish, powershell, zsh; did you mean "bash"?`},
		{[]string{"version", "1"}, 2, `unexpected argument "1": weir version takes flags only`},
		{[]string{"--to", "http://a"}, 2, `unknown flag "--to"; did you mean "weir serve --to"?`},
		{[]string{"--verbose"}, 2, `unknown flag "--verbose": see weir --help`},
		{serve("--lmit", "ip 1/s"), 2, `unknown flag "--lmit"; did you mean "--limit"?`},
		{serve("--a\nb"), 2, `unknown flag "--a\nb": see weir serve --help`},
		{serve("--=a\nb"), 2, `bad flag syntax: --=a\nb`},
		{serve("-l", "ip 1/s"), 2, `unknown flag "-l": see weir serve --help`},
		{serve("-to", "x"), 2, `unknown flag "-to"; did you mean "--to"?`},
		{serve("--limit"), 2, `--limit has no value: want --limit 'KEY LIMIT [dry-run]'`},
		{serve("--listen"), 2, `--listen has no value: want --listen HOST:PORT`},
		{serve("--listen", ":1", "--listen", ":2"), 2, `--listen ":2": it is given twice, before as ":1": want it once`},
		{serve("--state", "a", "--state", "a"), 2, `--state "a": it is given twice, before as "a": want it once`},
		{serve("http://127.0.0.1:3000"), 2, `unexpected argument "http://127.0.0.1:3000": weir serve takes flags only; did you mean "--to http://127.0.0.1:3000"?`},
		{serve("--limit", "ip", "100/min"), 2, `unexpected argument "100/min": weir serve takes flags only; a limit is one argument in quotes, such as --limit 'ip 100/min'`},

		{serve("--limit", "ipp 100/min"), 3, `--limit "ipp 100/min": key "ipp": ` + wantKey + `; did you mean "ip"?`},
		{serve("--limit", ""), 3, `--limit "": it is empty: want KEY LIMIT, such as "ip 100/min"`},
		{serve("--limit", "ip 1/s", "--limit", "ip 2/s"), 3, `--limit "ip 2/s": "ip 1/s" has the same key and window: want one limit for each window of a key`},
		{serve("--limit", "ip 1/s,user 2/s"), 3, `--limit "ip 1/s,user 2/s": limit "1/s,user 2/s": window "s,user 2/s": want s, min, h, day, week, or a duration such as 500ms or 1h30m`},
		{serve("--limit", "header:x-user 1/s"), 3, `--limit "header:x-user 1/s": X-User is the --user-header, which only trusted proxies are believed about: want key "user"`},
		{serve("--user-header", "X-Id", "--limit", "ip+header:x-id 1/s"), 3, `--limit "ip+header:x-id 1/s": X-Id is the --user-header, which only trusted proxies are believed about: want key "user"`},
		{serve("--in-flight", "ip 10/s"), 3, `--in-flight "ip 10/s": "10/s" is a rate: want how many requests there may be at once, such as "ip 10"`},
		{serve("--in-flight", "ipp 10"), 3, `--in-flight "ipp 10": key "ipp": ` + wantKey + `; did you mean "ip"?`},
		{serve("--in-flight", "ip 1", "--in-flight", "ip 2"), 3, `--in-flight "ip 2": "ip 1" has the same key: want one number for each key`},
		{serve("--in-flight", "header:x-user 1"), 3, `--in-flight "header:x-user 1": X-User is the --user-header, which only trusted proxies are believed about: want key "user"`},
		{serve("--in-flight", "ip 1", "--forward-auth", "caddy"), 3, `--in-flight "ip 1": with --forward-auth no request is in flight here, but at the proxy that asks: want one of them`},
		{serve("--in-flight", "ip", "10"), 2, `unexpected argument "10": weir serve takes flags only`},
		{serve("--user-header", ""), 3, `--user-header "": header name "": want letters, digits and !#$%&'*-.^` + "`|~"},
		{serve("--user-header", "X User"), 3, `--user-header "X User": header name "X User": want letters, digits and !#$%&'*-.^` + "`|~"},
		{serve("--user-header", "X_User"), 3, `--user-header "X_User": header name "X_User": fields with a '_' in the name are dropped, since some servers take it for a '-': want another name`},
		{serve("--user-header", "host"), 3, `--user-header "host": header name "Host" is part of the connection, not of who sends the request: want another name`},
		{serve("--user-header", "x-forwarded-user"), 3, `--user-header "x-forwarded-user": X-Forwarded-User` + wantUser},
		{serve("--user-header", "Forwarded"), 3, `--user-header "Forwarded": Forwarded` + wantUser},
		{serve("--user-header", "X-Real-IP"), 3, `--user-header "X-Real-IP": X-Real-Ip` + wantUser},
		{serve("--user-header", "Authorization"), 3, `--user-header "Authorization": Authorization` + wantUser},
		{serve("--user-header", "cookie"), 3, `--user-header "cookie": Cookie` + wantUser},
		{serve("--user-header", "Proxy-Authorization"), 3, `--user-header "Proxy-Authorization": Proxy-Authorization` + wantUser},
		{serve("--user-header", "TE"), 3, `--user-header "TE": Te` + wantUser},
		{serve("--user-header", "upgrade"), 3, `--user-header "upgrade": Upgrade` + wantUser},
		{serve("--user-header", "keep-alive"), 3, `--user-header "keep-alive": Keep-Alive` + wantUser},
		{serve("--user-header", "connection"), 3, `--user-header "connection": header name "Connection" is part of the connection, not of who sends the request: want another name`},
		{serve("--to", ""), 3, `--to "": it is empty` + wantURL},
		{serve("--to", "localhost:3000"), 3, `--to "localhost:3000": it has no scheme` + wantURL + `; did you mean "http://localhost:3000"?`},
		{serve("--to", "ftp://a"), 3, `--to "ftp://a": scheme "ftp": want http or https, such as http://127.0.0.1:3000`},
		{serve("--to", "http://me:secret@a"), 3, `--to (not shown): it holds a user or password, which would not be sent` + wantURL},
		{serve("--to", "http://a", "--to", "http://b"), 3, `--to "http://b": "http://a" is the upstream for path "/"` + wantPaths},
		{serve("--to", "/api=http://a", "--to", "/api/=http://b strip"), 3, `--to "/api/=http://b strip": "http://a" is the upstream for path "/api/"` + wantPaths},
		{serve("--to", "http://a", "--to", "/b=http://me:secret@b"), 3, `--to (not shown): it holds a user or password, which would not be sent` + wantURL},
		{serve("--to", "/api"), 3, `--to "/api": it begins with '/' and has no '=': want a path and a URL, such as /api=http://127.0.0.1:3000`},
		{serve("--to", "/a/../b=http://a"), 3, `--to "/a/../b=http://a": path "/a/../b" has an empty segment, . or ..: want one such as /api`},
		{serve("--to", "/a=http://a stripped"), 3, `--to "/a=http://a stripped": after the URL comes "stripped": want strip or nothing`},
		{serve("--to", "http://a strip"), 3, `--to "http://a strip": path "/": there is nothing to strip: want a longer path, or none`},
		{serve("--to", "/a=http://a", "strip"), 2, `unexpected argument "strip": weir serve takes flags only; a route is one argument in quotes, such as --to '/api=http://127.0.0.1:3000 strip'`},
		{serve("--to", "http://a:99999"), 3, `--to "http://a:99999": port "99999": want 1 to 65535`},
		{serve("--listen", ""), 3, `--listen "": ` + wantListen},
		{serve("--listen", "8080"), 3, `--listen "8080": ` + wantListen + `; did you mean "127.0.0.1:8080"?`},
		{serve("--listen", "localhost"), 3, `--listen "localhost": it has no port: ` + wantListen},
		{serve("--listen", "::1:8080"), 3, `--listen "::1:8080": ` + wantListen},
		{serve("--listen", "http://a:1"), 3, `--listen "http://a:1": ` + wantListen},
		{serve("--listen", "a/b:1"), 3, `--listen "a/b:1": it is not an address: ` + wantListen},
		{serve("--listen", "127.0.0.1:http"), 3, `--listen "127.0.0.1:http": port "http": want a number from 0 to 65535, where 0 is a free one`},
		{serve("--listen", "127.0.0.1:65536"), 3, `--listen "127.0.0.1:65536": port "65536": want a number from 0 to 65535, where 0 is a free one`},
		{serve("--trust", ""), 3, `--trust ""` + wantTrust},
		{serve("--trust", "localhost"), 3, `--trust "localhost"` + wantTrust},
		{serve("--trust", "10.0.0.0/8,127.0.0.1"), 3, `--trust "10.0.0.0/8,127.0.0.1"` + wantTrust},
		{serve("--trust", "10.0.0.0/33"), 3, `--trust "10.0.0.0/33"` + wantTrust},
		{serve("--trust", "10.0.0.1:80"), 3, `--trust "10.0.0.1:80"` + wantTrust},
		{serve("--trust", "fe80::1%eth0"), 3, `--trust "fe80::1%eth0"` + wantTrust},
		{serve("--trust", "::/0"), 3, `--trust "::/0": ::/0 is every address there is, so any client could claim any: want the addresses of your proxies`},
		{serve("--trust", "127.0.0.1", "--trust", "0.0.0.0/0"), 3, `--trust "0.0.0.0/0": 0.0.0.0/0 is every address there is, so any client could claim any: want the addresses of your proxies`},
		{serve("--trust", "Unix"), 3, `--trust "Unix"` + wantTrust},
		{serve("--client-ip", ""), 3, `--client-ip ""` + wantClient},
		{serve("--client-ip", "xf", "--trust", "10.0.0.5"), 3, `--client-ip "xf"` + wantClient + `; did you mean "xff"?`},
		{serve("--client-ip", "X-Real-IP"), 3, `--client-ip "X-Real-IP"` + wantClient},
		{serve("--client-ip", "peer:1"), 3, `--client-ip "peer:1": nothing follows peer: want "peer"`},
		{serve("--client-ip", "header:"), 3, `--client-ip "header:": it has no name: want header:NAME, such as header:X-Real-IP`},
		{serve("--client-ip", "header:X Y"), 3, `--client-ip "header:X Y": header name "X Y": want letters, digits and !#$%&'*-.^` + "`|~"},
		{serve("--client-ip", "header:x-forwarded-for"), 3, `--client-ip "header:x-forwarded-for": it is a list of addresses: want xff or hops:N`},
		{serve("--client-ip", "header:forwarded"), 3, `--client-ip "header:forwarded": it is a list: want forwarded`},
		{serve("--client-ip", "header:x-user", "--trust", "10.0.0.5"), 3, `--client-ip "header:x-user": X-User is the --user-header: want a field with the client's address, such as X-Real-IP`},
		{serve("--client-ip", "hops:0"), 3, `--client-ip "hops:0": want hops:N with the number of your proxies, 1 to 64, such as hops:2`},
		{serve("--client-ip", "hops:65"), 3, `--client-ip "hops:65": want hops:N with the number of your proxies, 1 to 64, such as hops:2`},
		{serve("--client-ip", "hops"), 3, `--client-ip "hops": want hops:N with the number of your proxies, 1 to 64, such as hops:2`},
		{serve("--client-ip", "xff"), 3, `--client-ip "xff"` + wantTrusted},
		{serve("--client-ip", "forwarded"), 3, `--client-ip "forwarded"` + wantTrusted},
		{serve("--client-ip", "header:X-Real-IP"), 3, `--client-ip "header:X-Real-IP"` + wantTrusted},
		{serve("--client-ip", "hops:2", "--proxy-protocol", "10.0.0.5"), 3, `--client-ip "hops:2"` + wantTrusted},
		{serve("--listen", "unix:"), 3, `--listen "unix:": it has no path: want unix:PATH, such as unix:/run/weir.sock`},
		{serve("--listen", "unix:/no/such/dir/sock"), 3, `--listen "unix:/no/such/dir/sock": the directory does not exist: want the path of a socket in one that does`},
		{serve("--socket-mode", "0600"), 3, `--socket-mode "0600": --listen is no Unix socket: want --listen unix:PATH with it`},
		{serve("--listen", "unix:a", "--socket-mode", "rw"), 3, `--socket-mode "rw": want permissions in octal, from 0 to 777, such as 0600 or 0660`},
		{serve("--listen", "unix:a", "--socket-mode", "1777"), 3, `--socket-mode "1777": want permissions in octal, from 0 to 777, such as 0600 or 0660`},
		{serve("--tls-cert", "a"), 3, `--tls-cert "a": there is no --tls-key: want both or none`},
		{serve("--tls-key", "a"), 3, `--tls-key "a": there is no --tls-cert: want both or none`},
		{serve("--tls-cert", "", "--tls-key", "a"), 3, `--tls-cert "": it is empty: want the path of a file`},
		{serve("--tls-cert", "/no", "--tls-key", "/no"), 3, `--tls-cert "/no", --tls-key "/no": stat /no: no such file or directory: want a certificate with its chain, and its key, in PEM`},
		{serve("--proxy-protocol", "10.0.0.0/33"), 3, `--proxy-protocol "10.0.0.0/33": want an address or a network, such as 10.0.0.5 or 10.0.0.0/8, one for each --proxy-protocol`},
		{serve("--proxy-protocol", "::/0"), 3, `--proxy-protocol "::/0": it is every address there is: any client could claim any address; want those of your proxies`},
		{serve("--exempt", "10.0.0.0/8,::1"), 3, `--exempt "10.0.0.0/8,::1": want an address or a network, such as 10.0.0.5 or 10.0.0.0/8, one for each --exempt`},
		{serve("--exempt", "::ffff:0.0.0.0/96"), 3, `--exempt "::ffff:0.0.0.0/96": it is every address there is: nobody would be limited; want those of your own clients`},
		{serve("--max-connections", "0"), 3, `--max-connections "0": want a whole number from 1 to 2147483647, or unlimited`},
		{serve("--max-connections", "2147483648"), 3, `--max-connections "2147483648": want a whole number from 1 to 2147483647, or unlimited`},
		{serve("--max-connections-per-client", "none"), 3, `--max-connections-per-client "none": want a whole number from 1 to 2147483647, or unlimited`},
		{serve("--forward-auth", "ngnix"), 3, `--forward-auth "ngnix": want nginx, caddy or traefik; did you mean "nginx"?`},
		{serve("--forward-auth", "nginx", "--to", "http://a"), 3, `--forward-auth "nginx": there is no upstream if a proxy only asks: want it or --to`},
		{serve("--deny-status", "403"), 3, `--deny-status "403": it is for --forward-auth, which is not given: want both or none`},
		{serve("--forward-auth", "caddy", "--deny-status", "401"), 3, `--deny-status "401": want 403 or 429`},
		{serve("--fields", ""), 3, `--fields "": form "": want draft-11 (which 08 to 10 are written as), draft-7, draft-6, x or none`},
		{serve("--fields", "draft-8"), 3, `--fields "draft-8": form "draft-8": want draft-11 (which 08 to 10 are written as), draft-7, draft-6, x or none`},
		{serve("--fields", "x+x"), 3, `--fields "x+x": form "x" is there twice: want it once`},
		{serve("--fields", "draft-6+draft-7"), 3, `--fields "draft-6+draft-7": they do not go together: want one form, or one of the drafts with x, such as draft-6+x`},
		{serve("--fields", "none+x"), 3, `--fields "none+x": they do not go together: want one form, or one of the drafts with x, such as draft-6+x`},
		{serve("--jitter=often"), 2, `--jitter "often": want true or false`},
		{serve("--ipv6-prefix", ""), 3, `--ipv6-prefix ""` + wantBits},
		{serve("--ipv6-prefix", "/64"), 3, `--ipv6-prefix "/64"` + wantBits},
		{serve("--ipv6-prefix", "31"), 3, `--ipv6-prefix "31"` + wantBits},
		{serve("--ipv6-prefix", "129"), 3, `--ipv6-prefix "129"` + wantBits},
		{serve("--state-failure", "refused"), 3, `--state-failure "refused": want memory or refuse; did you mean "refuse"?`},
		{serve("--state-failure", "open"), 3, `--state-failure "open": want memory or refuse`},
		{serve("--snapshot-every", "10"), 3, `--snapshot-every "10": want a duration from 10ms to 24h0m0s, with its unit, such as 500ms, 10s or 1m30s`},
		{serve("--snapshot-every", "0s"), 3, `--snapshot-every "0s": it is out of range: want 10ms to 24h0m0s`},
		{serve("--snapshot-every", "25h"), 3, `--snapshot-every "25h": it is out of range: want 10ms to 24h0m0s`},
		{serve("--crash", "charged"), 3, `--crash "charged": want accept or charge; did you mean "charge"?`},
		{serve("--cold-start", "cold"), 3, `--cold-start "cold": want full or empty`},
		{serve("--edge=maybe"), 2, `--edge "maybe": want true or false`},
		{serve("--upstream-timeout", "-1s"), 3, `--upstream-timeout "-1s": it is out of range: want 0s to 24h0m0s`},
		{serve("--upstream-timeout", "soon"), 3, `--upstream-timeout "soon": want a duration from 0s to 24h0m0s, with its unit, such as 500ms, 10s or 1m30s`},
		{serve("--log-level", "verbose"), 3, `--log-level "verbose": want debug, info, warn or error`},
		{serve("--log-level", "wran"), 3, `--log-level "wran": want debug, info, warn or error; did you mean "warn"?`},
		{serve("--listen", "203.0.113.7:0"), 3, `--listen "203.0.113.7:0": this machine does not have that address: want one of its own, such as 127.0.0.1:8080`},
		{serve("--listen", "no..name:0"), 3, `--listen "no..name:0": the name is not known: want an address of this machine, such as 127.0.0.1:8080`},
		{serve("--state", ""), 3, `--state "": it is empty: want the path of a file, or none`},
		{serve("--state", "a\x00b"), 3, `--state "a\x00b": it has a NUL byte: want the path of a file, or none`},
		{serve("--log-level", strings.Repeat("x", 1000)), 3, `--log-level "` + strings.Repeat("x", 80) + `"...: want debug, info, warn or error`},
	} {
		code, stdout, stderr := run(tt.args...)
		if want := "weir: " + tt.want + "\n"; stderr != want || code != tt.code || stdout != "" {
			t.Errorf("weir %q: code %d, want %d\n got %s\nwant %s\nstdout %q", tt.args, code, tt.code, stderr, want, stdout)
		}
	}
}

func TestAddressInUseIsNoMistake(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	code, _, stderr := run("serve", "--state", "none", "--listen", l.Addr().String())
	if code != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "--listen \""+l.Addr().String()+"\": the address is in use") {
		t.Errorf("code %d, want 1: %s", code, stderr)
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--help"}, {"-h"}, {"help"}, {"serve", "--help"}, {"help", "serve"}} {
		code, stdout, stderr := run(args...)
		if code != 0 || stderr != "" {
			t.Errorf("weir %q: code %d, stderr %q", args, code, stderr)
		}
		what, examples, _ := strings.Cut(stdout, "Examples:\n")
		lines := append([]string{""}, strings.Split(examples, "\n")...)
		if of := strings.Join(args, " "); strings.Contains(of, "serve") {
			if !strings.HasPrefix(what, "weir serve is an HTTP server that counts") || strings.Count(what, "\n") != 3 {
				t.Errorf("weir %s does not say what it is, in two lines, before the examples:\n%s", of, stdout)
			}
		} else if what != "" {
			t.Errorf("weir %q does not begin with examples:\n%s", args, stdout)
		}
		if len(lines) < 4 {
			t.Errorf("weir %q has no examples:\n%s", args, stdout)
			continue
		}
		for _, line := range lines[1:4] {
			if !strings.HasPrefix(line, "  weir serve") {
				t.Errorf("weir %q does not begin with three examples: %q", args, line)
			}
		}
	}
}

// The examples of the help are command lines that work.
func TestExamplesAreValid(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--limit", "ip 5/min"},
		{"--to", "http://127.0.0.1:3000"},
		{"--to", "http://127.0.0.1:3000", "--limit", "ip 100/min", "--limit", "user 1000/day burst 50", "--trust", "10.0.0.0/8"},
		{"--to", "http://127.0.0.1:3000", "--to", "/api=http://127.0.0.1:4000 strip"},
		{"--limit", "ip 100/min", "--limit", "ip/48 1000/min", "--in-flight", "ip 10", "--in-flight", "global 500"},
		{"--trust", "10.0.0.5", "--client-ip", "header:X-Real-IP", "--limit", "bearer 10/s", "--limit", "basic+ip 5/min"},
		{"--to", "http://127.0.0.1:3000", "--trust", "10.0.0.5", "--limit", "header:X-Api-Key 10/s", "--limit", "ip+path 5/s dry-run"},
	} {
		args = append([]string{"serve", "--listen", "127.0.0.1:0", "--state", filepath.Join(t.TempDir(), "weir.db")}, args...)
		code, _, stderr := run(args...)
		if code != 0 || !strings.Contains(stderr, "listening  http://127.0.0.1:") {
			t.Errorf("weir %q: code %d\n%s", args, code, stderr)
		}
	}
}

// With no limit given there are the two that everybody is told of.
func TestDefaultLimits(t *testing.T) {
	t.Parallel()
	code, _, stderr := run("serve", "--listen", "127.0.0.1:0", "--state", "none")
	for _, want := range []string{"limit      ip 100/min: ", "limit      user 1000/day: ", "(the default, since no --limit is given)", "state      none"} {
		if code != 0 || !strings.Contains(stderr, want) {
			t.Errorf("code %d, and the banner lacks %q:\n%s", code, want, stderr)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := run("version")
	if code != 0 || stderr != "" || !strings.HasPrefix(stdout, "weir ") || !strings.Contains(stdout, " go1.") || strings.Count(stdout, "\n") != 1 {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, stdout, _ := run("completion", shell); code != 0 || !strings.Contains(stdout, "weir") {
			t.Errorf("completion %s: code %d, %d bytes", shell, code, len(stdout))
		}
	}
	if _, stdout, _ := run("__complete", "serve", "--li"); !strings.Contains(stdout, "--limit") || !strings.Contains(stdout, "--listen") {
		t.Errorf("weir serve --li completes to %q", stdout)
	}
}

func TestLogsAreJSONUnlessOnATerminal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		terminal bool
		want     string
	}{{true, "level=INFO msg=\"stopping"}, {false, `"level":"INFO","msg":"stopping`}} {
		var out, err strings.Builder
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		cli.Run(ended, cli.World{Args: []string{"serve", "--listen", "127.0.0.1:0", "--state", "none"},
			Stdout: &out, Stderr: &err, Terminal: tt.terminal, Force: context.Background()})
		if !strings.Contains(err.String(), tt.want) || out.String() != "" {
			t.Errorf("terminal %v: stderr lacks %q:\n%s", tt.terminal, tt.want, err.String())
		}
	}
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/internal/doctor"
	"github.com/seed-0c889b51/weir/internal/oneline"
	"github.com/seed-0c889b51/weir/internal/policy"
)

// doctorFlags are the flags of doctor as they were given.
type doctorFlags struct {
	limit, clientField, restart, maxRequests, timeout once

	identities                []string
	insecure, yesReally, json bool
}

func newDoctor(w World) *cobra.Command {
	flags := &doctorFlags{timeout: once{value: "2m"}}
	cmd := &cobra.Command{
		Use:   "doctor URL",
		Short: "Prove from outside that an API is limited, whatever limits it",
		Long: `Sends requests to a running API, one at a time, and tells what it has proven of
its limit, what is wrong and how to cure it, and what it could not test, and why.

Examples:
  weir doctor http://127.0.0.1:8080/                  # what is behind it may be anything
  weir doctor http://127.0.0.1:8080/ --limit 100/min --restart 'systemctl kill -s KILL weir; sleep 1'
  weir doctor https://localhost/api --insecure --identity 'X-Api-Key: one' --identity 'X-Api-Key: two'

It finds out whether
  - request N+1 of a client is refused, with 429, an honest Retry-After (it waits
    for it), no-store and a small body;
  - another client is unaffected;
  - X-Forwarded-For and such neither free a client nor are charged to another;
  - IPv4 in IPv6 notation is IPv4, and a /64 is one client;
  - methods, spellings of the path, header fields and other paths are no way round;
  - with --restart, the limit survives a kill.
N is what the API says (RateLimit-Policy and its like), or --limit, or what passes
of up to 1000 requests. What it is going to cost is said first. It sends GET, HEAD,
OPTIONS, TRACE, PROPFIND and methods that there are not, nothing that is meant to
change anything, and follows no redirect. Choose a URL that may be asked for often.

Two clients are two addresses of this machine where the URL is on it: 127.x.y.z,
new ones each time. Elsewhere, and where clients are told apart by a credential,
give --identity twice. With --client-field the doctor stands where a proxy does
that the API trusts: it names clients in that field, IPv6 ones too. A weir that is
run with --trust 127.0.0.0/8 and no other --client-ip believes
--client-field X-Forwarded-For.

--json prints one object:
  schema          1
  url             that was asked for
  limit           how many requests passed at once; 0 if none was refused
  limit_said      how many there are by the API or --limit; 0 if neither says
  window_seconds  in which these come back; 0 if that is not known
  requests, seconds              what it took
  passed, failed, not_tested     how many checks
  checks          a list, in order, of
    check     its name, such as isolation
    what      is to be proven
    outcome   pass, fail or not_tested
    reason    for the outcome, in words
    cure      of a failure, in words; else it is left out
    requests  that were sent for it
Names, keys and outcomes stay; words may change.

Exit codes: 0 nothing is wrong, 1 failed, such as an API that does not answer,
2 unknown command, flag or argument, 3 a value that is not valid, 4 something is
wrong with the limit.`,
		Args: cobra.ArbitraryArgs, // so that RunE can say what it wants
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("%d arguments: want one URL, such as http://127.0.0.1:8080/", len(args))
			}
			cfg, err := flags.config(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return examine(cmd.Context(), w, cfg, flags.json)
		},
	}
	flags.add(cmd)
	return cmd
}

func (f *doctorFlags) add(cmd *cobra.Command) {
	set := cmd.Flags()
	set.SortFlags = false
	set.Var(&f.limit, "limit", "`LIMIT` that each client has, such as '100/min' or '100/min burst 20': the tightest, if it has several (default: what the API says)")
	set.StringArrayVar(&f.identities, "identity", nil, "`'NAME: VALUE'` of the header field that a client is told by, such as an API key; given twice, for two clients (default: clients are told by address)")
	set.Var(&f.clientField, "client-field", "`NAME` of the header field in which the API believes the doctor about the client's address, as it would a proxy, such as X-Forwarded-For (default: it believes nothing)")
	set.Var(&f.restart, "restart", "`COMMAND` that kills the API and starts it again, for the shell; it must end, so what it starts is started in the background (default: that is not tested)")
	set.Var(&f.maxRequests, "max-requests", "`NUMBER` of requests to send at most, 2 to 1000000 (default ten times the limit and 300, at most 20000)")
	set.Var(&f.timeout, "timeout", "`TIME` that it may take, 1s to 24h; a Retry-After that is longer is not waited for")
	set.BoolVar(&f.insecure, "insecure", false, "accept any certificate")
	set.BoolVar(&f.yesReally, "yes-really", false, "ask an API that is not on this machine: it must be yours, since this is a small attack on it")
	set.BoolVar(&f.json, "json", false, "print JSON")
}

// config reads the flags and the URL, and looks up its host.
func (f *doctorFlags) config(ctx context.Context, text string) (doctor.Config, error) {
	cfg, err := f.values(text)
	if err != nil {
		return cfg, valueError{err}
	}
	looking, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	addr, loopback, err := doctor.Lookup(looking, cfg.URL, net.DefaultResolver.LookupNetIP)
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return cfg, valueError{fmt.Errorf("URL %s: the name %s is not known", quote(text), quote(cfg.URL.Hostname()))}
	case errors.As(err, &dns):
		return cfg, runError{fmt.Errorf("URL %s: %w", quote(text), err)}
	case err != nil:
		return cfg, valueError{fmt.Errorf("URL %s: %w", quote(text), err)}
	case !loopback && !f.yesReally:
		return cfg, valueError{fmt.Errorf("URL %s: %v is not this machine: the doctor uses up a limit and tries to get round it, "+
			"so want --yes-really if the API is yours", quote(text), addr.Addr())}
	}
	if addr.Addr() == netip.AddrFrom4([4]byte{127, 0, 0, 1}) && cfg.URL.Hostname() == "localhost" && !answers(addr) {
		if six := netip.AddrPortFrom(netip.IPv6Loopback(), addr.Port()); answers(six) {
			addr = six
		}
	}
	cfg.Addr = addr
	return cfg, nil
}

// answers tells whether connections to an address are accepted.
func answers(addr netip.AddrPort) bool {
	conn, err := net.DialTimeout("tcp", addr.String(), time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// values reads the flags and the URL.
func (f *doctorFlags) values(text string) (cfg doctor.Config, err error) {
	if cfg.URL, err = parseTarget(text); err != nil {
		return cfg, err
	}
	cfg.Insecure = f.insecure
	if f.limit.given {
		limit, err := bucket.ParseLimit(f.limit.value)
		if err != nil {
			return cfg, fmt.Errorf("--limit %s: %w", quote(f.limit.value), err)
		}
		if cfg.Limit, err = limit.Normalize(); err != nil {
			return cfg, fmt.Errorf("--limit %s: %w", quote(f.limit.value), err)
		}
	}
	if cfg.Identities, err = f.parseIdentities(); err != nil {
		return cfg, err
	}
	if f.clientField.given {
		if len(cfg.Identities) > 0 {
			return cfg, fmt.Errorf("--client-field %s: --identity says already who a client is: want one of them", quote(f.clientField.value))
		}
		if cfg.ClientField, err = policy.HeaderName(f.clientField.value); err != nil {
			return cfg, fmt.Errorf("--client-field %s: %w", quote(f.clientField.value), err)
		}
	}
	if f.restart.given {
		if strings.TrimSpace(f.restart.value) == "" || strings.ContainsRune(f.restart.value, 0) {
			return cfg, fmt.Errorf("--restart %s: want a command for the shell, such as 'systemctl restart api'", quote(f.restart.value))
		}
		cfg.Restart = shell(f.restart.value)
	}
	if f.maxRequests.given {
		n, err := strconv.Atoi(f.maxRequests.value)
		if err != nil || n < 2 || n > 1_000_000 {
			return cfg, fmt.Errorf("--max-requests %s: want a whole number from 2 to 1000000", quote(f.maxRequests.value))
		}
		cfg.MaxRequests = n
	}
	if cfg.Timeout, err = parseTime(f.timeout.value, time.Second, 24*time.Hour); err != nil {
		return cfg, fmt.Errorf("--timeout %s: %w", quote(f.timeout.value), err)
	}
	return cfg, nil
}

// parseTarget reads the URL of an API.
func parseTarget(text string) (*url.URL, error) {
	const want = "want one such as http://127.0.0.1:8080/"
	u, err := url.Parse(text)
	switch {
	case err != nil && strings.Contains(text, "@"):
		return nil, fmt.Errorf("URL (not shown): it cannot be read: %s", want)
	case err != nil && !strings.Contains(text, "://"), err == nil && u.Scheme != "http" && u.Scheme != "https" && !strings.Contains(text, "://"):
		return nil, fmt.Errorf("URL %s: it has no http:// or https://: %s", quote(text), want)
	case err != nil:
		return nil, fmt.Errorf("URL %s: it cannot be read: %s", quote(text), want)
	case u.User != nil:
		return nil, fmt.Errorf("URL (not shown): it holds a user or password: want them in --identity 'Authorization: ...', twice")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("URL %s: scheme %s: want http or https", quote(text), quote(u.Scheme))
	case u.Hostname() == "":
		return nil, fmt.Errorf("URL %s: it has no host: %s", quote(text), want)
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// parseIdentities reads the fields that tell two clients apart. What is in them
// is never shown.
func (f *doctorFlags) parseIdentities() ([]doctor.Field, error) {
	if n := len(f.identities); n != 0 && n != 2 {
		return nil, fmt.Errorf("--identity: it is given %d times: want it twice, for two clients, or not at all", n)
	}
	var fields []doctor.Field
	for _, text := range f.identities {
		name, value, colon := strings.Cut(text, ":")
		if !colon {
			return nil, errors.New("--identity (not shown): it has no ':': want 'NAME: VALUE', such as 'X-Api-Key: one'")
		}
		name, err := policy.HeaderName(name)
		if err != nil {
			return nil, fmt.Errorf("--identity (not shown): %w", err)
		}
		value = strings.Trim(value, " \t")
		if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return nil, fmt.Errorf("--identity (%s, not shown): its value is empty or has a control character: want 'NAME: VALUE'", name)
		}
		fields = append(fields, doctor.Field{Name: name, Value: value})
	}
	if len(fields) == 2 && fields[0] == fields[1] {
		return nil, fmt.Errorf("--identity (%s, not shown): both are the same: want those of two clients", fields[0].Name)
	}
	return fields, nil
}

// shell returns a function that has the shell run a command, and waits for it
// to end, but not for what it has started. What it prints goes to a file, since
// that would not outlive a pipe.
func shell(command string) func(context.Context) error {
	return func(ctx context.Context) error {
		said, err := os.CreateTemp("", "weir-doctor-*")
		if err != nil {
			return err
		}
		defer os.Remove(said.Name())
		defer said.Close()
		cmd := exec.CommandContext(ctx, "sh", "-c", command)
		if runtime.GOOS == "windows" {
			cmd = exec.CommandContext(ctx, "cmd", "/C", command)
		}
		cmd.Stdout, cmd.Stderr = said, said
		if err := cmd.Run(); err != nil {
			last := make([]byte, 300)
			if info, serr := said.Stat(); serr == nil {
				n, _ := said.ReadAt(last, max(0, info.Size()-int64(len(last))))
				last = last[:n]
			}
			if ctx.Err() != nil {
				err = errors.New("it did not end: what it starts has to be started in the background, with '&'")
			}
			return fmt.Errorf("%w %s", err, strings.TrimSpace(string(last)))
		}
		return nil
	}
}

// examine runs the doctor, and tells what it has found.
func examine(ctx context.Context, w World, cfg doctor.Config, asJSON bool) error {
	cfg.Plan = func(p doctor.Plan) { fmt.Fprint(w.Stderr, "weir: "+p.String()) }
	if w.Terminal {
		cfg.Progress = func(done, of int, what string) {
			fmt.Fprintf(w.Stderr, "\r\x1b[K%d/%d %s", done, of, what)
		}
	}
	r, err := doctor.Run(ctx, cfg)
	if w.Terminal {
		fmt.Fprint(w.Stderr, "\r\x1b[K")
	}
	if ctx.Err() != nil {
		return runError{errors.New("stopped before it was done")}
	}
	if r != nil {
		write := r.Table
		if asJSON {
			write = r.JSON
		}
		if err := write(w.Stdout); err != nil {
			return runError{err}
		}
		if r.Failed > 0 {
			return unmetError{fmt.Errorf("%d of %d checks failed at %s", r.Failed, len(r.Checks), oneline.Text(r.URL))}
		}
	}
	if err != nil {
		return runError{err}
	}
	return nil
}

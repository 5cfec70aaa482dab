package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-0c889b51/weir/internal/serve"
)

func newServe(w World) *cobra.Command {
	flags := &serveFlags{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Limit requests, and pass on those that are within their limits",
		Long: `weir serve is an HTTP server that counts each client's requests against limits. It
passes on to your API what is within them, and answers the rest with 429.

Examples:
  weir serve --limit 'ip 5/min'
  weir serve --to http://127.0.0.1:3000 --listen :8080 --limit 'ip 100/min' --limit 'user 1000/day burst 50'
  weir serve --config weir.yaml                   # see examples/weir.yaml
  weir serve --to http://127.0.0.1:3000 --trust 10.0.0.0/8 --limit 'header:X-Api-Key 10/s' --limit 'ip+path 5/s dry-run'

A limit is KEY QUOTA/WINDOW [strict] [burst N] [dry-run]. KEY is who a request
counts for:
  ip             the client's address; of IPv6, its network (--ipv6-prefix)
  ip/48          the same with an IPv6 network of 48 bits, 32 to 128, for a wider
                 limit beside ip: who has a /48 has 65,536 networks of /64
  user           the user that a trusted proxy names in --user-header
  header:NAME    the value of a request header field, such as an API key
  cookie:NAME    the value of a cookie
  bearer         the token of Authorization: Bearer
  basic          the user of Authorization: Basic, whatever the password
  path           the URL's path
  global         all requests together
  ip+path        several of these together
WINDOW is s, min, h, day, week, or a duration such as 500ms. Up to QUOTA requests
(burst: N) may come at once, and QUOTA are given back every WINDOW, steadily; of a
strict limit so many less that no WINDOW sees more than QUOTA (weir explain). A
request without the identity that a limit asks for counts by its address. It
must be within all limits, and counts against none if it is not. With no --limit
they are 'ip 100/min' and 'user 1000/day'. --in-flight 'KEY N' limits how many
requests are served at once; a stream or a WebSocket is one for as long as it
lasts.

Each --to is an upstream: for all requests, or for a path and what is below it:
  --to http://127.0.0.1:3000 --to '/api=http://127.0.0.1:4000 strip'
The longest path counts. With strip the upstream is asked for /users where the
client asks for /api/users. What none is for is answered with 404. Limits are for
all paths.

What clients have used is kept in the file of --state, under hashes of their keys.
The secret of these is kept beside it, in a file with .key after its name, which
is made if there is none; or it is in a file of yours, with --state-key:
  (umask 077; openssl rand -hex 32 > secret)    for a new state
  (umask 077; base64 weir.db.key > secret)      to go on with one; weir.db.key can go then
The file of --state-key holds 32 random bytes as 64 hexadecimal digits or in
base64. It must be a regular file of root's or of the user that runs weir, which
nobody else may read: mode 0400 or 0600. One of root's may have 0440, as files in
systemd's $CREDENTIALS_DIRECTORY have. If it cannot be used, weir does not start.
A state that was written with another secret is unreadable: it is moved aside,
with .unreadable and the time after its name, and all limits start afresh.

With --forward-auth weir passes nothing on. A proxy asks it about each of its
requests, and weir answers with 204, or with 429 or 403 and Retry-After. Who asks
must be in --trust, for the client, the method and the path are those that the
proxy names: the client as --client-ip says, the rest in X-Forwarded-Method and
X-Forwarded-Uri (caddy, traefik) or X-Original-Method and X-Original-URI (nginx).

At --admin weir listens for its owner: the page, Prometheus metrics, /healthz, /readyz,
and what weir status, top and keys ask. What names clients or changes something
wants the token of --admin-token. An address that others can reach wants that
and --tls-cert, or weir does not start.

The Host of a request is passed on to an upstream at http://, and is that of the
URL to one at https://. Stop it with Ctrl-C or SIGTERM, or by closing its
terminal: requests in flight are finished, for up to 10 seconds; a second signal
stops it at once.

Exit codes: 0 stopped as told, 1 failed, 2 unknown command, flag or argument,
3 a value that is not valid.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := flags.load(w)
			if err != nil {
				return err
			}
			cfg := loaded.Serve
			if cfg.Secret, err = readSecret(loaded.StateKeyAt, "state-key", loaded.StateKey); err != nil {
				return err
			}
			if cfg.PartitionSecret, err = readSecret(loaded.PartitionSecretAt, "partition-secret", loaded.PartitionSecret); err != nil {
				return err
			}
			cfg.Logger = newLogger(w, loaded.LogLevel)
			for _, text := range loaded.Warnings {
				cfg.Logger.Warn(text)
			}
			if w.StandardLog != nil {
				serve.Redact(w.StandardLog, cfg.Logger)
			}
			cfg.Banner = w.Stderr
			cfg.Admin.Version, cfg.Admin.ShowToken = buildVersion(), w.Terminal
			if err := setAdminToken(&cfg, loaded.AdminToken); err != nil {
				return err
			}
			server, err := serve.New(cfg)
			if err != nil {
				if errors.Is(err, serve.ErrConfig) {
					return err
				}
				return runError{err}
			}
			if err := server.Run(cmd.Context(), w.Force); err != nil {
				return runError{err}
			}
			return nil
		},
	}
	flags.add(cmd.Flags())
	return cmd
}

// noArguments refuses arguments that are not flags.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if cmd.Name() == "serve" {
		switch {
		case args[0] == "strip":
			hint = `; a route is one argument in quotes, such as --to '/api=http://127.0.0.1:3000 strip'`
		case strings.Contains(args[0], "://"):
			hint = `; did you mean "--to ` + args[0] + `"?`
		case strings.Contains(args[0], "/"):
			hint = `; a limit is one argument in quotes, such as --limit 'ip 100/min'`
		}
	}
	return fmt.Errorf("unexpected argument %s: %s takes flags only%s", quote(args[0]), cmd.CommandPath(), hint)
}

func newLogger(w World, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if w.Terminal {
		return slog.New(slog.NewTextHandler(w.Stderr, options))
	}
	return slog.New(slog.NewJSONHandler(w.Stderr, options))
}

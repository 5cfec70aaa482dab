package cli

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-0c889b51/weir/internal/adminapi"
	"github.com/seed-0c889b51/weir/internal/adminview"
)

// newWhoami is the command that says how a request would be counted.
func newWhoami(w World) *cobra.Command {
	var flags askFlags
	var peer, method, path once
	var header []string
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Say how a request would be counted by a running weir, and why",
		Long: `Asks a running weir serve, by its --admin, whom a request would count for: who is
taken to be the client, and the key under each limit. Nothing is counted. Without
flags it is about the request of this command itself; with some of them about one
that is not sent, which wants the token.

Examples:
  weir whoami
  weir whoami --peer 10.0.0.5 --header 'X-Forwarded-For: 203.0.113.7'
  weir whoami --method POST --path /login --header 'X-Api-Key: secret'

Exit codes: 0 the server has answered, 1 it has not, 2 unknown command, flag or
argument, 3 a value that is not valid.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			about := peer.given || method.given || path.given || len(header) > 0
			q, err := question(peer, method, path, header)
			if err != nil {
				return valueError{err}
			}
			client, err := flags.client(w, about)
			if err != nil {
				return err
			}
			var of adminapi.Whoami
			if about {
				of, err = client.Ask(cmd.Context(), q)
			} else {
				of, err = client.Whoami(cmd.Context())
			}
			if err != nil {
				return askError(err)
			}
			if flags.json {
				return printJSON(w, of)
			}
			return adminview.WriteWhoami(w.Stdout, &of)
		},
	}
	flags.add(cmd.Flags())
	cmd.Flags().Var(&peer, "peer", "`ADDRESS` that connects (default: this machine's)")
	cmd.Flags().Var(&method, "method", "`METHOD` of the request (default GET)")
	cmd.Flags().Var(&path, "path", "`PATH` of the request (default /)")
	cmd.Flags().StringArrayVar(&header, "header", nil, "`'NAME: VALUE'` of a header field; may be given several times")
	return cmd
}

// question reads the flags that say what a request would be like.
func question(peer, method, path once, header []string) (adminapi.Question, error) {
	q := adminapi.Question{Peer: peer.value, Method: method.value, Path: path.value, Header: map[string][]string{}}
	if peer.given {
		if _, err := netip.ParseAddr(q.Peer); err != nil {
			return q, fmt.Errorf("--peer %s: want an address, such as 203.0.113.7", quote(q.Peer))
		}
	}
	if method.given && (q.Method == "" || strings.ContainsFunc(q.Method, notToken)) {
		return q, fmt.Errorf("--method %s: want one such as POST", quote(q.Method))
	}
	if path.given && !strings.HasPrefix(q.Path, "/") {
		return q, fmt.Errorf("--path %s: want one that begins with /, such as /login", quote(q.Path))
	}
	for _, field := range header {
		name, value, found := strings.Cut(field, ":")
		if !found || name == "" || strings.ContainsFunc(name, notToken) {
			// Not shown whole: the value may be a credential.
			return q, fmt.Errorf("--header %s: want 'NAME: VALUE', such as 'X-Api-Key: secret'", quote(name))
		}
		name = http.CanonicalHeaderKey(name)
		q.Header[name] = append(q.Header[name], strings.TrimSpace(value))
	}
	return q, nil
}

// notToken tells whether a character is none of a method or of a field's name.
func notToken(r rune) bool {
	return !strings.ContainsRune("!#$%&'*+-.^_`|~", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}

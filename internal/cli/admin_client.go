package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/seed-0c889b51/weir/internal/admin"
	"github.com/seed-0c889b51/weir/internal/adminclient"
	"github.com/seed-0c889b51/weir/internal/config"
)

// An askFlags are the flags of commands that ask a running server.
type askFlags struct {
	admin, tokenFile once
	json             bool
}

func (f *askFlags) add(set *pflag.FlagSet) {
	set.SortFlags = false
	f.admin.value = "127.0.0.1:9429"
	set.Var(&f.admin, "admin", "`ADDRESS` that the server has as --admin: HOST:PORT, unix:PATH or a URL; $WEIR_ADMIN is one, too")
	set.Var(&f.tokenFile, "token-file", "`FILE` of the token that keys want, as of --admin-token (default: $WEIR_ADMIN_TOKEN, or that of the state, $WEIR_STATE or weir.db, with .token after its name)")
	set.BoolVar(&f.json, "json", false, "print JSON, as the server says it")
}

// client returns a client of the server. With needToken it is an error if there
// is no token to be found.
func (f *askFlags) client(w World, needToken bool) (*adminclient.Client, error) {
	address, from := f.admin.value, "--admin"
	if env := config.Lookup(w.Environ, "WEIR_ADMIN"); env != "" && !f.admin.given {
		address, from = env, "WEIR_ADMIN"
	}
	if err := adminclient.CheckAddress(address); err != nil {
		return nil, valueError{fmt.Errorf("%s %s: %w", from, shown(address), err)}
	}
	token, err := f.token(w, needToken)
	if err != nil {
		return nil, err
	}
	client, err := adminclient.New(address, token)
	if err != nil && !needToken && f.tokenFile.value == "" {
		client, err = adminclient.New(address, "") // it is not asked for: do without
	}
	if err != nil {
		return nil, valueError{fmt.Errorf("%s %s: %w", from, shown(address), err)}
	}
	return client, nil
}

// token reads the token, which is "" if there is none and none is needed.
func (f *askFlags) token(w World, needed bool) (string, error) {
	path, from, named := f.tokenFile.value, "--token-file", true
	if !f.tokenFile.given {
		if path, from = config.Lookup(w.Environ, "WEIR_ADMIN_TOKEN"), "WEIR_ADMIN_TOKEN"; path == "" {
			named = false
			if path = config.Lookup(w.Environ, "WEIR_STATE"); path == "" || path == "none" {
				path = "weir.db"
			}
			path += ".token"
		}
	}
	switch {
	case named && path == "":
		return "", valueError{errors.New(from + ` "": it is empty: want the name of a file that holds the token`)}
	case strings.ContainsRune(path, 0):
		return "", valueError{fmt.Errorf("%s %s: it has a NUL byte: want the name of a file that holds the token", from, quote(path))}
	}
	token, err := admin.ReadToken(path)
	switch {
	case err == nil:
		return token, nil
	case !named && !needed: // the server may be another's, and may want none
		return "", nil
	case !named && errors.Is(err, fs.ErrNotExist):
		return "", runError{fmt.Errorf("there is no token: want --token-file with the file of the server's --admin-token, which is %s beside its state if none was given", quote(path))}
	case !named:
		return "", runError{fmt.Errorf("%q: %w", path, err)}
	}
	return "", runError{fmt.Errorf("%s %q: %w", from, path, err)}
}

// askError is what went wrong with asking.
func askError(err error) error {
	if errors.Is(err, context.Canceled) {
		err = errors.New("stopped before the server has answered")
	}
	if errors.Is(err, adminclient.ErrToken) {
		err = fmt.Errorf("%w: want --token-file with the file of the server's --admin-token", err)
	}
	return runError{err}
}

// printJSON prints what a server said.
func printJSON(w World, v any) error {
	e := json.NewEncoder(w.Stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// fileOf returns the file that a stream of the command is, or nil.
func fileOf(stream any) *os.File {
	if out, ok := stream.(*output); ok {
		stream = out.to
	}
	file, _ := stream.(*os.File)
	return file
}

package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/seed-0c889b51/weir/internal/state"
)

// A keyFlag is --state-key: the file of the secret.
type keyFlag struct{ once }

func (k *keyFlag) add(set *pflag.FlagSet) {
	set.Var(k, "state-key", "`FILE` of the secret that keys of clients are hashed with (default: that of --state with .key after its name)")
}

// check returns an error if the flag cannot be the name of a file.
func (k *keyFlag) check() error {
	const want = "want the name of a file that holds the secret"
	switch text := k.value; {
	case !k.given:
	case text == "":
		return errors.New("--state-key \"\": it is empty: " + want)
	case strings.ContainsRune(text, 0):
		return fmt.Errorf("--state-key %s: it has a NUL byte: %s", quote(text), want)
	case state.IsSecret(text):
		return errors.New("--state-key (not shown): it is a secret itself, which others can see on a command line: " + want)
	}
	return nil
}

// secret returns what is in the file, or nil if there is no flag.
func (k *keyFlag) secret() ([]byte, error) {
	if err := k.check(); err != nil {
		return nil, valueError{err}
	}
	if !k.given {
		return nil, nil
	}
	secret, err := state.ReadSecret(k.value)
	if err != nil {
		return nil, runError{fmt.Errorf("--state-key %q: %w", k.value, err)}
	}
	return secret, nil
}

// shown is quote for a value that is left out if it may be a secret or hold a
// password.
func shown(text string) string {
	if state.IsSecret(text) || strings.Contains(text, "://") && strings.Contains(text, "@") {
		return "(not shown)"
	}
	return quote(text)
}

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/seed-0c889b51/weir/internal/config"
	"github.com/seed-0c889b51/weir/internal/oneline"
)

// newConfig is the command for the configuration, with its subcommands.
func newConfig(w World) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Say what is configured, and where that is said",
		Long: `Examples:
  weir config show --origin --config weir.yaml   # what weir serve would do, and why
  weir config schema > weir.schema.json          # for editors
  weir config hash header:X-Api-Key < key        # what a tier calls a credential

None of them opens a port, or the state.`,
		Args: cobra.ArbitraryArgs, // so that RunE can say what it wants
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
	cmd.AddCommand(configShow(w), configSchema(w), configHash(w))
	return cmd
}

func configShow(w World) *cobra.Command {
	flags, origin := &serveFlags{}, false
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print what weir serve would do, as a configuration file",
		Long: `Prints the configuration that weir serve would have with these flags, these
variables and this file, as a file. With --origin each line says where it is
from: a flag, a variable, a line and a column of the file, or the default.

Exit codes: 0 done, 1 failed, 2 unknown command, flag or argument, 3 a value that
is not valid.`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := flags.load(w)
			if err != nil {
				return err
			}
			warn(w, cfg)
			return cfg.Show(w.Stdout, origin)
		},
	}
	cmd.Flags().BoolVar(&origin, "origin", false, "say where each value is from")
	flags.add(cmd.Flags())
	return cmd
}

func configSchema(w World) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration file",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			_, err := w.Stdout.Write(config.Schema())
			return err
		},
	}
}

// maxCredential bounds what config hash reads.
const maxCredential = 64 << 10

func configHash(w World) *cobra.Command {
	return &cobra.Command{
		Use:   "hash KEY",
		Short: "Print what a tier calls a credential, so that it need not stand in the file",
		Long: `Reads a credential from the terminal or from standard input, up to the end of its
line, and prints the hash of it that stands for it in the tiers of a policy with
that KEY: header:NAME, cookie:NAME, bearer or basic (of which it is the user). It
is the one that weir has in memory, of 128 bits, and another for each KEY. What is
short or easily guessed can be found from it.

Examples:
  weir config hash header:X-Api-Key           # and then the key, which is not shown
  printf %s "$TOKEN" | weir config hash bearer`,
		Args: cobra.ArbitraryArgs, // so that RunE can say what it wants
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("%d arguments: want the KEY of a policy, such as header:X-Api-Key", len(args))
			}
			if _, err := config.Fingerprint(args[0], "x"); err != nil {
				return valueError{err}
			}
			credential, err := readCredential(w, cmd.InOrStdin())
			if err != nil {
				return runError{err}
			}
			text, err := config.Fingerprint(args[0], credential)
			if err != nil {
				return valueError{fmt.Errorf("the credential: %w", err)}
			}
			_, err = fmt.Fprintln(w.Stdout, text)
			return err
		},
	}
}

// readCredential reads one line.
func readCredential(w World, from io.Reader) (string, error) {
	if file, ok := from.(*os.File); ok && isTerminal(from) {
		fmt.Fprint(w.Stderr, "Credential (not shown): ")
		text, err := term.ReadPassword(int(file.Fd()))
		fmt.Fprintln(w.Stderr)
		return string(text), err
	}
	data, err := io.ReadAll(io.LimitReader(from, maxCredential+1))
	if err != nil {
		return "", fmt.Errorf("reading the credential: %w", err)
	}
	line, rest, _ := bytes.Cut(data, []byte("\n"))
	switch {
	case len(data) > maxCredential:
		return "", fmt.Errorf("the credential is longer than %d bytes: want one", maxCredential)
	case len(rest) > 0:
		return "", errors.New("there is more than one line: want one credential")
	}
	return strings.TrimSuffix(string(line), "\r"), nil
}

// newValidate is the command that says whether a configuration is valid.
func newValidate(w World) *cobra.Command {
	return &cobra.Command{
		Use:   "validate [FILE]",
		Short: "Say whether a configuration file is valid",
		Long: `Says whether weir serve would take the file, with the variables that are set, and
if not, all that is wrong with it. Without FILE it is that of WEIR_CONFIG. It
opens no port, and neither the state nor any other file.

Exit codes: 0 valid, 2 unknown flag or argument, 3 not valid.`,
		Args: cobra.ArbitraryArgs, // so that RunE can say what it wants
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("%d arguments: want one FILE", len(args))
			}
			source := config.Source{Path: config.Lookup(w.Environ, config.ConfigVariable), Environ: w.Environ}
			if len(args) == 1 {
				source.Path = args[0]
			}
			if source.Path == "" {
				return errors.New("there is no file: want weir validate FILE, or its name in WEIR_CONFIG")
			}
			cfg, err := source.Load()
			if err != nil {
				return valueError{err}
			}
			warn(w, cfg)
			_, err = fmt.Fprintln(w.Stdout, oneline.Text(source.Path)+": valid")
			return err
		},
	}
}

// warn says what may be a mistake.
func warn(w World, cfg *config.Config) {
	for _, text := range cfg.Warnings {
		fmt.Fprintln(w.Stderr, "weir: "+oneline.Text(text))
	}
}

// message returns what is told of an error, with its line breaks.
func message(err error) string {
	var problems config.Problems
	if errors.As(err, &problems) {
		return problems.Text("weir: ")
	}
	return "weir: " + oneline.Text(err.Error()) + "\n"
}

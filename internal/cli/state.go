package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/seed-0c889b51/weir/internal/oneline"
	"github.com/seed-0c889b51/weir/internal/state"
	"github.com/seed-0c889b51/weir/persist"
)

// newState is the command for the state file, with its subcommands.
func newState(w World) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Look at the state file, check it, clean it up, or move it",
		Long: `Examples:
  weir state info                                  # what is in weir.db
  weir state verify --state /var/lib/weir/weir.db  # is it sound?
  weir state export > weir.jsonl                   # and weir state import weir.jsonl

info, verify and export change nothing, and work while a server has the file
open: they then speak of a copy of it, as of its last snapshot. The others need
the server stopped. Nothing ever prints the secret or a key; the file holds
hashes of keys only. If weir serve is run with --state-key, give it to info,
verify, purge and import too; export and compact need no secret. What the file
has to be like is said in weir serve --help.

Exit codes: 0 done, 1 failed, or the file is not sound, 2 unknown command, flag
or argument, 3 a value that is not valid.`,
		Args: cobra.ArbitraryArgs, // so that RunE can say what it wants
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
	cmd.AddCommand(stateInfo(w), stateVerify(w), stateCompact(w), statePurge(w), stateExport(w), stateImport(w), stateCheck(w))
	return cmd
}

// A stateRun is a run of a subcommand of weir state.
type stateRun struct {
	World
	ctx  context.Context
	in   io.Reader
	args []string // that are no flags

	// From the flags that subcommands share:
	path   string         // of the state file
	key    keyFlag        // of its secret
	config persist.Config // with the secret
	json   bool
}

// Flags that only some subcommands have.
type stateFlags struct{ key, json bool }

// stateCommand completes a subcommand that does what run does.
func stateCommand(w World, cmd *cobra.Command, flags stateFlags, run func(*stateRun) error) *cobra.Command {
	r := &stateRun{World: w}
	file := once{value: "weir.db"}
	cmd.Flags().SortFlags = false
	cmd.Flags().Var(&file, "state", "`FILE` that keeps what clients have used")
	if flags.key {
		r.key.add(cmd.Flags())
	}
	if flags.json {
		cmd.Flags().BoolVar(&r.json, "json", false, "print JSON, with durations in nanoseconds")
	}
	if cmd.Args == nil {
		cmd.Args = noArguments
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		r.ctx, r.in, r.args, r.path = cmd.Context(), cmd.InOrStdin(), args, file.value
		if err := checkState(r.path); err != nil {
			return valueError{err}
		}
		if r.config.Secret, err = r.key.secret(); err != nil {
			return err
		}
		return run(r)
	}
	return cmd
}

// checkState returns an error if text cannot be the path of a file.
func checkState(text string) error {
	const want = "want the path of a state file, such as weir.db"
	switch {
	case text == "":
		return fmt.Errorf("--state \"\": it is empty: %s", want)
	case text == "none":
		return fmt.Errorf("--state \"none\": then there is no file: %s (./none is a file of that name)", want)
	case strings.ContainsRune(text, 0):
		return fmt.Errorf("--state %s: it has a NUL byte: %s", quote(text), want)
	}
	return nil
}

// print writes a result, as JSON if that was asked for.
func (r *stateRun) print(asJSON any, text string) error {
	if r.json {
		return json.NewEncoder(r.Stdout).Encode(asJSON)
	}
	_, err := io.WriteString(r.Stdout, text)
	return err
}

// say prints a message.
func (r *stateRun) say(format string, args ...any) {
	fmt.Fprintln(r.Stderr, "weir: "+oneline.Text(fmt.Sprintf(format, args...)))
}

func (r *stateRun) sayInUse(path string) {
	r.say("%s is in use: this is about a copy of it, as of its last snapshot", path)
}

// read takes a copy of the state file, and says so if it is in use.
func (r *stateRun) read() (*persist.Copy, error) {
	c, err := persist.Read(r.path, r.config)
	if err != nil {
		return nil, stateError(err)
	}
	if info := c.Info(); info.InUse {
		r.sayInUse(info.Path)
	}
	return c, nil
}

// stateError is what went wrong with a state file.
func stateError(err error) error { return runError{errors.New(state.Problem(err))} }

// isTerminal tells whether a stream of the process is one.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

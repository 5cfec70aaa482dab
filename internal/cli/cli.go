// Package cli is the command line of weir.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-0c889b51/weir/internal/nearest"
	"github.com/seed-0c889b51/weir/internal/serve"
)

// Codes that the process exits with.
const (
	exitOK     = 0
	exitFailed = 1 // at run time, such as an address in use
	exitUsage  = 2 // an unknown command, flag or argument
	exitConfig = 3 // a value that is not valid
	exitUnmet  = 4 // an expectation of bench was not met, or a check of doctor failed
)

// A World is what a run of the command has to do with.
type World struct {
	Args           []string  // without the name of the program
	Environ        []string  // as of os.Environ: settings are read from it
	Stdin          io.Reader // nil is that of the process
	Stdout, Stderr io.Writer
	// Terminal tells that Stderr is one: logs are then text, and JSON
	// otherwise.
	Terminal bool
	// StandardLog is the logger that packages use which were given none. Serving
	// makes it pass on only what names no client. Nil is left alone.
	StandardLog *log.Logger
	// Force ends when the command is to stop without waiting for anything.
	Force context.Context
}

// Run runs the command until it is done or ctx ends, and returns the code to
// exit with: 0 if all went well, 1 if it failed, 2 for an unknown command, flag
// or argument, 3 for a value that is not valid, 4 if bench or doctor found
// something not to be as expected. What went wrong is on Stderr: a line and, for
// what is wrong in a file, a line for each of it with the place shown below.
func Run(ctx context.Context, w World) int {
	out := &output{to: w.Stdout}
	w.Stdout = out
	root := newRoot(w)
	root.SetArgs(append([]string{}, w.Args...)) // nil would be os.Args
	err := root.ExecuteContext(ctx)
	if out.err != nil { // which a command may not have noticed
		err = runError{fmt.Errorf("writing the result: %w", out.err)}
	}
	if err == nil {
		return exitOK
	}
	fmt.Fprint(w.Stderr, message(err))
	var failed runError
	var unmet unmetError
	switch {
	case errors.As(err, &unmet):
		return exitUnmet
	case errors.Is(err, serve.ErrConfig):
		return exitConfig
	case errors.As(err, &failed):
		return exitFailed
	}
	return exitUsage // by this package, or by cobra
}

// An output remembers why it could not be written to, which is the error of the
// run then.
type output struct {
	to  io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.to.Write(p)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// A runError is an error that is no fault of the command line.
type runError struct{ error }

func (e runError) Unwrap() error { return e.error }

// A valueError is an error in a value: serve.ErrConfig without its text.
type valueError struct{ error }

func (e valueError) Is(target error) bool { return target == serve.ErrConfig }
func (e valueError) Unwrap() error        { return e.error }

func newRoot(w World) *cobra.Command {
	root := &cobra.Command{
		Use:   "weir",
		Short: "A rate limiter in front of your API",
		Long: `Examples:
  weir serve                                      # try it: it answers by itself
  weir serve --to http://127.0.0.1:3000           # in front of your API
  weir serve --to http://127.0.0.1:3000 --limit 'ip 100/min' --limit 'user 1000/day burst 50' --trust 10.0.0.0/8

weir is a rate limiter in front of any HTTP API. What a client has used is kept
in a file and survives restarts.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs, // so that RunE can say what it wants
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
	root.SetIn(w.Stdin)
	root.SetOut(w.Stdout)
	root.SetErr(w.Stderr)
	root.AddCommand(newServe(w), newState(w), newBench(w), newVersion(w.Stdout))
	root.AddCommand(newReplay(w), newExplain(w))
	root.AddCommand(newConfig(w), newValidate(w))
	root.AddCommand(newDoctor(w))
	root.AddCommand(newTop(w), newStatus(w), newWhoami(w), newKeys(w))
	root.SetHelpCommand(newHelp())
	root.SetFlagErrorFunc(flagError)
	root.InitDefaultCompletionCmd()
	refuseArguments(root, "completion")
	return root
}

// refuseArguments makes a command that only has subcommands refuse others.
func refuseArguments(root *cobra.Command, name string) {
	for _, cmd := range root.Commands() {
		if cmd.Name() == name {
			cmd.Args = cobra.ArbitraryArgs
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				if len(args) == 0 {
					return cmd.Help()
				}
				return unknownCommand(cmd, args[0])
			}
		}
	}
}

// newHelp is the help command, which does not pass over an unknown topic.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Say what a command does and which flags it has",
		RunE: func(cmd *cobra.Command, args []string) error {
			of, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(cmd.Root(), strings.Join(args, " "))
			}
			of.InitDefaultHelpFlag()
			return of.Help()
		},
	}
}

func unknownCommand(cmd *cobra.Command, name string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			names = append(names, c.Name())
		}
	}
	return fmt.Errorf("unknown command %s: want %s%s", quote(name), strings.Join(names, ", "), nearest.Hint(name, names))
}

// flagError says what is wrong with a flag.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var novalue *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		return unknownFlag(cmd, unknown)
	case errors.As(err, &novalue):
		return fmt.Errorf("--%s has no value: want --%s %s", novalue.GetFlag().Name, novalue.GetFlag().Name, valueName(novalue.GetFlag()))
	case errors.As(err, &invalid) && invalid.GetFlag().Value.Type() == "bool":
		return fmt.Errorf("--%s %s: want true or false", invalid.GetFlag().Name, quote(invalid.GetValue()))
	case errors.As(err, &invalid):
		return fmt.Errorf("--%s %s: %w", invalid.GetFlag().Name, shown(invalid.GetValue()), invalid.Unwrap())
	}
	return err
}

func valueName(f *pflag.Flag) string {
	name, _ := pflag.UnquoteUsage(f)
	return name
}

func unknownFlag(cmd *cobra.Command, unknown *pflag.NotExistError) error {
	if short := unknown.GetSpecifiedShortnames(); short != "" {
		name := short
		if near := nearest.Word(short, flagNames(cmd)); near != "" {
			return fmt.Errorf("unknown flag %s; did you mean \"--%s\"?", quote("-"+name), near)
		}
		return fmt.Errorf("unknown flag %s: see weir %s --help", quote("-"+name), cmd.Name())
	}
	name := unknown.GetSpecifiedName()
	if cmd == cmd.Root() {
		if sub, _, err := cmd.Find([]string{"serve"}); err == nil && sub.Flags().Lookup(name) != nil {
			return fmt.Errorf("unknown flag %s; did you mean \"weir serve --%s\"?", quote("--"+name), name)
		}
		return fmt.Errorf("unknown flag %s: see weir --help", quote("--"+name))
	}
	if near := nearest.Word(name, flagNames(cmd)); near != "" {
		return fmt.Errorf("unknown flag %s; did you mean \"--%s\"?", quote("--"+name), near)
	}
	return fmt.Errorf("unknown flag %s: see %s --help", quote("--"+name), cmd.CommandPath())
}

func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

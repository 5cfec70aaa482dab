package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/seed-0c889b51/weir/internal/oneline"
	"github.com/seed-0c889b51/weir/internal/policy"
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
hashes of keys only.

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

// stateFlags are the flags that the subcommands share.
type stateFlags struct {
	file once
	json bool
}

func (f *stateFlags) add(cmd *cobra.Command, asJSON bool) {
	f.file.value = "weir.db"
	cmd.Flags().SortFlags = false
	cmd.Flags().Var(&f.file, "state", "`FILE` that keeps what clients have used")
	if asJSON {
		cmd.Flags().BoolVar(&f.json, "json", false, "print JSON, with durations in nanoseconds")
	}
}

// path returns the path of the file.
func (f *stateFlags) path() (string, error) {
	const want = "want the path of a state file, such as weir.db"
	switch text := f.file.value; {
	case text == "":
		return "", valueError{fmt.Errorf("--state \"\": it is empty: %s", want)}
	case text == "none":
		return "", valueError{fmt.Errorf("--state \"none\": then there is no file: %s (./none is a file of that name)", want)}
	case strings.ContainsRune(text, 0):
		return "", valueError{fmt.Errorf("--state %s: it has a NUL byte: %s", quote(text), want)}
	default:
		return text, nil
	}
}

// stateError is what went wrong with a state file, without the names of
// packages that say nothing to who reads it.
func stateError(err error) error {
	text := state.Problem(err)
	if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, persist.ErrDamaged) {
		text += ": name the file with --state FILE"
	}
	return runError{errors.New(text)}
}

// say prints a message.
func say(w io.Writer, format string, args ...any) {
	fmt.Fprintln(w, "weir: "+oneline.Text(fmt.Sprintf(format, args...)))
}

// readState takes a copy of a state file, and says so if the file is in use.
func readState(w World, flags *stateFlags) (*persist.Copy, error) {
	path, err := flags.path()
	if err != nil {
		return nil, err
	}
	c, err := persist.Read(path, persist.Config{})
	if err != nil {
		return nil, stateError(err)
	}
	if info := c.Info(); info.InUse {
		sayInUse(w, info.Path)
	}
	return c, nil
}

func sayInUse(w World, path string) {
	say(w.Stderr, "%s is in use: this is about a copy of it, as of its last snapshot", path)
}

// printed returns the error of having written to stdout.
func printed(err error) error {
	if err != nil {
		return runError{fmt.Errorf("writing the result: %w", err)}
	}
	return nil
}

func stateInfo(w World) *cobra.Command {
	flags := &stateFlags{}
	var limits []string
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Say what is in the state file",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var wanted []string
			policies, err := policy.ParseList(limits...)
			if err != nil {
				return valueError{fmt.Errorf("--limit %w", err)}
			}
			for _, p := range policies {
				wanted = append(wanted, p.Name)
			}
			c, err := readState(w, flags)
			if err != nil {
				return err
			}
			if flags.json {
				return printed(state.WriteInfoJSON(w.Stdout, c.Info(), wanted))
			}
			return printed(state.WriteInfo(w.Stdout, c.Info(), wanted))
		},
	}
	flags.add(cmd, true)
	cmd.Flags().StringArrayVar(&limits, "limit", nil, "`'KEY LIMIT'` as for weir serve; may be given several times: policies that are none of them are marked unwanted")
	return cmd
}

func stateVerify(w World) *cobra.Command {
	flags := &stateFlags{}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check all of the state file: structure, checksums, and that nothing is missing",
		Long: `Checks all of the state file, in a process of its own: structure, checksums,
and that nothing is missing. Prints ok, or what is wrong and where, and exits
with 0 or 1. Nothing is changed.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := flags.path()
			if err != nil {
				return err
			}
			self, err := os.Executable()
			if err != nil {
				return runError{fmt.Errorf("no process to check it in: %w", err)}
			}
			v, err := state.Verify(cmd.Context(), self, "state", "check", "--state", path)
			if err != nil {
				return runError{err}
			}
			if v.InUse {
				sayInUse(w, path)
			}
			if flags.json {
				err = json.NewEncoder(w.Stdout).Encode(v)
			} else if v.OK {
				_, err = fmt.Fprintf(w.Stdout, "ok: %s\n", oneline.Text(fmt.Sprintf("%s is sound: %d pages (%d free), %d segments, %d chunks, %d records",
					path, v.Pages, v.FreePages, v.Segments, v.Chunks, v.Records)))
				for _, note := range v.Notes {
					say(w.Stderr, "note: %s", note)
				}
			}
			if err == nil && !v.OK {
				return runError{errors.New(v.Problem)}
			}
			return printed(err)
		},
	}
	flags.add(cmd, true)
	return cmd
}

// stateCheck is what verify runs in a process of its own.
func stateCheck(w World) *cobra.Command {
	flags := &stateFlags{}
	cmd := &cobra.Command{
		Use:    "check",
		Short:  "What verify runs in a process of its own",
		Hidden: true,
		Args:   noArguments,
		RunE: func(*cobra.Command, []string) error {
			path, err := flags.path()
			if err != nil {
				return err
			}
			return printed(state.Check(w.Stdout, path))
		},
	}
	flags.add(cmd, false)
	return cmd
}

func stateCompact(w World) *cobra.Command {
	flags := &stateFlags{}
	cmd := &cobra.Command{
		Use:   "compact",
		Short: "Write the state file anew, without its free pages",
		Long: `Writes the state file anew, without its free pages, and puts the new file in the
place of the old one once it is on disk and has been checked. Nothing in it
changes. The server has to be stopped.`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			path, err := flags.path()
			if err != nil {
				return err
			}
			before, after, err := persist.Compact(path, persist.Config{})
			if err != nil {
				return stateError(err)
			}
			if flags.json {
				return printed(json.NewEncoder(w.Stdout).Encode(struct {
					Before int64 `json:"before"`
					After  int64 `json:"after"`
				}{before, after}))
			}
			_, err = fmt.Fprintf(w.Stdout, "%s: %d bytes before, %d bytes after\n", oneline.Text(path), before, after)
			return printed(err)
		},
	}
	flags.add(cmd, true)
	return cmd
}

// isTerminal tells whether a stream of the process is one.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

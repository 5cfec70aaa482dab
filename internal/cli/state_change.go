package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/seed-0c889b51/weir/internal/oneline"
	"github.com/seed-0c889b51/weir/internal/state"
	"github.com/seed-0c889b51/weir/persist"
)

func statePurge(w World) *cobra.Command {
	flags := &stateFlags{}
	var yes, aside bool
	cmd := &cobra.Command{
		Use:   "purge",
		Short: "Forget everything: a new, empty state file with a new secret",
		Long: `Puts a new, empty state file with a new secret in place of the old ones. All that
clients have used is forgotten, and cannot be had back. The bytes of the old
files are overwritten with zeros and synced before the files are removed, so that
nothing of them can be read in their place. That is as far as it goes: flash
memory and disks that remap, file systems that copy on write (such as btrfs and
ZFS), snapshots and backups may keep old blocks.

Damaged files that were moved aside are named, and removed too with --aside. The
server has to be stopped. On a terminal it asks before it does anything.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := flags.path()
			if err != nil {
				return err
			}
			if !yes {
				if !isTerminal(cmd.InOrStdin()) {
					return errors.New("purge forgets everything, and there is no terminal to ask on: want --yes")
				}
				full, err := filepath.Abs(path)
				if err != nil {
					return runError{err}
				}
				question := oneline.Text(full) + ": forget for good what all clients have used?"
				if err := state.Confirm(cmd.Context(), cmd.InOrStdin(), w.Stderr, question); err != nil {
					return runError{err}
				}
			}
			done, err := persist.Purge(path, persist.Config{}, aside)
			if err != nil {
				return stateError(err)
			}
			say(w.Stderr, "the old bytes are overwritten; flash, file systems that copy on write, snapshots and backups may keep some of them")
			return printed(writePurged(w.Stdout, flags.json, done))
		},
	}
	flags.add(cmd, true)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&aside, "aside", false, "remove files that were moved aside, too")
	return cmd
}

func writePurged(w io.Writer, asJSON bool, done persist.Purged) error {
	if asJSON {
		return json.NewEncoder(w).Encode(struct {
			Removed []string `json:"removed"`
			Aside   []string `json:"aside"`
		}{append([]string{}, done.Removed...), append([]string{}, done.Aside...)})
	}
	for _, name := range done.Removed {
		if _, err := fmt.Fprintf(w, "removed      %s\n", oneline.Text(name)); err != nil {
			return err
		}
	}
	for _, name := range done.Aside {
		if _, err := fmt.Fprintf(w, "still there  %s (--aside removes it)\n", oneline.Text(name)); err != nil {
			return err
		}
	}
	return nil
}

func stateExport(w World) *cobra.Command {
	flags := &stateFlags{}
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print the live records of the state file as JSON Lines",
		Long: `Prints what weir state import reads: one JSON object a line. The first says which
policies there are, with their limits, when that was, and the id of the secret.
Each one after it is a bucket that is not full:
  {"policy":"ip","hash":"0123456789abcdef","full_in_ns":59000000000}
Neither keys nor the secret are in it.`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			c, err := readState(w, flags)
			if err != nil {
				return err
			}
			if err := c.Export(w.Stdout); err != nil {
				return stateError(err)
			}
			return nil
		},
	}
	flags.add(cmd, false)
	return cmd
}

func stateImport(w World) *cobra.Command {
	flags := &stateFlags{}
	cmd := &cobra.Command{
		Use:   "import [FILE]",
		Short: "Add to the state file what weir state export has printed",
		Long: `Adds what weir state export has printed, from FILE or standard input. Of two debts
of one bucket the longer counts, and none is longer than one refill of its
limit. The file must have the secret of the exported one: to go on elsewhere,
put a copy of its .key file there first. The server has to be stopped. A mistake
in the input is named with its line, and nothing is changed.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("unexpected argument %s: %s takes one file, or none for standard input", quote(args[1]), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := flags.path()
			if err != nil {
				return err
			}
			in := cmd.InOrStdin()
			if len(args) == 1 && args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return runError{err}
				}
				defer file.Close()
				in = file
			} else if isTerminal(in) {
				return errors.New("there is nothing to import on standard input: want a FILE, or a pipe")
			}
			done, err := persist.Import(path, persist.Config{}, state.Interruptible(cmd.Context(), in))
			if err != nil {
				return stateError(err)
			}
			if flags.json {
				return printed(json.NewEncoder(w.Stdout).Encode(struct {
					Records  int    `json:"records"`
					Policies int    `json:"policies"`
					Over     int    `json:"over"`
					Raised   int    `json:"raised"`
					Credit   int64  `json:"credit_ns"`
					Clock    string `json:"clock"`
				}{done.Records, done.Policies, done.Over, done.Raised, int64(done.Credit), done.Clock}))
			}
			_, err = fmt.Fprintf(w.Stdout, "%s: %d records read, %d of them stored, %d were over; %v have passed since the export (clock: %s)\n",
				oneline.Text(path), done.Records, done.Raised, done.Over, done.Credit, done.Clock)
			return printed(err)
		},
	}
	flags.add(cmd, true)
	return cmd
}

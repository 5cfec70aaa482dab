package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-0c889b51/weir/internal/oneline"
	"github.com/seed-0c889b51/weir/internal/state"
	"github.com/seed-0c889b51/weir/persist"
)

func stateCompact(w World) *cobra.Command {
	return stateCommand(w, &cobra.Command{
		Use:   "compact",
		Short: "Write the state file anew, without its free pages",
		Long: `Writes the state file anew, without its free pages, and puts the new file in the
place of the old one once it is on disk and has been checked. Nothing in it
changes. The server has to be stopped.`,
	}, stateFlags{json: true}, func(r *stateRun) error {
		before, after, err := persist.Compact(r.path, r.config)
		if err != nil {
			return stateError(err)
		}
		return r.print(struct {
			Before int64 `json:"before"`
			After  int64 `json:"after"`
		}{before, after}, fmt.Sprintf("%s: %d bytes before, %d bytes after\n", oneline.Text(r.path), before, after))
	})
}

func statePurge(w World) *cobra.Command {
	var yes, aside bool
	cmd := stateCommand(w, &cobra.Command{
		Use:   "purge",
		Short: "Forget everything: a new, empty state file with a new secret",
		Long: `Puts a new, empty state file with a new secret in place of the old ones. All that
clients have used is forgotten, and cannot be had back. The bytes of the old
files are overwritten with zeros and synced before the files are removed, so that
nothing of them can be read in their place. That is as far as it goes: flash
memory and disks that remap, file systems that copy on write (such as btrfs and
ZFS), snapshots and backups may keep old blocks.

With --state-key the new file has the secret in that file, which stays as it is.

Damaged files that were moved aside are named, and removed too with --aside. The
server has to be stopped. On a terminal it asks before it does anything.`,
	}, stateFlags{key: true, json: true}, func(r *stateRun) error {
		if !yes {
			if !isTerminal(r.in) {
				return errors.New("purge forgets everything, and there is no terminal to ask on: want --yes")
			}
			full, err := filepath.Abs(r.path)
			if err != nil {
				return runError{err}
			}
			question := oneline.Text(full) + ": forget for good what all clients have used?"
			if err := state.Confirm(r.ctx, r.in, r.Stderr, question); err != nil {
				return runError{err}
			}
		}
		done, err := persist.Purge(r.path, r.config, aside)
		if err != nil {
			return stateError(err)
		}
		r.say("the old bytes are overwritten; flash, file systems that copy on write, snapshots and backups may keep some of them")
		var text strings.Builder
		for _, name := range done.Removed {
			fmt.Fprintf(&text, "removed      %s\n", oneline.Text(name))
		}
		for _, name := range done.Aside {
			fmt.Fprintf(&text, "still there  %s (--aside removes it)\n", oneline.Text(name))
		}
		return r.print(struct {
			Removed []string `json:"removed"`
			Aside   []string `json:"aside"`
		}{append([]string{}, done.Removed...), append([]string{}, done.Aside...)}, text.String())
	})
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&aside, "aside", false, "remove files that were moved aside, too")
	return cmd
}

func stateImport(w World) *cobra.Command {
	return stateCommand(w, &cobra.Command{
		Use:   "import [FILE]",
		Short: "Add to the state file what weir state export has printed",
		Long: `Adds what weir state export has printed, from FILE or standard input. Of two debts
of one bucket the longer counts, and none is longer than one refill of its
limit. The file must have the secret of the exported one: to go on elsewhere,
put a copy of its .key file there first, or name the file of the secret with
--state-key. The server has to be stopped. A mistake in the input is named with
its line, and nothing is changed.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("unexpected argument %s: %s takes one file, or none for standard input", quote(args[1]), cmd.CommandPath())
			}
			return nil
		},
	}, stateFlags{key: true, json: true}, func(r *stateRun) error {
		in := r.in
		if len(r.args) == 1 && r.args[0] != "-" {
			file, err := os.Open(r.args[0])
			if err != nil {
				return runError{err}
			}
			defer file.Close()
			in = file
		} else if isTerminal(in) {
			return errors.New("there is nothing to import on standard input: want a FILE, or a pipe")
		}
		done, err := persist.Import(r.path, r.config, state.Interruptible(r.ctx, in))
		if err != nil {
			return stateError(err)
		}
		return r.print(struct {
			Records  int    `json:"records"`
			Policies int    `json:"policies"`
			Over     int    `json:"over"`
			Raised   int    `json:"raised"`
			Credit   int64  `json:"credit_ns"`
			Clock    string `json:"clock"`
		}{done.Records, done.Policies, done.Over, done.Raised, int64(done.Credit), done.Clock},
			fmt.Sprintf("%s: %d records read, %d of them stored, %d were over; %v have passed since the export (clock: %s)\n",
				oneline.Text(r.path), done.Records, done.Raised, done.Over, done.Credit, done.Clock))
	})
}

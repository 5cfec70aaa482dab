package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/seed-0c889b51/weir/internal/oneline"
	"github.com/seed-0c889b51/weir/internal/policy"
	"github.com/seed-0c889b51/weir/internal/state"
)

func stateInfo(w World) *cobra.Command {
	var limits []string
	cmd := stateCommand(w, &cobra.Command{
		Use:   "info",
		Short: "Say what is in the state file",
	}, stateFlags{key: true, json: true}, func(r *stateRun) error {
		var wanted []string
		policies, err := policy.ParseList(limits...)
		if err != nil {
			return valueError{fmt.Errorf("--limit %w", err)}
		}
		for _, p := range policies {
			wanted = append(wanted, p.Name)
		}
		c, err := r.read()
		if err != nil {
			return err
		}
		if r.json {
			return state.WriteInfoJSON(r.Stdout, c.Info(), wanted)
		}
		return state.WriteInfo(r.Stdout, c.Info(), wanted)
	})
	cmd.Flags().StringArrayVar(&limits, "limit", nil, "`'KEY LIMIT'` as for weir serve; may be given several times: policies that are none of them are marked unwanted")
	return cmd
}

func stateVerify(w World) *cobra.Command {
	return stateCommand(w, &cobra.Command{
		Use:   "verify",
		Short: "Check all of the state file: structure, checksums, and that nothing is missing",
		Long: `Checks all of the state file, in a process of its own: structure, checksums,
and that nothing is missing. Prints ok, or what is wrong and where, and exits
with 0 or 1. Nothing is changed.`,
	}, stateFlags{key: true, json: true}, func(r *stateRun) error {
		self, err := os.Executable()
		if err != nil {
			return runError{fmt.Errorf("no process to check it in: %w", err)}
		}
		command := []string{self, "state", "check", "--state", r.path}
		if r.key.given {
			command = append(command, "--state-key", r.key.value)
		}
		v, err := state.Verify(r.ctx, r.path, command...)
		if err != nil {
			return runError{err}
		}
		if v.InUse {
			r.sayInUse(r.path)
		}
		text := ""
		if v.OK {
			text = fmt.Sprintf("ok: %s is sound: %d pages (%d free), %d segments, %d chunks, %d records\n",
				oneline.Text(r.path), v.Pages, v.FreePages, v.Segments, v.Chunks, v.Records)
			if !r.json {
				for _, note := range v.Notes {
					r.say("note: %s", note)
				}
			}
		}
		if err := r.print(v, text); err != nil {
			return err
		}
		if !v.OK {
			return runError{errors.New(v.Problem)}
		}
		return nil
	})
}

// stateCheck is what verify runs in a process of its own.
func stateCheck(w World) *cobra.Command {
	return stateCommand(w, &cobra.Command{
		Use:    "check",
		Short:  "What verify runs in a process of its own",
		Hidden: true,
	}, stateFlags{key: true}, func(r *stateRun) error {
		return state.Check(r.Stdout, r.path, r.config)
	})
}

func stateExport(w World) *cobra.Command {
	return stateCommand(w, &cobra.Command{
		Use:   "export",
		Short: "Print the live records of the state file as JSON Lines",
		Long: `Prints what weir state import reads: one JSON object a line. The first says which
policies there are, with their limits, when that was, and the id of the secret.
Each one after it is a bucket that is not full:
  {"policy":"ip","hash":"0123456789abcdef","full_in_ns":59000000000}
Neither keys nor the secret are in it.`,
	}, stateFlags{}, func(r *stateRun) error {
		c, err := r.read()
		if err != nil {
			return err
		}
		if err := c.Export(r.Stdout); err != nil {
			return stateError(err)
		}
		return nil
	})
}

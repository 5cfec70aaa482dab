package cli

import (
	"github.com/spf13/cobra"

	"github.com/seed-0c889b51/weir/internal/adminview"
)

// newStatus is the command that says how a running server does.
func newStatus(w World) *cobra.Command {
	var flags askFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say how a running weir does: its limits, its state, and what is wrong",
		Long: `Asks a running weir serve, by its --admin, how it does, and prints what each limit
has done since the start, the state, and what is wrong, with its cure.

Examples:
  weir status
  weir status --admin unix:/run/weir/admin.sock
  weir status --json | jq '.policies[] | {name, denied}'

It exits with 0 whenever the server answers, warnings or not.

Exit codes: 0 the server has answered, 1 it has not, 2 unknown command, flag or
argument, 3 a value that is not valid.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := flags.client(w, false)
			if err != nil {
				return err
			}
			s, err := client.Status(cmd.Context())
			if err != nil {
				return askError(err)
			}
			if flags.json {
				return printJSON(w, s)
			}
			return adminview.WriteStatus(w.Stdout, &s)
		},
	}
	flags.add(cmd.Flags())
	return cmd
}

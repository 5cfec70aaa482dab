package cli

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/seed-0c889b51/weir/internal/adminapi"
	"github.com/seed-0c889b51/weir/internal/adminview"
	"github.com/seed-0c889b51/weir/internal/oneline"
)

const mostKeys = 1000 // that a server lists

// newKeys is the command for the keys of a running server.
func newKeys(w World) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "See who has least left of the limits of a running weir, and reset a key",
		Long: `Asks a running weir serve, by its --admin, about keys: whom requests count for. An
address is written as it is, of IPv6 the network; a credential as its kind and the
beginning of a hash. It wants the token.

Examples:
  weir keys list                               # those with least left
  weir keys show 203.0.113.7
  weir keys reset 203.0.113.7 --policy ip      # its bucket is full again

Exit codes: 0 done, 1 failed, or there is no such key, 2 unknown command, flag or
argument, 3 a value that is not valid.`,
		Args: cobra.ArbitraryArgs, // so that RunE can say what it wants
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
	cmd.AddCommand(keysList(w), keysShow(w), keysReset(w))
	return cmd
}

func keysList(w World) *cobra.Command {
	var flags askFlags
	var policy once
	n := once{value: "50"}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the keys that have least left",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			most, err := strconv.Atoi(n.value)
			if err != nil || most < 1 || most > mostKeys {
				return valueError{fmt.Errorf("--number %s: want a whole number from 1 to %d", quote(n.value), mostKeys)}
			}
			client, err := flags.client(w, true)
			if err != nil {
				return err
			}
			keys, err := client.Keys(cmd.Context(), policy.value, most)
			if err != nil {
				return askError(err)
			}
			return printKeys(w, flags.json, keys)
		},
	}
	flags.add(cmd.Flags())
	cmd.Flags().Var(&policy, "policy", "`NAME` of the limit, as weir status says it (default: all)")
	cmd.Flags().Var(&n, "number", "`N` keys at most")
	return cmd
}

func keysShow(w World) *cobra.Command {
	var flags askFlags
	var policy once
	cmd := &cobra.Command{
		Use:   "show KEY",
		Short: "Show what a key has left under each limit",
		Long: `Shows what a key has left under each limit. It is looked for among the 1000 that
have least left: one that is not among them is all but free.`,
		Args: oneKey,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := flags.client(w, true)
			if err != nil {
				return err
			}
			keys, err := client.Keys(cmd.Context(), policy.value, mostKeys)
			if err != nil {
				return askError(err)
			}
			found := []adminapi.Key{}
			for _, k := range keys {
				if k.Key == args[0] {
					found = append(found, k)
				}
			}
			if len(found) == 0 {
				return runError{fmt.Errorf("key %s: it is not among the %d with least left: it has used nothing of late, or is spelled in another way (see weir keys list)", quote(args[0]), mostKeys)}
			}
			return printKeys(w, flags.json, found)
		},
	}
	flags.add(cmd.Flags())
	cmd.Flags().Var(&policy, "policy", "`NAME` of the limit, as weir status says it (default: all)")
	return cmd
}

func keysReset(w World) *cobra.Command {
	var flags askFlags
	var policy once
	cmd := &cobra.Command{
		Use:   "reset KEY --policy NAME",
		Short: "Make the bucket of a key full again under one limit",
		Args:  oneKey,
		RunE: func(cmd *cobra.Command, args []string) error {
			if policy.value == "" {
				return errors.New("there is no --policy: want the name of the limit, as weir status says it")
			}
			client, err := flags.client(w, true)
			if err != nil {
				return err
			}
			if err := client.Reset(cmd.Context(), policy.value, args[0]); err != nil {
				return askError(err)
			}
			if flags.json {
				return printJSON(w, adminapi.Reset{Policy: policy.value, Key: args[0]})
			}
			_, err = fmt.Fprintf(w.Stdout, "%s has all of %s again\n", oneline.Text(args[0]), oneline.Text(policy.value))
			return err
		},
	}
	flags.add(cmd.Flags())
	cmd.Flags().Var(&policy, "policy", "`NAME` of the limit, as weir status says it")
	return cmd
}

// oneKey wants one argument, which is a key.
func oneKey(cmd *cobra.Command, args []string) error {
	if len(args) == 1 && args[0] != "" {
		return nil
	}
	return fmt.Errorf("%d arguments: %s wants one KEY, as weir keys list says it", len(args), cmd.CommandPath())
}

func printKeys(w World, asJSON bool, keys []adminapi.Key) error {
	if asJSON {
		return printJSON(w, keys)
	}
	return adminview.WriteKeys(w.Stdout, keys)
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-0c889b51/weir/internal/adminapi"
	"github.com/seed-0c889b51/weir/internal/adminclient"
	"github.com/seed-0c889b51/weir/internal/adminview"
	"github.com/seed-0c889b51/weir/internal/config"
)

// newTop is the command that shows a running server in the terminal.
func newTop(w World) *cobra.Command {
	var flags askFlags
	var single bool
	every := once{value: "1s"}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch a running weir: its limits, who has least left, and what is wrong",
		Long: `Shows, in the terminal, what a running weir serve does, by its --admin: what each
limit allows and denies a second, who has least left, when they are free again, and
what is wrong, with its cure. The keys want the token; without it, the rest is
shown. q ends it. Where there is no terminal, it prints what there is, once.

Examples:
  weir top
  weir top --admin unix:/run/weir/admin.sock --token-file /var/lib/weir/weir.db.token
  weir top --once | head

$NO_COLOR, if set, does without colours.

Exit codes: 0 ended, 1 the server has not answered, 2 unknown command, flag or
argument, 3 a value that is not valid.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			interval, err := time.ParseDuration(every.value)
			if err != nil || interval < 100*time.Millisecond || interval > time.Hour {
				return valueError{fmt.Errorf("--every %s: want a duration from 100ms to 1h, such as 2s", quote(every.value))}
			}
			client, err := flags.client(w, false)
			if err != nil {
				return err
			}
			t := &top{client: client, every: interval, changed: make(chan struct{}, 1)}
			t.view.Trend = &adminview.Trend{}
			t.view.Unicode = unicodeIn(w.Environ)
			if err := t.ask(cmd.Context()); err != nil {
				return askError(err)
			}
			out := fileOf(w.Stdout)
			if flags.json {
				return printJSON(w, topJSON{t.view.Status, t.view.Keys, t.view.KeysNote})
			}
			if single || out == nil || !isTerminal(out) || config.Lookup(w.Environ, "TERM") == "dumb" {
				const width = 120  // of what is no terminal
				t.view.Trend = nil // of one look there is none
				_, err := fmt.Fprintln(w.Stdout, strings.Join(t.lines(width, 0), "\n"))
				return err
			}
			t.view.Colour = config.Lookup(w.Environ, "NO_COLOR") == ""
			in := fileOf(w.Stdin)
			if w.Stdin == nil {
				in = os.Stdin
			}
			if err := t.run(cmd.Context(), adminview.Screen{Out: out, In: in}); err != nil {
				return runError{err}
			}
			return nil
		},
	}
	flags.add(cmd.Flags())
	cmd.Flags().BoolVar(&single, "once", false, "print what there is once, without colours")
	cmd.Flags().Var(&every, "every", "`TIME` between two looks, 100ms to 1h")
	return cmd
}

// topJSON is what weir top --json prints.
type topJSON struct {
	Status *adminapi.Status `json:"status"`
	Keys   []adminapi.Key   `json:"keys"`
	Note   string           `json:"note,omitempty"` // why there are no keys
}

// A top looks at a server again and again.
type top struct {
	client  *adminclient.Client
	every   time.Duration
	changed chan struct{} // has something when view has changed

	mu   sync.Mutex
	view adminview.View
}

// run shows what there is until somebody quits.
func (t *top) run(ctx context.Context, screen adminview.Screen) error {
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.follow(ctx)
	}()
	err := screen.Show(ctx, t.changed, t.lines)
	stop()
	<-done
	return err
}

// follow asks until ctx ends. A server that takes long is asked less often.
func (t *top) follow(ctx context.Context) {
	for {
		begun := time.Now()
		err := t.ask(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			t.mu.Lock()
			t.view.Problem = err.Error()
			t.mu.Unlock()
		}
		select {
		case t.changed <- struct{}{}:
		default: // it is about to be drawn
		}
		select {
		case <-time.After(max(t.every, 5*time.Since(begun))):
		case <-ctx.Done():
			return
		}
	}
}

// ask asks once. That there are no keys to be had is no error.
func (t *top) ask(ctx context.Context) error {
	s, err := t.client.Status(ctx)
	if err != nil {
		return err
	}
	keys, err := t.client.Keys(ctx, "", 200)
	note := ""
	switch {
	case errors.Is(err, adminclient.ErrToken):
		note = "want the token: --token-file"
	case err != nil:
		note = err.Error()
	}
	used := []adminapi.Key{}
	for _, k := range keys {
		if k.ResetAfterMs > 0 { // a full bucket is as none
			used = append(used, k)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.view.Status, t.view.Keys, t.view.KeysNote, t.view.Problem, t.view.At = &s, used, note, "", time.Now()
	t.view.Trend.Add(&s)
	return nil
}

func (t *top) lines(width, height int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.view.Now = time.Now()
	return t.view.Lines(width, height)
}

// unicodeIn tells whether a terminal shows more than ASCII, by what the locale
// says.
func unicodeIn(environ []string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := config.Lookup(environ, name); v != "" {
			v = strings.ToUpper(v)
			return strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8")
		}
	}
	return false
}

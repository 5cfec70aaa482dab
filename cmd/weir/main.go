// Command weir is a rate limiter in front of any HTTP API: a reverse proxy that
// passes on what is within its limits, and that remembers across restarts what
// each client has used.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"time"

	"golang.org/x/term"

	"github.com/seed-0c889b51/weir/internal/cli"
)

func main() {
	os.Exit(run())
}

// duplicate is how soon after the first signal another counts as the same one:
// whoever signals a process and its group, as timeout(1) does, sends it twice.
const duplicate = 500 * time.Millisecond

// run runs the command line. The first signal ends it in order, the second at
// once.
func run() int {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, stopSignals()...)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	force, stopNow := context.WithCancel(context.Background())
	defer stopNow()
	go func() {
		<-signals
		first := time.Now()
		stop()
		for range signals {
			if time.Since(first) > duplicate {
				stopNow()
			}
		}
	}()
	return cli.Run(ctx, cli.World{
		Args:        os.Args[1:],
		Environ:     os.Environ(),
		Stdout:      os.Stdout,
		Stderr:      os.Stderr,
		Terminal:    term.IsTerminal(int(os.Stderr.Fd())),
		StandardLog: log.Default(),
		Force:       force,
	})
}

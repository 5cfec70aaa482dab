package serve

import (
	"context"
	"log"
	"log/slog"
	"strings"
	"sync/atomic"
)

// A starting handler leaves out what the banner says anyway, that all is well
// with the state, until it has been told that the start is over.
type starting struct {
	slog.Handler
	over *atomic.Bool
}

// Enabled tells whether a record of that level is handled.
func (h starting) Enabled(ctx context.Context, level slog.Level) bool {
	return (level != slog.LevelInfo || h.over.Load()) && h.Handler.Enabled(ctx, level)
}

// newErrorLog returns where net/http logs.
func newErrorLog(to *slog.Logger) *log.Logger { return log.New(errorLog{to}, "", 0) }

// Redact has a logger that net/http writes to pass on to another only what
// names no client: its lines hold addresses of clients, values of panics and
// pieces of messages. It is for the standard logger, which the client of
// net/http writes to and cannot be told not to; a [Server] does it for its own.
func Redact(l *log.Logger, to *slog.Logger) {
	l.SetFlags(0)
	l.SetPrefix("")
	l.SetOutput(errorLog{to})
}

type errorLog struct{ to *slog.Logger }

func (l errorLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	switch {
	case strings.HasPrefix(text, "http: Accept error: "):
		// Such as too many open files; the address in it is our own.
		l.to.Error("cannot take a connection", "reason", strings.TrimPrefix(text, "http: Accept error: "))
	case strings.HasPrefix(text, "http: panic serving "):
		_, stack, _ := strings.Cut(text, "\n")
		l.to.Error("a request was given up: panic", "stack", stack)
	default:
		l.to.Debug("net/http gave up a connection")
	}
	return len(line), nil
}

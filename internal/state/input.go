package state

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrNotConfirmed means that whoever was asked did not say yes.
var ErrNotConfirmed = errors.New("not confirmed: nothing was done")

// Confirm asks a question on w and reads the answer from r. The error is nil
// for yes, [ErrNotConfirmed] for anything else, and wraps that of ctx if it
// ends first.
func Confirm(ctx context.Context, r io.Reader, w io.Writer, question string) error {
	if _, err := fmt.Fprintf(w, "%s [yes/no] ", question); err != nil {
		return err
	}
	answer, err := bufio.NewReader(io.LimitReader(Interruptible(ctx, r), 1024)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "yes" && answer != "y" {
		return ErrNotConfirmed
	}
	return nil
}

// Interruptible returns a reader that reads from r until ctx ends: a Read that
// waits then returns an error that wraps that of ctx. A read from r may go on in
// the background, and what it gets is lost.
func Interruptible(ctx context.Context, r io.Reader) io.Reader {
	return &interruptible{ctx: ctx, r: r}
}

type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i *interruptible) Read(p []byte) (int, error) {
	type result struct {
		bytes []byte
		err   error
	}
	done := make(chan result, 1)
	own := make([]byte, len(p)) // p is the caller's again once this returns
	go func() {
		n, err := i.r.Read(own)
		done <- result{own[:n], err}
	}()
	select {
	case <-i.ctx.Done():
		return 0, fmt.Errorf("interrupted: %w", i.ctx.Err())
	case got := <-done:
		return copy(p, got.bytes), got.err
	}
}

// Package reserve waits for tokens.
package reserve

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Forever is more than any reservation takes.
const Forever = time.Duration(math.MaxInt64)

// Wait reserves and waits until the reservation's time has come.
//
// take is called once, with the longest wait that ctx leaves. It returns how
// long to wait, or an error; a wait longer than it was given means that
// nothing was reserved. If ctx ends first, cancel is called once to undo what
// take did, and the error of ctx is returned.
func Wait(ctx context.Context, take func(atMost time.Duration) (time.Duration, error), cancel func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	delay, err := take(left(ctx))
	if err != nil {
		return err
	}
	if err := tooLate(ctx, delay); err != nil {
		return err
	}
	if err := sleep(ctx, delay); err != nil {
		cancel()
		return err
	}
	return nil
}

// Pause waits for some time. If ctx ends before that it returns its error, at
// once if it is known to.
func Pause(ctx context.Context, delay time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := tooLate(ctx, delay); err != nil {
		return err
	}
	return sleep(ctx, delay)
}

// left returns how much time ctx leaves.
func left(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return time.Until(deadline)
	}
	return Forever
}

// tooLate returns an error if ctx ends before a delay is over.
func tooLate(ctx context.Context, delay time.Duration) error {
	if atMost := left(ctx); delay > atMost {
		return fmt.Errorf("the tokens are there in %v, after the deadline in %v: %w", delay, atMost, context.DeadlineExceeded)
	}
	return nil
}

func sleep(ctx context.Context, delay time.Duration) error {
	if delay <= 0 {
		return nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

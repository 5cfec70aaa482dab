// Package reserve waits for tokens that have been reserved.
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
	atMost := Forever
	if deadline, ok := ctx.Deadline(); ok {
		atMost = time.Until(deadline)
	}
	delay, err := take(atMost)
	if err != nil {
		return err
	}
	if delay > atMost {
		return fmt.Errorf("tokens are there in %v, after the deadline in %v: %w", delay, atMost, context.DeadlineExceeded)
	}
	if delay <= 0 {
		return nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		cancel()
		return ctx.Err()
	}
}

package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// settle is how long what was used may take to be kept: a limiter that writes
// behind may do so for a moment.
const settle = time.Second

func (e *exam) restartCost(n int) int {
	if e.cfg.Restart == nil {
		return 0
	}
	return n + 10
}

// restart proves that a client that has nothing left has nothing left after a
// restart.
func (e *exam) restart(ctx context.Context) (Check, error) {
	if e.cfg.Restart == nil {
		return untested("give a command that kills the API and starts it again (--restart)"), nil
	}
	gone, err := e.wire.watch(ctx)
	if err != nil {
		return Check{}, err
	}
	// One that has used up all at once, just now: of what is spent little by
	// little, the last may not be kept yet.
	if next, ok, _ := e.clients.next(); ok && !e.shared {
		e.patient = next
	}
	refusal, _, err := e.drain(ctx, e.patient)
	if err != nil {
		return Check{}, err
	}
	if !e.canWait(settle) {
		return Check{}, errTime
	}
	if err := e.sleepUntil(ctx, refusal.at.Add(settle)); err != nil {
		return Check{}, err
	}
	limited, cancel := context.WithDeadline(ctx, e.end)
	defer cancel()
	if err := e.cfg.Restart(limited); err != nil {
		return untested("the command failed: %v", err), nil
	}
	e.tell("restart, which waits for an answer")
	got, err := e.awaken(ctx)
	if errors.Is(err, errTime) {
		return Check{}, errors.New(err.Error()) // it is not the time that is wrong
	}
	if err != nil {
		return Check{}, err
	}
	if gone() {
		return untested("a connection from before the command is still open: it has not killed what answers at the URL"), nil
	}
	n := 0
	for ; !e.refused(got) && n <= 2*e.n; n++ {
		if got, err = e.send(ctx, e.patient, nil); err != nil {
			return Check{}, err
		}
	}
	return e.survived(refusal, n, got.at.Sub(refusal.at)), nil
}

// awaken sends requests until one is answered by the API, and returns that
// answer.
func (e *exam) awaken(ctx context.Context) (answer, error) {
	var last error
	for {
		before := e.sent
		got, err := e.send(ctx, e.patient, nil)
		switch {
		case err == nil && (got.status < 500 || got.status == e.refusal.status):
			return got, nil
		case err == nil:
			last = fmt.Errorf("it is answered with status %d", got.status)
		case ctx.Err() != nil:
			return got, ctx.Err()
		case errors.Is(err, errTime) || errors.Is(err, errRequests):
			return got, fmt.Errorf("it does not answer after the command, until %w: %v", err, last)
		default:
			e.sent, last = before, err // nobody was there to count it
		}
		if err := e.sleepUntil(ctx, time.Now().Add(50*time.Millisecond)); err != nil {
			return got, err
		}
	}
}

// survived says what it means that n requests pass so long after a refusal.
func (e *exam) survived(refusal answer, n int, since time.Duration) Check {
	after := since.Round(100 * time.Millisecond)
	if n == 0 {
		return passed("%v after the client was refused it is refused still", after)
	}
	// A tenth may not have been kept yet.
	switch most := e.back(refusal, since) + e.n/10; {
	case n > most:
		return failed("keep what clients have used in a file or a store (weir serve --state), and write it as soon as somebody has used up a limit",
			"%v after the client was refused %d requests pass, want at most %d, which have come back meanwhile", after, n, most)
	case n >= e.n:
		return untested("%d requests pass %v after the client was refused, by when all may have come back: give the doctor a limit with a longer window", n, after)
	}
	return passed("%d requests pass, which may have come back in the %v that it took", n, after)
}

// back returns how many requests may have come back so long after a refusal.
func (e *exam) back(refusal answer, since time.Duration) int {
	wait, why := retryAfter(refusal.header)
	if why == "" {
		earliest := wait - time.Second // by rounding
		if wait >= 10*time.Second {
			earliest -= wait / 10 // by a jitter
		}
		if since < earliest {
			return 0
		}
	}
	if !e.steady || e.period == 0 {
		return 2*e.n + 1
	}
	return e.refilled(since) + 1
}

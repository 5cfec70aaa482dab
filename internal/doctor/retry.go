package doctor

import (
	"context"
	"fmt"
	"time"
)

// retry proves that a client that comes back when it is told to is served, and
// that it could not have come much earlier.
func (e *exam) retry(ctx context.Context) (Check, error) {
	refusal, _, err := e.drain(ctx, e.patient)
	if err != nil {
		return Check{}, err
	}
	wait, why := retryAfter(refusal.header)
	if why != "" {
		return untested("there is nothing to go by: %s", why), nil
	}
	if !e.canWait(wait) {
		return untested("it is %v, for which there is no time: --timeout %v", wait, (2*wait + time.Minute).Round(time.Second)), nil
	}
	e.tell("retry, which waits for " + wait.String())
	if err := e.sleepUntil(ctx, refusal.at.Add(wait)); err != nil {
		return Check{}, err
	}
	got, err := e.send(ctx, e.patient, nil)
	if err != nil {
		return Check{}, err
	}
	const cure = "send the time until a request is let through in whole seconds, rounded up"
	if e.refused(got) {
		return failed(cure, "it was %v, and a client that came back just then is refused once more, with Retry-After %s",
			wait, shorten(got.header.Get("Retry-After"))), nil
	}
	refusal, n, err := e.drain(ctx, e.patient)
	if err != nil {
		return Check{}, err
	}
	e.steady = 1+n < e.n
	return e.early(ctx, refusal, wait)
}

// early is the second half of retry: just before it is too early, and having
// tried puts nothing off.
func (e *exam) early(ctx context.Context, refusal answer, before time.Duration) (Check, error) {
	so := fmt.Sprintf("after %v, as told, a client is served", before)
	wait, why := retryAfter(refusal.header)
	if why != "" {
		return failed("send one with every refusal", "a second refusal is another: %s", why), nil
	}
	// As much earlier as rounding and a jitter of a tenth can have added, and
	// what the request may be on the way.
	earlier := wait - time.Second - max(100*time.Millisecond, 2*refusal.at.Sub(refusal.sent))
	if wait >= 10*time.Second {
		earlier -= wait / 10
	}
	if earlier <= 0 {
		return passed("%s (a second before that was the refusal)", so), nil
	}
	if !e.canWait(wait) {
		return passed("%s (there is no time to try a second before: --timeout)", so), nil
	}
	e.tell("retry, which waits for " + wait.String())
	if err := e.sleepUntil(ctx, refusal.sent.Add(earlier)); err != nil {
		return Check{}, err
	}
	got, err := e.send(ctx, e.patient, nil)
	if err != nil {
		return Check{}, err
	}
	if !e.refused(got) {
		return failed("send the time until a request is let through, not more: that of the whole window is what keeps clients away that would be served",
			"it was %v, and a client that comes back after %v already is served", wait, earlier.Round(time.Millisecond)), nil
	}
	if err := e.sleepUntil(ctx, refusal.at.Add(wait)); err != nil {
		return Check{}, err
	}
	if got, err = e.send(ctx, e.patient, nil); err != nil {
		return Check{}, err
	}
	if e.refused(got) {
		return failed("do not count what is refused, or say in Retry-After when it will be over",
			"it was %v, and a client that tried before that in vain is refused then as well, with Retry-After %s: it has put itself off",
			wait, shorten(got.header.Get("Retry-After"))), nil
	}
	return passed("%s, and %v before that it is not", so, (wait - earlier).Round(100*time.Millisecond)), nil
}

// tell tells what goes on.
func (e *exam) tell(what string) {
	if e.cfg.Progress != nil {
		e.cfg.Progress(e.done, e.of, what)
	}
}

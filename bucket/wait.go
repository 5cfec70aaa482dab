package bucket

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-0c889b51/weir/internal/reserve"
)

// ErrBurst is the error of waiting for more tokens than a bucket can hold.
var ErrBurst = errors.New("more tokens than the burst")

// Wait takes n tokens as soon as they are there and returns nil then. Waiters
// are served in the order in which they came; what they wait for is taken at
// once, so that those who do not wait are denied meanwhile.
//
// It returns [ErrBurst] if n is more than the burst, an error that is
// [context.DeadlineExceeded] at once if the deadline of ctx comes first, and
// the error of ctx if it ends while waiting. After an error nothing is taken,
// but for what waiters behind have been promised: they keep their places, so
// that one who gives up may leave a gap. An n below 1 does not wait.
func (b *Bucket) Wait(ctx context.Context, n int) error {
	var act time.Time
	return reserve.Wait(ctx, func(atMost time.Duration) (time.Duration, error) {
		now := time.Now()
		delay, err := b.Reserve(now, n, atMost)
		act = now.Add(delay)
		return delay, err
	}, func() { b.Unreserve(time.Now(), n, act) })
}

// Reserve takes n tokens at time t even if they are not there yet, and returns
// after what time they will be, so long as that is within atMost; otherwise it
// takes nothing. It returns [ErrBurst] if n is more than the burst, or if the
// tokens are more than 100 years away. It is what Wait is made of.
func (b *Bucket) Reserve(t time.Time, n int, atMost time.Duration) (time.Duration, error) {
	if n < 1 {
		return 0, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.rule.limit.Burst {
		return 0, fmt.Errorf("%w: %d of %d", ErrBurst, n, b.rule.limit.Burst)
	}
	at := b.clamp(t)
	delay := b.rule.until(float64(n) - b.lim.TokensAt(at))
	delay = later(delay, at.Sub(t))
	if delay.Seconds() > maxRefill {
		return 0, fmt.Errorf("%w: those reserved before reach more than 100 years ahead", ErrBurst)
	}
	if delay <= atMost {
		b.lim.ReserveN(at, n)
	}
	return delay, nil
}

// Unreserve gives back at time t what Reserve took for the instant act, less
// what others have reserved behind it since: they are waiting for an instant
// that was reckoned with these n tokens gone, and would else share it with
// whoever gets the tokens given back. (The rule of rate.Reservation.CancelAt.)
// If the limit was changed in between, what is given back is reckoned under the
// new one, and is less than was taken if that is slower.
func (b *Bucket) Unreserve(t time.Time, n int, act time.Time) {
	if n < 1 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	t = b.clamp(t)
	tokens := b.lim.TokensAt(t)
	own := b.rule.limit.tokensIn(max(act.Sub(t), 0)) // the debt up to and with this reservation
	behind := max(0, -tokens-own)
	if back := float64(n) - behind; back > 0 {
		b.fill(t, tokens+back)
	}
}

package field

import (
	"go.uber.org/ratelimit"
)

// singles have one limit for everybody. They are what a limiter by key can be
// compared with on one key.
func singles() []Contender {
	return []Contender{
		{Name: "rate.Limiter", Module: xtime, Algorithm: TokenBucket, Make: func(l Limit, _ int) (Limiter, error) {
			limiter := newXtime(l)
			return Limiter{Allow: func(string) bool { return limiter.Allow() }, Close: forever}, nil
		}},
		{Name: "tailscale-rate-single", Module: "tailscale.com", Algorithm: TokenBucket, Make: func(l Limit, _ int) (Limiter, error) {
			limiter := newTailscale(l)
			return Limiter{Allow: func(string) bool { return limiter.Allow() }, Close: forever}, nil
		}},
		{Name: "juju-single", Module: "github.com/juju/ratelimit", Algorithm: TokenBucket, Make: func(l Limit, _ int) (Limiter, error) {
			b := newJuju(l)
			return Limiter{Allow: func(string) bool { return b.TakeAvailable(1) == 1 }, Close: forever}, nil
		}},
		{Name: "failsafe-single", Module: failsafeModule, Algorithm: FixedWindow, Make: func(l Limit, _ int) (Limiter, error) {
			limiter := newFailsafe(l)
			return Limiter{Allow: func(string) bool { return limiter.TryAcquirePermit() }, Close: forever}, nil
		}},
		{Name: "slidingwindow-single", Module: "github.com/RussellLuo/slidingwindow", Algorithm: Weighed, Make: func(l Limit, _ int) (Limiter, error) {
			limiter := newSlidingWindow(l)
			return Limiter{Allow: func(string) bool { return limiter.Allow() }, Close: forever}, nil
		}},
		{Name: "uber-single", Module: "go.uber.org/ratelimit", Algorithm: Spacer, Make: makeUber},
	}
}

// makeUber returns what waits until a request is due, and so lets all pass. It
// is given the quota as a rate per second, at which nobody has to wait.
func makeUber(l Limit, _ int) (Limiter, error) {
	limiter := ratelimit.New(l.Quota)
	return Limiter{
		Allow: func(string) bool { return !limiter.Take().IsZero() },
		Close: forever,
	}, nil
}

package httpmw

import (
	"github.com/seed-0c889b51/weir/bucket"
)

// A Denial is why a request is refused: the policy that refuses it the longest,
// the first of them in the order of the policies.
type Denial struct {
	// Policy is the name of the policy, or of the InFlight.
	Policy string
	// Key is whose request it is, as the [Limiter] is told; see
	// [Middleware.KeyText].
	Key string
	// Cost is how many tokens it asks for.
	Cost int
	// Decision is that of the policy, with the wait as it is, without jitter.
	Decision bucket.Decision
}

// denial returns why the request in s is refused.
func (m *Middleware) denial(s *scratch) Denial {
	of := -1
	for i := range s.decisions {
		if violated(s.decisions[i]) && (of < 0 || s.decisions[i].RetryAfter > s.decisions[of].RetryAfter) {
			of = i
		}
	}
	return Denial{Policy: m.names[of], Key: s.keys[of], Cost: s.costs[of], Decision: s.decisions[of]}
}

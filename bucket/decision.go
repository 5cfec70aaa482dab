package bucket

import (
	"math"
	"time"
)

// Never is the RetryAfter of a request that can never be allowed because it
// asks for more than the burst.
const Never = time.Duration(math.MaxInt64)

// A Decision is the answer to a request. It is a plain value; a denial is not
// an error.
type Decision struct {
	// Allowed tells whether the request may go on. If not, it took nothing.
	Allowed bool
	// DryRun tells that the limit only counts: Allowed is then always true,
	// and a RetryAfter above 0 says that the request would have been denied.
	DryRun bool
	// Limit is the limit that decided.
	Limit Limit
	// Remaining is how many tokens could be taken now, after this request.
	Remaining int
	// RetryAfter is 0 if the limit allows the request. Otherwise it is the
	// time after which the same request would be allowed if no other came
	// between, exact to the nanosecond: just before it, the request is still
	// denied. It is [Never] if the request asks for more than the burst.
	RetryAfter time.Duration
	// ResetAfter is the time after which the bucket is full again if nothing
	// else is taken.
	ResetAfter time.Duration
}

// Exceeded tells whether the limit would refuse the request, dry run or not.
func (d Decision) Exceeded() bool { return d.RetryAfter > 0 }

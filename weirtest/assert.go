package weirtest

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// A Want says how a handler is to be limited.
type Want struct {
	// Limit is the limit of each client: the tightest, if it is under several.
	// Its Burst is at most 100,000, since three times as many requests are sent.
	// Of requests that cost more than one token it is how many of them pass:
	// 50/min where 100/min holds and each costs 2.
	Limit bucket.Limit
	// Status is that of a refusal, from 400 to 599. 0 means 429.
	Status int
	// Request returns a new request of a client. Clients are numbered from 0,
	// and each must be another to the limiter. Nil means GET /. A request
	// without a RemoteAddr gets one that is its client's, with a new port each
	// time.
	//
	// It is for handlers that want another path or a credential, and for those
	// behind a proxy: then it sets Request.RemoteAddr to the proxy's address
	// and X-Forwarded-For to what the proxy would send.
	Request func(client int) *http.Request
}

// AssertLimited fails the test, and says what is wrong and where to look,
// unless all of this holds of h, which nobody has used before:
//
//   - as many requests of one client pass as the burst is, and the next one is
//     refused with the status;
//   - 101 other clients pass, and after them the first is still refused;
//   - a client that is over its limit does not pass with X-Forwarded-For,
//     Forwarded, X-Real-IP or another field that claims an address. One that
//     Request has set is left as it is, but for the first two: these get an
//     address in front, which is where a client's claim ends up;
//   - nor with another User-Agent, Accept, Accept-Encoding, Accept-Language,
//     Referer, Origin, X-Request-Id, cookie, query or Host, with a made up
//     Authorization, X-Api-Key, Api-Key, X-Auth-Token or X-User, over HTTP/1.0,
//     with an Upgrade, with HEAD in place of GET, or with its path spelled
//     otherwise. What Request has set of these fields is left as it is, and only
//     a pass with the status of the very first request counts. Other methods are
//     not tried, and no CORS preflight: they may have limits of their own, or
//     none;
//   - nor from another address of its IPv6 network of 64 bits. That is not tried
//     where Request sets a RemoteAddr;
//   - a refusal has one Retry-After, in whole seconds above 0, and when that
//     time is over the client passes;
//   - at no time have more passed than the limit allows.
//
// And where time is virtual:
//
//   - the client does not pass before Retry-After, by more than the rounding and
//     a jitter of a tenth, and having tried does not put it off;
//   - the limit refills as fast as it says.
//
// Under any status but that of a refusal and 500 to 599 a request has passed,
// so the handler behind the limit may answer as it likes. A limit that all
// clients share, such as one by httpmw.Global, does not hold it.
//
// AssertLimited calls t.Errorf and returns. An httpmw.Middleware logs a warning
// of the claimed addresses. It is best called within [synctest.Test]: see the
// package.
func AssertLimited(t testing.TB, h http.Handler, want Want) {
	t.Helper()
	c, err := newCheck(h, want)
	if err != nil {
		t.Errorf("weirtest: %v", err)
		return
	}
	c.run()
	for _, problem := range c.problems {
		t.Errorf("weirtest: %s", problem)
	}
}

// maxBurst is up to what burst it is tried whether that many requests pass.
const maxBurst = 100_000

// newCheck returns a check of h, or an error that says what is wrong with want.
func newCheck(h http.Handler, want Want) (*check, error) {
	if h == nil {
		return nil, fmt.Errorf("the handler is nil")
	}
	limit, err := want.Limit.Normalize()
	if err != nil {
		return nil, fmt.Errorf("Want.Limit: %w", err)
	}
	if limit.Burst > maxBurst {
		return nil, fmt.Errorf("Want.Limit: burst %d is out of range: want 1 to %d, so give the handler a lower limit in the test",
			limit.Burst, maxBurst)
	}
	status := want.Status
	if status == 0 {
		status = http.StatusTooManyRequests
	}
	if status < 400 || status > 599 {
		return nil, fmt.Errorf("Want.Status %d is out of range: want 400 to 599, or 0 for 429", want.Status)
	}
	if want.Request != nil && want.Request(0) == nil {
		return nil, fmt.Errorf("Want.Request returned nil for client 0: want a request")
	}
	return &check{h: h, limit: limit, status: status, request: want.Request, virtual: inBubble()}, nil
}

// inBubble tells whether the caller runs within synctest.Test.
func inBubble() (in bool) {
	defer func() { in = recover() == nil }()
	synctest.Wait() // panics otherwise
	return
}

// longestWait is how long a client may have to wait by the real clock.
const longestWait = 3 * time.Second

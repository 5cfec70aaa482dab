package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// limit finds out how many requests of a client pass at once.
func (e *exam) limit(ctx context.Context) (Check, error) {
	c, start, before := e.patient, e.first.at, 1 // that was sent already
	for again := false; ; again = true {
		n, refusal, err := e.burst(ctx, c, start, before)
		spent := errors.Is(err, errRequests) || errors.Is(err, errTime)
		switch more := e.said.requests > 0 && n > e.said.requests; {
		case spent && more && n > e.said.requests+e.refilled(time.Since(start)+time.Second):
			return e.unlimited(n), nil
		case spent && more:
			return Check{}, errFast
		case err != nil:
			return Check{}, err
		case refusal.at.IsZero():
			return e.unlimited(n), nil
		}
		e.refusal, e.n, e.patient = refusal, max(n, 1), c
		if e.said.requests == 0 {
			e.most = e.cfg.maxRequests(e.n)
		}
		refilled := e.refilled(refusal.at.Sub(start) + time.Second)
		if e.said.requests == 0 || n <= e.said.requests+refilled {
			return e.limited(n), nil
		}
		// A window that ended in between has let twice as many pass. That does
		// not happen to two clients.
		if !again {
			if next, ok, _ := e.clients.next(); ok {
				c, start, before = next, time.Now(), 0
				continue
			}
		}
		if n > 2*e.said.requests+refilled || again && e.said.field == limitFlag {
			return failed("lower the limit, or say the right one with --limit: 'QUOTA/WINDOW burst N'",
				"%s says %d requests, and %d pass at once", e.said.field, e.said.requests, n), nil
		}
		return passed("%d requests pass at once, more than the %d of %s but no more than in two windows, and the next is refused with %d",
			n, e.said.requests, e.said.field, refusal.status), nil
	}
}

// burst sends requests of c until one is refused, which it returns, or none was
// for longer than is right.
func (e *exam) burst(ctx context.Context, c client, start time.Time, n int) (int, answer, error) {
	for {
		most := probeBound
		if e.said.requests > 0 {
			most = 4*e.said.requests + e.refilled(time.Since(start)) + 10
		}
		if n >= most {
			return n, answer{}, nil
		}
		got, err := e.send(ctx, c, nil)
		if err != nil {
			return n, got, err
		}
		if e.refused(got) {
			return n, got, nil
		}
		if got.status >= 500 {
			return n, got, fmt.Errorf("request %d is answered with status %d: what is behind the limit is broken", n+1, got.status)
		}
		if n++; n == 2 {
			e.second = got
		}
		if n%50 == 0 {
			e.tell(fmt.Sprintf("limit, %d requests", n))
		}
	}
}

// unlimited is what is said if none of n requests is refused.
func (e *exam) unlimited(n int) Check {
	switch {
	case tells(e.first.header) && e.said.requests > 0 && e.said.field != limitFlag:
		return failed("a limiter is there but never refuses: it may be made anew for each request, or its key change from one to the next, or be in a dry run",
			"%d requests pass, although %s says %d", n, e.said.field, e.said.requests)
	case e.said.requests > 0:
		return failed("see that the limiter is in front of this path, that it is no dry run, and that it does not exempt the doctor's address ("+e.patient.name+"); "+
			"to put one there: weir serve --to "+e.cfg.URL.Scheme+"://"+e.cfg.URL.Host,
			"%d requests pass, where --limit says %d", n, e.said.requests)
	}
	return failed("put a limiter there: weir serve --to "+e.cfg.URL.Scheme+"://"+e.cfg.URL.Host+"; "+
		"if there is one, see that it is in front of this path and does not exempt the doctor's address ("+e.patient.name+"), or give --limit if it is higher",
		"%d requests in a row pass, and no answer tells of a limit", n)
}

// limited is what is said if n requests passed.
func (e *exam) limited(n int) Check {
	c := passed("%d requests pass, and the next is refused with status %d", n, e.refusal.status)
	if e.said.requests > n {
		before := ""
		if r, ok := remaining(e.first.header); !ok || int(r)+1 > n || e.said.field == limitFlag {
			before = ": the rest had been used before, or the limit is lower"
		}
		c.Reason += fmt.Sprintf(" (%s says %d%s)", e.said.field, e.said.requests, before)
	}
	return c
}

func (e *exam) refusalStatus(context.Context) (Check, error) {
	switch e.refusal.status {
	case http.StatusTooManyRequests:
		return passed("it is 429"), nil
	case http.StatusServiceUnavailable:
		return passed("it is 503, by which clients take the server to be down: 429 says that it is them"), nil
	}
	return failed("refuse with 429 (nginx: limit_req_status 429)", "it is %d, which does not say that there were too many requests", e.refusal.status), nil
}

func (e *exam) refusalRetryAfter(context.Context) (Check, error) {
	wait, why := retryAfter(e.refusal.header)
	if why != "" {
		return failed("send Retry-After with the whole seconds, rounded up, after which a request is let through", "%s", why), nil
	}
	// A jitter of a tenth is no lie, and neither is rounding.
	if e.period > 0 && wait > max(e.period, e.said.window)*11/10+2*time.Second {
		return failed("send the time until a request is let through, not a fixed one",
			"Retry-After is %v, and the whole limit is back after %v", wait, e.period), nil
	}
	return passed("after %v", wait), nil
}

func (e *exam) refusalNoStore(context.Context) (Check, error) {
	control := strings.Join(e.refusal.header.Values("Cache-Control"), ", ")
	for directive := range strings.SplitSeq(control, ",") {
		if strings.EqualFold(strings.TrimSpace(directive), "no-store") {
			return passed("Cache-Control: %s", control), nil
		}
	}
	const cure = "send Cache-Control: no-store with refusals, so that no cache gives one client's to another"
	if control == "" {
		return failed(cure, "there is no Cache-Control"), nil
	}
	return failed(cure, "Cache-Control is %s", shorten(control)), nil
}

// smallBody is how many bytes the body of a refusal may have.
const smallBody = 4096

func (e *exam) refusalSize(context.Context) (Check, error) {
	if e.refusal.size > smallBody {
		size := fmt.Sprint(e.refusal.size)
		if e.refusal.size > bodyBound {
			size = fmt.Sprint("more than ", bodyBound)
		}
		return failed("send a few words: a flood that is refused should cost little",
			"its body has %s bytes, want at most %d", size, smallBody), nil
	}
	return passed("its body has %d bytes", e.refusal.size), nil
}

func (e *exam) refusalFields(context.Context) (Check, error) {
	if !tells(e.refusal.header) {
		return untested("it has none: clients cannot see what they have left"), nil
	}
	if wrong := malformed(e.refusal.header); len(wrong) > 0 {
		return failed("send them as draft-ietf-httpapi-ratelimit-headers has them, or not at all", "%s", strings.Join(wrong, "; ")), nil
	}
	return passed("they can be read"), nil
}

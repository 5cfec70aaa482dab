package weirtest

import (
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

var delaySeconds = regexp.MustCompile(`^[1-9][0-9]{0,9}$`)

// retryAfter returns when a client that was refused is to come back, or what is
// wrong with the answer.
func retryAfter(h http.Header) (time.Duration, string) {
	const cure = "Want one line with whole seconds, rounded up, as httpmw sends"
	lines := h.Values("Retry-After")
	if len(lines) == 0 {
		return 0, "a refusal has no Retry-After, so clients try again at once or never. " + cure +
			" (but not if a request costs more than the burst: then no wait helps)"
	}
	if len(lines) > 1 {
		return 0, fmt.Sprintf("a refusal has %d lines of Retry-After, %q. %s", len(lines), lines, cure)
	}
	value := lines[0]
	if delaySeconds.MatchString(value) {
		n, _ := strconv.ParseInt(value, 10, 64)
		return time.Duration(min(n, math.MaxInt64/int64(time.Second))) * time.Second, ""
	}
	if _, err := http.ParseTime(value); err == nil {
		return 0, fmt.Sprintf("Retry-After is a date, %q: clients lose the fraction of a second, or have another clock, and come back too early. %s", value, cure)
	}
	if value == "0" {
		return 0, "Retry-After is 0: clients try again at once, and are refused. " + cure
	}
	return 0, fmt.Sprintf("Retry-After is %q, which clients do not understand. %s", value, cure)
}

// retries has client 0 come back when it is told to: first without a try in
// between, then with one just before. That one has to be at an instant, so it
// is for virtual time, as is what follows.
func (c *check) retries() {
	refusal, ok := c.refused()
	if !ok {
		return
	}
	wait, ok := c.waitOf(refusal)
	if !ok {
		return
	}
	sleepUntil(refusal.at.Add(wait))
	if got := c.send(0, nil); got.status == c.status {
		c.problem("Retry-After is too early: it was %v, and a client that came back just then is refused once more, with Retry-After %q",
			wait, got.header.Get("Retry-After"))
		return
	}
	c.admitted++

	if refusal, ok = c.refused(); !ok || !c.virtual {
		return
	}
	if wait, ok = c.waitOf(refusal); !ok {
		return
	}
	// As much before as rounding and a jitter can have added to it.
	before := wait - time.Second - wait/10/time.Second*time.Second
	sleepUntil(refusal.at.Add(before))
	if got := c.send(0, nil); got.status != c.status {
		c.problem("Retry-After is later than need be: it was %v, and a client that came back after %v passes with status %d", wait, before, got.status)
		return
	}
	sleepUntil(refusal.at.Add(wait))
	if got := c.send(0, nil); got.status == c.status {
		c.problem("a client that was told to come back after %v tried before that, in vain, and then after %v: it is refused once more, with Retry-After %q. "+
			"Its time was put off by a request that was refused: these must cost nothing", wait, wait, got.header.Get("Retry-After"))
		return
	}
	c.admitted++
	c.refills()
}

// refills reports if what client 0 has used comes back slower or faster than
// the limit says, in as long as makes an empty bucket all but full.
func (c *check) refills() {
	if _, ok := c.refused(); !ok {
		return
	}
	before, want := c.admitted, c.limit.Burst-1
	span := time.Duration(math.Ceil(float64(want) / c.limit.Rate() * float64(time.Second)))
	time.Sleep(span + time.Microsecond) // for what the arithmetic of a limiter loses
	if _, ok := c.refused(); !ok {
		return
	}
	if n := c.admitted - before; n < want {
		c.problem("a client that used all it had passes %d times in the %v after that, want %d (%v): the limit refills slower", n, span, want, c.limit)
	}
}

// refused drains client 0, and reports if that takes more than the limit.
func (c *check) refused() (response, bool) {
	refusal, _ := c.drain(nil)
	return refusal, c.withinLimit()
}

// withinLimit reports if more requests of client 0 have passed than may.
func (c *check) withinLimit() bool {
	most := c.allowance(c.start)
	if c.admitted > most {
		c.problem("%d requests of a client have passed within %v, want at most %d (%v): the limiter has forgotten what was used, or refills faster",
			c.admitted, time.Since(c.start).Round(time.Millisecond), most, c.limit)
	}
	return len(c.problems) == 0
}

// waitOf returns the Retry-After of a refusal. It is false if something is
// wrong with it, or if the real clock would have to run for long.
func (c *check) waitOf(refusal response) (time.Duration, bool) {
	wait, why := retryAfter(refusal.header)
	if why != "" {
		c.problem("%s", why)
		return 0, false
	}
	token := time.Duration(float64(time.Second) / c.limit.Rate())
	if most := jittered(roundUp(token)); wait > most {
		c.problem("Retry-After is %v, want at most %v: under %v there is a new token every %v. Is the limit another one?",
			wait, most, c.limit, token.Round(time.Millisecond))
		return 0, false
	}
	if wait > longestWait && !c.virtual {
		c.problem("Retry-After is %v, which this test would have to wait for. Put it, and the making of the handler, into testing/synctest, where that takes no time:\n"+
			"\tsynctest.Test(t, func(t *testing.T) { weirtest.AssertLimited(t, newHandler(t), want) })", wait)
		return 0, false
	}
	return wait, true
}

// roundUp rounds d up to seconds.
func roundUp(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) }

// jittered returns the longest Retry-After for a wait that a jitter of a tenth
// makes of it.
func jittered(wait time.Duration) time.Duration { return wait + wait/10/time.Second*time.Second }

func sleepUntil(t time.Time) { time.Sleep(time.Until(t)) }

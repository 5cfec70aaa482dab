package weirtest

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// A check finds out what is wrong with a handler.
type check struct {
	h       http.Handler
	limit   bucket.Limit // normalized
	status  int          // of a refusal
	request func(client int) *http.Request
	virtual bool // the time

	port    int
	onePort bool // each request comes from the same port

	start    time.Time // before the first request
	first    response
	admitted int // of client 0
	problems []string
}

func (c *check) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// run finds what is wrong with the handler.
func (c *check) run() {
	c.start = time.Now()
	refusal, ok := c.burst(0)
	if !ok {
		return
	}
	if _, why := retryAfter(refusal.header); why != "" {
		c.problem("%s", why)
	}
	c.spoofed()
	c.round()
	c.network()
	if c.others(); len(c.problems) == 0 {
		c.retries()
	}
}

// burst sends requests of a client that has sent none until one is refused,
// and returns that refusal. It is false if something is wrong with it.
func (c *check) burst(client int) (response, bool) {
	start := time.Now()
	for n := 1; ; n++ {
		got := c.send(client, nil)
		if n == 1 && client == 0 {
			c.first = got
		}
		switch {
		case got.status == c.status:
			if n > c.limit.Burst {
				return got, true
			}
			c.tooFew(client, n, got)
			return got, false
		case got.status == http.StatusTooManyRequests || len(got.header["Retry-After"]) > 0:
			c.problem("request %d of a client is refused with status %d, want %d: change the one or the other, with httpmw.Config.Refuse or weirtest.Want.Status. "+
				"(503 is httpmw's answer where all clients share the limit, by httpmw.Global.)", n, got.status, c.status)
			return got, false
		case got.status >= 500:
			c.problem("request %d of a client is answered with status %d: this is no refusal, something is broken, so that nothing can be said about the limit",
				n, got.status)
			return got, false
		}
		if client == 0 {
			c.admitted++
		}
		if n > c.allowance(start) {
			c.tooMany(n, got)
			return got, false
		}
		if n > c.patience() {
			c.tooSlow(n, start)
			return got, false
		}
	}
}

// tooFew reports that the n-th request of a client is refused, too early.
func (c *check) tooFew(client, n int, got response) {
	const counted = "either its limit is lower than that, or a request costs more than 1, or the handler has been used before: test a new one"
	switch {
	case client > 0:
		c.problem("another client is not left alone: its request %d is refused, want %d to pass, after the first client had used up its limit.%s "+
			"The limit is counted for all of them together: key it by something that tells clients apart, such as httpmw.ByIP. "+
			"Behind a proxy, name it to httpmw.NewClientIP; if clients have credentials, set weirtest.Want.Request", n, c.limit.Burst, says(got))
	default:
		c.problem("request %d of a client is refused, want %d to pass (%v).%s The limiter is on, but %s",
			n, c.limit.Burst, c.limit, says(got), counted)
	}
}

// tooMany reports that the n-th request of a client passes, and finds out why.
func (c *check) tooMany(n int, got response) {
	what := fmt.Sprintf("request %d of a client passes with status %d, want it refused with %d after %d (%v)",
		n, got.status, c.status, c.limit.Burst, c.limit)
	switch {
	case c.limitsPorts():
		c.problem("%s. From one port it is refused: the key has the port of Request.RemoteAddr in it, so that each connection is a new client. "+
			"Key by the address alone, as httpmw.ByIP does", what)
	case says(got) == "":
		c.problem("%s. No response has a RateLimit field: there is no limiter in front of this handler. "+
			"Test the handler that httpmw.Middleware.Handler returned, and see that the route is behind it. "+
			"If the fields are switched off, its limit is higher", what)
	case says(got) == says(c.first):
		c.problem("%s.%s It said so to the first request, too: a limiter is there but never refuses, since each request gets a new bucket. "+
			"Make the limiter and the middleware once, not for each request, and see that the key does not change from request to request",
			what, says(got))
	default:
		c.problem("%s.%s The limiter is on, but its limit is higher than that", what, says(got))
	}
}

// limitsPorts tells whether a client is refused if it stays at one port.
func (c *check) limitsPorts() bool {
	c.onePort = true
	defer func() { c.onePort = false }()
	for range 2*c.limit.Burst + 10 {
		if c.send(0, nil).status == c.status {
			return true
		}
	}
	return false
}

// says quotes what a response says of the limit: "" or a sentence after a space.
func says(r response) string {
	var b strings.Builder
	for _, name := range []string{"RateLimit-Policy", "RateLimit", "RateLimit-Limit", "RateLimit-Remaining", "X-RateLimit-Limit", "X-RateLimit-Remaining"} {
		if v := strings.Join(r.header.Values(name), ", "); v != "" {
			if b.Len() == 0 {
				b.WriteString(" It says ")
			} else {
				b.WriteString(" and ")
			}
			fmt.Fprintf(&b, "%s: %s", name, v)
		}
	}
	if b.Len() > 0 {
		b.WriteByte('.')
	}
	return b.String()
}

// allowance returns how many requests of one client may have passed since then.
func (c *check) allowance(since time.Time) int {
	refilled := time.Since(since).Seconds() * c.limit.Rate()
	// What the arithmetic loses is no token.
	return c.limit.Burst + int(math.Min(math.Floor(refilled+1e-6), maxBurst))
}

// drain sends requests of client 0, edited unless edit is nil, until one is
// refused, and returns that refusal. It is false if more have passed than may.
func (c *check) drain(edit func(*http.Request)) (response, bool) {
	start := time.Now()
	for n := 1; ; n++ {
		got := c.send(0, edit)
		if got.status == c.status {
			return got, true
		}
		if c.admitted++; c.admitted > c.allowance(c.start) {
			return got, false
		}
		if n > c.patience() {
			c.tooSlow(n, start)
			return got, true
		}
	}
}

// patience is after how many requests in a row that rightly pass to give up.
func (c *check) patience() int { return 3*c.limit.Burst + 100 }

// tooSlow reports that the limit refills while the handler answers.
func (c *check) tooSlow(n int, since time.Time) {
	c.problem("%d requests took %v, and while they did the limit (%v) was refilled as fast: it is not reached. "+
		"Test with a handler that answers faster, or with a limit that is lower", n, time.Since(since).Round(time.Millisecond), c.limit)
}

// spoofed reports what fields a client that is over its limit passes with.
func (c *check) spoofed() {
	var believed []string
	for _, s := range spoofs {
		before := c.admitted
		if _, ok := c.drain(spoof(s.name, s.value)); !ok {
			believed = append(believed, s.name)
			c.admitted = before // it was somebody else's bucket
		}
	}
	if len(believed) > 0 {
		c.problem("a client that is over its limit passes with a made up address in %s: whoever sends one is a new client. "+
			"Take out middleware that rewrites Request.RemoteAddr, name your proxies, and no more, to httpmw.NewClientIP, "+
			"and give a key to the limiter that the client does not choose", strings.Join(believed, ", "))
	}
}

// others reports what other clients do to one that is over its limit, and it
// to them.
func (c *check) others() {
	const crowd = 100
	if _, ok := c.burst(1); !ok {
		return
	}
	for client := 2; client < 2+crowd; client++ {
		if got := c.send(client, nil); got.status == c.status {
			c.tooFew(client, 1, got)
			return
		}
	}
	if got, ok := c.drain(nil); !ok {
		c.problem("a client that was over its limit passes again with status %d after %d others have come: the limiter has forgotten it. "+
			"It keeps too few keys: weir forgets none of them", got.status, crowd+1)
	}
}

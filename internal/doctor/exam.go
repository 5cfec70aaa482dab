package doctor

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"time"

	"github.com/seed-0c889b51/weir/internal/oneline"
)

// An answer is what a client got.
type answer struct {
	status   int
	header   http.Header
	body     [sha256.Size]byte // hash of what was read
	size     int               // of the body, at most bodyBound+1
	sent, at time.Time         // when it was asked for, and when it was there
}

// bodyBound is how much of a body is read.
const bodyBound = 64 << 10

// Reasons to send no more.
var (
	errRequests = errors.New("the requests of --max-requests are used up")
	errTime     = errors.New("the time of --timeout is used up")
	errFast     = errors.New("the limit is refilled as fast as requests are answered: it does not stay used up for a test")
)

// limitFlag is what says what the limit is, if the user does.
const limitFlag = "--limit"

// An exam is a run of all checks.
type exam struct {
	cfg     Config
	wire    *wire
	clients *clients
	end     time.Time // by the timeout
	most    int       // requests that may be sent
	sent    int
	done    int // checks
	of      int

	patient client // who uses up its limit
	first   answer // to its first request
	second  answer // to its second, if that was not refused
	refusal answer // the first

	n      int           // requests that pass at once
	said   quota         // by the user or the API
	period time.Duration // in which said.requests come back, 0 if unknown
	shared bool          // the limit is that of all clients
	steady bool          // the limit is known not to come back all at once
}

// Run examines an API. It returns an error and no report if the API cannot be
// reached, if nothing can be said about its limit, which is [ErrSilent], and if
// ctx ends. If the API stops answering on the way there are both, and the report
// says what has not been tested.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	start := time.Now()
	e := &exam{cfg: cfg, wire: cfg.wire, end: start.Add(cfg.Timeout)}
	if e.wire == nil {
		e.wire = network(cfg.Addr, cfg.URL.Hostname(), cfg.Insecure)
	}
	e.clients = newClients(&e.cfg, e.wire)
	e.patient, _, _ = e.clients.next()
	if err := e.meet(ctx); err != nil {
		return nil, err
	}
	r := &Report{Schema: Schema, URL: cfg.URL.String()}
	if cfg.Plan != nil {
		cfg.Plan(e.plan())
	}
	all, broken := checks(), error(nil)
	for i, check := range all {
		e.done, e.of = i, len(all)
		e.tell(check.name)
		before := e.sent
		if i == 0 {
			before = 0 // with what it took to get to know it
		}
		c, err := check.run(e, ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			c = untested("%v", err)
			if broken == nil && !errors.Is(err, errRequests) && !errors.Is(err, errTime) && !errors.Is(err, errFast) {
				broken = err
			}
		}
		c.Name, c.What, c.Requests = check.name, check.what, e.sent-before
		r.add(c)
		if i > 0 || !e.refusal.at.IsZero() {
			continue
		}
		if c.Outcome == NotTested {
			return nil, fmt.Errorf("%w: %s", ErrSilent, c.Reason)
		}
		for _, check := range all[1:] {
			c := untested("no request is refused")
			c.Name, c.What = check.name, check.what
			r.add(c)
		}
		break
	}
	r.Limit, r.Said, r.Window = e.n, e.said.requests, e.period.Seconds()
	r.Requests, r.Seconds = e.sent, time.Since(start).Seconds()
	return r, broken
}

// meet sends the first request, and learns from it what the API says of its
// limit.
func (e *exam) meet(ctx context.Context) error {
	e.most = 2
	for {
		got, err := e.send(ctx, e.patient, nil)
		if err != nil {
			return err
		}
		e.first = got
		wait, why := retryAfter(got.header)
		switch limited := got.status == http.StatusTooManyRequests || got.status == http.StatusServiceUnavailable && why == ""; {
		case limited && (why != "" || !e.canWait(wait) || e.sent > 1):
			return fmt.Errorf("%w: the first request is answered with status %d already, as if %s had used up its limit: try again later",
				ErrSilent, got.status, e.patient.name)
		case limited:
			if err := e.sleepUntil(ctx, got.at.Add(wait)); err != nil {
				return err
			}
			continue
		case got.status >= 500:
			return fmt.Errorf("%w: the first request is answered with status %d: what is behind the limit is broken", ErrSilent, got.status)
		}
		break
	}
	e.said, _ = said(e.first.header)
	e.period = e.said.window
	if l := e.cfg.Limit; l.Quota > 0 {
		e.said = quota{l.Burst, l.Window, limitFlag}
		// In which as many come back as pass at once.
		e.period = time.Duration(float64(l.Window) * float64(l.Burst) / float64(l.Quota))
	}
	n := e.said.requests
	if n == 0 {
		n = probeBound
	}
	e.most = e.cfg.maxRequests(n)
	if e.said.requests > 0 && e.most <= n {
		return fmt.Errorf("%w: it is %d requests, and --max-requests are %d: want %d, or an API with a lower limit to test with",
			ErrSilent, n, e.most, n+100)
	}
	return nil
}

// refilled returns how many requests come back in some time, at most, if they
// come back steadily.
func (e *exam) refilled(in time.Duration) int {
	if e.period == 0 {
		return 0
	}
	return int(math.Min(float64(e.said.requests)*(in.Seconds()/e.period.Seconds()), 1e6))
}

// An edit changes a request.
type edit func(*http.Request)

// send sends a request of a client, edited unless edit is nil.
func (e *exam) send(ctx context.Context, c client, edit edit) (answer, error) {
	return e.carry(ctx, c, edit, false)
}

// carry is send, if alone over a connection of its own.
func (e *exam) carry(ctx context.Context, c client, edit edit, alone bool) (answer, error) {
	if e.sent >= e.most {
		return answer{}, errRequests
	}
	left := time.Until(e.end)
	if left <= 0 {
		return answer{}, errTime
	}
	ctx, cancel := context.WithTimeout(ctx, min(left, perRequest))
	defer cancel()
	u := *e.cfg.URL
	r := (&http.Request{
		Method: http.MethodGet, URL: &u, Host: u.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"User-Agent": {"weir-doctor"}},
	}).WithContext(ctx)
	c.sign(r)
	if edit != nil {
		edit(r)
	}
	e.sent++
	got := answer{sent: time.Now()}
	res, err := e.wire.send(c.from, alone, r)
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: %w", r.Method, oneline.Text(e.cfg.URL.Redacted()), err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(io.LimitReader(res.Body, bodyBound+1)) // what is there is enough
		got.body, got.size = sha256.Sum256(body), len(body)
	}
	got.status, got.header, got.at = res.StatusCode, res.Header, time.Now()
	return got, nil
}

// refused tells whether an answer is that of a limit.
func (e *exam) refused(a answer) bool {
	switch {
	case a.status == http.StatusTooManyRequests:
		return true
	case a.status == http.StatusServiceUnavailable: // which was not the first
		return true
	}
	return a.status >= 400 && a.status < 500 && a.status != e.first.status && len(a.header.Values("Retry-After")) > 0
}

// through tells whether a request has got past the limit to what is behind it.
// What knows no such method or path answers otherwise.
func (e *exam) through(a answer) bool {
	return a.status == e.first.status || a.status/100 == 2 || a.status == http.StatusSwitchingProtocols
}

// drain sends requests of a client until one is refused, and returns that
// refusal and how many passed before.
func (e *exam) drain(ctx context.Context, c client) (answer, int, error) {
	for n := 0; n <= 3*e.n+50; n++ {
		got, err := e.send(ctx, c, nil)
		if err != nil || e.refused(got) {
			return got, n, err
		}
	}
	return answer{}, 0, errFast
}

// certain is how many times in a row a probe is let through by chance as good
// as never.
const certain = 6

// passes tells whether the probe is let through each time that c is over its
// limit. A token that has come back meanwhile lets one pass, but not each.
func (e *exam) passes(ctx context.Context, c client, probe func() (answer, bool, error)) (bool, error) {
	used := 0     // of a bucket that the probe may have for itself
	sure := false // that once nothing can have come back
	if e.n > 1 {
		if _, through, err := probe(); err != nil || !through {
			return false, err
		}
		used++
	}
	for range certain {
		if used == e.n {
			if sure {
				break
			}
			if !e.canWait(2 * time.Second) {
				return false, errTime
			}
			if err := e.sleepUntil(ctx, time.Now().Add(2*time.Second)); err != nil {
				return false, err
			}
			used = 0
		}
		refusal, _, err := e.drain(ctx, c)
		if err != nil {
			return false, err
		}
		got, through, err := probe()
		if err != nil || !through {
			return false, err
		}
		used++
		wait, why := retryAfter(refusal.header)
		sure = sure || why == "" && got.at.Sub(refusal.sent) < wait-time.Second
	}
	// Would a plain request have got through as well?
	for range certain {
		if _, _, err := e.drain(ctx, c); err != nil {
			return false, err
		}
		got, err := e.send(ctx, c, nil)
		if err != nil {
			return false, err
		}
		if e.refused(got) {
			return true, nil
		}
	}
	return false, errFast
}

// edited is a probe that sends a request of c, edited. One that the server
// breaks off has not got through.
func (e *exam) edited(ctx context.Context, c client, alone bool, edit edit) func() (answer, bool, error) {
	return func() (answer, bool, error) {
		got, err := e.carry(ctx, c, edit, alone)
		if err != nil {
			if errors.Is(err, errRequests) || errors.Is(err, errTime) || ctx.Err() != nil {
				return got, false, err
			}
			return got, false, nil
		}
		return got, !e.refused(got) && e.through(got), nil
	}
}

// canWait tells whether there is time to wait for so long.
func (e *exam) canWait(d time.Duration) bool { return time.Until(e.end) > d+time.Second }

// sleepUntil waits, unless ctx ends before.
func (e *exam) sleepUntil(ctx context.Context, t time.Time) error {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// path returns the URL's path, as it is and decoded.
func path(u *url.URL) string {
	if u.Path == "" {
		return "/"
	}
	return u.Path
}

package doctor

import (
	"context"
	"fmt"
	"time"
)

// A Plan is what an exam is going to cost.
type Plan struct {
	// Limit is how many requests may pass at once, and Window in what time; 0
	// if that is to be found out. From is what says so.
	Limit  int
	Window time.Duration
	From   string
	Costs  []Cost
	// Requests and Time are the most that there will be.
	Requests int
	Time     time.Duration
	// Client is whose limit is used up.
	Client string
}

// A Cost is what a check costs.
type Cost struct {
	Check    string
	What     string // is to be proven
	Requests int    // about, if all is as it should be
	Waits    bool   // for Retry-After
}

// A check is how something is proven.
type check struct {
	name, what string
	cost       func(e *exam, n int) int // in requests, about
	waits      bool                     // for Retry-After
	run        func(*exam, context.Context) (Check, error)
}

// checks returns all there are, in an order in which none spoils the next: those
// that need a client with nothing left come while there is one, and those that
// wait for it to get something back are last.
func checks() []check {
	return []check{
		{"limit", "request N+1 is refused", func(_ *exam, n int) int { return n + 1 }, false, (*exam).limit},
		{"refusal-status", "a refusal has status 429, or 503", free, false, (*exam).refusalStatus},
		{"refusal-retry-after", "a refusal says when to come back", free, false, (*exam).refusalRetryAfter},
		{"refusal-no-store", "no cache keeps a refusal", free, false, (*exam).refusalNoStore},
		{"refusal-size", "a refusal is small", free, false, (*exam).refusalSize},
		{"refusal-fields", "the RateLimit fields of a refusal can be read", free, false, (*exam).refusalFields},
		{"isolation", "another client is unaffected", fixed(1), false, (*exam).isolation},
		{"spoofing", "a claimed address is no way round", fixed(len(claims)), false, (*exam).spoofing},
		{"blame", "a claimed address is not charged", (*exam).blameCost, false, (*exam).blame},
		{"mapped", "IPv4 in IPv6 notation is IPv4", (*exam).mappedCost, false, (*exam).mapped},
		{"network", "a /64 is one client", (*exam).networkCost, false, (*exam).network},
		{"methods", "no method is a way round", fixed(len(methods)), false, (*exam).methods},
		{"spellings", "no spelling of the path is a way round", fixed(len(spellings)), false, (*exam).spellings},
		{"headers", "no header field or connection is a way round", fixed(len(headers)), false, (*exam).headers},
		{"paths", "a path has no limit of its own", fixed(1), false, (*exam).paths},
		{"retry", "Retry-After is honest", func(_ *exam, n int) int { return 5 }, true, (*exam).retry},
		{"restart", "the limit survives a kill", (*exam).restartCost, false, (*exam).restart},
	}
}

func free(*exam, int) int { return 0 }

func fixed(requests int) func(*exam, int) int {
	return func(*exam, int) int { return requests + 1 }
}

// plan returns what is going to be done.
func (e *exam) plan() Plan {
	n := e.said.requests
	p := Plan{
		Limit: n, Window: e.said.window, From: e.said.field,
		Requests: e.most, Time: e.cfg.Timeout, Client: e.patient.name,
	}
	if n == 0 {
		n = probeBound
	}
	for _, check := range checks() {
		p.Costs = append(p.Costs, Cost{Check: check.name, What: check.what, Requests: check.cost(e, n), Waits: check.waits})
	}
	return p
}

// String returns the plan in lines for people.
func (p Plan) String() string {
	limit := "nobody says what the limit is: it is found out"
	if p.Limit > 0 {
		limit = fmt.Sprintf("%s says %d requests", p.From, p.Limit)
		if p.Window > 0 {
			limit += fmt.Sprintf(" in %v", p.Window)
		}
	}
	sum, waits := 0, ""
	list := ""
	for _, c := range p.Costs {
		sum += c.Requests
		if c.Requests == 0 {
			continue
		}
		wait := ""
		if c.Waits {
			wait, waits = " and two waits", ", and two waits for Retry-After"
		}
		list += fmt.Sprintf("  %-10s %5d%s: %s\n", c.Check, c.Requests, wait, c.What)
	}
	return fmt.Sprintf("%s. As %s, requests:\n%sabout %d requests%s; at most %d requests and %v\n", limit, p.Client, list, sum, waits, p.Requests, p.Time)
}

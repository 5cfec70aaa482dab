package policy

import (
	"errors"
	"fmt"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
)

// Missing says what becomes of a request without the identity that a key asks
// for. "" is ByIP.
type Missing string

// The choices there are: those of httpmw.Key.
const (
	ByIP   Missing = "ip"     // it is limited by its client's address
	Refuse Missing = "refuse" // it is answered with 400
	Shared Missing = "shared" // all of them share a bucket
	Skip   Missing = "skip"   // the policy is not for it
)

// Terms are what a policy asks for beyond its limit. The zero value is nothing.
type Terms struct {
	// PreviousNames, Size, Debts and Change are those of [weir.Policy].
	PreviousNames []string
	Size, Debts   int
	Change        bucket.Change
	// Crash and ColdStart are those of [weir.Policy]; nil means as for all.
	Crash     *weir.Crash
	ColdStart *weir.ColdStart
	// Missing says what becomes of requests without the identity.
	Missing Missing
	// Routes are the patterns of http.ServeMux of the requests that it is for;
	// none is all.
	Routes []string
	// Cost is what a request costs, nil for one token.
	Cost *Cost
	// Settle is what it turns out to have cost, nil for what was taken.
	Settle *Settle
	// Tiers have limits of their own for some identities.
	Tiers []Tier
}

// A Cost is what a request costs before it is served.
type Cost struct {
	// Tokens is what each costs, if Header is "".
	Tokens int
	// Header is the name of the request header field that says it, as a whole
	// number. Less than Min is taken as Min, and more than Max as Max; without
	// the field it is Min, and with one that is none, or several, Max.
	Header   string
	Min, Max int
}

// A Settle is what a request turns out to have cost.
type Settle struct {
	// Statuses are those of the responses that count; others cost nothing. None
	// means that Header says it.
	Statuses []Statuses
	// Header is the name of the response header field that says it, up to Max.
	Header string
	Max    int
}

// Statuses are the statuses from First to Last.
type Statuses struct{ First, Last int }

// A Tier is a limit for some identities, such as the users of a plan.
type Tier struct {
	// Plan is what it is called, if it is.
	Plan  string
	Limit bucket.Limit
	// Keys are the identities, as httpmw.Tiers takes them.
	Keys []string
}

// Limits returns the limits of all tiers by identity, nil if there is none.
func (t Terms) Limits() map[string]bucket.Limit {
	if len(t.Tiers) == 0 {
		return nil
	}
	limits := map[string]bucket.Limit{}
	for _, tier := range t.Tiers {
		for _, key := range tier.Keys {
			limits[key] = tier.Limit
		}
	}
	return limits
}

// ParseKey reads a key alone.
func ParseKey(text string) (Key, error) {
	if text == "" {
		return nil, errors.New("it is empty: " + wantKey)
	}
	key, err := keyOf([]string{text}, wantKey)
	if err != nil {
		return nil, err
	}
	if name := key.String(); len(name) > maxName {
		return nil, fmt.Errorf("key %s has %d characters: want at most %d", quote(name), len(name), maxName)
	}
	return key, nil
}

// NewInFlight returns a limit of how many requests may be served at once, with
// the name that [ParseInFlight] gives it.
func NewInFlight(key Key, most int) (InFlight, error) {
	f := InFlight{Name: key.String() + inFlightSuffix, Key: key, Max: most}
	if most := maxName - len(inFlightSuffix); len(f.Name) > maxName {
		return InFlight{}, fmt.Errorf("key %s has %d characters: want at most %d", quote(key.String()), len(key.String()), most)
	}
	return f, nil
}

// InFlightTerms are what a limit of requests at once asks for beyond that: see
// httpmw.InFlight.
type InFlightTerms struct {
	RetryAfter time.Duration
	Routes     []string
	Missing    Missing
}

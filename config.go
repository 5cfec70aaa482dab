package weir

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// A Policy is a limit with a name.
type Policy struct {
	// Name is what the policy is known by, in the file too: 1 to 64 bytes,
	// different from the others'.
	Name string
	// PreviousNames are those that the policy had before, oldest first. What the
	// file has under them is the policy's, so that a policy that is renamed does
	// not start anew. No other policy may have one of them.
	PreviousNames []string
	// Limit is the limit of each key.
	Limit bucket.Limit
	// LimitFor, if not nil, gives a key a limit of its own, such as that of its
	// plan: see [registry.Config].
	LimitFor func(key string) bucket.Limit
	// DryRun makes the policy count and never deny.
	DryRun bool
	// Size is how many keys are kept in memory; 0 means 65,536.
	Size int
	// Debts is how many debts of keys beyond those are kept, 16 bytes each; 0
	// means four times Size.
	Debts int

	// Change says what becomes of the buckets when the limit is another than in
	// the last run, or changed by SetLimit. The zero value has tokens used stay
	// used. With a LimitFor the file does not tell which limit a key was under:
	// across a restart a bucket then stays as long from full as it was, at most
	// one refill.
	Change bucket.Change
	// Crash says what is made of the time since the last snapshot after a crash.
	Crash Crash
	// ColdStart says what buckets start with if there is no state.
	ColdStart ColdStart
}

// A Crash says what is made of the time between the last snapshot and a crash.
type Crash uint8

const (
	// Accept forgets what was spent in it: each key then has up to that much
	// more than its limit, once.
	Accept Crash = iota
	// Charge takes it that all was spent: each key that owed something in the
	// last snapshot starts with an empty bucket, after each crash anew. With a
	// LimitFor it owes what an empty bucket of the policy's Limit does, at most
	// one refill of its own. Keys that owed nothing then are not in the file, and
	// start full.
	Charge
)

// A ColdStart says what buckets start with if there is no state: when the file
// is new, was lost, or is damaged, and when nothing is kept on disk.
type ColdStart uint8

const (
	// FullBuckets forgives.
	FullBuckets ColdStart = iota
	// EmptyBuckets does not: each key starts with what has been refilled since
	// the start, until that is one refill of its limit ago. It holds for the
	// very first start as well, which cannot be told from a loss. What is given to
	// a key by Reset or Refund meanwhile is forgotten on a restart.
	EmptyBuckets
)

// A Config says what a [Limiter] is to be.
type Config struct {
	// Policies are one or more. The keys of a request are given in their order.
	Policies []Policy
	// Path is the file that the state is kept in. "" keeps nothing on disk.
	// What has to be so of it and of its directory is said at [persist.Open].
	Path string
	// Secret, if not nil, are the 32 random bytes that the keys in the file are
	// hashed with, kept by the application: there is then no second file beside
	// the first. See [persist.Config].
	Secret []byte
	// Interval is the time between two snapshots, from 10 ms to 24 hours. 0
	// means 10 seconds. What is spent in it is what a crash can forget; while
	// snapshots fail it is as much more as Stats.Age. When a key has run dry the
	// next snapshot comes within a second, up to 10 times in a row and then
	// once each interval.
	Interval time.Duration
	// Edge is for devices whose flash wears out: an Interval of 0 means a
	// minute, and debts that are over within an interval are written only by
	// Close. A crash then forgets these, too; a limit that refills within an
	// interval is only kept across restarts that are not crashes.
	Edge bool
	// Logger is told what was restored and what goes wrong with the file. nil
	// tells nobody.
	Logger *slog.Logger
}

const (
	defaultInterval = 10 * time.Second
	edgeInterval    = time.Minute
	minInterval     = 10 * time.Millisecond
	maxInterval     = 24 * time.Hour
	maxName         = 64 // bytes
)

// withDefaults returns c with every field set, or an error that names what is
// wrong with it.
func (c Config) withDefaults() (Config, error) {
	if c.Interval != 0 && (c.Interval < minInterval || c.Interval > maxInterval) {
		return c, fmt.Errorf("interval %v is out of range: want %v to %v, or 0 for %v", c.Interval, minInterval, maxInterval, defaultInterval)
	}
	if c.Interval == 0 {
		c.Interval = defaultInterval
		if c.Edge {
			c.Interval = edgeInterval
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Policies = slices.Clone(c.Policies)
	return c, checkPolicies(c.Policies)
}

// checkPolicies returns an error that names what is wrong with policies, but
// for what the registry checks.
func checkPolicies(policies []Policy) error {
	if len(policies) == 0 {
		return errors.New("policies: none is given: want 1 or more")
	}
	owner := map[string]int{} // of a name, counted from 1
	for i, p := range policies {
		if p.Name == "" || len(p.Name) > maxName {
			return fmt.Errorf("policy %d: name %.80q is out of range: want 1 to %d bytes", i+1, p.Name, maxName)
		}
		if owner[p.Name] != 0 {
			return fmt.Errorf("policy %d: name %q is there twice: want a different one for each", i+1, p.Name)
		}
		owner[p.Name] = i + 1
	}
	for i, p := range policies {
		for _, name := range p.PreviousNames {
			if name == "" || len(name) > maxName {
				return fmt.Errorf("policy %q: previous name %.80q is out of range: want 1 to %d bytes", p.Name, name, maxName)
			}
			if by := owner[name]; by != 0 {
				return fmt.Errorf("policy %q: previous name %q is one of policy %q: want one that no other has or had", p.Name, name, policies[by-1].Name)
			}
			owner[name] = i + 1
		}
		if p.Crash > Charge {
			return fmt.Errorf("policy %q: crash %d is unknown: want Accept or Charge", p.Name, p.Crash)
		}
		if p.ColdStart > EmptyBuckets {
			return fmt.Errorf("policy %q: cold start %d is unknown: want FullBuckets or EmptyBuckets", p.Name, p.ColdStart)
		}
	}
	return nil
}

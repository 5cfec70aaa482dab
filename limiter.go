package weir

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/persist"
	"github.com/seed-0c889b51/weir/registry"
)

// A Policy is a limit with a name.
type Policy struct {
	// Name is what the policy is known by, in the file too: 1 to 64 bytes,
	// different from the others'. A policy that is renamed starts anew.
	Name string
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
}

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
	// snapshots fail it is as much more as Stats.LastSaved is in the past.
	Interval time.Duration
	// Logger is told what was restored and what goes wrong with the file. nil
	// tells nobody.
	Logger *slog.Logger
}

const (
	defaultInterval = 10 * time.Second
	minInterval     = 10 * time.Millisecond
	maxInterval     = 24 * time.Hour
	maxName         = 64 // bytes
)

// A Limiter decides about requests under one or more policies. It is safe for
// concurrent use. Use [Open] or [New].
//
// Methods that take keys want one for each policy, in the order of the
// policies, and panic otherwise. An empty key is a key like any other, shared
// by all who come with it. Keys are compared as they are; those of more than
// 64 bytes are kept as a hash.
type Limiter struct {
	names    []string
	dryRun   []bool
	tiered   []bool // has a LimitFor
	members  []*registry.Registry[string]
	group    *registry.Group[string]
	hasher   hasher
	writer   *writer // nil if nothing is kept on disk
	restored persist.Restored
}

// Open returns a limiter with these policies whose state is kept in the file
// at path; "" keeps nothing on disk. It is New for the usual case.
func Open(path string, policies ...Policy) (*Limiter, error) {
	return New(Config{Path: path, Policies: policies})
}

// New returns a limiter with the state of its file restored. If the file is
// damaged it is moved aside, the limiter starts with full buckets, and
// [Limiter.Restored] and the log say so. If the file can not be used, since
// another process holds it or it can not be written, that is an error, and
// nothing is touched.
func New(cfg Config) (*Limiter, error) {
	l, err := assemble(cfg)
	if err != nil {
		return nil, fmt.Errorf("weir: %w", err)
	}
	return l, nil
}

func assemble(cfg Config) (*Limiter, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Interval == 0 {
		cfg.Interval = defaultInterval
	}
	l := &Limiter{}
	if cfg.Path == "" {
		l.hasher = newHasher(nil)
		return l, l.build(cfg.Policies, false)
	}
	file, err := persist.Open(cfg.Path, persist.Config{Interval: cfg.Interval, Secret: cfg.Secret, Logger: cfg.Logger})
	if err != nil {
		return nil, err
	}
	l.hasher = newHasher(file.Secret())
	if err := l.build(cfg.Policies, true); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	l.writer = newWriter(l, file, cfg)
	l.restored = l.writer.restore()
	logRestored(cfg.Logger, cfg.Path, l.restored)
	go l.writer.run()
	return l, nil
}

// check returns an error that names what is wrong with c.
func (c Config) check() error {
	if len(c.Policies) == 0 {
		return errors.New("policies: none is given: want 1 or more")
	}
	if c.Interval != 0 && (c.Interval < minInterval || c.Interval > maxInterval) {
		return fmt.Errorf("interval %v is out of range: want %v to %v, or 0 for %v", c.Interval, minInterval, maxInterval, defaultInterval)
	}
	seen := map[string]bool{}
	for i, p := range c.Policies {
		if p.Name == "" || len(p.Name) > maxName {
			return fmt.Errorf("policy %d: name %.80q is out of range: want 1 to %d bytes", i+1, p.Name, maxName)
		}
		if seen[p.Name] {
			return fmt.Errorf("policy %d: name %q is there twice: want a different one for each", i+1, p.Name)
		}
		seen[p.Name] = true
	}
	return nil
}

// build makes the registries.
func (l *Limiter) build(policies []Policy, saved bool) error {
	for _, p := range policies {
		cfg := registry.Config[string]{Limit: p.Limit, LimitFor: p.LimitFor, DryRun: p.DryRun, Size: p.Size, Debts: p.Debts}
		if saved {
			cfg.Hash = l.hasher.policy(p.Name)
		}
		r, err := registry.New(cfg)
		if err != nil {
			return fmt.Errorf("policy %q: %w", p.Name, err)
		}
		l.names = append(l.names, p.Name)
		l.dryRun = append(l.dryRun, p.DryRun)
		l.tiered = append(l.tiered, p.LimitFor != nil)
		l.members = append(l.members, r)
	}
	var err error
	l.group, err = registry.NewGroup(l.members...)
	return err
}

// Names returns the names of the policies in order.
func (l *Limiter) Names() []string { return slices.Clone(l.names) }

// Allow takes one token under each policy if each has one, and otherwise none,
// and tells which.
func (l *Limiter) Allow(keys ...string) bool {
	var few [fewPolicies]bucket.Decision
	return l.Decide(l.room(few[:]), 1, keys...)
}

// Take takes n tokens under each policy if each has them, and otherwise none.
// The decision returned is that of the policy that counts: of those that deny,
// the one that does so the longest; otherwise the one with the fewest tokens
// left. Policies on a dry run only count if there is no other. An n below 1
// takes nothing and is allowed.
func (l *Limiter) Take(n int, keys ...string) bucket.Decision {
	var few [fewPolicies]bucket.Decision
	into := l.room(few[:])
	l.Decide(into, n, keys...)
	return tightest(into)
}

// Decide is Take with the decision of each policy: it stores them in into,
// which must have room for one each, and tells whether the request is allowed.
// After a denial, what would have allowed the request says so, uncharged.
func (l *Limiter) Decide(into []bucket.Decision, n int, keys ...string) bool {
	return l.group.Decide(into, n, l.hasher.fit(keys)...)
}

// Peek returns what Take would return, and takes nothing.
func (l *Limiter) Peek(n int, keys ...string) bucket.Decision {
	into := make([]bucket.Decision, len(l.members))
	l.group.Peek(into, n, l.hasher.fit(keys)...)
	return tightest(into)
}

// Refund gives n tokens back under each policy, up to full buckets. An n below
// 1 gives nothing.
func (l *Limiter) Refund(n int, keys ...string) { l.group.Refund(n, l.hasher.fit(keys)...) }

// Wait takes n tokens under each policy as soon as all of them are there and
// returns nil then. With one policy waiters are served in the order in which
// they came, with more in no certain one: see [registry.Group.Wait].
func (l *Limiter) Wait(ctx context.Context, n int, keys ...string) error {
	return l.group.Wait(ctx, n, l.hasher.fit(keys)...)
}

// Reset makes the bucket of a key under one policy full. It is an error if
// there is no such policy.
func (l *Limiter) Reset(policy, key string) error {
	r, err := l.member(policy)
	if err == nil {
		r.Reset(l.hasher.fit([]string{key})[0])
	}
	return err
}

// SetLimit changes the limit of a policy. Tokens used stay used, up to the new
// burst. On an error nothing changes.
func (l *Limiter) SetLimit(policy string, limit bucket.Limit) error {
	r, err := l.member(policy)
	if err != nil {
		return err
	}
	if err := r.SetLimit(limit); err != nil {
		return fmt.Errorf("weir: policy %q: %w", policy, err)
	}
	return nil
}

// member returns the registry of a policy.
func (l *Limiter) member(policy string) (*registry.Registry[string], error) {
	if i := slices.Index(l.names, policy); i >= 0 {
		return l.members[i], nil
	}
	return nil, fmt.Errorf("weir: there is no policy %.80q: want one of %q", policy, l.names)
}

// Restored says what was brought back from the file at the start.
func (l *Limiter) Restored() persist.Restored { return l.restored }

// Sync writes a snapshot and returns when it is on disk, or why it is not. It
// does nothing if nothing is kept on disk.
func (l *Limiter) Sync() error {
	if l.writer == nil {
		return nil
	}
	return l.writer.save(false)
}

// Close writes a final snapshot and lets go of the file. The limiter goes on
// deciding, but what it decides is not kept. A second Close does nothing and
// returns nil.
func (l *Limiter) Close() error {
	if l.writer == nil {
		return nil
	}
	return l.writer.close()
}

// fewPolicies is for how many policies Allow and Take have room for decisions
// on the stack. With more they allocate; Decide never does.
const fewPolicies = 8

// room returns room for the decisions.
func (l *Limiter) room(few []bucket.Decision) []bucket.Decision {
	if len(l.members) <= len(few) {
		return few[:len(l.members)]
	}
	return make([]bucket.Decision, len(l.members))
}

// tightest returns the decision that counts.
func tightest(all []bucket.Decision) bucket.Decision {
	best := all[0]
	for _, d := range all[1:] {
		if tighter(d, best) {
			best = d
		}
	}
	return best
}

func tighter(a, b bucket.Decision) bool {
	switch {
	case a.DryRun != b.DryRun:
		return b.DryRun
	case a.RetryAfter != b.RetryAfter:
		return a.RetryAfter > b.RetryAfter
	}
	return a.Remaining < b.Remaining
}

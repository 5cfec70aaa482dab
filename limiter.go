package weir

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/persist"
	"github.com/seed-0c889b51/weir/registry"
)

// A Limiter decides about requests under one or more policies. It is safe for
// concurrent use. Use [Open] or [New].
//
// Methods that take keys want one for each policy, in the order of the
// policies, and panic otherwise. An empty key is a key like any other, shared
// by all who come with it. Keys are compared as they are; those of more than
// 64 bytes are kept as a hash.
type Limiter struct {
	policies []Policy
	members  []*registry.Registry[string] // of the policies
	group    *registry.Group[string]
	hasher   hasher
	writer   *writer // nil if nothing is kept on disk
	restored persist.Restored
	attached atomic.Int64
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
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Limiter{policies: cfg.Policies}
	if cfg.Path != "" {
		if l.writer, err = newWriter(l, cfg); err != nil {
			return nil, err
		}
	}
	// All that can be wrong is found before the file is touched.
	if err := l.build(); err != nil {
		return nil, err
	}
	if cfg.Path == "" {
		l.hasher = newHasher(nil)
		for i, p := range l.policies {
			if p.ColdStart == EmptyBuckets {
				l.members[i].RestoreOthers(time.Now())
			}
		}
		return l, nil
	}
	w := l.writer
	w.file, err = persist.Open(cfg.Path, persist.Config{Interval: cfg.Interval, Secret: cfg.Secret, Logger: cfg.Logger})
	if err != nil {
		return nil, err
	}
	l.hasher = newHasher(w.file.Secret())
	l.restored = w.restore()
	w.logRestored(cfg.Path, l.restored)
	go w.run()
	return l, nil
}

// build makes the registries.
func (l *Limiter) build() error {
	for _, p := range l.policies {
		r, err := l.newRegistry(p)
		if err != nil {
			return fmt.Errorf("policy %q: %w", p.Name, err)
		}
		l.members = append(l.members, r)
	}
	var err error
	l.group, err = registry.NewGroup(l.members...)
	return err
}

// newRegistry returns a registry for a policy.
func (l *Limiter) newRegistry(p Policy) (*registry.Registry[string], error) {
	return registry.New(l.registryConfig(p))
}

// registryConfig says what the registry of a policy is to be.
func (l *Limiter) registryConfig(p Policy) registry.Config[string] {
	cfg := registry.Config[string]{
		Limit: p.Limit, LimitFor: p.LimitFor, DryRun: p.DryRun, Change: p.Change, Size: p.Size, Debts: p.Debts,
	}
	if l.writer != nil {
		cfg.Hash = func(key string) uint64 { return l.hasher.hash(key) } // of the file, once it is open
		if l.writer.savesSoon(p) {
			cfg.Dry = l.writer.dry
		}
	}
	return cfg
}

// Names returns the names of the policies in order.
func (l *Limiter) Names() []string {
	names := make([]string, len(l.policies))
	for i, p := range l.policies {
		names[i] = p.Name
	}
	return names
}

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

// DecideEach is Decide with a cost for each policy, in their order: costs[i]
// tokens are taken under the i-th, or nothing under any. A policy whose cost is
// below 0 is not asked: its key does not matter, and its decision is the zero
// Decision with Allowed set. A cost of 0 is always allowed and takes nothing.
// It panics if there is not one cost for each policy.
func (l *Limiter) DecideEach(into []bucket.Decision, costs []int, keys ...string) bool {
	return l.group.DecideEach(into, costs, l.hasher.fit(keys)...)
}

// PeekEach stores in into what DecideEach would, and takes nothing: of policies
// that would allow the request though another refuses it, what they hold.
func (l *Limiter) PeekEach(into []bucket.Decision, costs []int, keys ...string) bool {
	return l.group.PeekEach(into, costs, l.hasher.fit(keys)...)
}

// Settle makes up for what a request turned out to cost: under the i-th policy
// it takes costs[i] tokens more, whether they are there or not, or gives
// -costs[i] back, up to a full bucket. What is missing is refilled before
// anything is allowed again; a restart keeps at most one refill of it. It
// panics if there is not one cost for each policy.
func (l *Limiter) Settle(costs []int, keys ...string) {
	l.group.Settle(costs, l.hasher.fit(keys)...)
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

// Keys yields the keys of a policy that are in memory, in no certain order, each
// with what Peek of one token would return: see [registry.Registry.Keys]. Keys
// of more than 64 bytes are yielded as their hash. It is an error if there is no
// such policy.
func (l *Limiter) Keys(policy string) (iter.Seq2[string, bucket.Decision], error) {
	r, err := l.member(policy)
	if err != nil {
		return nil, err
	}
	return r.Keys(), nil
}

// SetLimit changes the limit of a policy. What becomes of the tokens is said by
// Policy.Change. On an error nothing changes.
func (l *Limiter) SetLimit(policy string, limit bucket.Limit) error {
	r, err := l.member(policy)
	if err != nil {
		return err
	}
	if err := r.SetLimit(limit); err != nil {
		return fmt.Errorf("weir: policy %q: %w", policy, err)
	}
	if l.writer != nil {
		l.writer.moved.Store(true)
	}
	return nil
}

// member returns the registry of a policy.
func (l *Limiter) member(policy string) (*registry.Registry[string], error) {
	i := slices.IndexFunc(l.policies, func(p Policy) bool { return p.Name == policy })
	if i < 0 {
		return nil, fmt.Errorf("weir: there is no policy %.80q: want one of %q", policy, l.Names())
	}
	return l.members[i], nil
}

// Attach notes that something has been made that asks the limiter, such as a
// middleware, and returns how many there have been: one that is made for each
// request can be told by that. Package httpmw calls it.
func (l *Limiter) Attach() int { return int(l.attached.Add(1)) }

// Restored says what was brought back from the file at the start.
func (l *Limiter) Restored() persist.Restored { return l.restored }

// Sync writes a snapshot and returns when it is on disk, or why it is not. It
// does nothing if nothing is kept on disk.
func (l *Limiter) Sync() error {
	if l.writer == nil {
		return nil
	}
	return l.writer.sync()
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

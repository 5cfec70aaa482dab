package weir

import (
	"fmt"
	"slices"
	"time"

	"github.com/seed-0c889b51/weir/registry"
)

// Reload returns a limiter with these policies, in their order, that takes over
// from l: its buckets and its file. It changes the limits of a running service
// without a gap: make what asks the new limiter, such as a middleware, let it
// have the requests from then on, and forget l. Close one of them at the end.
//
// A policy with the name of one of l's, or with that name among its
// PreviousNames, keeps the buckets: where the limit is the same they stay as
// they are, and where it is another Policy.Change says what becomes of the
// tokens. Its LimitFor is asked anew for each key. What a policy holds that is
// no longer there is forgotten, on disk with the next snapshot, which is a full
// one. A new policy starts with full buckets. Size and Debts of a policy that
// stays can not change: that is an error, as is what New does not take, and then
// nothing has changed.
//
// l goes on deciding, with its policies and under the limits of the new ones
// where they share buckets: requests that it has still to answer are counted.
func (l *Limiter) Reload(policies ...Policy) (*Limiter, error) {
	next, err := l.reload(slices.Clone(policies))
	if err != nil {
		return nil, fmt.Errorf("weir: %w", err)
	}
	return next, nil
}

func (l *Limiter) reload(policies []Policy) (*Limiter, error) {
	if err := checkPolicies(policies); err != nil {
		return nil, err
	}
	next := &Limiter{policies: policies, hasher: l.hasher, writer: l.writer, restored: l.restored}
	kept := make([]int, len(policies)) // the policy of l, or -1
	for i, p := range policies {
		kept[i] = l.predecessor(p)
		if kept[i] < 0 {
			r, err := next.newRegistry(p)
			if err != nil {
				return nil, fmt.Errorf("policy %q: %w", p.Name, err)
			}
			next.members = append(next.members, r)
			continue
		}
		if err := l.policies[kept[i]].canBecome(p); err != nil {
			return nil, fmt.Errorf("policy %q: %w", p.Name, err)
		}
		next.members = append(next.members, l.members[kept[i]])
	}
	var err error
	if next.group, err = registry.NewGroup(next.members...); err != nil {
		return nil, err
	}
	for i, p := range policies {
		if kept[i] >= 0 && !p.same(l.policies[kept[i]]) {
			// canBecome has looked at all that could be wrong.
			if err := next.members[i].Configure(next.registryConfig(p)); err != nil {
				return nil, fmt.Errorf("policy %q: %w", p.Name, err)
			}
		}
	}
	if l.writer != nil {
		l.writer.follow(next, kept)
	}
	return next, nil
}

// predecessor returns the policy of l whose buckets p is to have, or -1.
func (l *Limiter) predecessor(p Policy) int {
	for _, name := range append([]string{p.Name}, p.PreviousNames...) {
		if i := slices.IndexFunc(l.policies, func(old Policy) bool { return old.Name == name }); i >= 0 {
			return i
		}
	}
	return -1
}

// canBecome returns an error if p can not go on as next.
func (p Policy) canBecome(next Policy) error {
	if p.Size != next.Size {
		return fmt.Errorf("size %d can not become %d while it runs: want a restart", p.Size, next.Size)
	}
	if p.Debts != next.Debts {
		return fmt.Errorf("debts %d can not become %d while it runs: want a restart", p.Debts, next.Debts)
	}
	if !next.Change.Valid() {
		return fmt.Errorf("change %d is unknown: want one of package bucket", next.Change)
	}
	if _, err := next.Limit.Normalize(); err != nil {
		return fmt.Errorf("limit: %w", err)
	}
	return nil
}

// same tells whether nothing has to be configured for old to become p. Functions
// can not be compared, so that a LimitFor is always taken for another.
func (p Policy) same(old Policy) bool {
	limit, _ := p.Limit.Normalize()
	before, _ := old.Limit.Normalize()
	return limit == before && p.DryRun == old.DryRun && p.Change == old.Change && p.LimitFor == nil && old.LimitFor == nil
}

// follow has the writer save another limiter from now on. kept is for each of
// its policies that of the present one, or -1.
func (w *writer) follow(next *Limiter, kept []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	empty := w.empty
	w.empty = make([]time.Time, len(kept))
	for i, from := range kept {
		if from >= 0 {
			w.empty[i] = empty[from]
		}
	}
	w.limiter = next
	// Sections under other names, in another order, are to be replaced at once.
	w.full, w.saved = true, w.saved[:0]
}

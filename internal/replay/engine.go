package replay

import (
	"cmp"
	"slices"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/internal/policy"
)

// A set is a number of limits that decide together, as registry.Group has it: a
// request is charged by all of them or by none.
type set struct {
	limits []*limit
	needs  bool // reckon what limits would fit

	denied      int64
	first, last int64 // denials, in nanoseconds since 1970
	hurt        map[uint64]struct{}
	hurtMost    int
	hurtMore    bool // there was no room for some
}

// A limit is one of a set, with what became of it.
type limit struct {
	policy policy.Policy
	keyer  *keyer
	at     int // of its hash among those of a request
	rule   bucket.Rule
	table  *table

	denied      int64
	first, last int64
	names       names

	// Of the request that is being decided:
	slot *slot
	has  bool
}

func newSet(policies []policy.Policy, most int, needs bool) (*set, error) {
	list, err := rules(policies)
	if err != nil {
		return nil, err
	}
	s := &set{needs: needs, hurt: map[uint64]struct{}{}, hurtMost: most}
	for i, p := range policies {
		s.limits = append(s.limits, &limit{policy: p, rule: list[i], table: newTable(most, list[i]), names: names{of: map[uint64]*denials{}}})
	}
	return s, nil
}

// decide decides about a request, and tells whether it may go on. Its time must
// not be before that of the one before.
func (s *set) decide(o *order, q *request, at int64) bool {
	now := time.Duration(at)
	allowed := true
	hashes := o.hashesOf(q)
	for _, l := range s.limits {
		if l.table.used >= l.table.most {
			l.table.sweep(now)
		}
		l.slot = l.table.find(hashes[l.at])
		if s.needs {
			l.table.hulls.arrive(&l.slot.need, now, l.table.window, l.table.quota)
		} else {
			l.slot.need.since = now // its arrival
		}
		l.has = l.rule.Has(l.slot.level, now, 1)
		allowed = allowed && (l.has || l.policy.DryRun)
	}
	for _, l := range s.limits {
		switch {
		case !l.has:
			l.deny(o, q, at)
		case allowed:
			l.rule.Allow(&l.slot.level, now, 1)
		}
	}
	if allowed {
		return true
	}
	if s.denied++; s.denied == 1 {
		s.first = at
	}
	s.last = at
	who := hashes[o.limits]
	if _, known := s.hurt[who]; !known {
		if len(s.hurt) < s.hurtMost {
			s.hurt[who] = struct{}{}
		} else {
			s.hurtMore = true
		}
	}
	return false
}

// deny counts that a limit did not have what was asked for.
func (l *limit) deny(o *order, q *request, at int64) {
	if l.denied++; l.denied == 1 {
		l.first = at
	}
	l.last = at
	count(&l.slot.denied)
	d := l.names.of[l.slot.hash]
	if d == nil {
		l.names.prune()
		client, user, path := o.textsOf(q)
		d = &denials{name: l.keyer.name(client, user, path), first: at}
		l.names.of[l.slot.hash] = d
	}
	d.denied++
	d.last = at
}

// Names of keys that were denied: so many are kept at most, and those that were
// denied most if there are more.
const maxNames = 1 << 14

type names struct{ of map[uint64]*denials }

// denials are those of one key.
type denials struct {
	hash        uint64
	name        string
	denied      int64
	first, last int64
}

// prune makes room for a name.
func (n *names) prune() {
	if len(n.of) < maxNames {
		return
	}
	counts := make([]int64, 0, len(n.of))
	for _, d := range n.of {
		counts = append(counts, d.denied)
	}
	slices.Sort(counts)
	border := counts[len(counts)/2]
	for hash, d := range n.of {
		if d.denied <= border && len(n.of) > maxNames/2 {
			delete(n.of, hash)
		}
	}
}

// top returns those that were denied most, in that order.
func (n *names) top(count int) []denials {
	list := make([]denials, 0, len(n.of))
	for hash, d := range n.of {
		d.hash = hash
		list = append(list, *d)
	}
	slices.SortFunc(list, func(a, b denials) int {
		return cmp.Or(-cmp.Compare(a.denied, b.denied), cmp.Compare(a.first, b.first), cmp.Compare(a.name, b.name))
	})
	return list[:min(count, len(list))]
}

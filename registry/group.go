package registry

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/internal/reserve"
)

// A Group asks several registries about one request, each with a key of its
// own: a request is charged by all of them or by none, and a denial costs
// nothing. It is safe for concurrent use. Use [NewGroup].
//
// A decision has two phases. First the shards are locked, in the order in which
// the registries were made, so that there is no deadlock, and each bucket is
// asked; then all or none are charged. Nobody ever sees a charge that is then
// taken back.
//
// The methods panic if they are not given one key for each registry.
type Group[K comparable] struct {
	members []*Registry[K]
	order   []int           // of the members, by age
	behind  []time.Duration // how much later the first member began than each
	room    sync.Pool       // for decisions of many members
}

// NewGroup returns a group of registries, to be asked in that order. It is an
// error to have none, or the same twice.
func NewGroup[K comparable](members ...*Registry[K]) (*Group[K], error) {
	if len(members) == 0 {
		return nil, fmt.Errorf("registry: group of 0 registries: want 1 or more")
	}
	seen := make(map[*Registry[K]]bool, len(members))
	for i, r := range members {
		if r == nil || seen[r] {
			return nil, fmt.Errorf("registry: group: registry %d is nil or there twice: want different ones", i)
		}
		seen[r] = true
	}
	g := &Group[K]{members: slices.Clone(members)}
	for i := range g.members {
		g.order = append(g.order, i)
		g.behind = append(g.behind, members[0].base.Sub(members[i].base))
	}
	g.room.New = func() any { room := make([]held[K], 0, len(members)); return &room }
	slices.SortFunc(g.order, func(a, b int) int { return cmp.Compare(members[a].serial, members[b].serial) })
	return g, nil
}

// Decide takes n tokens from the bucket of each key if all of them are there,
// and otherwise none, and tells which. The decision of each registry is stored
// in into, which must have room for one each: after a denial those that would
// have allowed the request are allowed in there, and uncharged.
func (g *Group[K]) Decide(into []bucket.Decision, n int, keys ...K) bool {
	g.check(keys)
	into = into[:len(keys)]
	if len(keys) == 1 {
		into[0] = g.members[0].Take(keys[0], n)
		return into[0].Allowed
	}
	return g.run(&call[K]{into: into, n: max(0, n), keys: keys})
}

// DecideEach is Decide with a cost for each registry: from the bucket of the
// i-th key costs[i] tokens are taken, or nothing from any. A registry whose
// cost is below 0 is not asked: it neither looks the key up nor counts the
// request, and its decision is the zero Decision with Allowed set. A cost of 0
// is always allowed, takes nothing, and tells what there is. It panics if there
// is not one cost for each registry.
func (g *Group[K]) DecideEach(into []bucket.Decision, costs []int, keys ...K) bool {
	g.check(keys)
	g.checkCosts(costs)
	into = into[:len(keys)]
	if len(keys) > 1 {
		return g.run(&call[K]{into: into, costs: costs, keys: keys})
	}
	if into[0] = notAsked; costs[0] >= 0 {
		into[0] = g.members[0].Take(keys[0], costs[0])
	}
	return into[0].Allowed
}

// notAsked is the decision of a registry that has no part in a request.
var notAsked = bucket.Decision{Allowed: true}

// fewMembers is how many entries a decision has room for on the stack.
const fewMembers = 4

// run decides about a request to several members.
func (g *Group[K]) run(c *call[K]) bool {
	var few [fewMembers]held[K]
	room := few[:0]
	if len(g.members) > fewMembers {
		more := g.room.Get().(*[]held[K])
		defer g.room.Put(more)
		room = *more
	}
	ok, found := g.decide(c, room)
	for !found {
		c.places = g.placings(c)
		ok, found = g.decide(c, room)
	}
	return ok
}

// A call is one request to a group on its way.
type call[K comparable] struct {
	into   []bucket.Decision
	n      int   // for each member, unless
	costs  []int // is not nil
	keys   []K
	places []placing[K] // nil at first: most keys are in memory
}

// A held member is one whose shard is locked for the request.
type held[K comparable] struct {
	member int
	hash   uint64 // of its key
	shard  *shard[K]
	entry  *entry[K]
	at     time.Duration
	has    bool // what is asked for
}

// cost returns what is to be taken from the i-th member, below 0 if it is not
// to be asked.
func (c *call[K]) cost(i int) int {
	if c.costs == nil {
		return c.n
	}
	return c.costs[i]
}

// decide locks and asks the members in order, and then charges all or none. It
// gives up, with nothing changed, if a key is not in memory and c does not say
// how to bring it there under the limit in force.
func (g *Group[K]) decide(c *call[K], members []held[K]) (allowed, found bool) {
	allowed, found = true, true
	// Hashed before the first lock: a key that can not be is a panic.
	for _, i := range g.order {
		if c.cost(i) < 0 {
			c.into[i] = notAsked
			continue
		}
		members = members[:len(members)+1] // an append would copy more than is set
		m := &members[len(members)-1]
		m.member, m.hash = i, g.members[i].mark(c.keys[i])
	}
	locked := 0
	var since time.Duration // the one reading of the clock, under the first lock
	for ; locked < len(members) && found; locked++ {
		m := &members[locked]
		r := g.members[m.member]
		m.shard = r.shard(m.hash)
		m.shard.mu.Lock()
		if locked == 0 {
			since = g.members[0].now()
		}
		m.at = since + g.behind[m.member]
		if m.entry = g.entry(m, c); m.entry == nil {
			found = false
			continue
		}
		m.has = m.entry.tier.rule.Has(m.entry.level, m.at, c.cost(m.member))
		allowed = allowed && (m.has || r.terms.Load().dryRun)
	}
	for i := range members[:locked] {
		if found {
			g.settle(&members[i], allowed, c)
		}
		members[i].shard.mu.Unlock()
	}
	return allowed, found
}

// entry returns the entry of a member's key, or nil if the key is not in memory
// and there is no placing for it that holds.
func (g *Group[K]) entry(m *held[K], c *call[K]) *entry[K] {
	r, key := g.members[m.member], c.keys[m.member]
	terms := r.terms.Load()
	switch {
	case c.places == nil:
		return m.shard.find(key, m.hash, terms)
	case c.places[m.member].base != terms:
		return nil
	}
	return r.place(m.shard, key, c.places[m.member], m.at)
}

// settle ends the request for a member: charges it if all allow the request.
func (g *Group[K]) settle(m *held[K], allowed bool, c *call[K]) {
	r, n := g.members[m.member], c.cost(m.member)
	if allowed && m.has {
		r.take(&c.into[m.member], m.shard, m.entry, n, m.at)
		return
	}
	r.peek(&c.into[m.member], m.entry, m.at, n)
	if !m.has {
		r.refused(m.shard, m.entry)
	}
}

// placings returns what is needed to bring the keys into memory.
func (g *Group[K]) placings(c *call[K]) []placing[K] {
	places := make([]placing[K], len(c.keys))
	for i, r := range g.members {
		if c.cost(i) >= 0 {
			places[i] = r.placing(c.keys[i], r.mark(c.keys[i]))
		}
	}
	return places
}

// Peek stores in into what each registry would decide, and tells whether
// Decide would allow the request. It takes nothing, and neither brings a key
// into memory nor keeps it there. Each registry is asked for itself.
func (g *Group[K]) Peek(into []bucket.Decision, n int, keys ...K) bool {
	g.check(keys)
	ok := true
	for i, r := range g.members {
		into[i] = r.Peek(keys[i], n)
		ok = ok && into[i].Allowed
	}
	return ok
}

// PeekEach is Peek with a cost for each registry, as DecideEach has them.
func (g *Group[K]) PeekEach(into []bucket.Decision, costs []int, keys ...K) bool {
	g.check(keys)
	g.checkCosts(costs)
	ok := true
	for i, r := range g.members {
		if into[i] = notAsked; costs[i] >= 0 {
			into[i] = r.Peek(keys[i], costs[i])
		}
		ok = ok && into[i].Allowed
	}
	return ok
}

// Refund gives n tokens back to the bucket of each key; see [Registry.Refund].
func (g *Group[K]) Refund(n int, keys ...K) {
	g.check(keys)
	for i, r := range g.members {
		r.Refund(keys[i], n)
	}
}

// Settle makes up for what requests turned out to cost: it takes costs[i]
// tokens from the bucket of the i-th key, whether they are there or not, or
// gives -costs[i] back; see [Registry.Charge] and [Registry.Refund]. Where the
// cost is 0 nothing is looked up. Nothing can refuse, so each registry is done
// for itself. It panics if there is not one cost for each registry.
func (g *Group[K]) Settle(costs []int, keys ...K) {
	g.check(keys)
	g.checkCosts(costs)
	for i, r := range g.members {
		r.Charge(keys[i], costs[i])
		r.Refund(keys[i], -max(costs[i], -math.MaxInt))
	}
}

// Wait takes n tokens from the bucket of each key as soon as they are there in
// all of them, and returns nil then. Unlike [Registry.Wait] it reserves nothing:
// what is waited for in one bucket would have to be withheld from those who
// could use it in another. So waiters get their turn in no certain order.
//
// It returns [bucket.ErrBurst] if n is more than one of the bursts, an error
// that is [context.DeadlineExceeded] at once if the deadline of ctx comes first,
// and the error of ctx if it ends while waiting. After an error nothing is
// taken. A dry run keeps nobody waiting.
func (g *Group[K]) Wait(ctx context.Context, n int, keys ...K) error {
	g.check(keys)
	if len(g.members) == 1 {
		return g.members[0].Wait(ctx, keys[0], n)
	}
	into := make([]bucket.Decision, len(keys))
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if g.Peek(into, n, keys...) && g.Decide(into, n, keys...) {
			return nil
		}
		var delay time.Duration
		for i, d := range into {
			switch {
			case d.DryRun:
			case d.RetryAfter == bucket.Never:
				return fmt.Errorf("limit %d of %d: %w: %d of %d", i+1, len(into), bucket.ErrBurst, n, d.Limit.Burst)
			default:
				delay = max(delay, d.RetryAfter)
			}
		}
		if err := reserve.Pause(ctx, delay); err != nil {
			return err
		}
	}
}

// check panics if there is not one key for each member: which key belongs to
// which limit would be a guess.
func (g *Group[K]) check(keys []K) {
	if len(keys) != len(g.members) {
		panic(fmt.Sprintf("registry: %d keys for a group of %d registries", len(keys), len(g.members)))
	}
}

// checkCosts panics if there is not one cost for each member.
func (g *Group[K]) checkCosts(costs []int) {
	if len(costs) != len(g.members) {
		panic(fmt.Sprintf("registry: %d costs for a group of %d registries", len(costs), len(g.members)))
	}
}

package registry

import (
	"fmt"
	"hash/maphash"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

const (
	defaultSize = 1 << 16
	maxSize     = min(1<<26, math.MaxInt>>10+1) // less where addresses have 32 bits
	maxDebts    = min(1<<28, math.MaxInt>>6+1)
	fewShards   = 32
	minShard    = 64      // keys; smaller registries have fewer shards
	maxShard    = 1 << 17 // keys; larger registries have more, since an index grows under a lock
)

// A Config says what a [Registry] is to be.
type Config[K comparable] struct {
	// Limit is the limit of every key.
	Limit bucket.Limit
	// LimitFor, if not nil, gives a key a limit of its own, such as that of
	// its plan; the zero Limit means Config.Limit. It is called when a key
	// comes that is not in memory and after SetLimit, outside of all locks,
	// from many goroutines. An answer that is not a valid limit counts as the
	// zero Limit and in Stats.TiersRejected.
	LimitFor func(key K) bucket.Limit
	// DryRun makes the registry count and never deny: see
	// [bucket.Decision.DryRun].
	DryRun bool
	// Change says what becomes of the buckets when Limit or the answer of
	// LimitFor changes. The zero value has tokens used stay used.
	Change bucket.Change
	// Dry, if not nil, is sent to when a key has just spent what it had, from
	// half a bucket or more down to nothing or to less than it asks for, if the
	// channel has room: its owner may want to save that soon.
	Dry chan<- struct{}
	// Size is how many keys are kept in memory, from 1 to 2²⁶ (2²¹ on 32-bit
	// systems); 0 means 65,536.
	Size int
	// Debts is how many debts of evicted keys are kept, 16 bytes each, from 8
	// to 2²⁸ (2²⁵ on 32-bit systems), rounded up to whole sets of 8; 0 means
	// four times Size. In a table that is a third full about one in ten
	// thousand finds its set of 8 taken.
	Debts int
	// Hash names a key in snapshots and in the debt table. It must give equal
	// keys equal hashes in every run that shares a snapshot, and be one that
	// clients can not predict. nil means a hash that is new in every run, for
	// registries that are not saved.
	Hash func(key K) uint64
}

// A Registry keeps a token bucket for each key. It is safe for concurrent
// use. Use [New]. A key that is not equal to itself, as a float NaN, has no
// bucket that could be found again: keys must not hold such values.
type Registry[K comparable] struct {
	hashFor func(K) uint64

	serial uint64 // the order in which groups lock
	terms  atomic.Pointer[terms[K]]
	change sync.Mutex // of terms
	limits limitList
	seed   maphash.Seed
	base   time.Time // the origin of the debt table's instants
	shards []shard[K]
	debts  debtTable
	empty  atomic.Pointer[time.Time] // see RestoreOthers
	// restored is when Restore was last called, as the debt table counts it.
	restored atomic.Int64

	walk          sync.Mutex // one at a time
	tiersRejected atomic.Uint64
}

// New returns an empty registry, or an error that names the field, the value
// and the bound if cfg is not valid.
func New[K comparable](cfg Config[K]) (*Registry[K], error) {
	if cfg.Size == 0 {
		cfg.Size = defaultSize
	}
	if cfg.Size < 1 || cfg.Size > maxSize {
		return nil, fmt.Errorf("registry: size %d is out of range: want 1 to %d keys, or 0 for %d", cfg.Size, maxSize, defaultSize)
	}
	if cfg.Debts == 0 {
		cfg.Debts = min(max(4*cfg.Size, setSize), maxDebts)
	}
	if cfg.Debts < setSize || cfg.Debts > maxDebts {
		return nil, fmt.Errorf("registry: debts %d is out of range: want %d to %d slots, or 0 for four times the size", cfg.Debts, setSize, maxDebts)
	}
	r := &Registry[K]{
		serial:  serials.Add(1),
		hashFor: cfg.Hash,
		seed:    maphash.MakeSeed(),
		base:    time.Now(),
	}
	if err := r.Configure(cfg); err != nil {
		return nil, err
	}
	r.shards = make([]shard[K], shardCount(cfg.Size))
	for i := range r.shards {
		// The sizes of the shards add up to Size exactly.
		size := cfg.Size / len(r.shards)
		if i < cfg.Size%len(r.shards) {
			size++
		}
		if err := r.shards[i].init(size, cfg.Hash != nil); err != nil {
			return nil, fmt.Errorf("registry: %w", err)
		}
	}
	r.debts.init(cfg.Debts)
	return r, nil
}

// serials numbers registries in the order in which they are made.
var serials atomic.Uint64

// Configure puts the Limit, LimitFor, DryRun, Change and Dry of cfg in force, and
// does not look at the rest: that is for good. LimitFor is asked anew for every
// key. What becomes of the tokens is said by Change; each key changes over when
// it is next looked at. On an error nothing changes.
func (r *Registry[K]) Configure(cfg Config[K]) error {
	if !cfg.Change.Valid() {
		return fmt.Errorf("registry: change %d is unknown: want one of package bucket", cfg.Change)
	}
	return r.renew(cfg.Limit, func(t *terms[K]) {
		t.limitFor, t.dryRun, t.how, t.dry = cfg.LimitFor, cfg.DryRun, cfg.Change, cfg.Dry
	})
}

// SetLimit is Configure with another limit and all else as it is.
func (r *Registry[K]) SetLimit(l bucket.Limit) error { return r.renew(l, func(*terms[K]) {}) }

// renew puts new terms in force: the present ones with another limit, edited.
func (r *Registry[K]) renew(l bucket.Limit, edit func(*terms[K])) error {
	t, err := r.limits.add(l)
	if err != nil {
		return fmt.Errorf("registry: limit: %w", err)
	}
	r.change.Lock()
	defer r.change.Unlock()
	var next terms[K]
	if now := r.terms.Load(); now != nil {
		next = *now
	}
	next.tier = *t
	next.serial++
	edit(&next)
	r.terms.Store(&next)
	return nil
}

// shardCount returns a power of two.
func shardCount(size int) int {
	n := min(max(size/minShard, 1), fewShards)
	n = max(n, (size+maxShard-1)/maxShard)
	return 1 << (bits.Len(uint(n)) - 1)
}

// Limit returns the limit of keys that have none of their own, normalized.
func (r *Registry[K]) Limit() bucket.Limit { return r.terms.Load().rule.Limit() }

// Allow takes one token from key's bucket and tells whether it was there.
func (r *Registry[K]) Allow(key K) bool {
	terms := r.terms.Load()
	if terms.dry != nil {
		return r.Take(key, 1).Allowed
	}
	h := r.mark(key)
	s := r.shard(h)
	s.mu.Lock()
	e := s.find(key, h, terms)
	if e == nil {
		s.mu.Unlock()
		return r.takeMissed(s, key, h, 1).Allowed
	}
	ok := e.tier.rule.Allow(&e.level, r.now(), 1)
	if ok {
		s.allowed++
		s.touch(e)
	} else {
		s.denied++
	}
	s.mu.Unlock()
	return ok || terms.dryRun
}

// Take takes n tokens from key's bucket if they are all there, and otherwise
// none. An n below 1 takes nothing and is allowed.
func (r *Registry[K]) Take(key K, n int) bucket.Decision {
	h := r.mark(key)
	s := r.shard(h)
	s.mu.Lock()
	e := s.find(key, h, r.terms.Load())
	if e == nil {
		s.mu.Unlock()
		return r.takeMissed(s, key, h, n)
	}
	var d bucket.Decision
	r.take(&d, s, e, n, r.now())
	s.mu.Unlock()
	return d
}

// takeMissed is Take for a key that is not in memory.
func (r *Registry[K]) takeMissed(s *shard[K], key K, h uint64, n int) (d bucket.Decision) {
	p := r.lockFor(s, key, h)
	defer s.mu.Unlock()
	at := r.now()
	r.take(&d, s, r.place(s, key, p, at), n, at)
	return d
}

// lockFor locks a shard and returns what is needed to bring a key into it, under
// the limit that is then in force.
func (r *Registry[K]) lockFor(s *shard[K], key K, h uint64) placing[K] {
	for {
		p := r.placing(key, h)
		s.mu.Lock()
		if p.base == r.terms.Load() {
			return p
		}
		s.mu.Unlock() // the limit was changed meanwhile
	}
}

// take takes from an entry and counts. The shard is locked.
func (r *Registry[K]) take(d *bucket.Decision, s *shard[K], e *entry[K], n int, at time.Duration) {
	if e.tier.rule.Take(d, &e.level, at, n) {
		s.allowed++
		if n > 0 {
			s.touch(e)
			if d.Remaining == 0 || e.is(dry) {
				r.spent(e, n, d.Remaining, d.Limit.Burst)
			}
		}
	} else {
		r.refused(s, e)
	}
	r.asked(d)
}

// spent sends to Config.Dry if the bucket has run dry with the n tokens that
// were taken from it. It had to be half full once since it last did, so that
// one who takes every token as it comes back is not told of each time.
func (r *Registry[K]) spent(e *entry[K], n, remaining, burst int) {
	if before := remaining + n; before >= burst-before {
		e.flags &^= dry
	}
	if remaining == 0 {
		r.tellDry(e)
	}
}

// refused counts a denial. One who asks for several tokens at a time has run dry
// with some left.
func (r *Registry[K]) refused(s *shard[K], e *entry[K]) {
	s.denied++
	if e.is(dirty) {
		r.tellDry(e)
	}
}

// tellDry sends to Config.Dry once for each time that a bucket runs dry.
func (r *Registry[K]) tellDry(e *entry[K]) {
	if e.is(dry) {
		return
	}
	e.flags |= dry
	select {
	case r.terms.Load().dry <- struct{}{}:
	default:
	}
}

// Peek returns what Take would return, and takes nothing. It neither brings a
// key into memory nor keeps it there.
func (r *Registry[K]) Peek(key K, n int) bucket.Decision {
	h := r.mark(key)
	s := r.shard(h)
	s.mu.Lock()
	if e, _ := s.look(key, h); e != nil && e.base == r.terms.Load().serial {
		var d bucket.Decision
		r.peek(&d, e, r.now(), n)
		s.mu.Unlock()
		return d
	}
	s.mu.Unlock()
	return r.peekMissed(s, key, h, n)
}

// peekMissed is Peek for a key that is not in memory.
func (r *Registry[K]) peekMissed(s *shard[K], key K, h uint64, n int) (d bucket.Decision) {
	p := r.lockFor(s, key, h)
	defer s.mu.Unlock()
	at := r.now()
	rule := &p.tier.rule
	if e, _ := s.look(key, h); e != nil {
		r.under(s, e, p, at)
		r.peek(&d, e, at, n)
		return d
	}
	owed, ok := r.debts.peek(p.hash)
	rule.Peek(&d, rule.Owing(at, r.owes(owed, ok, rule.Limit(), at)), at, n)
	r.asked(&d)
	return d
}

// peek stores in d what take would.
func (r *Registry[K]) peek(d *bucket.Decision, e *entry[K], at time.Duration, n int) {
	e.tier.rule.Peek(d, e.level, at, n)
	r.asked(d)
}

// mark returns the hash by which a key is found in memory.
func (r *Registry[K]) mark(key K) uint64 { return maphash.Comparable(r.seed, key) }

// shard returns the shard of a key with that hash.
func (r *Registry[K]) shard(h uint64) *shard[K] {
	return &r.shards[h&uint64(len(r.shards)-1)]
}

// now reads the clock: once for each decision, under the lock of the shard. It
// counts from r.base, by the monotonic clock, which costs half of time.Now.
func (r *Registry[K]) now() time.Duration { return time.Since(r.base) }

// asked makes a decision of a bucket one of the registry.
func (r *Registry[K]) asked(d *bucket.Decision) {
	if r.terms.Load().dryRun {
		d.DryRun, d.Allowed = true, true
	}
}

// A placing is what must be known to bring a key into memory. It is found
// outside of all locks, since the caller's functions are asked for it.
type placing[K comparable] struct {
	mark uint64    // the hash by which the key is found in memory
	hash uint64    // and by which elsewhere
	base *terms[K] // the registry's, under which the key's tier was found
	tier *tier     // the key's
}

// placing returns it for a key with that hash.
func (r *Registry[K]) placing(key K, h uint64) placing[K] {
	base := r.terms.Load()
	p := placing[K]{mark: h, hash: h, base: base, tier: &base.tier}
	if r.hashFor != nil {
		p.hash = r.hashFor(key)
	}
	if base.limitFor != nil {
		if l := base.limitFor(key); l != (bucket.Limit{}) {
			if t, err := r.limits.add(l); err == nil {
				p.tier = t
			} else {
				r.tiersRejected.Add(1)
			}
		}
	}
	return p
}

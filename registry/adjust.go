package registry

import (
	"context"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/internal/reserve"
)

// Refund gives n tokens back to key's bucket, up to a full one. An n below 1
// gives nothing.
func (r *Registry[K]) Refund(key K, n int) {
	if n < 1 {
		return
	}
	s, e, at := r.giving(key)
	defer s.mu.Unlock()
	if e != nil {
		b := r.unpack(s, e)
		b.Refund(r.base.Add(at), n)
		e.level = b.Pack(at, r.base)
	}
}

// Charge takes n tokens from key's bucket whether they are there or not, for
// what has been spent already: see [bucket.Bucket.Charge]. It counts neither as
// allowed nor as denied, and a dry run is charged like any other. An n below 1
// takes nothing.
func (r *Registry[K]) Charge(key K, n int) {
	if n < 1 {
		return
	}
	h := r.mark(key)
	s := r.shard(h)
	s.mu.Lock()
	e := s.find(key, h, r.terms.Load())
	at := r.now()
	if e == nil {
		s.mu.Unlock()
		p := r.lockFor(s, key, h)
		at = r.now()
		e = r.place(s, key, p, at)
	}
	defer s.mu.Unlock()
	rule := &e.tier.rule
	before := rule.Remaining(e.level, at)
	b := r.unpack(s, e)
	b.Charge(r.base.Add(at), n)
	e.level = b.Pack(at, r.base)
	after := rule.Remaining(e.level, at)
	s.touch(e)
	r.spent(e, before-after, after, rule.Limit().Burst)
}

// Reset makes key's bucket full.
func (r *Registry[K]) Reset(key K) {
	s, e, _ := r.giving(key)
	defer s.mu.Unlock()
	if e != nil {
		e.level = e.tier.rule.Full()
	}
}

// Wait takes n tokens from key's bucket as soon as they are there and returns
// nil then; see [bucket.Bucket.Wait]. In a dry run nobody waits.
func (r *Registry[K]) Wait(ctx context.Context, key K, n int) error {
	h := r.mark(key)
	s := r.shard(h)
	var act time.Time
	return reserve.Wait(ctx, func(atMost time.Duration) (delay time.Duration, err error) {
		p := r.lockFor(s, key, h)
		defer s.mu.Unlock()
		at := r.now()
		e := r.place(s, key, p, at)
		if r.terms.Load().dryRun {
			var d bucket.Decision
			r.take(&d, s, e, n, at)
			return 0, nil
		}
		now := r.base.Add(at)
		b := r.unpack(s, e)
		delay, err = b.Reserve(now, n, atMost)
		e.level, act = b.Pack(at, r.base), now.Add(delay)
		if err != nil || delay > atMost {
			s.denied++
			return delay, err
		}
		s.allowed++
		s.touch(e)
		r.spent(e, n, p.tier.rule.Remaining(e.level, at), p.tier.rule.Limit().Burst)
		return delay, nil
	}, func() {
		s, e, at := r.giving(key)
		defer s.mu.Unlock()
		if e != nil {
			b := r.unpack(s, e)
			b.Unreserve(r.base.Add(at), n, act)
			e.level = b.Pack(at, r.base)
		}
	})
}

// giving locks the shard of a key that is to be given tokens, and returns it
// with the key's entry, marked, and the time; nil if the key's bucket is full
// anyhow.
func (r *Registry[K]) giving(key K) (*shard[K], *entry[K], time.Duration) {
	h := r.mark(key)
	s := r.shard(h)
	p := r.lockFor(s, key, h)
	at := r.now()
	if e, _ := s.look(key, h); e == nil {
		owed, ok := r.debts.peek(p.hash)
		if r.owes(owed, ok, p.tier.rule.Limit(), at) <= 0 {
			return s, nil, at
		}
	}
	e := r.place(s, key, p, at)
	e.flags |= lowered
	s.touch(e)
	return s, e, at
}

package measure

import (
	"context"
	"fmt"
)

// A Decide answers one request of a key: true is allowed. It is called from many
// goroutines at once. It may keep the key.
type Decide func(key string) bool

// A Kind says what a subject is measured for.
type Kind string

const (
	Ours  Kind = "weir"  // this module
	Peer  Kind = "peer"  // another limiter
	Floor Kind = "floor" // no limiter of keys: what a part of one takes at least
)

// A Subject is something to be measured.
type Subject struct {
	Name string
	Kind Kind
	// About says in a sentence what it is; "" says nothing.
	About string
	// Keyed tells that each key has a limit of its own. A subject that is not
	// is only measured with one key.
	Keyed bool
	// Bounded tells that it keeps Workload.Capacity keys and evicts others. Only
	// such are measured where each key is new.
	Bounded bool
	// MayFail tells that it is known to give wrong answers or none now and then,
	// such as an error under contention. They are counted all the same, and are
	// no error of the run.
	MayFail bool
	// NeverDenies is that of floors: what the answer has to be is not looked at,
	// except that it has to be true.
	NeverDenies bool
	// During is what goes on beside, such as snapshots: from Make until close.
	// "" is nothing.
	During string
	// Make returns a new limiter with the workload's limit and capacity, and
	// what is to be called when it is no longer used, or nil.
	Make func(w *Workload) (decide Decide, close func(), err error)
}

// Fits tells whether a subject is measured with a workload.
func (s *Subject) Fits(w *Workload) bool {
	switch {
	case w.Denied && s.NeverDenies:
		return false
	case w.Miss:
		return s.Bounded
	case w.Keys > 1:
		return s.Keyed
	}
	return true
}

// An asked is a subject that is ready to be measured with a workload.
type asked struct {
	*Subject
	decide Decide
	close  func()
	want   bool // the answer
	next   int  // of the sequence, where each key has to be new
}

// ready makes a subject and brings it to where the workload wants it: each key
// is known and, if it is to be denied, has used its limit up. That this is so
// is checked.
func (s *Subject) ready(ctx context.Context, w *Workload) (*asked, error) {
	decide, done, err := s.Make(w)
	if err != nil {
		return nil, fmt.Errorf("%s, %s: %w", s.Name, w.Title(), err)
	}
	a := &asked{Subject: s, decide: decide, close: func() {}, want: !w.Denied}
	if done != nil {
		a.close = done
	}
	if err := a.use(ctx, w, w.Key); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// Ready makes the subject and has every key be known and, if it is to be denied,
// have used its limit up. done is to be called when decide is no longer used. A
// wrong answer meanwhile is an error.
func (s *Subject) Ready(ctx context.Context, w *Workload) (decide Decide, done func(), err error) {
	a, err := s.ready(ctx, w)
	if err != nil {
		return nil, nil, err
	}
	return a.decide, a.close, nil
}

// use has each key ask once or, if it is to be denied, until its limit is used
// up and once more.
func (a *asked) use(ctx context.Context, w *Workload, key func(i int) string) error {
	requests := 1
	if w.Denied {
		requests = w.Limit.Burst + 1
	}
	for i := range w.Keys {
		if i%10_000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		k := key(i)
		for n := range requests {
			want := n < w.Limit.Burst
			if got := a.decide(k); got != want && !a.MayFail {
				return fmt.Errorf("%s, %s: request %d of key %d under %s is allowed: %v: want %v", a.Name, w.Title(), n+1, i, w.Limit, got, want)
			}
		}
	}
	return nil
}

package field

import (
	"fmt"
	"slices"
	"time"
)

// A Limit is Quota requests in a Window, with a burst of as many where the
// algorithm has one. Both are more than 0.
type Limit struct {
	Quota  int
	Window time.Duration
}

// An Algorithm is what it promises of a limit.
type Algorithm string

const (
	// TokenBucket promises at most Quota at once, and in any stretch of time as
	// much more as flows in during it. GCRA is one, too.
	TokenBucket Algorithm = "token bucket"
	// FixedWindow promises at most Quota from one edge of a window to the next,
	// and so up to twice as many in any stretch as long as a Window.
	FixedWindow Algorithm = "fixed window"
	// Weighed counts the present window, and of the one before it the part that
	// is still within a Window, as if its requests had been spread evenly.
	Weighed Algorithm = "two windows, weighed"
	// Spacer lets requests wait and refuses none.
	Spacer Algorithm = "spaces requests"
)

// A Contender is one way to limit a rate.
type Contender struct {
	Name      string
	Module    string // that it is of, without version
	Algorithm Algorithm

	Ours    bool // weir
	Keyed   bool // has a limit for each key; others ignore the key
	Bounded bool // keeps as many keys as it is told, and forgets others
	MayFail bool // is known to give an error instead of an answer under contention

	// Make returns a limiter of keys that are not known yet. A Bounded one keeps
	// size keys at least where they spread badly, the others as many as come.
	Make func(l Limit, size int) (Limiter, error)
}

// A Limiter is a contender at work. Both functions are there; Allow may be
// called from many goroutines, and not after Close.
type Limiter struct {
	// Allow takes one request of the key, and tells whether it was allowed. An
	// error instead of an answer is a refusal.
	Allow func(key string) bool
	Close func()
}

// All returns all contenders: weir's first, then those of libraries, then those
// by hand, then those without keys.
func All() []Contender {
	return slices.Concat(ours(), libraries(), handmade(), singles())
}

// ByName returns the contender of that name, or an error that has all names.
func ByName(name string) (Contender, error) {
	var names []string
	for _, c := range All() {
		if c.Name == name {
			return c, nil
		}
		names = append(names, c.Name)
	}
	return Contender{}, fmt.Errorf("there is no contender %q: there are %q", name, names)
}

// forever is the Close of what needs none.
func forever() {}

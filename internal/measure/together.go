package measure

import (
	"runtime"
	"sync/atomic"
	"time"
)

// A lineup has goroutines begin when all of them run, each on a processor of
// its own. That takes longer than one might think: a system may put the thread
// of one on the processor of another and leave it there for tens of
// milliseconds, in which two goroutines do the work of one.
type lineup struct {
	goroutines int64
	patience   time.Duration // for how long it is tried
	arrived    atomic.Int64
	done       atomic.Bool
	apart      bool      // they never ran at once
	start      time.Time // when they began
}

const (
	// Goroutines that run at once get past each other so often in so long. If
	// two share a processor once takes thousands of times as long.
	meetings = 8
	within   = meetings * 5 * time.Microsecond
)

// wait returns when all goroutines have been here for the n-th time, n from 1.
func (l *lineup) wait(n int64, crowded bool) {
	l.arrived.Add(1)
	for l.arrived.Load() < n*l.goroutines {
		if crowded {
			runtime.Gosched()
		}
	}
}

// begin returns when all goroutines have called it and run at once, or will not.
// first is that of one of them.
func (l *lineup) begin(first bool) {
	var n int64
	crowded := int(l.goroutines) > min(runtime.NumCPU(), runtime.GOMAXPROCS(0)) // they can not run at once
	meet := func() { n++; l.wait(n, crowded) }
	meet()
	base := time.Now()
	for !l.done.Load() {
		start := time.Now()
		for range meetings {
			meet()
		}
		if first {
			met := time.Since(start) < within
			l.apart = !met
			l.done.Store(met || time.Since(base) > l.patience || crowded)
		}
		meet()
	}
	if first {
		l.start = time.Now()
	}
	meet()
}

package subjects

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/internal/measure"
)

// What may go on beside the decisions of a limiter.
const (
	Snapshots = "snapshots" // written to a file, each 100 ms
	Flood     = "flood"     // 100,000 new keys a second, which evict others
	Reloads   = "reloads"   // of the limit, each 10 ms
)

const (
	snapshotEvery = 100 * time.Millisecond
	reloadEvery   = 10 * time.Millisecond
	floodEvery    = time.Millisecond
	floodKeys     = 100 // each floodEvery
)

// LongDebts is a limit under which what a request takes is owed for three
// seconds, so that there is something to be saved and kept, and which nobody
// reaches meanwhile.
var LongDebts = measure.Limit{Quota: 1e7, Window: 366 * 24 * time.Hour, Burst: 1e7}

// During returns the whole limiter by itself, and beside each of the others. A
// workload with LongDebts should be used.
func During() []measure.Subject {
	var all []measure.Subject
	for _, what := range []string{"", Snapshots, Flood, Reloads} {
		all = append(all, measure.Subject{
			Name: Limiter, Kind: measure.Ours, Keyed: true, Bounded: true, During: what,
			Make: func(w *measure.Workload) (measure.Decide, func(), error) {
				l, stop, err := limiterDuring(w, what)
				if err != nil {
					return nil, nil, err
				}
				return func(key string) bool { return l.Allow(key) }, stop, nil
			},
		})
	}
	return all
}

// limiterDuring returns a limiter beside which something goes on until stop is
// called, which panics if that did not really go on.
func limiterDuring(w *measure.Workload, what string) (l *weir.Limiter, stop func(), err error) {
	cfg := weir.Config{Policies: []weir.Policy{{Name: "ip", Limit: Of(w.Limit), Size: w.Capacity}}}
	clean := func() error { return nil }
	switch what {
	case Snapshots:
		dir, err := os.MkdirTemp("", "weir-bench-")
		if err != nil {
			return nil, nil, err
		}
		clean = func() error { return os.RemoveAll(dir) }
		cfg.Path, cfg.Interval = filepath.Join(dir, "state"), snapshotEvery
	case Flood:
		// As many as there are keys: who floods evicts who does not come for a while.
		cfg.Policies[0].Size = w.Keys
	}
	l, err = weir.New(cfg)
	if err != nil {
		return nil, nil, errors.Join(err, clean())
	}
	quit := make(chan struct{})
	var beside sync.WaitGroup
	every := func(d time.Duration, do func(n int)) {
		beside.Go(func() {
			tick := time.NewTicker(d)
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-quit:
					return
				case <-tick.C:
					do(n)
				}
			}
		})
	}
	switch what {
	case Flood:
		every(floodEvery, func(n int) {
			for i := range floodKeys {
				l.Allow(fmt.Sprintf("flood-%d", n*floodKeys+i))
			}
		})
	case Reloads:
		limits := [2]bucket.Limit{Of(w.Limit), Of(w.Limit)}
		limits[1].Quota, limits[1].Burst = limits[0].Quota/2, limits[0].Burst/2
		every(reloadEvery, func(n int) {
			if err := l.SetLimit("ip", limits[(n+1)%2]); err != nil {
				panic(err) // both are valid
			}
		})
	}
	return l, func() {
		close(quit)
		beside.Wait()
		if err := errors.Join(l.Close(), clean()); err != nil {
			panic(fmt.Sprintf("the end of a benchmark: %v", err))
		}
	}, nil
}

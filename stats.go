package weir

import (
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/registry"
)

// Stats say what a limiter has done.
type Stats struct {
	// Policies are those of the limiter, in order.
	Policies []PolicyStats

	LastSaved time.Time // of the last snapshot that succeeded; zero before the first
	// Age is how long ago that was, or, before the first, the start: what was
	// spent in it a crash would forget. It is 0 if nothing is kept on disk.
	Age        time.Duration
	Saves      uint64 // snapshots that succeeded
	SaveErrors uint64 // snapshots that failed
	SaveError  error  // why the last snapshot failed; nil if it did not
	Written    int64  // bytes written to the file
}

// PolicyStats say what one policy has done.
type PolicyStats struct {
	Name   string
	Limit  bucket.Limit // of keys that have none of their own
	DryRun bool
	registry.Stats
}

// Stats returns the counts.
func (l *Limiter) Stats() Stats {
	var st Stats
	if w := l.writer; w != nil {
		w.counts.Lock()
		st = w.stats
		st.Age = time.Since(w.since)
		w.counts.Unlock()
	}
	for i, r := range l.members {
		p := &l.policies[i]
		st.Policies = append(st.Policies, PolicyStats{Name: p.Name, Limit: r.Limit(), DryRun: p.DryRun, Stats: r.Stats()})
	}
	return st
}

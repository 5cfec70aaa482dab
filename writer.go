package weir

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/persist"
)

const (
	// maxBackOff is the longest pause between two tries to write the file.
	maxBackOff = 5 * time.Minute
	// earlyDelay is how long a snapshot waits for more to save after a key has
	// run dry.
	earlyDelay = 500 * time.Millisecond
	// earlyBurst is how many early snapshots there may be at once. On average
	// there is no more than one each interval, so that those who run dry again
	// and again under ever new keys at most double what is written.
	earlyBurst = 10
)

// A writer takes the snapshots of a limiter, one at a time.
type writer struct {
	limiter  *Limiter
	interval time.Duration
	edge     bool
	log      *slog.Logger
	dry      chan struct{} // a key has just run dry
	early    *bucket.Bucket

	mu     sync.Mutex // held while a snapshot is taken
	file   *persist.File
	full   bool           // the next snapshot has to be a full one
	saved  []bucket.Limit // the limits of the last snapshot
	empty  []time.Time    // of the policies that start with [EmptyBuckets], when they did
	closed bool

	counts sync.Mutex // for stats
	stats  Stats      // without policies
	since  time.Time  // when there was nothing to save

	closing sync.Once
	stop    chan struct{}
	done    chan struct{}
}

func newWriter(l *Limiter, file *persist.File, cfg Config, dry chan struct{}) (*writer, error) {
	early, err := bucket.New(bucket.Limit{Quota: 1, Window: cfg.Interval, Burst: earlyBurst})
	if err != nil {
		return nil, err
	}
	return &writer{
		limiter:  l,
		interval: cfg.Interval,
		edge:     cfg.Edge,
		log:      cfg.Logger,
		dry:      dry,
		early:    early,
		file:     file,
		since:    time.Now(),
		empty:    make([]time.Time, len(l.members)),
		stop:     make(chan struct{}),
		done:     make(chan struct{}),
	}, nil
}

// run takes a snapshot each interval, sooner after a key has run dry, and less
// often while that fails.
func (w *writer) run() {
	defer close(w.done)
	pause := w.interval
	next := time.Now().Add(pause)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-w.dry:
			now := time.Now()
			if pause == w.interval && next.Sub(now) > earlyDelay && w.early.Take(now, 1).Allowed {
				next = now.Add(earlyDelay)
				timer.Reset(earlyDelay)
			}
			continue
		case <-timer.C:
		}
		if err := w.save(false); err != nil {
			pause = min(2*pause, max(maxBackOff, w.interval))
			w.log.Warn("no snapshot of the state: limits go on in memory", "error", err, "next_try", pause.String())
		} else {
			pause = w.interval
		}
		next = time.Now().Add(pause)
		timer.Reset(pause)
	}
}

// save takes a snapshot.
func (w *writer) save(final bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return fmt.Errorf("weir: %w", persist.ErrClosed)
	}
	snapshot := w.snapshot(w.full || final && w.edge)
	if !snapshot.Full && w.changed(snapshot) {
		// What the file has under the old limit is to be replaced at once, for
		// it would be converted in the default manner.
		snapshot = w.snapshot(true)
	}
	snapshot.Final = final
	done, err := w.file.Save(snapshot)
	w.full = err != nil || done.CheckpointDue
	w.closed = final && err == nil
	w.saved = w.saved[:0]
	for _, s := range snapshot.Sections {
		w.saved = append(w.saved, s.Limit)
	}
	w.counts.Lock()
	defer w.counts.Unlock()
	w.stats.SaveError = err
	w.stats.Written += done.Bytes
	if err != nil {
		w.stats.SaveErrors++
		return fmt.Errorf("weir: %w", err)
	}
	w.stats.Saves++
	w.stats.LastSaved, w.since = snapshot.At, snapshot.At
	return nil
}

// changed tells whether a limit is not that of the last snapshot.
func (w *writer) changed(s persist.Snapshot) bool {
	for i, limit := range w.saved {
		if s.Sections[i].Limit != limit {
			return true
		}
	}
	return false
}

// snapshot returns what is to be saved now.
func (w *writer) snapshot(full bool) persist.Snapshot {
	s := persist.Snapshot{At: time.Now(), Full: full}
	for i, r := range w.limiter.members {
		walk := r.Changed
		if full {
			walk = r.All
		}
		limit, records := walk(s.At, 0)
		if empty := w.empty[i]; full && !empty.IsZero() {
			records = withOthers(limit.Refill()-s.At.Sub(empty), records)
		}
		p := &w.limiter.policies[i]
		if p.LimitFor != nil {
			limit = tiered
		}
		s.Sections = append(s.Sections, persist.Section{Policy: p.Name, Limit: limit, Records: records})
		st := r.Stats()
		s.Live += st.Keys + st.Debts
	}
	return s
}

// close takes the final snapshot.
func (w *writer) close() (err error) {
	w.closing.Do(func() {
		close(w.stop)
		<-w.done
		if err = w.save(true); err != nil {
			err = w.save(true) // a full one now, for which a file that is gone is made anew
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.closed = true
		if closing := w.file.Close(); err == nil && closing != nil {
			err = fmt.Errorf("weir: %w", closing)
		}
	})
	return err
}

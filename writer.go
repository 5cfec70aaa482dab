package weir

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
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
	least    time.Duration // debts up to this are only saved at the end
	log      *slog.Logger
	dry      chan struct{}  // a key has just run dry
	early    *bucket.Bucket // early snapshots
	synced   chan struct{}  // somebody else has taken a snapshot
	moved    atomic.Bool    // a limit has changed since the last full snapshot

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

// newWriter returns a writer that has no file yet.
func newWriter(l *Limiter, cfg Config) (*writer, error) {
	early, err := bucket.New(bucket.Limit{Quota: 1, Window: cfg.Interval, Burst: earlyBurst})
	if err != nil {
		return nil, err
	}
	w := &writer{
		limiter:  l,
		interval: cfg.Interval,
		log:      cfg.Logger,
		dry:      make(chan struct{}, 1),
		early:    early,
		synced:   make(chan struct{}, 1),
		since:    time.Now(),
		empty:    make([]time.Time, len(l.policies)),
		stop:     make(chan struct{}),
		done:     make(chan struct{}),
	}
	if cfg.Edge {
		w.least = cfg.Interval
	}
	return w, nil
}

// savesSoon tells whether a key of p that has run dry is worth an early
// snapshot: not if nobody is denied, nor if it is full again by then or its debt
// is not saved at all.
func (w *writer) savesSoon(p Policy) bool {
	limit, err := p.Limit.Normalize()
	return err == nil && !p.DryRun && (p.LimitFor != nil || limit.Refill() > max(w.least, 2*earlyDelay))
}

// run takes a snapshot each interval, sooner after a key has run dry, and less
// often while that fails.
func (w *writer) run() {
	defer close(w.done)
	pause := w.interval
	next := time.Now().Add(pause)
	tried := time.Now()
	early := false
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-w.dry:
			now := time.Now()
			// While snapshots fail there is an early try each interval at most.
			failing := pause > w.interval && now.Sub(tried) < w.interval
			if !failing && next.Sub(now) > earlyDelay && w.early.Take(now, 1).Allowed {
				early = true
				next = now.Add(earlyDelay)
				timer.Reset(earlyDelay)
			}
			continue
		case <-w.synced:
			pause = w.interval
		case <-timer.C:
			written, err := w.save(false)
			tried = time.Now()
			if err != nil {
				pause = min(2*pause, max(maxBackOff, w.interval))
				w.log.Warn("no snapshot of the state: limits go on in memory", "error", err, "next_try", pause.String())
			} else {
				pause = w.interval
			}
			if early && err == nil && written == 0 {
				w.early.Refund(tried, 1)
			}
		}
		early = false
		next = time.Now().Add(pause)
		timer.Reset(pause)
	}
}

// sync takes a snapshot for somebody else.
func (w *writer) sync() error {
	_, err := w.save(false)
	if err == nil {
		select {
		case w.synced <- struct{}{}:
		default:
		}
	}
	return err
}

// save takes a snapshot and returns how many bytes it took.
func (w *writer) save(final bool) (written int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, fmt.Errorf("weir: %w", persist.ErrClosed)
	}
	// What the file has under a limit that has changed is to be replaced at
	// once, for it would be converted in the default manner.
	full := w.moved.Swap(false) || w.full || final && w.least > 0
	snapshot := w.snapshot(full, final)
	if !full && w.changed(snapshot) {
		snapshot = w.snapshot(true, final)
	}
	done, err := w.file.Save(snapshot)
	if done.Credit > 0 {
		// The file's time has been put forward. What was restored follows it,
		// and what was not is to be written with its whole debt.
		for _, r := range w.limiter.members {
			r.Credit(done.Credit)
		}
		if again, failure := w.file.Save(w.snapshot(true, final)); err == nil {
			again.Bytes += done.Bytes
			done, err = again, failure
		}
	}
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
		return done.Bytes, fmt.Errorf("weir: %w", err)
	}
	w.stats.Saves++
	w.stats.LastSaved, w.since = snapshot.At, snapshot.At
	return done.Bytes, nil
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
func (w *writer) snapshot(full, final bool) persist.Snapshot {
	s := persist.Snapshot{At: time.Now(), Full: full, Final: final}
	least := w.least
	if final {
		least = 0
	}
	for i, r := range w.limiter.members {
		walk := r.Changed
		if full {
			walk = r.All
		}
		limit, records := walk(s.At, least)
		p := &w.limiter.policies[i]
		if p.LimitFor != nil {
			limit = tiered
		}
		if empty := w.empty[i]; full && !empty.IsZero() {
			records = withOthers(othersSpan(limit)-s.At.Sub(empty), records)
		}
		s.Sections = append(s.Sections, persist.Section{Policy: p.Name, Replaces: p.PreviousNames, Limit: limit, Records: records})
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
		if _, err = w.save(true); err != nil {
			_, err = w.save(true) // a full one now, for which a file that is gone is made anew
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

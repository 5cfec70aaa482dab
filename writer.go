package weir

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/persist"
)

// maxBackOff is the longest pause between two tries to write the file.
const maxBackOff = 5 * time.Minute

// A writer takes the snapshots of a limiter, one at a time.
type writer struct {
	limiter  *Limiter
	interval time.Duration
	log      *slog.Logger

	mu     sync.Mutex // held while a snapshot is taken
	file   *persist.File
	full   bool // the next snapshot has to be a full one
	closed bool

	counts sync.Mutex // for stats
	stats  Stats      // without policies

	closing sync.Once
	stop    chan struct{}
	done    chan struct{}
}

// tiered is the limit that the file is told of policies with a LimitFor. Their
// debts are each under a limit of its own, which only the key can tell. So the
// file must neither convert them when a limit changes nor cut them at a refill:
// this limit never changes, and takes 100 years to refill.
var tiered = bucket.Limit{Quota: 1, Window: 365 * 24 * time.Hour, Burst: 100}

// restore brings back the debts of the file.
func (w *writer) restore() persist.Restored {
	restore := map[string]func(hash uint64, debt time.Duration){}
	return w.file.Load(func(policy string, saved bucket.Limit) bool {
		i := slices.Index(w.limiter.names, policy)
		if i < 0 {
			return false // stays in the file until it is over
		}
		r := w.limiter.members[i]
		limit := r.Limit()
		if w.limiter.tiered[i] {
			limit = tiered
		}
		restore[policy] = r.Restore
		if limit != saved {
			// All that is in the file is to be under one limit, before the
			// first that is under another is added.
			w.full = true
			switch tiered {
			case limit: // each key cuts it at a refill of its own
			case saved:
				restore[policy] = func(hash uint64, debt time.Duration) { r.Restore(hash, min(debt, limit.Refill())) }
			default:
				restore[policy] = func(hash uint64, debt time.Duration) {
					r.Restore(hash, bucket.Rescale(debt, saved, limit))
				}
			}
		}
		return true
	}, func(policy string, hash uint64, debt time.Duration) { restore[policy](hash, debt) })
}

// logRestored says what was restored.
func logRestored(log *slog.Logger, path string, res persist.Restored) {
	if res.New {
		log.Info("new state file", "path", path)
		return
	}
	if res.Damage != "" {
		return // the file has told the logger already
	}
	attrs := []any{"path", path, "debts", res.Records, "policies", res.Policies, "kept", res.Kept,
		"away", res.Away.String(), "clock", res.Clock, "clean", res.Clean}
	if res.Skipped > 0 || res.FellBack {
		log.Warn("state restored in part", append(attrs, "skipped_chunks", res.Skipped, "fell_back", res.FellBack)...)
		return
	}
	if !res.Clean {
		attrs = append(attrs, "forgotten", fmt.Sprintf("what was spent in up to %v before the crash", res.Interval))
	}
	log.Info("state restored", attrs...)
}

func newWriter(l *Limiter, file *persist.File, cfg Config) *writer {
	return &writer{
		limiter:  l,
		interval: cfg.Interval,
		log:      cfg.Logger,
		file:     file,
		stop:     make(chan struct{}),
		done:     make(chan struct{}),
	}
}

// run takes a snapshot each interval, and less often while that fails.
func (w *writer) run() {
	defer close(w.done)
	pause := w.interval
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-timer.C:
		}
		if err := w.save(false); err != nil {
			pause = min(2*pause, max(maxBackOff, w.interval))
			w.log.Warn("no snapshot of the state: limits go on in memory", "error", err, "next_try", pause.String())
		} else {
			pause = w.interval
		}
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
	snapshot := persist.Snapshot{At: time.Now(), Full: w.full, Final: final}
	for i, r := range w.limiter.members {
		walk := r.Changed
		if w.full {
			walk = r.All
		}
		limit, records := walk(snapshot.At, 0)
		if w.limiter.tiered[i] {
			limit = tiered
		}
		snapshot.Sections = append(snapshot.Sections, persist.Section{Policy: w.limiter.names[i], Limit: limit, Records: records})
		st := r.Stats()
		snapshot.Live += st.Keys + st.Debts
	}
	done, err := w.file.Save(snapshot)
	w.full = err != nil || done.CheckpointDue
	w.closed = final && err == nil
	w.counts.Lock()
	defer w.counts.Unlock()
	w.stats.SaveError = err
	w.stats.Written += done.Bytes
	if err != nil {
		w.stats.SaveErrors++
		return fmt.Errorf("weir: %w", err)
	}
	w.stats.Saves++
	w.stats.LastSaved = snapshot.At
	return nil
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

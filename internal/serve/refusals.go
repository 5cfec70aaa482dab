package serve

import (
	"log/slog"
	"sync"
	"time"
)

// calm is for how long nothing must have been refused for a log line to say
// that it is over.
const calm = 10 * time.Second

// refusals counts connections that are closed at once for one reason, and logs
// when that begins and when it is over: who opens connections does not choose
// how much is logged. The zero value with a log and a reason is ready.
type refusals struct {
	log    *slog.Logger
	reason string
	cure   string

	mu      sync.Mutex
	count   uint64
	before  uint64 // of them, those before it last began
	again   bool   // there was one since the timer was last set
	timer   *time.Timer
	stopped bool
}

// add counts one.
func (r *refusals) add() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	r.again = true
	if r.timer != nil || r.stopped {
		return
	}
	r.before, r.again = r.count-1, false
	r.log.Warn("connections are refused", "reason", r.reason, "cure", r.cure)
	r.timer = time.AfterFunc(calm, r.look)
}

// look says so if it is over.
func (r *refusals) look() {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.stopped:
	case r.again:
		r.again = false
		r.timer.Reset(calm)
	default:
		r.timer = nil
		r.log.Info("connections are no longer refused", "reason", r.reason, "refused", r.count-r.before)
	}
}

// total returns how many there have been.
func (r *refusals) total() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// stop ends the logging.
func (r *refusals) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	if r.timer != nil {
		r.timer.Stop()
	}
}

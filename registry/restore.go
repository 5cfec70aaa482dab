package registry

import (
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// Restore notes that the key with that hash owes debt from now on: it waits in
// the debt table until the key comes again. The debt is under the registry's
// limit, or with a LimitFor under the key's, where what is beyond one refill as
// of now is cut. A later call for the same hash replaces an earlier one, by nothing if
// debt is 0. It is for the start, before there are requests.
func (r *Registry[K]) Restore(hash uint64, owed time.Duration) {
	now := r.since(r.now())
	d := debt{at: now + owed, limit: restoredLimit}
	if r.limitFor == nil {
		d.limit = r.limit.Load().number
	}
	r.restored.Store(int64(now))
	r.debts.restore(hash, d, now)
}

// RestoreOthers notes that every key of which the registry knows nothing had an
// empty bucket at a time, such as the start after a loss of the state. A later
// call replaces an earlier one; the zero time takes it back. What is given to
// such a key by Reset or Refund is forgotten if the key is evicted.
func (r *Registry[K]) RestoreOthers(empty time.Time) {
	r.empty.Store(&empty)
}

// owes returns what a key owes that is not in memory, given what the debt table
// has of it.
func (r *Registry[K]) owes(owed debt, ok bool, limit bucket.Limit, now time.Time) time.Duration {
	if ok && owed.limit == restoredLimit {
		// What is beyond one refill is cut as of when it was restored.
		then := time.Duration(r.restored.Load())
		return min(owed.at-then, limit.Refill()) - (r.since(now) - then)
	}
	if ok {
		return r.limits.convert(owed.at-r.since(now), owed.limit, limit)
	}
	if empty := r.empty.Load(); empty != nil && !empty.IsZero() {
		return limit.Refill() - now.Sub(*empty)
	}
	return 0
}

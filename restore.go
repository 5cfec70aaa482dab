package weir

import (
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/persist"
)

// tiered is the limit that the file is told of policies with a LimitFor. Their
// debts are each under a limit of its own, which only the key can tell. So the
// file must neither convert them when a limit changes nor cut them at a refill:
// this limit never changes, and takes 100 years to refill.
var tiered = bucket.Limit{Quota: 1, Window: 365 * 24 * time.Hour, Burst: 100}

// others is the hash under which the file has what all keys owe of which it
// knows nothing, see [EmptyBuckets]. No key has it.
const others = 0

// othersSpan returns how long others may owe, given the limit that the file is
// told: one refill. Of tiers it is taken to be a year at most.
func othersSpan(inFile bucket.Limit) time.Duration {
	if inFile == tiered {
		return 366 * 24 * time.Hour
	}
	return inFile.Refill()
}

// withOthers adds to records what all others owe.
func withOthers(debt time.Duration, records iter.Seq2[uint64, time.Duration]) iter.Seq2[uint64, time.Duration] {
	return func(yield func(uint64, time.Duration) bool) {
		if debt <= 0 || yield(others, debt) {
			records(yield)
		}
	}
}

// restore brings back the debts of the file.
func (w *writer) restore() persist.Restored {
	for i := range w.limiter.policies {
		w.saved = append(w.saved, w.limitInFile(i))
	}
	res := w.file.Load(func(string, bucket.Limit) bool { return false }, nil)
	r := restorer{writer: w, lost: lost(res)}
	r.crashed = !r.lost && !res.Clean
	for i, p := range w.limiter.policies {
		if r.lost && p.ColdStart == EmptyBuckets {
			w.startEmpty(i, time.Now())
		}
		// What a policy has under its present name is newer than what it has
		// under the others, which go with the first full snapshot.
		for _, name := range append(slices.Clone(p.PreviousNames), p.Name) {
			part := r.load(i, name)
			res.Records += part.Records
			res.Policies += part.Policies
			res.Kept = part.Kept
		}
	}
	if r.lost && w.full {
		// That buckets are empty is to be on disk before anybody is served.
		if _, err := w.save(false); err != nil {
			w.log.Warn("no snapshot of the state: a crash now would make it a start with full buckets", "error", err)
		}
	}
	return res
}

// lost tells whether there is no state.
func lost(res persist.Restored) bool { return res.New || res.Damage != "" }

// limitInFile returns the limit that the file is told of a policy.
func (w *writer) limitInFile(i int) bucket.Limit {
	if w.limiter.policies[i].LimitFor != nil {
		return tiered
	}
	return w.limiter.members[i].Limit()
}

// A restorer brings back the debts of a file.
type restorer struct {
	*writer
	lost    bool // there is no state
	crashed bool // it is not that of a clean stop
}

// load brings back for a policy what the file has under a name.
func (r *restorer) load(i int, name string) persist.Restored {
	p, own := &r.limiter.policies[i], r.limiter.members[i].Limit()
	inFile := r.limitInFile(i)
	charge := r.crashed && p.Crash == Charge
	var saved bucket.Limit
	var res persist.Restored
	r.limiter.members[i].Restore(func(yield func(uint64, time.Duration) bool) {
		res = r.file.Load(func(policy string, limit bucket.Limit) bool {
			if policy == name {
				saved = limit
			}
			return policy == name
		}, func(_ string, hash uint64, debt time.Duration) {
			if hash == others {
				r.startEmpty(i, time.Now().Add(min(debt-othersSpan(saved), 0)))
				return
			}
			switch {
			case inFile == tiered: // each key cuts it at a refill of its own
			case saved == tiered:
				debt = min(debt, own.Refill())
			default:
				debt = p.Change.Rescale(debt, saved, own)
			}
			if charge {
				debt = max(debt, own.Refill())
			}
			yield(hash, debt)
		})
	})
	if res.Records > 0 && (saved != inFile || name != p.Name || charge) {
		// All that is in the file is to be under one limit and one name, with
		// what is charged, before the first that is not is added.
		r.full = true
	}
	return res
}

// startEmpty has the keys of a policy start with buckets that were empty then.
func (w *writer) startEmpty(i int, then time.Time) {
	w.empty[i] = then
	w.limiter.members[i].RestoreOthers(then)
	w.full = true
}

// logRestored says what was restored.
func (w *writer) logRestored(path string, res persist.Restored) {
	var empty, charged []string
	for i, p := range w.limiter.policies {
		if !w.empty[i].IsZero() {
			empty = append(empty, p.Name)
		}
		if p.Crash == Charge && !lost(res) && !res.Clean {
			charged = append(charged, p.Name)
		}
	}
	if len(empty) > 0 {
		defer w.log.Warn("keys that are not in the state file start with empty buckets", "path", path, "policies", empty)
	}
	if res.New {
		w.log.Info("new state file", "path", path)
		return
	}
	if res.Damage != "" {
		return // the file has told the logger already
	}
	attrs := []any{"path", path, "debts", res.Records, "policies", res.Policies, "kept", res.Kept,
		"away", res.Away.String(), "clock", res.Clock, "clean", res.Clean}
	if res.Skipped > 0 || res.FellBack {
		w.log.Warn("state restored in part", append(attrs, "skipped_chunks", res.Skipped, "fell_back", res.FellBack)...)
		return
	}
	if !res.Clean {
		attrs = append(attrs, "forgotten", fmt.Sprintf("what was spent since the last snapshot, up to %v before the crash", res.Interval))
	}
	if len(charged) > 0 {
		attrs = append(attrs, "charged", charged)
	}
	w.log.Info("state restored", attrs...)
}

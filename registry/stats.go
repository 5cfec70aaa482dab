package registry

// Stats are the counts of a registry since it was made, but for Keys and Debts,
// which say how it is now.
type Stats struct {
	Keys    int    // keys in memory
	Allowed uint64 // requests allowed
	Denied  uint64 // requests denied, or that would have been but for a dry run

	Evicted        uint64  // keys evicted
	Debts          int     // slots of the debt table taken, some of them by debts that are over
	DebtsKept      uint64  // evicted keys whose debt was kept
	DebtsRecalled  uint64  // keys that came back and found their debt
	DebtsDropped   uint64  // debts forgotten because the debt table was too small
	DroppedSeconds float64 // how long they would have gone on, added up

	TiersRejected uint64 // answers of LimitFor that were not valid limits
}

// Stats returns the counts. Each shard is looked at for itself, so that they
// need not be of the same instant.
func (r *Registry[K]) Stats() Stats {
	st := Stats{TiersRejected: r.tiersRejected.Load()}
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		st.Keys += s.used
		st.Allowed += s.allowed
		st.Denied += s.denied
		st.Evicted += s.evicted
		s.mu.Unlock()
	}
	for i := range r.debts.stripes {
		s := &r.debts.stripes[i]
		s.mu.Lock()
		st.Debts += s.used
		st.DebtsKept += s.kept
		st.DebtsRecalled += s.recalled
		st.DebtsDropped += s.dropped
		st.DroppedSeconds += s.droppedSeconds
		s.mu.Unlock()
	}
	return st
}

package httpmw

// KeysInFlight returns how many keys are kept by the limits on requests at once.
func KeysInFlight(m *Middleware) int {
	n := 0
	for _, table := range m.inFlight {
		for i := range table.shards {
			n += len(table.shards[i].held)
		}
	}
	return n
}

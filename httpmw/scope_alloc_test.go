//go:build !race

// The race detector has pools drop things at random.

package httpmw_test

import "testing"

// Each option costs a small fixed number of allocations, or none.
func TestScopeAllocs(t *testing.T) {
	for _, row := range scopes {
		if got := testing.AllocsPerRun(200, scoped(t, row.cfg)); got > row.most {
			t.Errorf("%s: %v allocations, want at most %v", row.name, got, row.most)
		}
	}
}

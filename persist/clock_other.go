//go:build !linux

package persist

import "time"

// readClocks reads the clocks of the system. Where there is no way that we
// have tested to tell one boot from another, the wall clock has to do.
func readClocks() reading {
	now := time.Now()
	return reading{mono: now, wall: now.UnixNano()}
}

package persist

import (
	"encoding/hex"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// readClocks reads the clocks of the system. The monotonic one is read first
// and the one of the boot after it, so that the time between is not credited.
func readClocks() reading {
	now := time.Now()
	r := reading{mono: now, wall: now.UnixNano()}
	var ts unix.Timespec
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err == nil && unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) == nil {
		text := strings.ReplaceAll(strings.TrimSpace(string(id)), "-", "")
		if b, err := hex.DecodeString(text); err == nil && len(b) == len(r.bootID) {
			copy(r.bootID[:], b)
			r.boot = ts.Nano()
		}
	}
	var tx unix.Timex
	if state, err := unix.Adjtimex(&tx); err == nil {
		r.synced = state != unix.TIME_ERROR && tx.Status&unix.STA_UNSYNC == 0
	}
	return r
}

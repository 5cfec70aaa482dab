package persist

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
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
		offset, err := namespaceOffset()
		text := strings.ReplaceAll(strings.TrimSpace(string(id)), "-", "")
		if b, bad := hex.DecodeString(text); err == nil && bad == nil && len(b) == len(r.bootID) {
			copy(r.bootID[:], b)
			r.boot = ts.Nano() - offset
		}
	}
	var tx unix.Timex
	if state, err := unix.Adjtimex(&tx); err == nil {
		r.synced = state != unix.TIME_ERROR && tx.Status&unix.STA_UNSYNC == 0
	}
	return r
}

// namespaceOffset returns by how much CLOCK_BOOTTIME is ahead, in ns, in the
// time namespace of this process: time_namespaces(7). The boot id is the same in
// all of them, so that the next run may be in another.
func namespaceOffset() (int64, error) {
	text, err := os.ReadFile("/proc/self/timens_offsets")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil // a kernel without time namespaces
	}
	if err != nil {
		return 0, err
	}
	return parseOffsets(string(text))
}

// parseOffsets finds the line of CLOCK_BOOTTIME, such as "boottime 3600 0" in
// seconds and nanoseconds.
func parseOffsets(text string) (int64, error) {
	for line := range strings.Lines(text) {
		var s, ns int64
		if n, _ := fmt.Sscanf(line, "boottime %d %d", &s, &ns); n == 2 {
			return s*int64(time.Second) + ns, nil
		}
	}
	return 0, fmt.Errorf("no offset of boottime in %q", text)
}

//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package serve

// seesHangup is false where the end of a connection cannot be seen without
// reading what was sent before it.
const seesHangup = false

func hangupOf(uintptr) hangup { return present }

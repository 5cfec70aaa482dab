//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package serve

import "golang.org/x/sys/unix"

const seesHangup = true

// hangupOf looks at a socket.
func hangupOf(fd uintptr) hangup {
	queue, err := unix.Kqueue()
	if err != nil {
		return present // the next look tells
	}
	defer unix.Close(queue)
	var change, event [1]unix.Kevent_t
	unix.SetKevent(&change[0], int(fd), unix.EVFILT_READ, unix.EV_ADD)
	n, err := unix.Kevent(queue, change[:], event[:], &unix.Timespec{})
	if n != 1 || err != nil || event[0].Flags&unix.EV_EOF == 0 {
		return present
	}
	if event[0].Fflags != 0 { // the error of the socket
		return departed
	}
	return sentAll
}

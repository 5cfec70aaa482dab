package serve

import "golang.org/x/sys/unix"

const seesHangup = true

// hangupOf looks at a socket.
func hangupOf(fd uintptr) hangup {
	socket := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	if n, err := unix.Poll(socket, 0); n != 1 || err != nil {
		return present // the next look tells
	}
	switch events := socket[0].Revents; {
	case events&(unix.POLLERR|unix.POLLHUP) != 0:
		return departed
	case events&unix.POLLRDHUP != 0:
		return sentAll
	}
	return present
}

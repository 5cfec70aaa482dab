//go:build unix

package state

import (
	"io/fs"
	"syscall"
)

const (
	hasModes     = true
	openNoFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
)

// ownerOf returns the user id of the owner of a file, -1 if it is not known.
func ownerOf(info fs.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return -1
}

//go:build unix

package persist

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

const (
	hasModes     = true
	mapGrowsFile = false
	renamesOpen  = true
	openNoFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
)

// foreignOwner returns the owner of a file if that is somebody else.
func foreignOwner(info fs.FileInfo) (uint32, bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(s.Uid) == os.Geteuid() {
		return 0, false
	}
	return s.Uid, true
}

func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }

// syncDir makes the names in a directory last. Some file systems cannot, and
// say so; on them there is nothing more to do.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

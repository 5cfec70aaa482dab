//go:build unix && !solaris && !aix

package persist

import (
	"os"
	"syscall"
	"time"
)

// lock takes the lock that bbolt takes of a file, and tells whether it could be
// had in time. [abandon] lets go of it.
func lock(file *os.File, timeout time.Duration) bool {
	for end := time.Now().Add(timeout); ; time.Sleep(time.Millisecond) {
		if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// abandon lets go of the lock of a file that bbolt does not close any more. As
// long as it is mapped, closing it alone would not.
func abandon(file *os.File) {
	_ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
	_ = file.Close()
}

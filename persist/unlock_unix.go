//go:build unix && !solaris && !aix

package persist

import (
	"os"
	"syscall"
)

// abandon lets go of the lock of a file that bbolt does not close any more. As
// long as it is mapped, closing it alone would not.
func abandon(file *os.File) {
	_ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
	_ = file.Close()
}

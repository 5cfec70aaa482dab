//go:build !unix || solaris || aix

package persist

import (
	"os"
	"time"
)

// lock would keep others from a file. Here two processes that find a damaged
// file in the same instant can both move what is there.
func lock(*os.File, time.Duration) bool { return true }

// abandon lets go of the lock of a file that bbolt does not close any more:
// closing it does.
func abandon(file *os.File) { _ = file.Close() }

//go:build !unix || solaris || aix

package persist

import "os"

// abandon lets go of the lock of a file that bbolt does not close any more:
// closing it does.
func abandon(file *os.File) { _ = file.Close() }

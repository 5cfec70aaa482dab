//go:build !unix

package persist

import "io/fs"

// Elsewhere, who may open a file is not a matter of its mode, and a directory
// cannot be synced.
const (
	hasModes     = false
	mapGrowsFile = true
	renamesOpen  = false // a file can be renamed while it is open
	openNoFollow = 0
)

func foreignOwner(fs.FileInfo) (uint32, bool) { return 0, false }
func isReadOnly(error) bool                   { return false }
func syncDir(string) error                    { return nil }

package persist

import "errors"

// Errors of this package, wrapped with the path and the cure.
var (
	// ErrLocked means that this or another process has the file open.
	ErrLocked = errors.New("state file is in use")
	// ErrNewer means that the file was written by a newer version, which
	// says that this one cannot read it. It has not been touched.
	ErrNewer = errors.New("state file is of a newer version")
	// ErrForeign means that the file was never a state file. It has not been
	// touched.
	ErrForeign = errors.New("not a state file")
	// ErrDamaged means that the file holds something else than was written to
	// it. It has not been touched.
	ErrDamaged = errors.New("state file is damaged")
	// ErrClosed means that the File has been closed.
	ErrClosed = errors.New("state file is closed")
)

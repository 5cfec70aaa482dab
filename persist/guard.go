package persist

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// A fault is a panic of bbolt's, or of the runtime while bbolt read its memory
// map. The database it came from is not to be used again, not even closed:
// it may hold its locks.
type fault struct{ value any }

func (f *fault) Error() string { return fmt.Sprintf("bbolt: %v", f.value) }

// errBroken means that the file holds something else than was written.
var errBroken = errors.New("it does not hold what was written to it")

// guard runs f, which calls bbolt, and turns a panic into a fault. A memory map
// whose file is cut off or cannot be read makes the runtime end the process
// unless it is told to panic instead.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = &fault{v}
		}
	}()
	return f()
}

// guarded runs f on the open database. If that turns out to be broken, it is
// given up, and the next snapshot starts a new file.
func (f *File) guarded(do func() error) error {
	err := guard(do)
	var flt *fault
	switch {
	case errors.As(err, &flt):
		f.db = nil // and left as it is
		abandon(f.file)
		return f.broken(err)
	case errors.Is(err, errBroken):
		return f.broken(err)
	}
	return err
}

// broken gives up the database.
func (f *File) broken(err error) error {
	if f.db != nil {
		_ = guard(f.db.Close)
		f.db = nil
	}
	f.cfg.Logger.Error("state file is damaged: the next save starts a new one", "path", f.path, "error", err)
	return err
}

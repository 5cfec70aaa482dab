package persist

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// tempName is what goes after the name of a state file in that of a file which
// is being made for it, or for its secret.
var tempName = regexp.MustCompile(`^(\.key)?\.tmp-[0-9]+$`)

// newTemp makes an empty file beside path, for what is to have that name when
// it is whole.
func newTemp(path string) (*os.File, error) {
	return os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp-*")
}

// sweep removes what a process that was killed while it made something has left
// beside the file, if it is a regular file of this user's and closed to others.
// It may have a second name, the one it was made for, so its bytes stay.
//
// The caller holds the lock of the file. Whoever is making one for the same
// path at this moment comes too late, finds that his is gone, and looks again.
func (f *File) sweep() {
	var failed []error
	for _, path := range f.leftovers(&failed) {
		if info, err := os.Lstat(path); err != nil || checkPrivate(path, info) != nil {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
			continue
		}
		f.cfg.Logger.Info("a file that was not finished is removed", "path", path)
	}
	if err := errors.Join(failed...); err != nil {
		f.cfg.Logger.Warn("files that were not finished cannot be removed", "path", f.path, "error", err)
	}
}

// leftovers returns the files with names of temporary ones.
func (f *File) leftovers(failed *[]error) (paths []string) {
	name, base := filepath.Split(f.path)
	dir, err := os.Open(name)
	if err != nil {
		if !errors.Is(err, fs.ErrPermission) { // then nor could they have been made
			*failed = append(*failed, err)
		}
		return nil
	}
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(256)
		for _, n := range names {
			if rest, ok := strings.CutPrefix(n, base); ok && tempName.MatchString(rest) {
				paths = append(paths, filepath.Join(name, n))
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				*failed = append(*failed, err)
			}
			return paths
		}
	}
}

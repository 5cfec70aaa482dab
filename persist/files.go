package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// openPaths are the files that this process has open. The lock of the file
// does not keep a process from itself on every system.
var openPaths = struct {
	sync.Mutex
	in map[string]bool
}{in: map[string]bool{}}

// claimPath marks a path as open, unless it is, and returns how to unmark it.
func claimPath(path string) (release func(), ok bool) {
	openPaths.Lock()
	defer openPaths.Unlock()
	if openPaths.in[path] {
		return nil, false
	}
	openPaths.in[path] = true
	return func() {
		openPaths.Lock()
		defer openPaths.Unlock()
		delete(openPaths.in, path)
	}, true
}

// prepareDir makes the directories above path and returns path in full, without
// links in the directories.
func prepareDir(path string) (string, error) {
	if path != "" {
		if err := makeDir(filepath.Dir(path)); err != nil {
			return "", fmt.Errorf("directory for %s: %w", path, err)
		}
	}
	return resolve(path)
}

// makeDir makes a directory and those above it, for good.
func makeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := syncDir(parent); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

// checkDir refuses a directory in which every user may put other files in the
// place of ours, and warns of one in which some others may.
func (f *File) checkDir() error {
	if !hasModes {
		return nil
	}
	dir := filepath.Dir(f.path)
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	mode := info.Mode()
	sticky := mode&fs.ModeSticky != 0 // each may remove only what is his own
	if mode&0o002 != 0 && !sticky {
		return fmt.Errorf("directory %s has mode %04o, so every user may put another file in the place of %s: run chmod o-w %s, or name a file in a directory that is this user's alone",
			dir, mode.Perm(), filepath.Base(f.path), dir)
	}
	var why []string
	if mode&0o020 != 0 && !sticky {
		why = append(why, fmt.Sprintf("it has mode %04o: run chmod g-w %s", mode.Perm(), dir))
	}
	if owner, ok := foreignOwner(info); ok && owner != 0 {
		why = append(why, fmt.Sprintf("it belongs to user %d, and this runs as user %d", owner, os.Geteuid()))
	}
	if len(why) > 0 {
		f.cfg.Logger.Warn("directory of the state file: others may put another file in its place", "path", f.path, "why", strings.Join(why, "; "))
	}
	return nil
}

// resolve returns path in full, without links in the directories.
func resolve(path string) (string, error) {
	if path == "" {
		return "", errors.New("path of the state file is empty")
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(full))
	if err != nil {
		return "", fmt.Errorf("directory for %s: %w", path, err)
	}
	return filepath.Join(dir, filepath.Base(full)), nil
}

// openPrivate opens an existing file that must be regular, of this user's and
// closed to everybody else, and returns its size.
func openPrivate(path string, flags int) (*os.File, int64, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, 0, err
	}
	if err := checkPrivate(path, info); err != nil {
		return nil, 0, err
	}
	file, err := os.OpenFile(path, flags|openNoFollow, 0)
	if errors.Is(err, fs.ErrPermission) || isReadOnly(err) {
		return nil, 0, fmt.Errorf("%w: the user that runs this must be able to write it", err)
	}
	if err != nil {
		return nil, 0, err
	}
	// What was looked at may not be what was opened.
	if info, err = file.Stat(); err == nil {
		err = checkPrivate(path, info)
	}
	if err != nil {
		_ = file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// checkPrivate checks that a file is regular, ours and closed to others.
func checkPrivate(path string, info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsDir():
		return fmt.Errorf("%s is a directory: name a file in it", path)
	case mode&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a symbolic link: name the file itself", path)
	case !mode.IsRegular():
		return fmt.Errorf("%s is not a regular file (%v): name another", path, mode.Type())
	case hasModes && mode.Perm()&0o077 != 0:
		return fmt.Errorf("%s has mode %04o, so others may open it: run chmod 600 %s", path, mode.Perm(), path)
	}
	if owner, ok := foreignOwner(info); ok {
		return fmt.Errorf("%s belongs to user %d, and this runs as user %d: run as its owner, or name another file", path, owner, os.Geteuid())
	}
	return nil
}

// install gives a finished file its name for good, unless there is one with
// that name already: then the error is fs.ErrExist.
func install(temp, path string) error {
	if err := syncFile(temp); err != nil {
		return err
	}
	if err := moveNew(temp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// replace gives a finished file the name of another, for good.
func replace(temp, path string) error {
	if err := syncFile(temp); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncFile waits until a file is on disk.
func syncFile(path string) error {
	file, _, err := openPrivate(path, os.O_RDWR)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// exists tells whether there is something at path.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// moveNew renames a file to a name that must be free. A plain rename would
// overwrite what another process has just put there.
func moveNew(from, to string) error {
	err := os.Link(from, to)
	if err == nil {
		return os.Remove(from)
	}
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// A file system without links.
	if _, err := os.Lstat(to); err == nil {
		return &fs.PathError{Op: "rename to", Path: to, Err: fs.ErrExist}
	}
	return os.Rename(from, to)
}

// moveAside renames a file to a name that says why and when, and returns it.
func moveAside(path, kind string, now time.Time) (string, error) {
	base := path + "." + kind + "-" + now.UTC().Format("20060102T150405Z")
	for n := 1; ; n++ {
		to := base
		if n > 1 {
			to = fmt.Sprintf("%s-%d", base, n)
		}
		err := moveNew(path, to)
		if errors.Is(err, fs.ErrExist) && n < 10_000 {
			continue
		}
		if err != nil {
			return "", err
		}
		return to, syncDir(filepath.Dir(path))
	}
}

package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A Purged says what [Purge] has done.
type Purged struct {
	// Removed are the files whose bytes were overwritten and that are gone,
	// under the names that they had.
	Removed []string
	// Aside are files that hold what [Open] could not use and moved aside.
	// They are still there.
	Aside []string
}

// Purge puts a new, empty state file with a new secret in place of the one at
// path, and leaves nothing of the old ones: their bytes are overwritten with
// zeros and synced before the names go. So are files that something which was
// interrupted has left beside them and, if aside is set, those that Open has
// moved aside. What a flash disk, a file system that copies on write, a
// snapshot or a backup keeps of them is beyond its reach.
//
// A damaged file is purged like any other; one that is of something else or
// of a newer version is not touched. Nobody else may have the file open. The
// error wraps [ErrLocked], [ErrNewer], [ErrForeign] or [fs.ErrNotExist] where
// that is the cause. After another error, Purge can be called again; if nothing
// was left but to make the new file, that says fs.ErrNotExist, and Open makes it.
func Purge(path string, cfg Config, aside bool) (Purged, error) {
	f, err := claim(path, cfg, readClocks, resolve)
	if err != nil {
		return Purged{}, err
	}
	defer f.unlock()
	p, err := f.purge(aside)
	if err != nil {
		return p, fmt.Errorf("persist: %w", err)
	}
	return p, nil
}

func (f *File) purge(aside bool) (p Purged, err error) {
	key := f.path + ".key"
	left, moved, err := f.beside()
	if err != nil {
		return p, err
	}
	present := map[string]bool{}
	for _, name := range []string{f.path, key} {
		file, _, err := openPrivate(name, os.O_RDWR)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return p, err
		}
		present[name] = true
		if err := file.Close(); err != nil {
			return p, err
		}
	}
	if len(present)+len(left)+len(moved) == 0 {
		return p, fmt.Errorf("%s: %w", f.path, fs.ErrNotExist)
	}
	letGo, err := f.holdAny(present[f.path])
	if err != nil {
		return p, err
	}
	// Another name first: at no time does a file have a secret that is not
	// its own, and what a crash leaves is purged the next time.
	for _, name := range []string{key, f.path} {
		if !present[name] {
			continue
		}
		to, err := moveAside(name, "purge", f.now().mono)
		if err != nil {
			return p, errors.Join(err, letGo())
		}
		left = append(left, to)
	}
	if err := letGo(); err != nil {
		return p, err
	}
	if aside {
		left, moved = append(left, moved...), nil
	}
	p.Aside = moved
	var failed []error
	for _, name := range left {
		if err := shred(name); err != nil {
			failed = append(failed, err)
			continue
		}
		p.Removed = append(p.Removed, purgeName.ReplaceAllString(name, ""))
	}
	slices.Sort(p.Removed)
	failed = append(failed, syncDir(filepath.Dir(f.path)), f.renew())
	return p, errors.Join(failed...)
}

// holdAny takes the lock of the file, if there is one, whatever it holds, and
// returns how to let go of it.
func (f *File) holdAny(present bool) (letGo func() error, err error) {
	none := func() error { return nil }
	if !present {
		return none, nil
	}
	held, err := f.openToKeep()
	switch {
	case err == nil && !renamesOpen:
		return none, guard(held.db.Close)
	case err == nil:
		return func() error { return guard(held.db.Close) }, nil
	case !errors.Is(err, ErrDamaged):
		return none, err
	case f.locked(): // damaged while open
		return none, f.lockedByAnother()
	}
	return none, nil
}

// renew makes the new file and the new secret.
func (f *File) renew() error {
	if err := f.open(); err != nil {
		return err
	}
	_, err := f.commit(change{final: true}) // no snapshot: it is still new
	if f.db != nil {                        // not given up
		err = errors.Join(err, guard(f.db.Close))
	}
	return err
}

// Names that go after that of the state file: of what was moved aside, and of
// what was interrupted.
var (
	asideName = regexp.MustCompile(`^\.(corrupt|unreadable)-[0-9]{8}T[0-9]{6}Z(-[0-9]+)?$`)
	leftName  = regexp.MustCompile(`^(\.key)?\.(tmp-[0-9]+|purge-[0-9]{8}T[0-9]{6}Z(-[0-9]+)?)$`)
	purgeName = regexp.MustCompile(`\.purge-[0-9]{8}T[0-9]{6}Z(-[0-9]+)?$`)
)

// beside returns the files beside the state file that something interrupted has
// left, and those that were moved aside.
func (f *File) beside() (left, moved []string, err error) {
	dir, base := filepath.Split(f.path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), base)
		switch {
		case !ok:
		case leftName.MatchString(rest):
			left = append(left, filepath.Join(dir, e.Name()))
		case asideName.MatchString(rest):
			moved = append(moved, filepath.Join(dir, e.Name()))
		}
	}
	return left, moved, nil
}

// zeros is what files are overwritten with.
var zeros [1 << 16]byte

// shred overwrites a file, waits until that is on disk, and removes it.
func shred(path string) error {
	file, size, err := openPrivate(path, os.O_RDWR)
	if err != nil {
		return err
	}
	err = overwrite(file, size)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("overwriting %s: %w", path, err)
	}
	return os.Remove(path)
}

// overwrite writes zeros over all that a file holds.
func overwrite(file *os.File, size int64) error {
	for at := int64(0); at < size; at += int64(len(zeros)) {
		if _, err := file.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at); err != nil {
			return err
		}
	}
	return file.Sync()
}

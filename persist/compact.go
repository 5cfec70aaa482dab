package persist

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/seed-0c889b51/weir/persist/internal/boltfile"
)

// compactTx is how many bytes go into a transaction of a new file.
const compactTx = 1 << 20

// Compact writes the state file at path anew, without the pages that are free,
// and puts the new file in the place of the old one once it is on disk and has
// been checked: a crash leaves one or the other. What is in it stays exactly as
// it was. If that saves nothing, the old file stays. It returns the size of the
// file before and after, in bytes.
//
// Nobody else may have the file open: the error then wraps [ErrLocked], and
// otherwise [ErrDamaged], [ErrNewer], [ErrForeign] or [fs.ErrNotExist] where
// that is the cause. After an error, too, all of what was in the file is.
func Compact(path string, cfg Config) (before, after int64, err error) {
	f, err := claim(path, cfg, readClocks, resolve)
	if err != nil {
		return 0, 0, err
	}
	defer f.unlock()
	if before, after, err = f.compact(); err != nil {
		return 0, 0, fmt.Errorf("persist: %w", err)
	}
	return before, after, nil
}

func (f *File) compact() (before, after int64, err error) {
	held, err := f.openToKeep()
	if err != nil {
		return 0, 0, err
	}
	open := true
	closeOld := func() error {
		if !open {
			return nil
		}
		open = false
		return guard(held.db.Close)
	}
	defer func() { err = errors.Join(err, closeOld()) }()
	info, err := os.Stat(f.path)
	if err != nil {
		return 0, 0, err
	}
	before = info.Size()
	f.sweep()
	temp, err := newTemp(f.path)
	if err != nil {
		return 0, 0, err
	}
	defer os.Remove(temp.Name())
	if err := temp.Close(); err != nil {
		return 0, 0, err
	}
	if err := compactInto(temp.Name(), held); err != nil {
		return 0, 0, fmt.Errorf("%s: writing it anew: %w", f.path, err)
	}
	if after, err = sameContents(temp.Name(), held.contents); err != nil {
		return 0, 0, fmt.Errorf("%s: the new file is not what was written: %w", f.path, err)
	}
	if after >= before {
		return before, before, nil
	}
	if !renamesOpen {
		if err := closeOld(); err != nil {
			return 0, 0, err
		}
	}
	if err := replace(temp.Name(), f.path); err != nil {
		return 0, 0, err
	}
	return before, after, nil
}

// openToKeep opens and locks the file without its secret. A file that cannot be
// used is an error, and stays.
func (f *File) openToKeep() (opened, error) {
	for try := 1; ; try++ {
		held, err := f.openData()
		if err == nil {
			return held, nil
		}
		var bad *unusable
		switch {
		case errors.As(err, &bad):
			return opened{}, f.damaged(err)
		case errors.Is(err, errChanged) && try < attempts:
		default:
			return opened{}, err
		}
	}
}

// compactInto copies a database into an empty file.
func compactInto(path string, from opened) error {
	return guard(func() error {
		// It is synced when it gets its name.
		db, err := bolt.Open(path, 0o600, &bolt.Options{
			Timeout: time.Second, FreelistType: bolt.FreelistMapType, NoStatistics: true, OpenFile: openExisting,
			NoSync: true, NoGrowSync: true,
		})
		if err != nil {
			return err
		}
		db.AllocSize = 1 << 20
		if err = bolt.Compact(db, from.db, compactTx); err == nil && from.row != nil {
			err = db.Update(recommit)
		}
		return errors.Join(err, db.Close())
	})
}

// recommit says in the state that it is of this transaction.
func recommit(tx *bolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return errBroken
	}
	row, err := withCommit(meta.Get(keyState), commitOf(tx))
	if err != nil {
		return err
	}
	return meta.Put(keyState, row)
}

// sameContents returns the size of a file if it holds just that.
func sameContents(path string, want contents) (int64, error) {
	file, size, err := openPrivate(path, os.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	meta, err := boltfile.ReadMeta(file, size)
	if err != nil {
		return 0, err
	}
	root, err := boltfile.Read(file, meta)
	if err != nil {
		return 0, err
	}
	got, err := parse(meta, root)
	if err != nil {
		return 0, err
	}
	// The state has the digest of all policies and chunks, and the number of
	// the file's own commit, which parse has compared.
	row := want.row
	if row != nil {
		if row, err = withCommit(row, got.state.commit); err != nil {
			return 0, err
		}
	}
	if !bytes.Equal(got.row, row) || !bytes.Equal(got.secretID, want.secretID) {
		return 0, errBroken
	}
	return size, nil
}

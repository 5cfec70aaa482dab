package persist

import (
	"errors"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"
)

// create makes an empty state file, in transaction madeCommit: whole under another name first, since a
// crash in the midst would leave one that bbolt cannot open.
func create(path string) error {
	temp, err := newTemp(path)
	if err != nil {
		return err
	}
	name := temp.Name()
	defer os.Remove(name)
	if err := temp.Close(); err != nil {
		return err
	}
	err = guard(func() error {
		db, err := bolt.Open(name, 0o600, &bolt.Options{
			Timeout: time.Second, FreelistType: bolt.FreelistMapType, NoStatistics: true, OpenFile: openExisting,
		})
		if err != nil {
			return err
		}
		err = db.Update(func(tx *bolt.Tx) error {
			meta, err := tx.CreateBucket(bucketMeta)
			if err != nil {
				return err
			}
			if err := meta.Put(keyFormat, formatRow()); err != nil {
				return err
			}
			if _, err := tx.CreateBucket(bucketPolicy); err != nil {
				return err
			}
			_, err = tx.CreateBucket(bucketSeg)
			return err
		})
		return errors.Join(err, db.Close())
	})
	if err != nil {
		return err
	}
	return install(name, path)
}

// openExisting is how bbolt is to open a file that is there and ours.
func openExisting(path string, flags int, _ os.FileMode) (*os.File, error) {
	file, _, err := openPrivate(path, flags&^os.O_CREATE)
	return file, err
}

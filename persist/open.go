package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/seed-0c889b51/weir/persist/internal/boltfile"
)

// open is Open with the clocks to read.
func open(path string, cfg Config, clocks func() reading) (*File, error) {
	f, err := claim(path, cfg, clocks, prepareDir)
	if err != nil {
		return nil, err
	}
	if err = f.checkDir(); err == nil {
		err = f.open()
	}
	if err != nil {
		f.unlock()
		return nil, fmt.Errorf("persist: %w", err)
	}
	return f, nil
}

// claim returns a File that is not open yet, whose path nobody else in this
// process has.
func claim(path string, cfg Config, clocks func() reading, place func(string) (string, error)) (*File, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	path, err = place(path)
	if err != nil {
		return nil, fmt.Errorf("persist: %w", err)
	}
	unlock, ok := claimPath(path)
	if !ok {
		return nil, fmt.Errorf("persist: %s: %w by this process: close it first, or give each user a file of its own", path, ErrLocked)
	}
	return &File{path: path, cfg: cfg, clocks: clocks, unlock: unlock}, nil
}

// attempts is how often Open starts again because another process has made,
// written or moved the file between two of its steps.
const attempts = 5

func (f *File) open() error {
	var found opened
	for try := 1; ; try++ {
		var err error
		if found, err = f.openFile(); err == nil {
			break
		}
		var bad *unusable
		switch {
		case errors.As(err, &bad) && f.keep:
			return f.damaged(err)
		case errors.As(err, &bad) && f.restored.MovedTo == "":
			if err := f.giveUp(bad); err != nil && (!errors.Is(err, errChanged) || try == attempts) {
				return err
			}
		case errors.Is(err, fs.ErrNotExist) && try < attempts:
			err := create(f.path)
			if errors.Is(err, fs.ErrNotExist) && exists(f.path) {
				err = nil // another process was faster, and has swept up ours
			}
			if err != nil && !errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("making %s: %w", f.path, err)
			}
		case errors.Is(err, errChanged) && try < attempts:
		default:
			return err
		}
	}
	f.take(found)
	f.state, f.secret = found.state, found.secret
	f.segment = f.index.lastSegment()
	f.sweep()
	// What made the file, or put it here, may have been killed before its name
	// was on disk.
	if err := syncDir(filepath.Dir(f.path)); err != nil && !errors.Is(err, fs.ErrPermission) {
		f.cfg.Logger.Warn("directory of the state file cannot be synced: after a power cut the file may be gone", "path", f.path, "error", err)
	}
	f.restored.FellBack = found.torn
	f.restored.Skipped = found.skipped
	f.begin(found.secretID == nil)
	return nil
}

// take makes what has been opened the open database.
func (f *File) take(o opened) {
	f.db, f.file, f.info, f.index, f.row = o.db, o.file, o.info, o.index, o.row
}

// place places the start of this run on the timeline.
func (f *File) place(fresh bool) {
	now := f.now()
	// The credit counts up to when the clock of the boot was read, which is
	// after now.mono: the run starts no earlier.
	f.line = timeline{start: f.now().mono, synced: now.synced}
	f.restored.Clock = clockUnknown
	if !fresh {
		credit, how := f.state.credit(now)
		f.line.t0, f.line.last = advance(f.state.t, credit), f.state.stamp
		f.restored.Away, f.restored.Clock = credit, how
		// If the last commit is lost, so is what it said of the end.
		f.restored.Clean, f.restored.Interval = f.state.clean && !f.restored.FellBack, f.state.interval
	}
	f.state.unused = f.state.unused || fresh
	f.restored.New = f.state.unused && f.restored.MovedTo == ""
}

// begin places the start of this run on the timeline and says so in the file.
func (f *File) begin(fresh bool) {
	f.place(fresh)
	if f.restored.FellBack {
		f.cfg.Logger.Warn("one of the two roots of the state file is damaged: "+
			"the last save was cut off or is lost", "path", f.path)
	}
	// From now on the last run's end is not that of what the file holds. That
	// this can be written is good to know early, but a full disk is no reason
	// to forget what has been read.
	if _, err := f.commit(change{}); err != nil {
		f.due, f.unsaid = true, true
		f.cfg.Logger.Warn("state file cannot be written", "path", f.path, "error", err)
	}
}

// unusable means that a file has to be moved aside.
type unusable struct {
	kind string // of the name that it gets
	err  error
}

func (u *unusable) Error() string { return u.err.Error() }
func (u *unusable) Unwrap() error { return u.err }

// errChanged means that another process has been at the file meanwhile.
var errChanged = errors.New("state file keeps changing: another process writes to it")

// giveUp moves an unusable file aside. The error is errChanged if it is not the
// one any more that was found to be so.
func (f *File) giveUp(bad *unusable) error {
	file, _, err := openPrivate(f.path, os.O_RDONLY)
	if err != nil {
		return errChanged
	}
	// Of several that have found it so, one at a time looks again and moves it:
	// what the next then finds is another file.
	defer abandon(file)
	still := func(at os.FileInfo, err error) bool { return err == nil && os.SameFile(at, f.judged) }
	if !still(file.Stat()) {
		return errChanged
	}
	if !lock(file, f.cfg.LockTimeout) {
		return fmt.Errorf("%s: %w", f.path, ErrLocked)
	}
	if !still(os.Lstat(f.path)) {
		return errChanged
	}
	to, err := moveAside(f.path, bad.kind, f.now().mono)
	if err != nil {
		return fmt.Errorf("%s cannot be used (%w) nor moved out of the way: %w", f.path, bad.err, err)
	}
	f.restored.Damage, f.restored.MovedTo = bad.err.Error(), to
	f.cfg.Logger.Error("state file cannot be used: limits start afresh", "path", f.path, "moved to", to, "error", bad.err)
	return nil
}

// revive starts a new file in place of one that has broken while open.
func (f *File) revive() error {
	switch at, err := os.Lstat(f.path); {
	case err == nil && !os.SameFile(at, f.info):
		return errReplaced
	case err == nil:
		to, err := moveAside(f.path, "corrupt", f.now().mono)
		if err != nil {
			return fmt.Errorf("it is damaged and cannot be moved out of the way: %w", err)
		}
		f.cfg.Logger.Error("damaged state file was moved aside", "path", f.path, "moved to", to)
	}
	if f.cfg.Secret == nil { // its file may have gone together with this one
		if err := writeSecret(f.path+".key", f.secret); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := create(f.path); err != nil {
		return err
	}
	// If the rest fails, it is this one that the next try finds.
	info, err := os.Lstat(f.path)
	if err != nil {
		return err
	}
	f.info = info
	found, err := f.openFile()
	if err != nil {
		return err
	}
	if !bytes.Equal(found.secret, f.secret) {
		_ = guard(found.db.Close)
		return fmt.Errorf("%s.key has changed: put back the one before", f.path)
	}
	f.take(found)
	f.pending = nil
	f.state.unused = true // until all of what comes now is there
	return nil
}

// opened is an open database and what it holds.
type opened struct {
	contents
	db     *bolt.DB
	file   *os.File // that db has open
	info   os.FileInfo
	secret []byte
	torn   bool
}

// openFile opens, checks and reads the file at f.path and its secret. The error
// is fs.ErrNotExist if there is none, *unusable if it is no good.
func (f *File) openFile() (opened, error) {
	o, err := f.openData()
	if err != nil {
		return opened{}, err
	}
	if o.secret, err = f.matchSecret(o.secretID); err != nil {
		_ = guard(o.db.Close)
		return opened{}, err
	}
	return o, nil
}

// openData is openFile without the secret.
func (f *File) openData() (o opened, err error) {
	meta, root, err := f.readFile()
	if err != nil {
		return opened{}, err
	}
	if o.contents, err = parse(meta, root); err != nil {
		if errors.Is(err, ErrForeign) || errors.Is(err, ErrNewer) {
			return opened{}, f.notOurs(err)
		}
		return opened{}, &unusable{"corrupt", err}
	}
	o.torn = meta.Torn
	// Locked against other readers, too. Before that, so that bbolt gets what
	// has been checked, and after it, since waiting for the lock takes time, it
	// must be what has been read.
	unchanged := func(file *os.File, size int64) error {
		again, err := boltfile.ReadMeta(file, size)
		if err != nil || again != meta {
			return errChanged
		}
		return nil
	}
	o.db, o.file, err = f.openBolt(false, unchanged)
	if err != nil {
		return opened{}, err
	}
	o.db.AllocSize = 1 << 20
	if err = f.stillThere(o.file); err == nil {
		if o.info, err = o.file.Stat(); err == nil {
			err = unchanged(o.file, o.info.Size())
		}
	}
	if err != nil {
		_ = guard(o.db.Close)
		return opened{}, err
	}
	return o, nil
}

// readFile reads and checks the tree of the file under a lock that keeps
// writers out.
func (f *File) readFile() (boltfile.Meta, []boltfile.Item, error) {
	var meta boltfile.Meta
	db, file, err := f.openBolt(true, func(file *os.File, size int64) error {
		// bbolt must not see a file that ends before its pages do. This is
		// safe to tell without a lock: a file only grows, before its meta pages.
		_, err := boltfile.ReadMeta(file, size)
		return err
	})
	if err != nil {
		return meta, nil, err
	}
	defer func() { _ = guard(db.Close) }()
	var root []boltfile.Item
	err = guard(func() error {
		info, err := file.Stat()
		if err != nil {
			return err
		}
		if meta, err = boltfile.ReadMeta(file, info.Size()); err != nil {
			return err
		}
		root, err = boltfile.Read(file, meta)
		return err
	})
	if err != nil {
		return meta, nil, &unusable{"corrupt", err}
	}
	return meta, root, nil
}

// openBolt opens the database. check is called with the file before bbolt
// reads it.
func (f *File) openBolt(readOnly bool, check func(*os.File, int64) error) (db *bolt.DB, file *os.File, err error) {
	var failed error
	options := &bolt.Options{
		Timeout:      f.cfg.LockTimeout,
		FreelistType: bolt.FreelistMapType,
		MaxSize:      int(f.cfg.MaxSize),
		NoStatistics: true,
		ReadOnly:     readOnly,
		OpenFile: func(path string, flags int, _ os.FileMode) (*os.File, error) {
			var size int64
			if file, size, failed = openPrivate(path, flags&^os.O_CREATE); failed != nil {
				return nil, failed
			}
			f.judged, _ = file.Stat()
			if failed = check(file, size); failed != nil {
				_ = file.Close()
				switch {
				case errors.Is(failed, boltfile.ErrForeign):
					failed = f.notOurs(fmt.Errorf("%w: it is %w", ErrForeign, failed))
				case !errors.Is(failed, errChanged):
					failed = &unusable{"corrupt", failed}
				}
				return nil, failed
			}
			return file, nil
		},
	}
	if !readOnly {
		options.InitialMmapSize = initialMmapSize(f.cfg.MaxSize)
	}
	err = guard(func() (err error) {
		db, err = bolt.Open(f.path, 0o600, options)
		return err
	})
	var flt *fault
	switch {
	case err == nil:
		return db, file, nil
	case failed != nil:
		err = failed
	case errors.Is(err, berrors.ErrTimeout):
		err = fmt.Errorf("%s: %w by another process: stop it, or give each a file of its own (waited %v)", f.path, ErrLocked, f.cfg.LockTimeout)
	case errors.As(err, &flt):
		if file != nil {
			abandon(file)
		}
		err = &unusable{"corrupt", err}
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		err = &unusable{"corrupt", err}
	default:
		err = fmt.Errorf("opening %s: %w", f.path, err)
	}
	return nil, nil, err
}

// notOurs adds the cure to the error about a file that stays as it is.
func (f *File) notOurs(err error) error {
	if errors.Is(err, ErrNewer) {
		return fmt.Errorf("%s: %w: update, or name another file; it has not been touched", f.path, err)
	}
	return fmt.Errorf("%s: %w: name another file; it has not been touched", f.path, err)
}

// damaged is the error about a file that cannot be used and stays as it is.
func (f *File) damaged(err error) error {
	var bad *unusable
	if errors.As(err, &bad) && bad.kind == "unreadable" {
		return fmt.Errorf("%s cannot be read: %w", f.path, err)
	}
	return fmt.Errorf("%s: %w: %w", f.path, ErrDamaged, err)
}

// stillThere checks that the file which has been locked is the one at its path.
func (f *File) stillThere(file *os.File) error {
	at, err := os.Lstat(f.path)
	if err != nil {
		return err
	}
	if info, err := file.Stat(); err != nil || !os.SameFile(at, info) {
		return errChanged
	}
	return nil
}

// initialMmapSize returns how much to map at first, so that bbolt need not
// map anew while it grows. Where the file would grow with the map, or
// addresses are scarce, that is left to bbolt.
func initialMmapSize(most int64) int {
	if mapGrowsFile || math.MaxInt == math.MaxInt32 {
		return 0
	}
	return int(min(64<<20, most))
}

package persist

import (
	"bytes"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"os"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/seed-0c889b51/weir/bucket"
)

// A Config says how a file is kept. The zero Config is a good one.
type Config struct {
	// Interval is how often the owner means to save. It is recorded, so that
	// after a crash [Restored.Interval] can say how much may be missing.
	// 0 means 10 seconds.
	Interval time.Duration
	// LockTimeout is how long to wait for another process to let go of the
	// file. 0 means 2 seconds.
	LockTimeout time.Duration
	// MaxSize is how many bytes the file may grow to, at least 1 MiB. A save
	// that would need more fails. 0 means 1 GiB, or 64 MiB on a 32-bit system.
	MaxSize int64
	// Secret, if not nil, are the 32 bytes of [File.Secret], given by the
	// application. There is then no file beside the state file that holds
	// them. A file that was written with other ones is moved aside.
	Secret []byte
	// Logger is told what is out of the ordinary. nil tells nobody.
	Logger *slog.Logger
}

const (
	defaultInterval    = 10 * time.Second
	defaultLockTimeout = 2 * time.Second
	minMaxSize         = 1 << 20
)

// withDefaults returns c with every field set, or an error.
func (c Config) withDefaults() (Config, error) {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"Interval", c.Interval}, {"LockTimeout", c.LockTimeout}} {
		if d.value < 0 {
			return Config{}, fmt.Errorf("persist: %s %v is out of range: want at least 0s", d.name, d.value)
		}
	}
	if c.MaxSize != 0 && c.MaxSize < minMaxSize {
		return Config{}, fmt.Errorf("persist: MaxSize %d is out of range: want at least %d (1 MiB), or 0 for the default", c.MaxSize, minMaxSize)
	}
	if c.MaxSize > math.MaxInt {
		return Config{}, fmt.Errorf("persist: MaxSize %d is out of range: want at most %d on this system", c.MaxSize, math.MaxInt)
	}
	if c.Secret != nil {
		if len(c.Secret) != secretSize {
			return Config{}, fmt.Errorf("persist: Secret has %d bytes: want %d, or nil for one in a file of its own", len(c.Secret), secretSize)
		}
		if bytes.Equal(c.Secret, make([]byte, secretSize)) {
			return Config{}, fmt.Errorf("persist: Secret is all zeros: want %d random bytes, or nil for a secret in a file of its own", secretSize)
		}
		c.Secret = bytes.Clone(c.Secret)
	}
	if c.Interval == 0 {
		c.Interval = defaultInterval
	}
	if c.LockTimeout == 0 {
		c.LockTimeout = defaultLockTimeout
	}
	if c.MaxSize == 0 {
		c.MaxSize = 64 << 20 // a memory map of more is hard to come by in 32 bits
		if math.MaxInt > math.MaxInt32 {
			c.MaxSize = 1 << 30
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// A File is an open state file. It is safe for concurrent use; its methods
// wait for one another. The zero File is of no use: [Open] makes one.
type File struct {
	path   string
	cfg    Config
	clocks func() reading
	secret []byte
	unlock func() // of the path within this process
	keep   bool   // a file that cannot be used is an error, and stays

	mu       sync.Mutex
	db       *bolt.DB    // nil once closed, or abandoned after a fault
	file     *os.File    // that db has open
	info     os.FileInfo // of that file
	judged   os.FileInfo // of the file that was looked at last
	closed   bool
	restored Restored // as Open found it
	line     timeline
	state    state // as last committed
	row      []byte
	index    index
	segment  uint64   // the latest number given to one
	pending  *pending // a transaction that failed, and may yet have happened
	due      bool     // the next snapshot has to be full
	unsaid   bool     // the file does not say that this run has begun
}

// Open opens the state file at path, or makes one together with the
// directories above it, and reads and checks everything in it. Beside it is
// path with ".key" appended, which holds the secret of [File.Secret], unless
// Config has one: whoever has both can try out keys. Both must be regular files
// of this user's that nobody else may open (mode 0600); links are refused. So is
// a directory in which every user may put other files in their place: one that
// others may write to (mode o+w) without the sticky bit. If its group can, or it
// belongs to somebody who is neither this user nor root, a warning is logged.
// Directories that Open makes are this user's alone (mode 0700). On Windows
// neither modes nor owners are looked at.
//
// What a process that was killed has left half made beside the file is removed.
//
// A damaged file is moved aside to path with ".corrupt-" and the time (UTC)
// appended, one whose secret is gone to ".unreadable-" and the time; the file
// then starts empty, and an error is logged. Such a file is never overwritten:
// if it cannot be moved, Open fails. The error wraps [ErrLocked], [ErrNewer] or
// [ErrForeign] where that is the cause.
func Open(path string, cfg Config) (*File, error) { return open(path, cfg, readClocks) }

// Secret returns the 32 random bytes that belong to the file. Hashes of keys
// are to be keyed with them, so that they mean the same in the next run and
// nothing to others. They must not be changed.
func (f *File) Secret() []byte { return f.secret }

// Close closes the file without saving and lets go of its lock. A second Close
// does nothing.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	f.index = index{}
	defer f.unlock()
	if f.db == nil {
		return nil
	}
	db := f.db
	f.db = nil
	if err := guard(db.Close); err != nil {
		return fmt.Errorf("persist: closing %s: %w", f.path, err)
	}
	return nil
}

// now returns the readings of all clocks.
func (f *File) now() reading { return f.clocks() }

// A Restored says what [File.Load] brought back, and what [Open] met with.
type Restored struct {
	Records  int // handed out
	Policies int // that they belong to
	Kept     int // records of policies that were not wanted: they stay in the file until their debts are over

	// New tells that nothing was ever saved: there was no state file, or no
	// snapshot was ever saved to it whole, by whatever runs have had it open.
	// Of a first one that was cut off, there may be Records all the same. A
	// file that was moved aside is not new: see Damage.
	New bool
	// Clean tells that the last run ended with a final snapshot. Otherwise,
	// what was spent since its last snapshot, Interval at most if all went
	// well, is forgotten. It is what the file says: a run that could never
	// write to it, not even that it had begun, which is logged as a warning,
	// has left no trace, and Clean is of the run before. Such a run has saved
	// nothing: its first Save that succeeds writes that it has begun.
	Clean    bool
	Interval time.Duration // of the last run's Config
	// Away is how long ago the file was last written, as far as is certain,
	// and Clock how that is known: "same boot", "synchronised" (wall time),
	// "since boot" (a lower bound), "wall clock" (at most 24 hours),
	// "none" (it is not) or "nothing was kept".
	Away  time.Duration
	Clock string

	// Skipped is how many chunks a newer version has written that this one
	// cannot read.
	Skipped int
	// FellBack tells that one of the two roots of the file is damaged, and the
	// other was taken. If that was not a crash in the midst of a save, it may
	// be the snapshot before the last.
	FellBack bool
	// Damage says why the file found was not used, and MovedTo where it is
	// now. Both are empty if it was.
	Damage  string
	MovedTo string
}

// Load hands out what the file held when it was opened: each bucket that is
// still in debt once, in no order, with the debt it has at the time of the
// call; take the time in record or after Load, not before. The debt is at most
// one refill of the limit.
//
// want is asked once for each policy in the file, with the limit that it had
// when last saved; debts are those under that limit, also of records saved
// under an earlier one. What it declines stays in the file until it is over, and
// can be had by another Load; a policy that has been saved in this run must
// not be loaded after that, since its records may be outdated. What has been
// handed out is freed.
//
// want and record must not call methods of f.
func (f *File) Load(want func(policy string, saved bucket.Limit) bool, record func(policy string, hash uint64, debt time.Duration)) Restored {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.load(want, record)
}

// A Section holds the records of one policy.
type Section struct {
	// Policy is the name, 1 to 1,024 bytes. A snapshot has one section for it.
	Policy string
	// Limit is the limit that the debts are under.
	Limit bucket.Limit
	// Replaces are names that the policy had before, none of which has a
	// section of its own. In a full snapshot the section replaces all that was
	// saved under them, too: it leaves the file in the same transaction that
	// drops what was saved under Policy, the last. Names that the file does not
	// know are no error. In other snapshots they are checked, and have no effect.
	Replaces []string
	// Records yields the keyed hash of a bucket's key, and how long after
	// Snapshot.At it is full again. 0 says that the bucket is full now, whatever was
	// saved before. Of two records with one hash the later counts. It is run
	// once, and has ended before anything is written. It must not call methods
	// of the File.
	Records iter.Seq2[uint64, time.Duration]
}

// A Snapshot is what to save.
type Snapshot struct {
	// At is the moment at which the debts were read, with its monotonic
	// reading. The zero time is now.
	At time.Time
	// Full tells that the sections hold all that is in debt, and not only
	// what has changed since the last snapshot. A section then replaces all
	// that was saved of its policy before; records of policies without a
	// section stay until they are over. If the owner leaves out small debts,
	// or after an error, the final snapshot should be full, too.
	Full bool
	// Final tells that nothing is decided any more after this snapshot.
	Final bool
	// Live is how many buckets are in debt, or an upper bound. When the file
	// holds more than twice as many records, a full snapshot is due.
	Live int
	// Sections are the policies.
	Sections []Section
}

// A Saved says what [File.Save] has done.
type Saved struct {
	Records  int           // written
	Bytes    int64         // written, pages of the database that they took
	Duration time.Duration // of all of it
	// Credit is how much time away this save has credited late, since the clock
	// has turned out to be synchronised only now. What [File.Load] handed out
	// did not have it yet: the owner may take it off those debts. It is at
	// least 0, and told once: the same save may have failed otherwise, and a
	// later one will not tell it again. This snapshot was taken without it, so
	// that what was restored is in it with that much too much, and what was
	// spent since may be in the file, from snapshots before, with that much
	// too little: the next should be full.
	Credit time.Duration
	// CheckpointDue tells that the next snapshot should be full: the file has
	// grown, a limit has changed, time was credited, or a save has failed.
	CheckpointDue bool
}

// Save writes a snapshot and waits until it is on disk. If nothing has to be
// written, nothing is; a final snapshot always is, and so is the first one of a
// file, since that is then no longer new.
//
// A debt of 0 is only written if the file may hold a longer one of the policy.
//
// After an error the file holds what it held, or part of the snapshot,
// consistently; the next snapshot should be full.
func (f *File) Save(s Snapshot) (Saved, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	start := f.now().mono
	if f.closed {
		return Saved{}, fmt.Errorf("persist: %s: %w", f.path, ErrClosed)
	}
	var saved Saved
	credit, err := f.prepare(s.Full)
	var p plan
	if err == nil {
		if p, err = f.plan(s); err != nil {
			f.due = true
			return Saved{Credit: credit, CheckpointDue: true}, err
		}
		saved, err = f.save(s, p)
	}
	if err != nil {
		err = fmt.Errorf("persist: saving to %s: %w", f.path, err)
	}
	if err != nil || credit > 0 {
		f.due = true
	}
	saved.Credit = credit
	saved.Duration = f.now().mono.Sub(start)
	saved.CheckpointDue = f.due || f.overgrown(s.Live)
	return saved, err
}

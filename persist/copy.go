package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/persist/internal/boltfile"
)

// A Copy is what a state file held at one moment, in memory. It is safe for
// concurrent use. The zero Copy is of no use: [Read] takes one.
type Copy struct {
	info  Info
	file  *File // never open
	taken reading
}

// Read takes a copy of what the state file at path holds and checks all of it:
// the structure, each checksum, and that nothing is missing. It changes
// nothing, and does not mind that another process writes to the file
// meanwhile. It trusts nothing that the file holds; it needs about as much
// memory as the file is long, and refuses one that uses more than
// Config.MaxSize. Of Config it heeds that and Secret.
//
// The error wraps [ErrDamaged], [ErrNewer], [ErrForeign] or [fs.ErrNotExist]
// where that is the cause, and says where the damage is.
func Read(path string, cfg Config) (*Copy, error) { return read(path, cfg, readClocks) }

// Info returns what the copy holds.
func (c *Copy) Info() Info {
	info := c.info
	info.Policies, info.SecretID = slices.Clone(info.Policies), slices.Clone(info.SecretID)
	return info
}

// read is Read with the clocks to read.
func read(path string, cfg Config, clocks func() reading) (*Copy, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if path, err = resolve(path); err != nil {
		return nil, fmt.Errorf("persist: %w", err)
	}
	c := &Copy{file: &File{path: path, cfg: cfg, clocks: clocks}}
	if err := c.read(); err != nil {
		return nil, fmt.Errorf("persist: %w", err)
	}
	return c, nil
}

// maxReads is how often a copy is begun again since the file has been written to
// meanwhile.
const maxReads = 100

func (c *Copy) read() error {
	f := c.file
	file, _, err := openPrivate(f.path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", f.path, fs.ErrNotExist)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	for try := 1; ; try++ {
		// No lock is taken, since whoever wants to write would find it taken.
		// bbolt leaves the pages of its latest commit alone until the one after
		// it: what has been overwritten meanwhile shows up as damage, and by then
		// the root has changed.
		before := look(file)
		err := c.readOnce(file, before)
		if err == nil {
			break
		}
		if look(file) == before {
			return err
		}
		if try == maxReads {
			return fmt.Errorf("%s: %w: try again", f.path, errChanged)
		}
	}
	c.info.InUse = f.locked()
	c.describe()
	return nil
}

// A glance is what tells whether a file has been written to.
type glance struct {
	size int64
	meta boltfile.Meta
	err  string // of the meta pages
}

func look(file *os.File) glance {
	info, err := file.Stat()
	if err != nil {
		return glance{err: err.Error()}
	}
	g := glance{size: info.Size()}
	if g.meta, err = boltfile.ReadMeta(file, g.size); err != nil {
		g.err = err.Error()
	}
	return g
}

// readOnce reads the file as it was at a glance.
func (c *Copy) readOnce(file *os.File, g glance) error {
	f := c.file
	meta, err := boltfile.ReadMeta(file, g.size)
	if errors.Is(err, boltfile.ErrForeign) {
		return f.notOurs(fmt.Errorf("%w: it is %w", ErrForeign, err))
	}
	if err != nil {
		return f.damaged(err)
	}
	if most := f.cfg.MaxSize; meta.High > uint64(most/meta.PageSize) {
		return fmt.Errorf("%s says it uses %d pages of %d bytes: want at most %d bytes in all (MaxSize)", f.path, meta.High, meta.PageSize, most)
	}
	root, err := boltfile.Read(file, meta)
	if err != nil {
		return f.damaged(err)
	}
	free, err := boltfile.Free(file, meta)
	if err != nil {
		return f.damaged(err)
	}
	held, err := parse(meta, root)
	if errors.Is(err, ErrForeign) || errors.Is(err, ErrNewer) {
		return f.notOurs(err)
	}
	if err != nil {
		return f.damaged(err)
	}
	c.taken = f.now()
	f.index, f.state = held.index, held.state
	f.restored = Restored{FellBack: meta.Torn, Skipped: held.skipped}
	f.place(held.secretID == nil)
	c.info = Info{
		Path: f.path, Taken: time.Unix(0, c.taken.wall), Size: g.size,
		PageSize: int(meta.PageSize), Pages: int(meta.High), FreePages: free,
		SecretID: held.secretID,
	}
	format := boltfile.Find(boltfile.Find(root, bucketMeta).Sub, keyFormat)
	c.info.Writer, c.info.OldestReader = formatOf(format.Value)
	return nil
}

// locked tells whether somebody has the file open, with the lock that bbolt
// takes. A file that bbolt cannot open is not.
func (f *File) locked() bool {
	err := guard(func() error {
		db, err := bolt.Open(f.path, 0, &bolt.Options{
			Timeout: time.Millisecond, ReadOnly: true, NoStatistics: true,
			OpenFile: openExisting,
		})
		if err != nil {
			return err
		}
		return db.Close()
	})
	return errors.Is(err, berrors.ErrTimeout)
}

// lockedByAnother is the error about a file that somebody else has open.
func (f *File) lockedByAnother() error {
	return fmt.Errorf("%s: %w by another process: stop it first", f.path, ErrLocked)
}

// describe fills in what Info says of the contents.
func (c *Copy) describe() {
	f, info := c.file, &c.info
	info.Stamp = f.state.describe()
	if info.SecretID != nil {
		_, info.SecretError = f.checkSecret(info.SecretID)
	}
	last := uint64(0)
	saved := map[string]int64{} // when the newest chunk of a policy was
	for i := range f.index.chunks {
		ch := &f.index.chunks[i]
		if i == 0 || ch.segment != last {
			info.Segments++
		}
		last = ch.segment
		info.Chunks++
		info.Records += ch.count
		if ch.raw != nil {
			name := f.index.policies[ch.policy].name
			saved[name] = max(saved[name], int64(binary.LittleEndian.Uint64(ch.raw[16:])))
		}
	}
	at := map[string]int{}
	for _, name := range f.index.names() {
		ids := f.index.versions(name)
		at[name] = len(info.Policies)
		info.Policies = append(info.Policies, PolicyInfo{Name: name, Limit: f.index.policies[ids[len(ids)-1]].limit})
		if t, ok := saved[name]; ok {
			info.Policies[at[name]].Saved = time.Duration(max(0, f.line.t0-t))
		}
	}
	info.Restored = c.load(func(policy string, _ uint64, debt time.Duration) {
		p := &info.Policies[at[policy]]
		p.Live++
		p.Longest = max(p.Longest, debt)
	})
}

// load hands out all live records, and can do so again.
func (c *Copy) load(record func(policy string, hash uint64, debt time.Duration)) Restored {
	f := &File{clocks: func() reading { return c.taken }, line: c.file.line, restored: c.file.restored}
	f.index = index{policies: c.file.index.policies, chunks: slices.Clone(c.file.index.chunks)}
	return f.load(func(string, bucket.Limit) bool { return true }, record)
}

// names returns the names of the policies in order.
func (x *index) names() []string {
	var names []string
	for _, p := range x.policies {
		names = append(names, p.name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

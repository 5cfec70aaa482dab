package persist

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/seed-0c889b51/weir/bucket"
)

const (
	// A transaction holds at most so many chunks, 1 MB: bbolt gets slow with
	// more, and needs as much memory again.
	maxSegmentChunks = 32
	// A full snapshot is due when there are more than twice this many records
	// or the live ones, whichever is more.
	minLive = 1024
	// It is also due when there are more segments: each takes up to a page.
	maxSegments = 1024
)

// A pending transaction has failed. bbolt has rolled it back, but it may be
// there all the same: an error while syncing says nothing about the data.
type pending struct {
	row   []byte
	state state
	index index
}

// A plan is a snapshot, encoded.
type plan struct {
	segments [][]chunk
	records  int
	policies map[uint32]policy // new ones
	listed   map[string]bool   // all with a section
	replaced map[string]bool   // and their earlier names
}

// prepare makes the file ready for a snapshot. It returns how much time it has
// credited.
func (f *File) prepare(full bool) (time.Duration, error) {
	if err := f.inPlace(full); err != nil {
		return 0, err
	}
	if f.db == nil {
		if err := f.revive(); err != nil {
			return 0, err
		}
	}
	if err := f.settle(); err != nil {
		return 0, err
	}
	late := f.line.catchUp(f.now())
	if late > 0 {
		f.cfg.Logger.Info("the clock is synchronised now: time away is credited", "path", f.path, "credit", late)
	}
	return late, nil
}

// errReplaced means that the file at the path is not the one that was opened.
var errReplaced = errors.New("another file has taken its place: put back the one before, or restart")

// inPlace checks that the open file is still the one at its path, since what is
// written to one that was removed is lost. A full snapshot can start a new one.
func (f *File) inPlace(full bool) error {
	if f.db == nil {
		if !full {
			return errors.New("it was damaged or removed: only a full snapshot can start a new one")
		}
		return nil
	}
	at, err := os.Lstat(f.path)
	switch {
	case err == nil && !os.SameFile(at, f.info):
		return errReplaced
	case !errors.Is(err, fs.ErrNotExist):
		return nil // it is there, or that cannot be told
	}
	if _, gone := os.Stat(filepath.Dir(f.path)); gone != nil || !full {
		return err
	}
	f.cfg.Logger.Error("state file was removed: this save starts a new one", "path", f.path)
	_ = guard(f.db.Close)
	f.db = nil
	return nil
}

// save writes a plan.
func (f *File) save(s Snapshot, p plan) (Saved, error) {
	replaced := func(c *chunk) bool {
		name := f.index.policies[c.policy].name
		return c.policy == 0 || p.listed[name] || p.replaced[name]
	}
	drops := false
	first := uint64(math.MaxUint64) // segment of this snapshot
	if len(p.segments) > 0 {
		first = p.segments[0][0].segment
	}
	var drop func(*chunk) bool
	if s.Full {
		drop = func(c *chunk) bool { return c.segment < first && replaced(c) }
		for i := range f.index.chunks {
			drops = drops || drop(&f.index.chunks[i])
		}
	}
	if len(p.segments) == 0 {
		if !drops && !s.Final && !f.state.unused && !f.unsaid {
			f.due = f.due && !s.Full
			return Saved{}, nil
		}
		p.segments = [][]chunk{nil}
	}
	var saved Saved
	for i, segment := range p.segments {
		last := i == len(p.segments)-1
		c := change{add: segment, policies: p.policies, whole: last, final: s.Final && last}
		if last {
			c.drop = drop
		}
		n, err := f.commit(c)
		saved.Bytes += n
		if err != nil {
			if s.Full && i > 0 && f.db != nil {
				// Make room again: what is there before stands for all of it.
				// If this fails, too, the next full snapshot will.
				f.undo(first)
			}
			return saved, err
		}
		for _, ch := range segment {
			saved.Records += ch.count
		}
	}
	if s.Full {
		f.due = false
		for i := range f.index.chunks {
			f.index.chunks[i].kept = f.index.chunks[i].segment < first
		}
	}
	return saved, nil
}

// undo drops the segments from a number on, as well as it can.
func (f *File) undo(from uint64) {
	if f.settle() == nil {
		_, _ = f.commit(change{drop: func(c *chunk) bool { return c.segment >= from }})
	}
}

// plan encodes a snapshot, without any I/O.
func (f *File) plan(s Snapshot) (plan, error) {
	p := plan{policies: map[uint32]policy{}, listed: map[string]bool{}, replaced: map[string]bool{}}
	limits, err := p.check(s.Sections)
	if err != nil {
		return plan{}, fmt.Errorf("persist: section %w", err)
	}
	now := f.now().mono
	at := s.At
	if at.IsZero() || at.After(now) {
		at = now
	}
	base := f.line.at(at)
	var segment []chunk
	flush := func() {
		if len(segment) > 0 {
			p.segments = append(p.segments, segment)
			segment = nil
		}
	}
	nextPolicy := f.index.lastPolicy()
	for i, sec := range s.Sections {
		limit := limits[i]
		ids := f.index.versions(sec.Policy)
		var id uint32
		if n := len(ids); n > 0 && f.index.policies[ids[n-1]].limit == limit {
			id = ids[n-1]
		}
		changed := len(ids) > 0 && id == 0
		owed := int64(0) // until when a bucket may be in debt that is full now
		if !s.Full {
			owed = f.longest(sec.Policy, id)
		}
		var records []record
		pack := func() {
			if len(records) == 0 {
				return
			}
			if id == 0 {
				nextPolicy++
				id = nextPolicy
				p.policies[id] = policy{name: sec.Policy, limit: limit, since: base}
			}
			if len(segment) == maxSegmentChunks {
				flush()
			}
			if len(segment) == 0 {
				f.segment++
			}
			segment = append(segment, encodeChunk(f.segment, uint16(len(segment)), id, base, records))
			p.records += len(records)
			records = records[:0]
		}
		for hash, debt := range sec.Records {
			debt = min(max(debt, 0), maxDebt)
			if debt == 0 && base >= owed {
				continue // the file says nothing else
			}
			if records = append(records, record{hash, debt}); len(records) == maxChunkRecords {
				pack()
			}
		}
		pack()
		if changed && !s.Full {
			f.due = true // what is under the old limit is best written anew
		}
	}
	flush()
	return p, nil
}

// check checks the sections and takes down their names. It returns their limits.
func (p *plan) check(sections []Section) ([]bucket.Limit, error) {
	var limits []bucket.Limit
	for i, sec := range sections {
		limit, err := checkSection(sec)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
		if p.listed[sec.Policy] {
			return nil, fmt.Errorf("%d: policy %q has a section already", i, sec.Policy)
		}
		p.listed[sec.Policy] = true
		limits = append(limits, limit)
	}
	for i, sec := range sections {
		for _, name := range sec.Replaces {
			if p.listed[name] {
				return nil, fmt.Errorf("%d: policy %q: %q in Replaces has a section of its own", i, sec.Policy, name)
			}
			p.replaced[name] = true
		}
	}
	return limits, nil
}

// longest returns when the last debt of a policy that the file may hold is over.
func (f *File) longest(name string, current uint32) int64 {
	var t int64
	for i := range f.index.chunks {
		c := &f.index.chunks[i]
		if c.policy == 0 || f.index.policies[c.policy].name != name {
			continue
		}
		if c.policy != current {
			return math.MaxInt64 // under another limit it may last longer
		}
		t = max(t, c.full)
	}
	return t
}

// overgrown tells whether the file holds much more than a full snapshot would.
func (f *File) overgrown(live int) bool {
	records, segments, last := 0, 0, uint64(0)
	for i := range f.index.chunks {
		c := &f.index.chunks[i]
		if c.kept {
			continue
		}
		records += c.count
		if c.segment != last {
			segments++
			last = c.segment
		}
	}
	return records/2 > max(live, minLive) || segments > maxSegments
}

// settle finds out whether a transaction that failed has happened.
func (f *File) settle() error {
	if f.pending == nil {
		return nil
	}
	var row []byte
	err := f.guarded(func() error {
		return f.db.View(func(tx *bolt.Tx) error {
			if b := tx.Bucket(bucketMeta); b != nil {
				row = bytes.Clone(b.Get(keyState))
			}
			return nil
		})
	})
	switch {
	case err != nil:
		return err
	case bytes.Equal(row, f.pending.row):
		f.row, f.state, f.index = f.pending.row, f.pending.state, f.pending.index
		f.line.last = f.state.stamp
	case !bytes.Equal(row, f.row):
		return f.broken(errors.New("it is not what was written"))
	}
	f.pending = nil
	return nil
}

// commit writes one transaction and returns how many bytes it took.
func (f *File) commit(c change) (int64, error) {
	stamp := f.line.stamp(f.now())
	e := f.index.edit(c, stamp.t)
	next := state{stamp: stamp, interval: f.cfg.Interval, clean: c.final, unused: f.state.unused && !c.whole}
	next.chunks, next.digest = e.next.sum()
	var row []byte // nil until bbolt lets us write
	var written int64
	err := f.guarded(func() error {
		var tx *bolt.Tx
		err := f.db.Update(func(t *bolt.Tx) error {
			tx = t
			next.commit = commitOf(t)
			row = next.row()
			return f.write(t, c, e, row)
		})
		if err == nil {
			stats := tx.Stats()
			written = stats.GetPageAlloc()
		}
		return err
	})
	if err != nil {
		if row != nil {
			f.pending = &pending{row: row, state: next, index: e.next}
		}
		return 0, err
	}
	f.row, f.state, f.index, f.line.last = row, next, e.next, stamp
	f.unsaid = false
	return written, nil
}

// write puts a change into a transaction.
func (f *File) write(tx *bolt.Tx, c change, e edit, row []byte) error {
	meta, policies, segs := tx.Bucket(bucketMeta), tx.Bucket(bucketPolicy), tx.Bucket(bucketSeg)
	if meta == nil || policies == nil || segs == nil {
		return errBroken
	}
	for _, id := range e.dropPolicies {
		if err := policies.Delete(policyKey(id)); err != nil {
			return err
		}
	}
	for id, p := range c.policies {
		if err := policies.Put(policyKey(id), p.row(id)); err != nil {
			return err
		}
	}
	for _, segment := range e.dropSegments {
		if segs.Bucket(segmentKey(segment)) == nil {
			return errBroken
		}
		if err := segs.DeleteBucket(segmentKey(segment)); err != nil {
			return err
		}
	}
	for _, ch := range e.dropChunks {
		b := segs.Bucket(segmentKey(ch.segment))
		if b == nil {
			return errBroken
		}
		if err := b.Delete(chunkKey(ch.index)); err != nil {
			return err
		}
	}
	if len(c.add) > 0 {
		b, err := segs.CreateBucket(segmentKey(c.add[0].segment))
		if err != nil {
			return err
		}
		b.FillPercent = 1 // nothing is inserted later
		for _, ch := range c.add {
			if err := b.Put(chunkKey(ch.index), ch.raw); err != nil {
				return err
			}
		}
	}
	if err := meta.Put(keySecretID, seal(keySecretID, secretID(f.secret))); err != nil {
		return err
	}
	return meta.Put(keyState, row)
}

func segmentKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
func chunkKey(i uint16) []byte   { return binary.BigEndian.AppendUint16(nil, i) }

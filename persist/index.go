package persist

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/persist/internal/boltfile"
)

// An index says what is in the file: it is never read again for that.
// It is not changed in place, so that a failed transaction changes nothing.
type index struct {
	policies map[uint32]policy
	chunks   []chunk // by segment, then by their index in it
}

// A contents is all that a file holds.
type contents struct {
	index
	state    state
	row      []byte // of state, as it is in the file
	secretID []byte // nil before the first transaction
	skipped  int    // chunks of unknown versions
}

// parse reads and checks the rows and chunks of a sound database, given the
// root that leads to them. The error wraps ErrForeign or ErrNewer if the file is
// not damaged but not for us.
func parse(meta boltfile.Meta, root []boltfile.Item) (contents, error) {
	c, err := parseRows(root)
	if err != nil {
		return contents{}, err
	}
	want := uint64(madeCommit)
	if c.secretID != nil {
		want = c.state.commit
	}
	if uint32(meta.Txid) != uint32(want) {
		return contents{}, fmt.Errorf("its root is of transaction %d and leads to the pages of %d: what was saved last is lost", meta.Txid, want)
	}
	return c, nil
}

// parseRows is parse, but for what the root says.
func parseRows(root []boltfile.Item) (contents, error) {
	meta, policies, segs := boltfile.Find(root, bucketMeta), boltfile.Find(root, bucketPolicy), boltfile.Find(root, bucketSeg)
	if meta == nil && policies == nil && segs == nil {
		return contents{}, fmt.Errorf("%w: it is a bbolt database of something else", ErrForeign)
	}
	for _, b := range []*boltfile.Item{meta, policies, segs} {
		if b == nil || !b.IsBucket {
			return contents{}, errors.New("one of its three buckets is missing")
		}
	}
	format := boltfile.Find(meta.Sub, keyFormat)
	if format == nil {
		return contents{}, fmt.Errorf("row %q is missing", keyFormat)
	}
	if err := checkFormat(format.Value); err != nil {
		return contents{}, err
	}
	c := contents{index: index{policies: map[uint32]policy{}}}
	row := boltfile.Find(meta.Sub, keyState)
	if row == nil {
		if len(policies.Sub) > 0 || len(segs.Sub) > 0 {
			return contents{}, fmt.Errorf("row %q is missing", keyState)
		}
		return c, nil // made, and not written yet
	}
	var err error
	if c.state, err = parseState(row.Value); err != nil {
		return contents{}, err
	}
	c.row = bytes.Clone(row.Value)
	id := boltfile.Find(meta.Sub, keySecretID)
	if id == nil {
		return contents{}, fmt.Errorf("row %q is missing", keySecretID)
	}
	if c.secretID, err = unseal(keySecretID, id.Value); err != nil {
		return contents{}, err
	}
	for _, item := range policies.Sub {
		id, p, err := parsePolicy(item.Key, item.Value)
		if err != nil {
			return contents{}, err
		}
		c.policies[id] = p
	}
	return c, c.parseSegments(segs.Sub)
}

// parseSegments reads all chunks, and checks that they are all there.
func (c *contents) parseSegments(segs []boltfile.Item) error {
	for _, seg := range segs {
		if len(seg.Key) != 8 || !seg.IsBucket || len(seg.Sub) == 0 {
			return fmt.Errorf("segment %x is not one", seg.Key)
		}
		for _, item := range seg.Sub {
			if len(item.Key) != 2 || item.IsBucket {
				return fmt.Errorf("segment %x: chunk %x is not one", seg.Key, item.Key)
			}
			segment, i := binary.BigEndian.Uint64(seg.Key), binary.BigEndian.Uint16(item.Key)
			ch, err := decodeChunk(item.Value)
			switch {
			case errors.Is(err, errUnknownChunk):
				// It is of no use to us, and stays until a full snapshot
				// replaces it.
				c.skipped++
				ch.segment, ch.index, ch.raw, ch.full = segment, i, nil, 1<<63-1
			case err != nil:
				return fmt.Errorf("segment %x: chunk %x: %w", seg.Key, item.Key, err)
			case ch.segment != segment || ch.index != i:
				return fmt.Errorf("segment %x: chunk %x says it is chunk %d of %d", seg.Key, item.Key, ch.index, ch.segment)
			case c.policies[ch.policy].name == "":
				return fmt.Errorf("segment %x: chunk %x: policy %d is missing", seg.Key, item.Key, ch.policy)
			}
			c.chunks = append(c.chunks, ch)
		}
	}
	if n, sum := c.sum(); n != c.state.chunks || sum != c.state.digest {
		return fmt.Errorf("%d chunks with digest %016x, policies included: want %d with %016x", n, sum, c.state.chunks, c.state.digest)
	}
	return nil
}

// sum returns how many chunks there are, and the digest of them and of the
// policies.
func (x *index) sum() (n, digest uint64) {
	for id, p := range x.policies {
		digest += p.digest(id)
	}
	for i := range x.chunks {
		digest += x.chunks[i].digest()
	}
	return uint64(len(x.chunks)), digest
}

// lastSegment returns the number of the latest segment, 0 if there is none.
func (x *index) lastSegment() uint64 {
	if len(x.chunks) == 0 {
		return 0
	}
	return x.chunks[len(x.chunks)-1].segment
}

// versions returns the numbers that a name has had, oldest first.
func (x *index) versions(name string) []uint32 {
	var ids []uint32
	for id, p := range x.policies {
		if p.name == name {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// convert returns when a bucket is full again under the newest limit of its
// policy, given when it is under the one with number id, and the numbers of
// all. Tokens used at each change stay used. It is monotonic in full.
func convert(policies map[uint32]policy, ids []uint32, id uint32, full int64) int64 {
	for i := slices.Index(ids, id); i+1 < len(ids); i++ {
		from, to := policies[ids[i]], policies[ids[i+1]]
		debt := min(max(full-to.since, 0), int64(from.limit.Refill()))
		full = to.since + int64(bucket.KeepUsed.Rescale(time.Duration(debt), from.limit, to.limit))
	}
	return full
}

// ends returns a function that tells when the last debt of a chunk is over
// under the limit that its policy has now.
func ends(policies map[uint32]policy) func(c *chunk) int64 {
	x := index{policies: policies}
	ids := map[string][]uint32{}
	for _, p := range policies {
		if ids[p.name] == nil {
			ids[p.name] = x.versions(p.name)
		}
	}
	return func(c *chunk) int64 {
		if c.policy == 0 {
			return c.full
		}
		return convert(policies, ids[policies[c.policy].name], c.policy, c.full)
	}
}

// lastPolicy returns the highest number of a policy, 0 if there is none.
func (x *index) lastPolicy() uint32 {
	var last uint32
	for id := range x.policies {
		last = max(last, id)
	}
	return last
}

// A change is what one transaction does to the file.
type change struct {
	add      []chunk // of one segment, a new one
	policies map[uint32]policy
	drop     func(c *chunk) bool // nil drops nothing but segments that are over
	whole    bool                // with it, a snapshot is whole
	final    bool
}

// An edit is what a change means for the index and for the file.
type edit struct {
	next         index
	dropPolicies []uint32
	dropSegments []uint64
	dropChunks   []chunk // of segments that stay
}

// edit works out a change at the time t: what it drops, besides what is over.
// Segments whose debts are all over go whole, unless an older one that stays
// has records of the same policy: they may be what its records override.
// Policies go with the last chunk.
func (x *index) edit(c change, t int64) edit {
	e := edit{next: index{policies: map[uint32]policy{}}}
	policies := maps.Clone(x.policies)
	maps.Copy(policies, c.policies)
	end := ends(policies)
	lasting := map[string]bool{} // policies with debts, up to here, that are not over
	for from := 0; from < len(x.chunks); {
		to := from
		over := true
		for ; to < len(x.chunks) && x.chunks[to].segment == x.chunks[from].segment; to++ {
			over = over && end(&x.chunks[to]) <= t && !lasting[policies[x.chunks[to].policy].name]
		}
		segment := x.chunks[from:to]
		var gone []chunk
		for i := range segment {
			if over || c.drop != nil && c.drop(&segment[i]) {
				gone = append(gone, segment[i])
			} else {
				e.next.chunks = append(e.next.chunks, segment[i])
				if end(&segment[i]) > t {
					lasting[policies[segment[i].policy].name] = true
				}
			}
		}
		if len(gone) == len(segment) {
			e.dropSegments = append(e.dropSegments, segment[0].segment)
		} else {
			e.dropChunks = append(e.dropChunks, gone...)
		}
		from = to
	}
	for _, ch := range c.add {
		ch.raw = nil
		e.next.chunks = append(e.next.chunks, ch)
	}
	// The number that a name had last stays while there is any chunk of the
	// name, and so do all after the oldest that is in use: a debt is converted
	// from limit to limit.
	oldest := map[string]uint32{}
	note := func(id uint32) {
		name := policies[id].name
		if first, ok := oldest[name]; !ok || id < first {
			oldest[name] = id
		}
	}
	for i := range e.next.chunks {
		note(e.next.chunks[i].policy)
	}
	for id := range c.policies {
		note(id)
	}
	for id, p := range policies {
		if first, ok := oldest[p.name]; ok && id >= first {
			e.next.policies[id] = p
		} else {
			e.dropPolicies = append(e.dropPolicies, id)
		}
	}
	slices.SortFunc(e.dropPolicies, cmp.Compare)
	return e
}

package persist

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/seed-0c889b51/weir/bucket"
)

// The rows beside the chunks. All numbers are little-endian, and each row ends
// in the CRC-32C of the key that it is under and of all before it.
const (
	formatMagic   = "WEIR"
	formatVersion = 1 // what we write, and the newest that we read
)

// Names of buckets and keys in the file.
var (
	bucketMeta   = []byte("meta")
	bucketPolicy = []byte("policy")
	bucketSeg    = []byte("seg")
	keyFormat    = []byte("format")
	keySecretID  = []byte("secret")
	keyState     = []byte("state")
)

// seal appends the checksum of a row to it.
func seal(key, row []byte) []byte {
	return binary.LittleEndian.AppendUint32(row, crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, row))
}

// unseal checks the checksum of a row and takes it off.
func unseal(key, row []byte) ([]byte, error) {
	if len(row) < crcSize {
		return nil, fmt.Errorf("row %q of %d bytes: want at least %d", key, len(row), crcSize)
	}
	body := row[:len(row)-crcSize]
	if string(seal(key, body[:len(body):len(body)])) != string(row) {
		return nil, fmt.Errorf("row %q has a wrong checksum", key)
	}
	return body, nil
}

// formatRow says whose file it is: magic, version of the writer, oldest version
// that can read it, both u16. What follows in later versions is ignored.
func formatRow() []byte {
	row := []byte(formatMagic)
	row = binary.LittleEndian.AppendUint16(row, formatVersion)
	row = binary.LittleEndian.AppendUint16(row, formatVersion)
	return seal(keyFormat, row)
}

// formatOf returns the versions in a row that checkFormat accepts.
func formatOf(row []byte) (writer, oldestReader int) {
	return int(binary.LittleEndian.Uint16(row[4:])), int(binary.LittleEndian.Uint16(row[6:]))
}

func checkFormat(row []byte) error {
	body, err := unseal(keyFormat, row)
	if err != nil {
		return err
	}
	if len(body) < 8 || string(body[:4]) != formatMagic {
		return fmt.Errorf("row %q is not ours", keyFormat)
	}
	if oldest := binary.LittleEndian.Uint16(body[6:]); oldest > formatVersion {
		return fmt.Errorf("%w: it needs a reader of format %d, this one knows %d", ErrNewer, oldest, formatVersion)
	}
	return nil
}

// A state is what every transaction writes: when it was, and what is live.
type state struct {
	stamp
	// commit is the number of the bbolt transaction that wrote the row, as is
	// in the root (the meta page) that leads to it. A root that leads to a row
	// of another number was written, and what it should lead to was not: its
	// pages hold, perhaps without a flaw, what they held some saves ago.
	commit   uint64
	interval time.Duration
	clean    bool // the run ended with its last snapshot
	unused   bool // no snapshot was ever saved whole
	chunks   uint64
	digest   uint64 // sum over all policies and all live chunks
}

const (
	stateCommit = 8 + 8 + 8 + 16 + 1 + 8 + 8 // where commit is in the row
	stateSize   = stateCommit + 8 + 8 + 1 + 8 + 8
	// madeCommit is the number of the transaction that makes a new file, in
	// which there is no state yet.
	madeCommit = 2
)

// commitOf returns the number of a transaction. bbolt gives it as an int, so
// that only the lower half is the same on every system.
func commitOf(tx *bolt.Tx) uint64 { return uint64(uint32(tx.ID())) }

// withCommit returns a copy of the row of a state with another commit, and with
// all that a later version may have added.
func withCommit(row []byte, commit uint64) ([]byte, error) {
	body, err := unseal(keyState, row)
	if err != nil {
		return nil, err
	}
	if len(body) < stateSize {
		return nil, errBroken
	}
	body = bytes.Clone(body)
	binary.LittleEndian.PutUint64(body[stateCommit:], commit)
	return seal(keyState, body), nil
}

func (s state) row() []byte {
	b := make([]byte, 0, stateSize+crcSize)
	b = binary.LittleEndian.AppendUint64(b, uint64(s.t))
	b = binary.LittleEndian.AppendUint64(b, uint64(s.wall))
	b = binary.LittleEndian.AppendUint64(b, uint64(s.boot))
	b = append(b, s.bootID[:]...)
	b = append(b, bit(s.anchored))
	b = binary.LittleEndian.AppendUint64(b, uint64(s.anchorT))
	b = binary.LittleEndian.AppendUint64(b, uint64(s.anchorWall))
	b = binary.LittleEndian.AppendUint64(b, s.commit)
	b = binary.LittleEndian.AppendUint64(b, uint64(s.interval))
	b = append(b, bit(s.clean)|bit(s.unused)<<1)
	b = binary.LittleEndian.AppendUint64(b, s.chunks)
	b = binary.LittleEndian.AppendUint64(b, s.digest)
	return seal(keyState, b)
}

func parseState(row []byte) (state, error) {
	b, err := unseal(keyState, row)
	if err != nil {
		return state{}, err
	}
	if len(b) < stateSize { // a later version may add to it
		return state{}, fmt.Errorf("row %q of %d bytes: want at least %d", keyState, len(row), stateSize+crcSize)
	}
	u64 := func() uint64 {
		v := binary.LittleEndian.Uint64(b)
		b = b[8:]
		return v
	}
	var s state
	s.t, s.wall, s.boot = int64(u64()), int64(u64()), int64(u64())
	b = b[copy(s.bootID[:], b):]
	s.anchored, b = b[0] != 0, b[1:]
	s.anchorT, s.anchorWall = int64(u64()), int64(u64())
	s.commit, s.interval = u64(), time.Duration(u64())
	s.clean, s.unused, b = b[0]&1 != 0, b[0]&2 != 0, b[1:]
	s.chunks, s.digest = u64(), u64()
	if s.t < 0 || s.t > 2*maxTimeline || s.anchored && (s.anchorT < 0 || s.anchorT > s.t) {
		return state{}, fmt.Errorf("row %q has times %d and %d out of range", keyState, s.t, s.anchorT)
	}
	if s.interval < 0 {
		return state{}, fmt.Errorf("row %q has an interval of %v: want at least 0s", keyState, s.interval)
	}
	return s, nil
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// A policy is a name with the limit that it had for a while. When a limit
// changes, the name goes on under a new number.
type policy struct {
	name  string
	limit bucket.Limit // normalized
	since int64        // on the timeline: the first snapshot with this limit
}

const maxName = 1024 // bytes in the name of a policy

func policyKey(id uint32) []byte { return binary.BigEndian.AppendUint32(nil, id) }

// strictBit of the quota of a row tells that the limit is strict. A version that
// does not know it finds the quota out of range, and does not take the limit for
// another.
const strictBit = 1 << 32

func (p policy) row(id uint32) []byte {
	quota := uint64(p.limit.Quota)
	if p.limit.Strict {
		quota |= strictBit
	}
	b := binary.LittleEndian.AppendUint64(nil, quota)
	b = binary.LittleEndian.AppendUint64(b, uint64(p.limit.Window))
	b = binary.LittleEndian.AppendUint64(b, uint64(p.limit.Burst))
	b = binary.LittleEndian.AppendUint64(b, uint64(p.since))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(p.name)))
	return seal(policyKey(id), append(b, p.name...))
}

// digest is what the policy adds to the digest of a state.
func (p policy) digest(id uint32) uint64 {
	row := p.row(id)
	return mix(uint64(binary.LittleEndian.Uint32(row[len(row)-crcSize:]))<<32 ^ uint64(id))
}

func parsePolicy(key, row []byte) (uint32, policy, error) {
	b, err := unseal(key, row)
	if err != nil {
		return 0, policy{}, err
	}
	if len(key) != 4 || len(b) < 34 || len(b) < 34+int(binary.LittleEndian.Uint16(b[32:])) {
		return 0, policy{}, fmt.Errorf("policy %x of %d bytes is cut off", key, len(row))
	}
	p := policy{
		name:  string(b[34 : 34+int(binary.LittleEndian.Uint16(b[32:]))]),
		since: int64(binary.LittleEndian.Uint64(b[24:])),
	}
	quota, burst := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[16:])
	strict := quota&strictBit != 0
	quota &^= strictBit
	if quota>>31 != 0 || burst>>31 != 0 || p.since < 0 || p.since > 2*maxTimeline {
		return 0, policy{}, fmt.Errorf("policy %x: quota %d, burst %d or time %d is out of range", key, quota, burst, p.since)
	}
	p.limit, err = bucket.Limit{
		Quota: int(quota), Window: time.Duration(binary.LittleEndian.Uint64(b[8:])), Burst: int(burst), Strict: strict,
	}.Normalize()
	if err != nil {
		return 0, policy{}, fmt.Errorf("policy %x: %w", key, err)
	}
	return binary.BigEndian.Uint32(key), p, nil
}

// checkSection checks the names and the limit of a section.
func checkSection(s Section) (bucket.Limit, error) {
	if s.Policy == "" || len(s.Policy) > maxName {
		return bucket.Limit{}, fmt.Errorf("name of a policy of %d bytes: want 1 to %d", len(s.Policy), maxName)
	}
	l, err := s.Limit.Normalize()
	if err != nil {
		return bucket.Limit{}, fmt.Errorf("policy %q: %w", s.Policy, err)
	}
	if s.Records == nil {
		return bucket.Limit{}, fmt.Errorf("policy %q: Records is nil: want a sequence, be it empty", s.Policy)
	}
	for _, name := range s.Replaces {
		if name == "" || len(name) > maxName {
			return bucket.Limit{}, fmt.Errorf("policy %q: name in Replaces of %d bytes: want 1 to %d", s.Policy, len(name), maxName)
		}
	}
	return l, nil
}

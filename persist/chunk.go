package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/bits"
	"time"
)

// A chunk, all numbers little-endian:
//
//	 0 version u8     1 flags u8     2 index u16 within the segment
//	 4 policy u32     8 segment u64
//	16 base i64, on the timeline    24 unit i64, ns a step    32 count u32
//	36 count times { hash u64, steps u32 }
//	   CRC-32C u32 of all before it
//
// A bucket is full again at base + steps·unit. The first two bytes and the
// checksum mean the same in every version. A reader skips a chunk with a
// version or a flag of 16 or more that it does not know; lower flags may be
// ignored.
const (
	chunkVersion = 1
	chunkHeader  = 36
	recordSize   = 12
	crcSize      = 4
	flagsMust    = 0xf0 // those that must be understood

	// maxChunkRecords makes two chunks fill 15 pages of 4 kB: bbolt puts at
	// least two on a page.
	maxChunkRecords = 2554

	maxSteps = math.MaxUint32
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errUnknownChunk means that a chunk is whole but not for this version.
var errUnknownChunk = errors.New("chunk of an unknown version")

// A chunk is a packed run of records of one policy, as the index knows it.
type chunk struct {
	segment uint64
	index   uint16
	policy  uint32
	count   int
	full    int64 // when the last of its debts is over, on the timeline
	crc     uint32
	kept    bool   // it has outlived a full snapshot
	raw     []byte // until it is handed out or written
}

// digest is what the chunk adds to the digest of a state.
func (c *chunk) digest() uint64 {
	return mix(c.segment*0x9e3779b97f4a7c15 ^ uint64(c.index)<<32 ^ uint64(c.crc))
}

// mix spreads what is summed up in a digest over all of its bits.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// A record is what is stored of one bucket.
type record struct {
	hash uint64
	debt time.Duration // in [0, maxDebt]
}

// encodeChunk packs records, at most maxChunkRecords, whose debts count from
// base. Debts are rounded up to the finest unit that the largest one allows.
func encodeChunk(segment uint64, index uint16, policy uint32, base int64, records []record) chunk {
	var most time.Duration
	for _, r := range records {
		most = max(most, r.debt)
	}
	unit := max(1, (int64(most)+maxSteps-1)/maxSteps)
	raw := make([]byte, 0, chunkHeader+len(records)*recordSize+crcSize)
	raw = append(raw, chunkVersion, 0)
	raw = binary.LittleEndian.AppendUint16(raw, index)
	raw = binary.LittleEndian.AppendUint32(raw, policy)
	raw = binary.LittleEndian.AppendUint64(raw, segment)
	raw = binary.LittleEndian.AppendUint64(raw, uint64(base))
	raw = binary.LittleEndian.AppendUint64(raw, uint64(unit))
	raw = binary.LittleEndian.AppendUint32(raw, uint32(len(records)))
	var last int64
	for _, r := range records {
		steps := (int64(r.debt) + unit - 1) / unit
		last = max(last, steps)
		raw = binary.LittleEndian.AppendUint64(raw, r.hash)
		raw = binary.LittleEndian.AppendUint32(raw, uint32(steps))
	}
	crc := crc32.Checksum(raw, castagnoli)
	raw = binary.LittleEndian.AppendUint32(raw, crc)
	return chunk{
		segment: segment, index: index, policy: policy, count: len(records),
		full: base + last*unit, crc: crc, raw: raw,
	}
}

// decodeChunk checks all of a chunk. If it is whole but of another version,
// the error is errUnknownChunk and only crc and raw are set.
func decodeChunk(raw []byte) (chunk, error) {
	if len(raw) < 2+crcSize {
		return chunk{}, fmt.Errorf("chunk of %d bytes: want at least %d", len(raw), 2+crcSize)
	}
	body, crc := raw[:len(raw)-crcSize], binary.LittleEndian.Uint32(raw[len(raw)-crcSize:])
	if got := crc32.Checksum(body, castagnoli); got != crc {
		return chunk{}, fmt.Errorf("chunk with checksum %08x: want %08x", got, crc)
	}
	c := chunk{crc: crc, raw: raw}
	if raw[0] != chunkVersion || raw[1]&flagsMust != 0 {
		return c, errUnknownChunk
	}
	if len(body) < chunkHeader {
		return chunk{}, fmt.Errorf("chunk of %d bytes: want at least %d", len(raw), chunkHeader+crcSize)
	}
	count := binary.LittleEndian.Uint32(body[32:])
	if int64(count)*recordSize != int64(len(body)-chunkHeader) {
		return chunk{}, fmt.Errorf("chunk of %d bytes says it has %d records", len(raw), count)
	}
	c.index = binary.LittleEndian.Uint16(body[2:])
	c.policy = binary.LittleEndian.Uint32(body[4:])
	c.segment = binary.LittleEndian.Uint64(body[8:])
	c.count = int(count)
	base := int64(binary.LittleEndian.Uint64(body[16:]))
	unit := binary.LittleEndian.Uint64(body[24:])
	var last uint32
	for at := chunkHeader + 8; at < len(body); at += recordSize {
		last = max(last, binary.LittleEndian.Uint32(body[at:]))
	}
	high, span := bits.Mul64(unit, uint64(last))
	if base < 0 || base > 2*maxTimeline || unit < 1 || high != 0 || span > uint64(maxDebt)+unit {
		return chunk{}, fmt.Errorf("chunk with base %d, unit %d and a debt of %d steps is out of range", base, unit, last)
	}
	c.full = base + int64(span)
	return c, nil
}

// each calls f with every record of a chunk that decodeChunk has accepted,
// last to first.
func (c *chunk) each(f func(hash uint64, full int64)) {
	base := int64(binary.LittleEndian.Uint64(c.raw[16:]))
	unit := int64(binary.LittleEndian.Uint64(c.raw[24:]))
	for i := c.count - 1; i >= 0; i-- {
		at := c.raw[chunkHeader+i*recordSize:]
		f(binary.LittleEndian.Uint64(at), base+int64(binary.LittleEndian.Uint32(at[8:]))*unit)
	}
}

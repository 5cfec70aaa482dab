package persist

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// resealed returns raw with f applied to all but the checksum, which is
// then made right.
func resealed(raw []byte, f func(b []byte) []byte) []byte {
	b := f(append([]byte(nil), raw[:len(raw)-crcSize]...))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// The bytes of version 1. They must never change.
const goldenChunk = "01000300" + "05000000" + "0700000000000000" +
	"00e40b5402000000" + "0200000000000000" + "02000000" +
	"8877665544332211" + "ffffffff" + // 2³³ ns are rounded to 2³³-2 and up
	"0100000000000000" + "01000000"

func TestChunkFormat(t *testing.T) {
	t.Parallel()
	c := encodeChunk(7, 3, 5, 10_000_000_000, []record{{0x1122334455667788, 2*maxSteps - 1}, {1, 1}})
	if got := hex.EncodeToString(c.raw[:len(c.raw)-crcSize]); got != goldenChunk {
		t.Errorf("chunk is\n%s: want\n%s", got, goldenChunk)
	}
	got, err := decodeChunk(c.raw)
	if err != nil {
		t.Fatal(err)
	}
	if got.segment != 7 || got.index != 3 || got.policy != 5 || got.count != 2 || got.full != c.full || got.crc != c.crc {
		t.Errorf("decoded as %+v", got)
	}
	var full []int64
	got.each(func(hash uint64, at int64) { full = append(full, int64(hash), at) })
	if want := []int64{1, 10_000_000_002, 0x1122334455667788, 10_000_000_000 + 2*maxSteps}; len(full) != 4 || [4]int64(full) != [4]int64(want) {
		t.Errorf("records, last to first, are %d: want %d", full, want)
	}
}

func TestDamagedChunks(t *testing.T) {
	t.Parallel()
	good := encodeChunk(7, 3, 5, 1000, []record{{1, time.Hour}, {2, time.Minute}}).raw
	put := func(at int, v uint64, n int) func([]byte) []byte {
		return func(b []byte) []byte {
			for i := range n {
				b[at+i] = byte(v >> (8 * i))
			}
			return b
		}
	}
	tests := []struct {
		why  string
		edit func([]byte) []byte
		want string // "" for an unknown chunk
	}{
		{"a later version", put(0, 2, 1), ""},
		{"version 0", put(0, 0, 1), ""},
		{"a flag that must be understood", put(1, 0x10, 1), ""},
		{"a later version of another length", func(b []byte) []byte { return []byte{9, 0} }, ""},
		{"cut off within the header", func(b []byte) []byte { return b[:chunkHeader-1] }, "chunk of 39 bytes: want at least 40"},
		{"cut off within a record", func(b []byte) []byte { return b[:len(b)-1] }, "says it has 2 records"},
		{"one record too few", func(b []byte) []byte { return b[:len(b)-recordSize] }, "says it has 2 records"},
		{"a count whose product overflows", put(32, 0x55555556+2, 4), "says it has"},
		{"the largest count", put(32, 1<<32-1, 4), "says it has 4294967295 records"},
		{"a base below 0", put(16, 1<<63, 8), "out of range"},
		{"a base beyond the timeline", put(16, 2*maxTimeline+1, 8), "out of range"},
		{"unit 0", put(24, 0, 8), "unit 0"},
		{"a unit that makes debts overflow", put(24, 1<<62, 8), "out of range"},
		{"a unit below 0", put(24, 1<<64-1, 8), "out of range"},
		{"a unit that makes a debt of over 100 years", put(24, 1e9, 8), "out of range"},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			_, err := decodeChunk(resealed(good, tt.edit))
			if tt.want == "" && !errors.Is(err, errUnknownChunk) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("decodeChunk: %v: want %q", err, tt.want)
			}
		})
	}
	for bit := range 8 * len(good) {
		b := append([]byte(nil), good...)
		b[bit/8] ^= 1 << (bit % 8)
		if _, err := decodeChunk(b); err == nil || !strings.Contains(err.Error(), "checksum") {
			t.Fatalf("bit %d flipped: %v", bit, err)
		}
	}
	for n := range len(good) {
		if _, err := decodeChunk(good[:n]); err == nil {
			t.Fatalf("cut off after %d bytes: no error", n)
		}
	}
	low := resealed(good, put(1, 0x0f, 1))
	if _, err := decodeChunk(low); err != nil {
		t.Errorf("flags below 16 may be ignored: %v", err)
	}
}

// No debt is ever rounded down, nor up by more than a unit.
func TestChunkRounding(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.Int64Range(0, 2*maxTimeline).Draw(t, "base")
		most := rapid.Int64Range(0, int64(maxDebt)).Draw(t, "most")
		var records []record
		for _, d := range rapid.SliceOfN(rapid.Int64Range(0, most), 1, 20).Draw(t, "debts") {
			records = append(records, record{uint64(len(records)), time.Duration(d)})
		}
		c, err := decodeChunk(encodeChunk(1, 1, 1, base, records).raw)
		if err != nil {
			t.Fatal(err)
		}
		unit := most/maxSteps + 1
		var last int64
		c.each(func(hash uint64, full int64) {
			last = max(last, full)
			if over := full - base - int64(records[hash].debt); over < 0 || over > unit {
				t.Fatalf("debt %v comes back %v longer: want 0s to %v", records[hash].debt, time.Duration(over), time.Duration(unit))
			}
		})
		if last != c.full {
			t.Fatalf("full = %d: want that of the last record, %d", c.full, last)
		}
	})
}

func FuzzDecodeChunk(f *testing.F) {
	good := encodeChunk(7, 3, 5, 1000, []record{{1, time.Hour}, {2, time.Minute}}).raw
	f.Add(good[:len(good)-crcSize])
	f.Add([]byte{})
	f.Add([]byte{1, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		// A right checksum, so that what is behind it gets tried.
		c, err := decodeChunk(binary.LittleEndian.AppendUint32(body, crc32.Checksum(body, castagnoli)))
		if err != nil {
			return
		}
		n := 0
		c.each(func(_ uint64, full int64) {
			if n++; full < 0 || full > c.full {
				t.Fatalf("record ends at %d: want 0 to %d", full, c.full)
			}
		})
		if n != c.count || n*recordSize+chunkHeader != len(body) {
			t.Fatalf("%d records in %d bytes: count is %d", n, len(body), c.count)
		}
	})
}

func FuzzRows(f *testing.F) {
	f.Add(state{}.row()[:stateSize], uint8(0))
	p := policy{name: "a", limit: daily}.row(1)
	f.Add(p[:len(p)-crcSize], uint8(1))
	f.Add([]byte("WEIR\x01\x00\x02\x00"), uint8(2))
	f.Fuzz(func(t *testing.T, body []byte, kind uint8) {
		switch kind % 3 {
		case 0:
			if s, err := parseState(seal(keyState, body)); err == nil && (s.t < 0 || s.t > 2*maxTimeline) {
				t.Fatalf("state at %d", s.t)
			}
		case 1:
			_, p, err := parsePolicy(policyKey(1), seal(policyKey(1), body))
			if err != nil {
				return
			}
			if l, err := p.limit.Normalize(); err != nil || l != p.limit {
				t.Fatalf("limit %+v is not normalized: %v", p.limit, err)
			}
		case 2:
			if err := checkFormat(seal(keyFormat, body)); err == nil && (len(body) < 8 || string(body[:4]) != formatMagic) {
				t.Fatalf("format %x accepted", body)
			}
		}
	})
}

package bench

import (
	"strconv"
	"testing"
	"unsafe"
)

// manyKeys is how many keys a benchmark is about: a million, and with -short
// only so many that it still goes through all the same motions.
func manyKeys() int {
	if testing.Short() {
		return 20_000
	}
	return 1_000_000
}

// roomFor is a size at which no shard of a registry that gets so many keys is
// full, though they do not spread evenly: all of them stay in memory.
func roomFor(keys int) int { return keys + keys/8 + 4096 }

// key returns the i-th key, i < 2²⁴, as the text of an IPv4 address: a new
// string each time, as in a service, whose keys come off the network. A lookup
// with the very string that is stored is done at its address, without a look at
// its bytes.
func key(i int) string {
	b := make([]byte, 0, len("10.255.255.255"))
	b = append(b, "10"...)
	for _, part := range [3]int{i >> 16, i >> 8 & 0xff, i & 0xff} {
		b = strconv.AppendInt(append(b, '.'), int64(part), 10)
	}
	return string(b)
}

// scattered maps i to a key's number so that those of neighbours are far apart,
// and those of any keys neighbours different. keys must have no prime factors
// but 2 and 5, as those of manyKeys have not.
func scattered(i, keys int) int {
	return int(uint64(i) % uint64(keys) * 618_033 % uint64(keys))
}

func TestKeys(t *testing.T) {
	t.Parallel()
	if a, b := key(258), key(258); a != "10.0.1.2" || a != b || unsafe.StringData(a) == unsafe.StringData(b) {
		t.Errorf("key(258) is %q at %p and %q at %p: want 10.0.1.2, in two places", a, unsafe.StringData(a), b, unsafe.StringData(b))
	}
	for _, keys := range []int{20_000, 1_000_000} {
		seen := make([]bool, keys)
		for i := range keys {
			at := scattered(i+7*keys, keys)
			if at != scattered(i, keys) || seen[at] {
				t.Fatalf("%d keys: number %d comes twice", keys, at)
			}
			seen[at] = true
		}
	}
}

package persist

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// That a limit is strict is kept with it. A version that does not know of it
// would find the quota out of range, and not take the limit for one that is not.
func TestStrictLimitsAreKept(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"100/min", "100/min strict", "100/min strict burst 40", "1/day strict", "67108864/s strict"} {
		limit, err := bucket.ParseLimit(text)
		if err != nil {
			t.Fatal(err)
		}
		row := policy{name: "a", limit: limit, since: 5}.row(7)
		id, got, err := parsePolicy(policyKey(7), row)
		if err != nil || id != 7 || got != (policy{name: "a", limit: limit, since: 5}) {
			t.Errorf("%s is read back as %v, %+v, %v", text, id, got, err)
		}
		if quota := binary.LittleEndian.Uint64(row); limit.Strict != (quota>>31 != 0) {
			t.Errorf("%s: the quota is written as %x", text, quota)
		}
	}
	body := binary.LittleEndian.AppendUint64(nil, strictBit|100)
	body = binary.LittleEndian.AppendUint64(body, uint64(time.Minute))
	body = binary.LittleEndian.AppendUint64(body, 100)
	body = append(body, make([]byte, 10)...)
	if _, p, err := parsePolicy(policyKey(1), seal(policyKey(1), body)); err == nil || !strings.Contains(err.Error(), "burst 100 of a strict limit of 100 is out of range") {
		t.Errorf("a strict limit that is none is read as %v, %v", p.limit, err)
	}
}

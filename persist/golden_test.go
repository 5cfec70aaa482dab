package persist

import (
	"bytes"
	"encoding/binary"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/persist/internal/boltfile"
)

var golden = flag.Bool("golden", false, "write testdata anew: only for a new version of the format")

// What version 1 has written must be read for ever.
func TestGoldenVersion1(t *testing.T) {
	t.Parallel()
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("bbolt's files are of one byte order, this one little-endian")
	}
	path := filepath.Join(t.TempDir(), "state")
	writeFile(t, path+".key", bytes.Repeat([]byte{7}, secretSize))
	c := newClock()
	if *golden {
		f := mustOpen(t, path, Config{Interval: time.Minute}, c)
		mustSave(t, f, Snapshot{Sections: []Section{
			section("ip", bucket.PerMinute(100), debts{1: time.Minute}),
			section("user", daily, debts{1: time.Hour, 1 << 63: 2 * time.Hour, 3: time.Second}),
		}})
		c.pass(10 * time.Second)
		mustSave(t, f, Snapshot{Final: true, Sections: []Section{
			section("ip", bucket.Limit{Quota: 50, Window: time.Minute, Burst: 100}, debts{2: time.Minute}),
			section("user", daily, debts{1: 0}),
		}})
		mustClose(t, f)
		b := readFile(t, path)
		m, err := boltfile.ReadMeta(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("testdata", "v1.state"), b[:int64(m.High)*m.PageSize], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, path, readFile(t, filepath.Join("testdata", "v1.state")))
	c = newClock()
	c.pass(20 * time.Second) // ten after the last save
	f := mustOpen(t, path, Config{}, c)
	got, res := loadAll(f)
	// 1 owed 50 s, or 83⅓ tokens, when the limit changed to one that takes 1.2 s
	// for each.
	ip1 := 100*time.Second - 10*time.Second
	same(t, got["ip"], debts{1: ip1, 2: 50 * time.Second}, fine)
	same(t, got["user"], debts{1 << 63: 2*time.Hour - 20*time.Second}, fine)
	if len(got) != 2 || !res.Clean || res.New || res.Interval != time.Minute || res.Away != 10*time.Second || res.Clock != clockBoot || res.Records != 3 || res.MovedTo != "" {
		t.Errorf("Restored = %+v", res)
	}
}

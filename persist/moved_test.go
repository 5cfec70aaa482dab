package persist

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/seed-0c889b51/weir/bucket"
)

func TestDamagedFileIsMovedAside(t *testing.T) {
	t.Parallel()
	tests := []struct {
		why  string
		kind string
		edit func(t *testing.T, path string)
		want string
	}{
		{"an empty file", "corrupt", func(t *testing.T, path string) { writeFile(t, path, nil) }, "both meta pages are damaged"},
		{"the secret is gone", "unreadable", func(t *testing.T, path string) {
			if err := os.Remove(path + ".key"); err != nil {
				t.Fatal(err)
			}
		}, "state.key is missing: without it no key can be recognized"},
		{"the secret is another", "unreadable", func(t *testing.T, path string) {
			writeFile(t, path+".key", bytes.Repeat([]byte{7}, 32))
		}, "state.key is not the secret that it was written with"},
		{"a chunk is missing", "corrupt", func(t *testing.T, path string) {
			tamper(t, path, func(tx *bolt.Tx) error { return tx.Bucket(bucketSeg).DeleteBucket(segmentKey(1)) })
		}, "1 chunks with digest"},
		{"a chunk is an old one", "corrupt", func(t *testing.T, path string) {
			tamper(t, path, func(tx *bolt.Tx) error {
				seg := tx.Bucket(bucketSeg).Bucket(segmentKey(1))
				return seg.Put(chunkKey(0), encodeChunk(1, 0, 1, 0, []record{{1, time.Hour}}).raw)
			})
		}, "2 chunks with digest"},
		{"chunks have changed places", "corrupt", func(t *testing.T, path string) {
			tamper(t, path, func(tx *bolt.Tx) error {
				a, b := tx.Bucket(bucketSeg).Bucket(segmentKey(1)), tx.Bucket(bucketSeg).Bucket(segmentKey(2))
				raw := bytes.Clone(a.Get(chunkKey(0)))
				return errors.Join(a.Put(chunkKey(0), bytes.Clone(b.Get(chunkKey(0)))), b.Put(chunkKey(0), raw))
			})
		}, "says it is chunk 0 of 2"},
		{"a policy is missing", "corrupt", func(t *testing.T, path string) {
			tamper(t, path, func(tx *bolt.Tx) error { return tx.Bucket(bucketPolicy).Delete(policyKey(1)) })
		}, "policy 1 is missing"},
		{"a limit has changed", "corrupt", func(t *testing.T, path string) {
			tamper(t, path, func(tx *bolt.Tx) error {
				row := bytes.Clone(tx.Bucket(bucketPolicy).Get(policyKey(1)))
				row[0]++
				return tx.Bucket(bucketPolicy).Put(policyKey(1), row)
			})
		}, "wrong checksum"},
		{"a policy is under another number", "corrupt", func(t *testing.T, path string) {
			tamper(t, path, func(tx *bolt.Tx) error {
				b := tx.Bucket(bucketPolicy)
				return b.Put(policyKey(2), bytes.Clone(b.Get(policyKey(1))))
			})
		}, "wrong checksum"},
		{"a policy is of another name, whole and under the same number", "corrupt", func(t *testing.T, path string) {
			tamper(t, path, func(tx *bolt.Tx) error {
				row := policy{name: "b", limit: daily}.row(1)
				return errors.Join(tx.Bucket(bucketPolicy).Put(policyKey(1), row), recommit(tx))
			})
		}, "2 chunks with digest"},
		{"a policy is there that should not be", "corrupt", func(t *testing.T, path string) {
			tamper(t, path, func(tx *bolt.Tx) error {
				row := policy{name: "a", limit: bucket.PerSecond(100)}.row(2)
				return errors.Join(tx.Bucket(bucketPolicy).Put(policyKey(2), row), recommit(tx))
			})
		}, "2 chunks with digest"},
		{"the pages are of an earlier save", "corrupt", func(t *testing.T, path string) {
			tamper(t, path, func(*bolt.Tx) error { return nil })
		}, "its root is of transaction 6 and leads to the pages of 5: what was saved last is lost"},
		{"the pages are of when it was made", "corrupt", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := create(path); err != nil {
				t.Fatal(err)
			}
			tamper(t, path, func(*bolt.Tx) error { return nil })
		}, "its root is of transaction 3 and leads to the pages of 2: what was saved last is lost"},
		{"the state is missing", "corrupt", func(t *testing.T, path string) {
			tamper(t, path, func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keyState) })
		}, `row "state" is missing`},
		{"the time has changed", "corrupt", func(t *testing.T, path string) {
			tamper(t, path, func(tx *bolt.Tx) error {
				row := bytes.Clone(tx.Bucket(bucketMeta).Get(keyState))
				row[3]++
				return tx.Bucket(bucketMeta).Put(keyState, row)
			})
		}, `row "state" has a wrong checksum`},
		{"the format is missing", "corrupt", func(t *testing.T, path string) {
			tamper(t, path, func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keyFormat) })
		}, `row "format" is missing`},
		{"a bucket is missing", "corrupt", func(t *testing.T, path string) {
			tamper(t, path, func(tx *bolt.Tx) error { return tx.DeleteBucket(bucketSeg) })
		}, "one of its three buckets is missing"},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			c.mono = time.Date(2030, 1, 2, 3, 4, 5, 0, time.FixedZone("east", 3600))
			dir := t.TempDir()
			path := filepath.Join(dir, "state")
			f := mustOpen(t, path, Config{}, c)
			for i := range uint64(2) {
				mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{i: time.Hour})}})
			}
			mustClose(t, f)
			tt.edit(t, path)
			damaged := readFile(t, path)
			// A file of that name must not be lost either.
			aside := path + "." + tt.kind + "-20300102T020405Z"
			writeFile(t, aside, []byte("from before"))

			var log bytes.Buffer
			f = mustOpen(t, path, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, c)
			got, res := loadAll(f)
			if len(got) != 0 || !strings.Contains(res.Damage, tt.want) || res.MovedTo != aside+"-2" || res.New || res.Clean {
				t.Errorf("loaded %v, Restored = %+v: want %q, moved to %s-2", got, res, tt.want, aside)
			}
			if !bytes.Equal(readFile(t, aside+"-2"), damaged) || string(readFile(t, aside)) != "from before" {
				t.Error("what was there has not been kept as it was")
			}
			if !regexp.MustCompile(`level=ERROR .*limits start afresh.* path=.*moved to`).MatchString(log.String()) {
				t.Errorf("log says %q", log.String())
			}
			mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{9: time.Hour})}})
			got, res = reopened(t, f, c, 0)
			same(t, got["a"], debts{9: time.Hour}, fine)
			if res.MovedTo != "" || res.Damage != "" {
				t.Errorf("after that: Restored = %+v", res)
			}
		})
	}
}

// tamper changes a closed file through bbolt.
func tamper(t *testing.T, path string, f func(*bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(f), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestUnknownChunksAreSkipped(t *testing.T) {
	t.Parallel()
	c := newClock()
	f := mustOpen(t, filepath.Join(t.TempDir(), "state"), Config{}, c)
	for i := range uint64(3) {
		mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{i: time.Hour})}})
	}
	// A later version has written the second, one with flags the third.
	chunks := f.index.chunks
	err := f.db.Update(func(tx *bolt.Tx) error {
		for i, at := range []int{0, 1} {
			b := tx.Bucket(bucketSeg).Bucket(segmentKey(uint64(i + 2)))
			raw := resealed(bytes.Clone(b.Get(chunkKey(0))), func(raw []byte) []byte {
				raw[at] = 0x40
				return raw
			})
			chunks[i+1].crc = binary.LittleEndian.Uint32(raw[len(raw)-crcSize:])
			if err := b.Put(chunkKey(0), raw); err != nil {
				return err
			}
		}
		s := f.state
		s.commit = commitOf(tx)
		s.chunks, s.digest = f.index.sum()
		return tx.Bucket(bucketMeta).Put(keyState, s.row())
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // they stay
		got, res := reopened(t, f, c, 0)
		same(t, got["a"], debts{0: time.Hour}, fine)
		if res.Skipped != 2 || res.MovedTo != "" {
			t.Errorf("Restored = %+v: want 2 skipped", res)
		}
	}
	f = mustOpen(t, f.path, Config{}, c)
	mustSave(t, f, Snapshot{Full: true, Sections: []Section{section("a", daily, debts{0: time.Hour})}})
	if _, res := reopened(t, f, c, 0); res.Skipped != 0 || res.Records != 1 {
		t.Errorf("after a full snapshot: Restored = %+v", res)
	}
}

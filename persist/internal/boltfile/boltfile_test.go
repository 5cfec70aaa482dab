package boltfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

// read checks and reads a file of these bytes.
func read(b []byte) ([]Item, Meta, error) {
	r := bytes.NewReader(b)
	m, err := ReadMeta(r, int64(len(b)))
	if err != nil {
		return nil, m, err
	}
	items, err := Read(r, m)
	return items, m, err
}

// fill makes a database with buckets of n keys with values of size bytes, some
// of them deleted again so that there are free pages, and returns the file.
func fill(t testing.TB, path string, pageSize, n, size int) []byte {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second, PageSize: pageSize, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		err := db.Update(func(tx *bolt.Tx) error {
			outer, err := tx.CreateBucketIfNotExists([]byte("outer"))
			if err != nil {
				return err
			}
			if _, err := tx.CreateBucketIfNotExists([]byte("empty")); err != nil {
				return err
			}
			inner, err := outer.CreateBucketIfNotExists(fmt.Appendf(nil, "inner%d", round))
			if err != nil {
				return err
			}
			for i := range n {
				if err := inner.Put(fmt.Appendf(nil, "%06d", i), bytes.Repeat([]byte{byte(i)}, size)); err != nil {
					return err
				}
			}
			if round == 2 {
				return outer.DeleteBucket([]byte("inner0"))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReadsWhatBboltWrote(t *testing.T) {
	t.Parallel()
	tests := []struct {
		why               string
		pageSize, n, size int
	}{
		{"buckets within their parent", 4096, 3, 10},
		{"a page of their own", 4096, 40, 50},
		{"branches", 4096, 2000, 50},
		{"branches of branches", 1024, 5000, 20},
		{"overflow pages", 4096, 20, 30_000},
		{"large pages", 65536, 100, 3000},
		{"empty values", 4096, 100, 0},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "db")
			items, m, err := read(fill(t, path, tt.pageSize, tt.n, tt.size))
			if err != nil {
				t.Fatal(err)
			}
			if m.PageSize != int64(tt.pageSize) || m.Torn {
				t.Errorf("Meta = %+v", m)
			}
			db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second, ReadOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			err = db.View(func(tx *bolt.Tx) error {
				outer := Find(items, []byte("outer"))
				if outer == nil || !outer.IsBucket || len(outer.Sub) != 2 || len(items) != 2 {
					t.Fatalf("root holds %d items, outer: %+v", len(items), outer)
				}
				if e := Find(items, []byte("empty")); e == nil || !e.IsBucket || len(e.Sub) != 0 {
					t.Errorf("empty = %+v", e)
				}
				for _, inner := range outer.Sub {
					b := tx.Bucket([]byte("outer")).Bucket(inner.Key)
					i := 0
					err := b.ForEach(func(k, v []byte) error {
						if i >= len(inner.Sub) || !bytes.Equal(inner.Sub[i].Key, k) || !bytes.Equal(inner.Sub[i].Value, v) {
							return fmt.Errorf("item %d of %s is not %q", i, inner.Key, k)
						}
						i++
						return nil
					})
					if err != nil {
						return err
					}
					if i != tt.n || i != len(inner.Sub) {
						t.Errorf("%s has %d items: want %d", inner.Key, len(inner.Sub), tt.n)
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestForeignAndDamaged(t *testing.T) {
	t.Parallel()
	good := fill(t, filepath.Join(t.TempDir(), "db"), 4096, 2000, 50)
	meta := func(b []byte, page int) []byte { return b[page*4096+pageHeader:] }
	m, err := ReadMeta(bytes.NewReader(good), int64(len(good)))
	if err != nil {
		t.Fatal(err)
	}
	newest := int(m.Txid % 2)
	tests := []struct {
		why     string
		edit    func(b []byte) []byte
		foreign bool
		torn    bool // and otherwise sound
	}{
		{"text", func([]byte) []byte { return []byte("limits:\n  - ip 100/min, which goes on for a while\n") }, true, false},
		{"a longer text", func([]byte) []byte { return bytes.Repeat([]byte("text "), 10_000) }, true, false},
		{"nothing", func([]byte) []byte { return nil }, false, false},
		{"zeros", func(b []byte) []byte { return make([]byte, len(b)) }, false, false},
		{"the first meta page is lost", func(b []byte) []byte { clear(b[:4096]); return b }, false, true},
		{"the second meta page is lost", func(b []byte) []byte { clear(b[4096:8192]); return b }, false, true},
		{"both meta pages are lost", func(b []byte) []byte { clear(b[:8192]); return b }, false, false},
		{"a bit of the newest meta page is flipped", func(b []byte) []byte { meta(b, newest)[20] ^= 4; return b }, false, true},
		{"both meta pages are lost but for their magic", func(b []byte) []byte {
			clear(meta(b, 0)[4:4000])
			clear(meta(b, 1)[4:4000])
			return b
		}, false, false},
		{"cut off after the meta pages", func(b []byte) []byte { return b[:8192] }, false, false},
		{"cut off within the first", func(b []byte) []byte { return b[:512] }, false, false},
		{"one page short", func(b []byte) []byte { return b[:int64(m.High-1)*4096] }, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			_, m, err := read(tt.edit(bytes.Clone(good)))
			if tt.torn != (err == nil) || tt.torn != m.Torn || tt.foreign != errors.Is(err, ErrForeign) {
				t.Errorf("Meta = %+v, error %v: want torn %v, foreign %v", m, err, tt.torn, tt.foreign)
			}
		})
	}
}

// What a damaged page can do to a reader that trusts it.
func TestUnsoundPages(t *testing.T) {
	t.Parallel()
	good := fill(t, filepath.Join(t.TempDir(), "db"), 4096, 2000, 50)
	m, err := ReadMeta(bytes.NewReader(good), int64(len(good)))
	if err != nil {
		t.Fatal(err)
	}
	free := int(m.Freelist) * 4096
	isFree := map[uint64]bool{}
	for i := range int(order.Uint16(good[free+10:])) {
		isFree[order.Uint64(good[free+pageHeader+8*i:])] = true
	}
	var branches []uint64
	for id := uint64(2); id < m.High; id++ {
		if !isFree[id] && order.Uint16(good[id*4096+8:]) == branchPage && order.Uint64(good[id*4096:]) == id {
			branches = append(branches, id)
		}
	}
	if len(branches) == 0 {
		t.Fatal("no branch page to damage")
	}
	branch := func(b []byte, id uint64) []byte { return b[id*4096:] }
	tests := []struct {
		why  string
		edit func(b []byte)
	}{
		{"branches that are their own children", func(b []byte) {
			for _, id := range branches {
				binary.NativeEndian.PutUint64(branch(b, id)[pageHeader+8:], id)
			}
		}},
		{"children beyond the file", func(b []byte) {
			for _, id := range branches {
				binary.NativeEndian.PutUint64(branch(b, id)[pageHeader+8:], 1<<40)
			}
		}},
		{"branches without children", func(b []byte) {
			for _, id := range branches {
				binary.NativeEndian.PutUint16(branch(b, id)[10:], 0)
			}
		}},
		{"more elements than fit", func(b []byte) {
			for _, id := range branches {
				binary.NativeEndian.PutUint16(branch(b, id)[10:], 0xfff0)
			}
		}},
		{"a key that is out of order", func(b []byte) {
			for _, id := range branches {
				p := branch(b, id)
				p[pageHeader+int(binary.NativeEndian.Uint32(p[pageHeader:]))] = 0xff
			}
		}},
		{"overflow beyond the file", func(b []byte) {
			for _, id := range branches {
				binary.NativeEndian.PutUint32(branch(b, id)[12:], 1<<31)
			}
		}},
		{"a free page that is in use", func(b []byte) {
			binary.NativeEndian.PutUint64(b[free+pageHeader:], branches[0])
		}},
		{"a page that is in use and listed as free, too", func(b []byte) {
			n := binary.NativeEndian.Uint16(b[free+10:])
			binary.NativeEndian.PutUint16(b[free+10:], n+1)
			binary.NativeEndian.PutUint64(b[free+pageHeader+8*int(n):], branches[0])
		}},
		{"a page that says it is another", func(b []byte) {
			b[branches[0]*4096]++
		}},
		{"a page free twice", func(b []byte) {
			copy(b[free+pageHeader+8:], b[free+pageHeader:free+pageHeader+8])
		}},
		{"a free page less", func(b []byte) {
			binary.NativeEndian.PutUint16(b[free+10:], binary.NativeEndian.Uint16(b[free+10:])-1)
		}},
		{"free pages without end", func(b []byte) {
			binary.NativeEndian.PutUint16(b[free+10:], manyFree)
			binary.NativeEndian.PutUint64(b[free+pageHeader:], 1<<60)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			b := bytes.Clone(good)
			tt.edit(b)
			if _, _, err := read(b); err == nil {
				t.Error("no error")
			}
		})
	}
}

// A list of free pages that claims to go on behind its page.
func TestFreePagesBehindTheirPage(t *testing.T) {
	t.Parallel()
	b := make([]byte, 200*1024)
	p := b[2*1024:]
	order.PutUint64(p, 2)
	order.PutUint16(p[8:], freelistPage)
	order.PutUint16(p[10:], 1000)
	for i := range (1024 - pageHeader) / 8 {
		order.PutUint64(p[pageHeader+8*i:], uint64(3+i))
	}
	if _, err := Read(bytes.NewReader(b), Meta{PageSize: 1024, Root: 199, Freelist: 2, High: 200}); err == nil {
		t.Error("no error")
	}
}

// Buckets within a value whose bytes do not hold what they claim.
func TestUnsoundInlineBuckets(t *testing.T) {
	t.Parallel()
	value := func(page ...byte) []byte { return append(make([]byte, bucketHeader), page...) }
	header := func(flags, count byte) []byte {
		b := make([]byte, pageHeader)
		order.PutUint16(b[8:], uint16(flags))
		order.PutUint16(b[10:], uint16(count))
		return b
	}
	ofPages := append(header(leafPage, 1), make([]byte, elementSize)...)
	order.PutUint32(ofPages[pageHeader:], bucketElement)
	order.PutUint32(ofPages[pageHeader+4:], elementSize)
	order.PutUint32(ofPages[pageHeader+8:], 1)
	order.PutUint32(ofPages[pageHeader+12:], bucketHeader)
	ofPages = append(ofPages, 'k', 9)
	ofPages = append(ofPages, make([]byte, bucketHeader)...)
	tests := []struct {
		why   string
		value []byte
	}{
		{"no header", make([]byte, bucketHeader-1)},
		{"no page", value()},
		{"not a leaf", value(header(branchPage, 1)...)},
		{"elements that are not there", value(header(leafPage, 1)...)},
		{"a bucket with pages of its own", value(ofPages...)},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			if _, err := (&walker{}).bucket(1, tt.value); err == nil {
				t.Error("no error")
			}
		})
	}
}

// Any bytes whatever are read or refused, without a panic and in bounded time.
func TestAnyDamage(t *testing.T) {
	t.Parallel()
	good := fill(t, filepath.Join(t.TempDir(), "db"), 1024, 300, 20)
	rapid.Check(t, func(t *rapid.T) {
		b := bytes.Clone(good)
		for range rapid.IntRange(1, 8).Draw(t, "edits") {
			at := rapid.IntRange(0, len(b)-8).Draw(t, "at")
			binary.NativeEndian.PutUint64(b[at:], rapid.Uint64().Draw(t, "value"))
		}
		_, _, _ = read(b)
	})
}

func FuzzRead(f *testing.F) {
	f.Add(fill(f, filepath.Join(f.TempDir(), "db"), 1024, 20, 5))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<20 {
			return
		}
		_, _, _ = read(b)
	})
}

package boltfile

import (
	"bytes"
	"errors"
	"hash/fnv"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// forge makes a database whose root is page 3, of pages written by hand.
func forge(pages ...[]byte) []byte {
	b := make([]byte, (3+len(pages))*minPageSize)
	for i := range 2 {
		p := b[i*minPageSize+pageHeader:]
		order.PutUint32(p, magic)
		order.PutUint32(p[4:], version)
		order.PutUint32(p[8:], minPageSize)
		order.PutUint64(p[16:], 3)
		order.PutUint64(p[32:], 2)
		order.PutUint64(p[40:], uint64(3+len(pages)))
		order.PutUint64(p[48:], uint64(i))
		h := fnv.New64a()
		h.Write(p[:metaSize-8])
		order.PutUint64(p[metaSize-8:], h.Sum64())
	}
	order.PutUint64(b[2*minPageSize:], 2)
	order.PutUint16(b[2*minPageSize+8:], freelistPage)
	for i, p := range pages {
		at := b[(3+i)*minPageSize:]
		copy(at, p)
		order.PutUint64(at, uint64(3+i))
	}
	return b
}

// branchTo is a branch with one child.
func branchTo(child uint64) []byte {
	b := make([]byte, pageHeader+elementSize)
	order.PutUint16(b[8:], branchPage)
	order.PutUint16(b[10:], 1)
	order.PutUint32(b[pageHeader:], elementSize)
	order.PutUint64(b[pageHeader+8:], child)
	return b
}

// leafWith is a leaf with one key, "k", and its value.
func leafWith(flags uint32, value []byte) []byte {
	b := make([]byte, pageHeader+elementSize)
	order.PutUint16(b[8:], leafPage)
	order.PutUint16(b[10:], 1)
	order.PutUint32(b[pageHeader:], flags)
	order.PutUint32(b[pageHeader+4:], elementSize)
	order.PutUint32(b[pageHeader+8:], 1)
	order.PutUint32(b[pageHeader+12:], uint32(len(value)))
	return append(append(b, 'k'), value...)
}

// Pages that lead to pages without end would use up the stack, which ends the
// process beyond any recover.
func TestDepth(t *testing.T) {
	t.Parallel()
	branches := func(n int) []byte {
		var pages [][]byte
		for i := range n {
			pages = append(pages, branchTo(uint64(4+i)))
		}
		return forge(append(pages, leafWith(0, []byte("v")))...)
	}
	buckets := func(n int) []byte {
		var pages [][]byte
		for i := range n {
			value := make([]byte, bucketHeader)
			order.PutUint64(value, uint64(4+i))
			pages = append(pages, leafWith(bucketElement, value))
		}
		return forge(append(pages, leafWith(0, []byte("v")))...)
	}
	inline := func(n int) []byte {
		leaf := leafWith(0, []byte("v"))
		for range n {
			leaf = leafWith(bucketElement, append(make([]byte, bucketHeader), leaf...))
		}
		overflow := len(leaf) / minPageSize
		order.PutUint32(leaf[12:], uint32(overflow))
		pages := [][]byte{leaf}
		for range overflow {
			pages = append(pages, nil)
		}
		b := forge(pages...)
		copy(b[3*minPageSize+8:], leaf[8:]) // over what forge takes for pages of their own
		return b
	}
	for _, tt := range []struct {
		why  string
		file func(n int) []byte
	}{
		{"branches", branches},
		{"buckets with pages of their own", buckets},
		{"buckets within their parent", inline},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			items, _, err := read(tt.file(maxDepth))
			if err != nil {
				t.Errorf("as deep as may be: %v", err)
			}
			for len(items) == 1 && items[0].IsBucket {
				items = items[0].Sub
			}
			if len(items) != 1 || string(items[0].Value) != "v" {
				t.Errorf("as deep as may be: at the bottom is %v", items)
			}
			for _, n := range []int{maxDepth + 1, 3000} {
				if _, _, err := read(tt.file(n)); err == nil || !strings.Contains(err.Error(), "more than 64 branches and buckets lie within each other") {
					t.Errorf("%d deep: %v", n, err)
				}
			}
		})
	}
}

func TestFree(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	b := fill(t, path, 4096, 500, 50)
	_, m, err := read(b)
	if err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	// bbolt counts the pages after it has begun to write.
	err = db.Update(func(tx *bolt.Tx) error {
		stats := tx.DB().Stats()
		got, err := Free(bytes.NewReader(b), m)
		if want := stats.FreePageN + stats.PendingPageN; err != nil || got != want || got == 0 {
			t.Errorf("Free = %d, %v: want %d", got, err, want)
		}
		return errors.New("changes nothing")
	})
	if err == nil {
		t.Error("the database was changed")
	}
	order.PutUint16(b[int64(m.Freelist)*m.PageSize+8:], leafPage)
	if _, err := Free(bytes.NewReader(b), m); err == nil {
		t.Error("a list that is none is counted")
	}
}

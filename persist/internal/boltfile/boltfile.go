// Package boltfile reads a bbolt database without bbolt, and tells whether it
// is sound.
//
// bbolt trusts its file: a damaged one makes it fault, recurse or loop in ways
// that end the process, some of them beyond any recover. This package trusts
// nothing. It reads with ReadAt instead of through a memory map, bounds every
// number that it finds, and accounts for every page. What it accepts, bbolt
// can open and write.
package boltfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// The format, as in bbolt's internal/common. Numbers are in the byte order of
// the machine that wrote the file.
const (
	magic         = 0xED0CDAED
	version       = 2
	pageHeader    = 16
	elementSize   = 16 // of a branch page and of a leaf page alike
	metaSize      = 64 // the checksum included
	minPageSize   = 1 << 10
	maxPageSize   = 1 << 24
	bucketHeader  = 16
	branchPage    = 0x01
	leafPage      = 0x02
	freelistPage  = 0x10
	bucketElement = 0x01
	manyFree      = 0xFFFF // the count of a freelist that is kept in its first element
)

var order = binary.NativeEndian

// ErrForeign means that a file was never a bbolt database: neither of the two
// places of a meta page has so much as the magic number, and it is not blank.
var ErrForeign = errors.New("not a bbolt database")

// A Meta is the root of a database, as of its latest whole commit.
type Meta struct {
	PageSize int64
	Root     uint64 // page of the root bucket
	Freelist uint64 // page of the list of free pages
	High     uint64 // all pages are below it
	Txid     uint64 // of the commit
	// Torn tells that the other meta page is damaged. Either the commit
	// after this one was cut off, which is harmless, or it is lost.
	Torn bool
}

// ReadMeta reads the meta pages of a file of size bytes, and checks that all
// pages are there. The error wraps ErrForeign if the file is none of bbolt's.
func ReadMeta(r io.ReaderAt, size int64) (Meta, error) {
	first, err := metaAt(r, 0, size)
	candidates := []int64{}
	if err == nil {
		candidates = append(candidates, first.PageSize)
	} else {
		for s := int64(minPageSize); s <= maxPageSize; s *= 2 {
			candidates = append(candidates, s)
		}
	}
	ours := !errors.Is(err, ErrForeign)
	m, found := first, err == nil
	second := false
	for _, at := range candidates {
		other, err := metaAt(r, at, size)
		ours = ours || !errors.Is(err, ErrForeign)
		if err != nil || other.PageSize != at {
			continue
		}
		second = true
		if !found || other.Txid > m.Txid {
			m = other
		}
		break
	}
	switch {
	case !found && !second && !ours && !blank(r, size):
		return Meta{}, ErrForeign
	case !found && !second:
		return Meta{}, errors.New("both meta pages are damaged")
	}
	m.Torn = !found || !second
	if m.High < 2 || m.High > uint64(size/m.PageSize) {
		return Meta{}, fmt.Errorf("%d bytes: want %d pages of %d", size, m.High, m.PageSize)
	}
	return m, nil
}

// metaAt reads the meta page at an offset.
func metaAt(r io.ReaderAt, at, size int64) (Meta, error) {
	var b [pageHeader + metaSize]byte
	if n, err := r.ReadAt(b[:], at); n < pageHeader+4 {
		if err != nil && !errors.Is(err, io.EOF) {
			return Meta{}, fmt.Errorf("meta page at byte %d: %w", at, err)
		}
		return Meta{}, ErrForeign
	}
	p := b[pageHeader:]
	if order.Uint32(p) != magic {
		return Meta{}, ErrForeign
	}
	h := fnv.New64a()
	h.Write(p[:metaSize-8])
	m := Meta{
		PageSize: int64(order.Uint32(p[8:])),
		Root:     order.Uint64(p[16:]),
		Freelist: order.Uint64(p[32:]),
		High:     order.Uint64(p[40:]),
		Txid:     order.Uint64(p[48:]),
	}
	switch {
	case order.Uint32(p[4:]) != version:
		return Meta{}, fmt.Errorf("meta page at byte %d has version %d: want %d", at, order.Uint32(p[4:]), version)
	case order.Uint64(p[metaSize-8:]) != h.Sum64():
		return Meta{}, fmt.Errorf("meta page at byte %d has a wrong checksum", at)
	case m.PageSize < minPageSize || m.PageSize > maxPageSize || m.PageSize&(m.PageSize-1) != 0:
		return Meta{}, fmt.Errorf("meta page at byte %d has page size %d", at, m.PageSize)
	}
	return m, nil
}

// blank tells whether a file begins with nothing but zeros, where the two meta
// pages of the usual size are, as one does whose data a file system has lost.
func blank(r io.ReaderAt, size int64) bool {
	b := make([]byte, min(size, 2*4096))
	n, _ := r.ReadAt(b, 0)
	for _, c := range b[:n] {
		if c != 0 {
			return false
		}
	}
	return true
}

package boltfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// An Item is a key of a bucket, with its value or the bucket that it names.
type Item struct {
	Key   []byte
	Value []byte
	Sub   []Item // in the order of their keys
	// IsBucket tells whether Sub, which may be empty, is what the key names.
	IsBucket bool
}

// maxDepth is how many branches and buckets may lie within each other: several
// times as many as in any database that fits on a disk. The stack of a
// goroutine that follows more of them may end the process.
const maxDepth = 64

// Free returns how many pages are on the list of free pages of m.
func Free(r io.ReaderAt, m Meta) (int, error) {
	w := walker{r: r, meta: m, used: make([]bool, m.High)}
	if err := w.freelist(); err != nil {
		return 0, err
	}
	return w.free, nil
}

// Read reads the whole tree below m, and checks that it is sound: that every
// element lies within its page, that keys ascend, and that every page is used
// by exactly one of the tree and the list of free pages.
func Read(r io.ReaderAt, m Meta) ([]Item, error) {
	w := walker{r: r, meta: m, used: make([]bool, m.High)}
	w.used[0], w.used[1] = true, true
	if err := w.freelist(); err != nil {
		return nil, err
	}
	items, err := w.tree(m.Root)
	if err != nil {
		return nil, err
	}
	for id, used := range w.used {
		if !used {
			return nil, fmt.Errorf("page %d is neither used nor free", id)
		}
	}
	return items, nil
}

// Find returns the item with a key, or nil.
func Find(items []Item, key []byte) *Item {
	for i := range items {
		if bytes.Equal(items[i].Key, key) {
			return &items[i]
		}
	}
	return nil
}

type walker struct {
	r    io.ReaderAt
	meta Meta
	used []bool
	free int // pages on the list of free pages

	depth int // of what is being read
}

// deeper runs read one level further down, unless that is too deep.
func (w *walker) deeper(in uint64, read func() error) error {
	if w.depth == maxDepth {
		return fmt.Errorf("page %d: more than %d branches and buckets lie within each other", in, maxDepth)
	}
	w.depth++
	defer func() { w.depth-- }()
	return read()
}

// claim marks a page as used.
func (w *walker) claim(id uint64) error {
	if id >= uint64(len(w.used)) {
		return fmt.Errorf("page %d is beyond the last, %d", id, len(w.used)-1)
	}
	if w.used[id] {
		return fmt.Errorf("page %d is used twice", id)
	}
	w.used[id] = true
	return nil
}

// page reads a page with its overflow and claims it.
func (w *walker) page(id uint64) (page, error) {
	if err := w.claim(id); err != nil {
		return page{}, err
	}
	var head [pageHeader]byte
	at := int64(id) * w.meta.PageSize
	if _, err := w.r.ReadAt(head[:], at); err != nil {
		return page{}, fmt.Errorf("page %d: %w", id, err)
	}
	if self := order.Uint64(head[:]); self != id {
		return page{}, fmt.Errorf("page %d says it is page %d", id, self)
	}
	overflow := uint64(order.Uint32(head[12:]))
	for i := uint64(1); i <= overflow; i++ {
		if err := w.claim(id + i); err != nil {
			return page{}, fmt.Errorf("page %d: overflow: %w", id, err)
		}
	}
	b := make([]byte, int64(overflow+1)*w.meta.PageSize)
	if _, err := w.r.ReadAt(b, at); err != nil && !errors.Is(err, io.EOF) {
		return page{}, fmt.Errorf("page %d: %w", id, err)
	}
	return page{id: id, flags: order.Uint16(b[8:]), count: int(order.Uint16(b[10:])), b: b}, nil
}

// freelist reads the list of free pages and claims them.
func (w *walker) freelist() error {
	p, err := w.page(w.meta.Freelist)
	if err != nil {
		return fmt.Errorf("free pages: %w", err)
	}
	if p.flags != freelistPage {
		return fmt.Errorf("page %d is no list of free pages: type %#x", p.id, p.flags)
	}
	ids := p.b[pageHeader:]
	n := uint64(p.count)
	if n == manyFree {
		n = order.Uint64(ids)
		ids = ids[8:]
	}
	if n > uint64(len(ids)/8) {
		return fmt.Errorf("page %d lists %d free pages: there is room for %d", p.id, n, len(ids)/8)
	}
	w.free = int(n)
	for ; n > 0; n-- {
		if err := w.claim(order.Uint64(ids)); err != nil {
			return fmt.Errorf("free pages: %w", err)
		}
		ids = ids[8:]
	}
	return nil
}

// tree reads the tree of a bucket.
func (w *walker) tree(root uint64) ([]Item, error) {
	var items []Item
	err := w.branch(root, nil, nil, &items)
	return items, err
}

// branch appends what is below a page, whose keys are at least low and, unless
// high is nil, below high.
func (w *walker) branch(id uint64, low, high []byte, items *[]Item) error {
	p, err := w.page(id)
	if err != nil {
		return err
	}
	switch p.flags {
	case leafPage:
		return w.leaf(p, low, high, items)
	case branchPage:
	default:
		return fmt.Errorf("page %d has type %#x: want a branch or a leaf", id, p.flags)
	}
	if p.count == 0 {
		return fmt.Errorf("page %d is a branch without children", id)
	}
	if err := p.room(); err != nil {
		return err
	}
	keys := make([][]byte, p.count)
	children := make([]uint64, p.count)
	for i := range p.count {
		e := p.b[pageHeader+i*elementSize:]
		children[i] = order.Uint64(e[8:])
		if keys[i], err = p.slice(i, order.Uint32(e), order.Uint32(e[4:])); err != nil {
			return err
		}
	}
	for i, key := range keys {
		to := high
		if i+1 < len(keys) {
			to = keys[i+1]
		}
		from := low
		if bytes.Compare(key, low) > 0 {
			from = key
		}
		// If these are out of order, so are the keys below them.
		err := w.deeper(id, func() error { return w.branch(children[i], from, to, items) })
		if err != nil {
			return err
		}
	}
	return nil
}

// leaf appends the items of a leaf page.
func (w *walker) leaf(p page, low, high []byte, items *[]Item) error {
	if err := p.room(); err != nil {
		return err
	}
	for i := range p.count {
		e := p.b[pageHeader+i*elementSize:]
		pos, ksize, vsize := order.Uint32(e[4:]), order.Uint32(e[8:]), order.Uint32(e[12:])
		key, err := p.slice(i, pos, ksize)
		if err != nil {
			return err
		}
		value, err := p.slice(i, pos+ksize, vsize)
		if err != nil || uint64(pos)+uint64(ksize) > uint64(len(p.b)) {
			return fmt.Errorf("page %d: value %d lies outside", p.id, i)
		}
		if len(key) == 0 || bytes.Compare(key, low) < 0 || high != nil && bytes.Compare(key, high) >= 0 ||
			i > 0 && bytes.Equal(key, low) {
			return fmt.Errorf("page %d: key %d is out of order", p.id, i)
		}
		low = key
		item := Item{Key: key, Value: value}
		switch flags := order.Uint32(e); flags {
		case 0:
		case bucketElement:
			item.Value, item.IsBucket = nil, true
			err := w.deeper(p.id, func() (err error) {
				item.Sub, err = w.bucket(p.id, value)
				return err
			})
			if err != nil {
				return err
			}
		default:
			return fmt.Errorf("page %d: element %d has flags %#x", p.id, i, flags)
		}
		*items = append(*items, item)
	}
	return nil
}

// bucket reads the bucket that a value describes: it has a page of its own or
// is, if small, in the value itself.
func (w *walker) bucket(in uint64, value []byte) ([]Item, error) {
	if len(value) < bucketHeader {
		return nil, fmt.Errorf("page %d: bucket of %d bytes: want at least %d", in, len(value), bucketHeader)
	}
	if root := order.Uint64(value); root != 0 {
		return w.tree(root)
	}
	b := value[bucketHeader:]
	if len(b) < pageHeader || order.Uint16(b[8:]) != leafPage {
		return nil, fmt.Errorf("page %d: bucket within it is no leaf", in)
	}
	// It has no pages, so none may be claimed from within it.
	var items []Item
	p := page{id: in, flags: leafPage, count: int(order.Uint16(b[10:])), b: b}
	if err := (&walker{depth: w.depth}).leaf(p, nil, nil, &items); err != nil {
		return nil, fmt.Errorf("bucket within it: %w", err)
	}
	return items, nil
}

// A page is a page with its overflow.
type page struct {
	id    uint64
	flags uint16
	count int
	b     []byte
}

// room checks that there is room for the elements.
func (p page) room() error {
	if most := (len(p.b) - pageHeader) / elementSize; p.count > most {
		return fmt.Errorf("page %d has %d elements: there is room for %d", p.id, p.count, most)
	}
	return nil
}

// slice returns n bytes at pos, counted from the start of element i, behind
// all elements.
func (p page) slice(i int, pos, n uint32) ([]byte, error) {
	from := uint64(pageHeader+i*elementSize) + uint64(pos)
	if from < uint64(pageHeader+p.count*elementSize) || from+uint64(n) > uint64(len(p.b)) {
		return nil, fmt.Errorf("page %d: element %d lies outside", p.id, i)
	}
	return p.b[from : from+uint64(n) : from+uint64(n)], nil
}

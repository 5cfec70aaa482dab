package replay

import (
	"cmp"
	"slices"
	"time"
)

// An order puts requests in the order of their times: those that are in a log
// less than a while, and less than half of its room, after one that is later. It
// holds requests back until none of these can come any more.
type order struct {
	within  time.Duration
	limits  int // hashes of a request, beside that of its client
	waiting []request
	// Of those that wait, and room for those that go on waiting.
	text, nextText     []byte
	hashes, nextHashes []uint64

	latest int64 // time of a request so far
	sorted bool  // those that wait are in order
	moved  int64 // requests that came after a later one
}

// A request is one that waits for its turn.
type request struct {
	at     int64
	line   int64
	hashes int // where in hashes its own are
	// Where in text its client, user and path are, one after another, and their
	// lengths.
	text               int
	client, user, path int32
}

// room is how many requests wait at most, and roomText how much text of theirs,
// about.
const (
	room     = 1 << 14
	roomText = 64 << 20
)

func newOrder(within time.Duration, limits int) *order {
	return &order{within: within, limits: limits, waiting: make([]request, 0, room), sorted: true}
}

// add adds a request of which all is in r, and returns the place for its hashes.
// There must be room.
func (o *order) add(r *record, line int64) []uint64 {
	if n := len(o.waiting); n > 0 && r.at < o.waiting[n-1].at {
		o.sorted = false
	}
	if r.at < o.latest {
		o.moved++
	}
	o.latest = max(o.latest, r.at)
	o.waiting = append(o.waiting, request{
		at: r.at, line: line, hashes: len(o.hashes), text: len(o.text),
		client: int32(len(r.client)), user: int32(len(r.user)), path: int32(len(r.path)),
	})
	o.text = append(append(append(o.text, r.client...), r.user...), r.path...)
	for range o.limits + 1 {
		o.hashes = append(o.hashes, 0)
	}
	return o.hashes[len(o.hashes)-o.limits-1:]
}

// full tells whether some must leave before another can come.
func (o *order) full() bool { return len(o.waiting) == room || len(o.text) > roomText }

// leave passes on those whose turn it is, in order: at the end all of them.
func (o *order) leave(end bool, decide func(*request)) {
	if !o.sorted {
		slices.SortStableFunc(o.waiting, func(a, b request) int { return cmp.Compare(a.at, b.at) })
		o.sorted = true
	}
	n := len(o.waiting)
	if !end {
		// Those older than within go, and in any case half.
		border := o.latest - int64(o.within)
		n, _ = slices.BinarySearchFunc(o.waiting, border, func(r request, border int64) int { return cmp.Compare(r.at, border) })
		n = max(n, (len(o.waiting)+1)/2)
	}
	for i := range o.waiting[:n] {
		decide(&o.waiting[i])
	}
	text, hashes := o.nextText[:0], o.nextHashes[:0]
	stay := o.waiting[n:]
	for i := range stay {
		q := &stay[i]
		from, size := q.text, int(q.client)+int(q.user)+int(q.path)
		q.text = len(text)
		text = append(text, o.text[from:from+size]...)
		from = q.hashes
		q.hashes = len(hashes)
		hashes = append(hashes, o.hashes[from:from+o.limits+1]...)
	}
	o.text, o.nextText = text, o.text
	o.hashes, o.nextHashes = hashes, o.hashes
	o.waiting = o.waiting[:copy(o.waiting, stay)]
}

// hashesOf returns the hashes of a request that waits.
func (o *order) hashesOf(q *request) []uint64 { return o.hashes[q.hashes:][: o.limits+1 : o.limits+1] }

// textsOf returns the texts of a request that waits.
func (o *order) textsOf(q *request) (client, user, path []byte) {
	b := o.text[q.text:]
	return b[:q.client], b[q.client:][:q.user], b[q.client+q.user:][:q.path]
}

package persist

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A node is a file on the disk, or a directory.
type node struct {
	path    string // when it was made
	isDir   bool
	synced  []byte
	pending []call // writes
}

// content is what is on the disk if of the writes each one that is wanted is.
func (n *node) content(want func() bool) []byte {
	b := bytes.Clone(n.synced)
	for _, c := range n.pending {
		if !want() {
			continue
		}
		end := c.at + int64(len(c.data))
		if c.name == "ftruncate" && end < int64(len(b)) {
			b = b[:end]
		}
		if end > int64(len(b)) {
			b = append(b, make([]byte, end-int64(len(b)))...)
		}
		copy(b[c.at:], c.data)
	}
	return b
}

// A replay is a disk in the midst of it.
type replay struct {
	secret []byte
	clock  *fakeClock
	rand   *rand.Rand
	tries  int // states at random after each call
	seen   map[uint64]bool

	size    int64 // of the state file at first
	unnamed bool  // the names of what is there at first are not on disk yet

	nodes   []*node
	names   map[string]*node // on the disk
	current map[string]*node // as the process sees them
	pending []naming
	open    map[int]*node
	offset  map[int]int64
}

// A naming is what becomes of a name: it is given to a node, or taken away.
type naming struct {
	dir   string
	gone  string // "" if none
	given string // "" if none
	node  *node
}

func (r *replay) load(path string) (map[string]debts, Restored, error) {
	f, err := open(path, Config{}, r.clock.read)
	if err != nil {
		return nil, Restored{}, err
	}
	defer f.Close()
	got, res := loadAll(f)
	return got, res, nil
}

// run replays the calls, and checks what a cut after each would leave.
func (r *replay) run(t *testing.T, before map[string][]byte, calls []call, lost func(call, *node) bool, check func(*replay, string, int) error) error {
	t.Helper()
	r.names = map[string]*node{".": {path: ".", isDir: true}}
	for name, b := range before {
		n := &node{path: name, synced: b}
		r.nodes = append(r.nodes, n)
		if r.unnamed {
			r.pending = append(r.pending, naming{dir: ".", given: name, node: n})
		} else {
			r.names[name] = n
		}
	}
	r.current, r.open, r.offset = maps.Clone(r.names), map[int]*node{}, map[int]int64{}
	for _, n := range r.pending {
		n.do(r.current)
	}
	done := 0
	for i, c := range calls {
		if c.name == "write" && c.fd == 1 {
			done++
		} else if !r.apply(c, lost) {
			continue
		}
		for try := range 4 + r.tries {
			data, names := func() bool { return try&1 == 0 }, func() bool { return try&2 == 0 }
			if try >= 4 {
				share := r.rand.Float64()
				data = func() bool { return r.rand.Float64() < share }
				names = func() bool { return r.rand.IntN(2) == 0 }
			}
			found := r.cut(data, names)
			key := found.digest() + uint64(done)
			if r.seen[key] {
				continue
			}
			r.seen[key] = true
			dir := t.TempDir()
			found.write(t, dir)
			path := filepath.Join(dir, "state")
			if r.current["new/dir"] != nil {
				path = filepath.Join(dir, "new", "dir", "state")
			}
			if err := check(r, path, done); err != nil {
				return fmt.Errorf("cut off after call %d, %s of %q, with %q: %w", i, c.name, c.path, list(t, dir), err)
			}
		}
	}
	return nil
}

// A remnant is what is on the disk: files, and directories, which are nil.
type remnant map[string][]byte

// cut returns what is on the disk.
func (r *replay) cut(data, names func() bool) remnant {
	at := maps.Clone(r.names)
	for _, n := range r.pending {
		if names() {
			n.do(at)
		}
	}
	found, contents := remnant{}, map[*node][]byte{}
	for _, name := range slices.Sorted(maps.Keys(at)) {
		n := at[name]
		above := true // with a directory goes all that is in it
		for up := filepath.Dir(name); up != "."; up = filepath.Dir(up) {
			above = above && at[up] != nil
		}
		switch {
		case !above:
		case n.isDir:
			found[name] = nil
		default:
			if contents[n] == nil {
				contents[n] = append([]byte{}, n.content(data)...)
			}
			found[name] = contents[n]
		}
	}
	return found
}

// digest tells remnants apart.
func (m remnant) digest() uint64 {
	var sum uint64
	for name, b := range m {
		h := sha256.Sum256(append(fmt.Appendf(nil, "%s %v ", name, b == nil), b...))
		sum += binary.LittleEndian.Uint64(h[:])
	}
	return sum
}

// write puts it below a directory.
func (m remnant) write(t *testing.T, dir string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(m)) {
		path := filepath.Join(dir, name)
		if m[name] != nil {
			writeFile(t, path, m[name])
		} else if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// do does what becomes of a name, if it can.
func (n naming) do(names map[string]*node) {
	if n.gone != "" {
		delete(names, n.gone)
	}
	if n.given != "" {
		names[n.given] = n.node
	}
}

// apply does what a call does, and tells whether that is anything to the disk.
func (r *replay) apply(c call, lost func(call, *node) bool) bool {
	name := func(n naming) bool {
		r.pending = append(r.pending, n)
		n.do(r.current)
		return true
	}
	write := func(c call) bool {
		n := r.open[c.fd]
		if n == nil {
			return false
		}
		n.pending = append(n.pending, c)
		return true
	}
	switch c.name {
	case "openat":
		n := r.current[c.path]
		made := n == nil && c.creates && c.path != ""
		if made {
			n = &node{path: c.path}
			r.nodes = append(r.nodes, n)
			name(naming{dir: filepath.Dir(c.path), given: c.path, node: n})
		}
		r.open[c.fd], r.offset[c.fd] = n, 0
		return made
	case "mkdirat":
		return c.path != "" && name(naming{dir: filepath.Dir(c.path), given: c.path, node: &node{path: c.path, isDir: true}})
	case "linkat":
		return c.path != "" && name(naming{dir: filepath.Dir(c.to), given: c.to, node: r.current[c.path]})
	case "renameat":
		return c.path != "" && name(naming{dir: filepath.Dir(c.to), gone: c.path, given: c.to, node: r.current[c.path]})
	case "unlinkat":
		return c.path != "" && name(naming{dir: filepath.Dir(c.path), gone: c.path})
	case "write":
		c.at = r.offset[c.fd]
		r.offset[c.fd] += int64(len(c.data))
		return write(c)
	case "pwrite64", "ftruncate":
		return write(c)
	case "fsync", "fdatasync":
		n := r.open[c.fd]
		if n == nil || lost(c, n) {
			return false
		}
		if !n.isDir {
			n.synced, n.pending = n.content(func() bool { return true }), nil
			return true
		}
		var rest []naming
		for _, p := range r.pending {
			if p.dir == n.path {
				p.do(r.names)
			} else {
				rest = append(rest, p)
			}
		}
		r.pending = rest
		return true
	case "close":
		delete(r.open, c.fd)
	}
	return false
}

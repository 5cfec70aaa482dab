package serve

import (
	"bufio"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// writeTimeout is how long a client may take to make room for the next
	// piece of an answer. A whole answer may take any time, as a stream does.
	writeTimeout = 30 * time.Second
	// writePiece is what has to be read in that time.
	writePiece = 16 << 10
)

// A conn is a connection of a client. It gives up on one that does not read,
// and its end is noted at the gate.
type conn struct {
	net.Conn
	gate   *gate
	client netip.Prefix  // that it is counted for; not valid: nobody
	remote net.Addr      // the client
	rest   *bufio.Reader // what was read with the PROXY header; nil: nothing is left

	raw   syscall.RawConn // to look at it; nil: that cannot be done
	reads atomic.Uint32   // that have begun or ended: odd while somebody reads

	mu       sync.Mutex
	deadline time.Time // of writes, as others have set it; zero is none
	once     sync.Once
}

// newConn returns a connection of a client, for which nothing is counted yet.
func newConn(raw net.Conn, g *gate, client net.Addr) *conn {
	c := &conn{Conn: raw, gate: g, remote: client}
	if socket, ok := raw.(syscall.Conn); ok && seesHangup {
		c.raw, _ = socket.SyscallConn() // its error is that there is none
	}
	return c
}

// hangup looks whether the client is still there.
func (c *conn) hangup() (end hangup) {
	if c.raw.Control(func(fd uintptr) { end = hangupOf(fd) }) != nil {
		return departed // closed here
	}
	return end
}

func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) Read(p []byte) (int, error) {
	c.reads.Add(1)
	defer c.reads.Add(1)
	if c.rest != nil {
		if c.rest.Buffered() > 0 {
			return c.rest.Read(p)
		}
		c.rest = nil
	}
	return c.Conn.Read(p)
}

// Write writes p in pieces, each within writeTimeout.
func (c *conn) Write(p []byte) (n int, err error) {
	for {
		if err := c.hurry(); err != nil {
			return n, err
		}
		m, err := c.Conn.Write(p[n:min(len(p), n+writePiece)])
		if n += m; err != nil || n >= len(p) {
			return n, err
		}
	}
}

// hurry sets the deadline of the next piece.
func (c *conn) hurry() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := time.Now().Add(c.gate.writeTimeout)
	if !c.deadline.IsZero() && c.deadline.Before(t) {
		t = c.deadline
	}
	return c.Conn.SetWriteDeadline(t)
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return c.Conn.SetWriteDeadline(t)
}

func (c *conn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return c.Conn.SetDeadline(t)
}

// CloseWrite tells the client that nothing more will be written. net/http does
// it before it closes a connection whose request it has not read to the end, so
// that the answer is not lost.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

func (c *conn) Close() error {
	c.once.Do(func() { c.gate.leave(c.client) })
	return c.Conn.Close()
}

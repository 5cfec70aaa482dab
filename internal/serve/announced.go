package serve

import (
	"bufio"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"
)

// proxyHeaderTimeout is how long a proxy may take to send its PROXY header.
const proxyHeaderTimeout = 5 * time.Second

// takeProxied accepts connections of proxies until the gate is closed. Each
// announces its client in a goroutine of its own: one that is slow keeps
// nobody waiting.
func (g *gate) takeProxied() {
	for {
		raw, err := g.Listener.Accept()
		if err != nil {
			select {
			case g.fail <- err: // net/http waits before it tries again
				continue
			case <-g.done:
				return
			}
		}
		switch {
		case !g.proxies.has(raw.RemoteAddr()):
			g.notProxied.add()
			refuse(raw)
		case !g.enter():
			refuse(raw)
		default:
			go g.takeAnnounced(raw)
		}
	}
}

// takeAnnounced reads who the client of a connection is, and hands it on.
func (g *gate) takeAnnounced(raw net.Conn) {
	g.mu.Lock()
	closed := g.closed
	g.pending[raw] = true
	g.mu.Unlock()
	if closed {
		raw.Close() // Close did not see it
	}
	rest := bufio.NewReader(raw)
	client, err := announced(raw, rest, g.headerTimeout)
	g.mu.Lock()
	delete(g.pending, raw)
	g.mu.Unlock()
	if err != nil {
		g.notProxied.add()
		g.leave(netip.Prefix{})
		refuse(raw)
		return
	}
	c := g.admit(raw, client)
	if c == nil {
		return
	}
	c.rest = rest
	select {
	case g.ready <- c:
	case <-g.done:
		c.Close()
	}
}

var errAnnounced = errors.New("the PROXY header announces no TCP client")

// announced reads a PROXY header, version 1 or 2, and returns the address of
// the client: that of the peer if the proxy speaks for itself (LOCAL) or does
// not know it (UNKNOWN).
func announced(raw net.Conn, from *bufio.Reader, timeout time.Duration) (net.Addr, error) {
	header, err := proxyproto.ReadHeaderTimeout(raw, from, timeout)
	if err != nil {
		return nil, err
	}
	if header.Command.IsLocal() {
		return raw.RemoteAddr(), nil
	}
	if client, _, ok := header.TCPAddrs(); ok {
		return client, nil
	}
	return nil, errAnnounced
}

package serve

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/seed-0c889b51/weir/internal/oneline"
)

// Peers are those who connect: who has an address in one of the Networks and,
// with Unix, who is on a Unix socket and has none. The zero value is nobody.
type Peers struct {
	Networks []netip.Prefix
	Unix     bool
}

// has tells whether addr is one of the peers.
func (p Peers) has(addr net.Addr) bool {
	ip, ok := addrOf(addr)
	if !ok {
		return p.Unix
	}
	return slices.ContainsFunc(p.Networks, func(n netip.Prefix) bool { return n.Contains(ip) })
}

// none tells that it is nobody.
func (p Peers) none() bool { return len(p.Networks) == 0 && !p.Unix }

// list returns what the peers are called on the command line.
func (p Peers) list() []string {
	var list []string
	for _, n := range p.Networks {
		list = append(list, n.String())
	}
	if p.Unix {
		list = append(list, "unix")
	}
	return list
}

// addrOf returns the address of a peer, false if it has none. IPv4 in IPv6
// notation is IPv4.
func addrOf(addr net.Addr) (netip.Addr, bool) {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	return ip, ip.IsValid()
}

// Connections are counts of connections.
type Connections struct {
	// Open is how many there are now, with those that have yet to send their
	// PROXY header.
	Open int
	// OverAll, OverClient and NotProxied count those that were closed at once:
	// because of [Config.MaxConnections], of [Config.MaxPerClient], and because
	// on a listener for the PROXY protocol they were not from one of its
	// sources, or had no header that can be read.
	OverAll, OverClient, NotProxied uint64
}

// A gate is a listener that lets in so many connections, in all and of each
// client, and closes the others at once. With proxies it is from these alone,
// and a client is who they announce by the PROXY protocol.
type gate struct {
	net.Listener
	most, each    int // 0 is any number
	ipv6Bits      int
	trust         Peers // proxies: a connection of theirs is for many clients
	proxies       Peers // who must announce a client; none: nobody can
	writeTimeout  time.Duration
	readTimeout   time.Duration
	restTimeout   time.Duration
	headerTimeout time.Duration // of the PROXY header

	overAll, overClient, notProxied refusals

	mu      sync.Mutex
	open    int
	clients map[netip.Prefix]int
	closed  bool
	pending map[net.Conn]bool // those that have yet to announce their client

	begin sync.Once
	ready chan *conn
	fail  chan error
	done  chan struct{}
	end   sync.Once
}

func newGate(l net.Listener, cfg Config) *gate {
	log := cfg.Logger
	return &gate{
		Listener:      l,
		most:          cfg.MaxConnections,
		each:          cfg.MaxPerClient,
		ipv6Bits:      cfg.IPv6Prefix,
		trust:         cfg.Trust,
		proxies:       cfg.ProxyProtocol,
		writeTimeout:  writeTimeout,
		readTimeout:   readTimeout,
		restTimeout:   restTimeout,
		headerTimeout: proxyHeaderTimeout,
		overAll: refusals{log: log, reason: "there are as many as --max-connections",
			cure: "raise it, if these are clients and the limit of open files allows it"},
		overClient: refusals{log: log, reason: "a client has as many as --max-connections-per-client",
			cure: "raise it, or name the address with --trust if it is a proxy's"},
		notProxied: refusals{log: log, reason: "not a PROXY header from one of --proxy-protocol",
			cure: "name your proxies there and have them send it; clients use another listener"},
		clients: map[netip.Prefix]int{},
		pending: map[net.Conn]bool{},
		ready:   make(chan *conn),
		fail:    make(chan error),
		done:    make(chan struct{}),
	}
}

// Accept returns the next connection that is let in.
func (g *gate) Accept() (net.Conn, error) {
	if !g.proxies.none() {
		g.begin.Do(func() { go g.takeProxied() })
		select {
		case c := <-g.ready:
			return c, nil
		case err := <-g.fail:
			return nil, err
		case <-g.done:
			return nil, net.ErrClosed
		}
	}
	for {
		raw, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if !g.enter() {
			refuse(raw)
		} else if c := g.admit(raw, raw.RemoteAddr()); c != nil {
			return c, nil
		}
	}
}

// enter counts one more connection, if there is room for it.
func (g *gate) enter() bool {
	g.mu.Lock()
	full := g.most > 0 && g.open >= g.most
	if !full {
		g.open++
	}
	g.mu.Unlock()
	if full {
		g.overAll.add()
	}
	return !full
}

// admit returns a connection of a client, or closes it and returns nil if the
// client has too many.
func (g *gate) admit(raw net.Conn, client net.Addr) *conn {
	c := newConn(raw, g, client)
	addr, ok := addrOf(client)
	if g.each == 0 || !ok || g.trust.has(client) {
		return c
	}
	bits := addr.BitLen()
	if addr.Is6() {
		bits = g.ipv6Bits
	}
	network, err := addr.Prefix(bits)
	if err != nil {
		network = netip.PrefixFrom(addr, addr.BitLen())
	}
	g.mu.Lock()
	full := g.clients[network] >= g.each
	if !full {
		g.clients[network]++
		c.client = network
	}
	g.mu.Unlock()
	if full {
		g.overClient.add()
		g.leave(netip.Prefix{})
		refuse(raw)
		return nil
	}
	return c
}

// leave notes the end of a connection that had entered, counted for client if
// that is valid.
func (g *gate) leave(client netip.Prefix) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if !client.IsValid() {
		return
	}
	if g.clients[client]--; g.clients[client] == 0 {
		delete(g.clients, client)
	}
}

// refuse closes a connection so that nothing of it is left to wait for.
func refuse(raw net.Conn) {
	if tcp, ok := raw.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	raw.Close()
}

// Close ends the listener, and the connections that have yet to announce their
// client.
func (g *gate) Close() error {
	g.end.Do(func() {
		close(g.done)
		g.overAll.stop()
		g.overClient.stop()
		g.notProxied.stop()
		g.mu.Lock()
		defer g.mu.Unlock()
		g.closed = true
		for raw := range g.pending {
			raw.Close()
		}
	})
	return g.Listener.Close()
}

// counts returns the counts.
func (g *gate) counts() Connections {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	return Connections{
		Open:       open,
		OverAll:    g.overAll.total(),
		OverClient: g.overClient.total(),
		NotProxied: g.notProxied.total(),
	}
}

// name is what a listener's address is called.
func name(addr net.Addr) string {
	if addr.Network() == "unix" {
		return unixPrefix + oneline.Text(addr.String())
	}
	return addr.String()
}

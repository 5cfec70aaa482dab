package serve_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/seed-0c889b51/weir/internal/serve"
)

// version2 returns a header of version 2 in bytes.
func version2(command proxyproto.ProtocolVersionAndCommand, from string) string {
	h := proxyproto.Header{Version: 2, Command: command, TransportProtocol: proxyproto.UNSPEC}
	if from != "" {
		addr := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))
		h.SourceAddr, h.DestinationAddr, h.TransportProtocol = addr, addr, proxyproto.TCPv4
		if addr.IP.To4() == nil {
			h.TransportProtocol = proxyproto.TCPv6
		}
	}
	b, err := h.Format()
	if err != nil {
		panic(err)
	}
	return string(b)
}

// The proxy's header says who the client is, and nothing else does.
func TestCheck75Announced(t *testing.T) {
	t.Parallel()
	clients := make(chan string, 10)
	cfg := config(t, "ip 1/day")
	cfg.ProxyProtocol = loopback()
	cfg.Routes = to(t, func(_ http.ResponseWriter, r *http.Request) { clients <- r.Header.Get("X-Forwarded-For") })
	s := start(t, cfg)
	for i, tt := range []struct {
		why, text string
		want      int
		client    string // as the upstream is told, if it is asked
	}{
		{"version 1", "PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n" + plain, 200, "203.0.113.7"},
		{"the same client on another port", "PROXY TCP4 203.0.113.7 192.0.2.1 4712 80\r\n" + plain, 429, ""},
		{"the same client, in version 2", version2(proxyproto.PROXY, "203.0.113.7:1") + plain, 429, ""},
		{"the same client in IPv6 notation", "PROXY TCP6 ::ffff:203.0.113.7 ::1 4711 80\r\n" + plain, 429, ""},
		{"version 2", version2(proxyproto.PROXY, "203.0.113.8:4711") + plain, 200, "203.0.113.8"},
		{"IPv6", "PROXY TCP6 2001:db8::7 ::1 4711 80\r\n" + plain, 200, "2001:db8::7"},
		{"the same network, in version 2", version2(proxyproto.PROXY, "[2001:db8::8]:4711") + plain, 429, ""},
		{"the proxy speaks for itself", version2(proxyproto.LOCAL, "") + plain, 200, "127.0.0.1"},
		{"LOCAL, whatever address comes with it", version2(proxyproto.LOCAL, "203.0.113.9:1") + plain, 429, ""},
		{"the proxy does not know the client", "PROXY UNKNOWN\r\n" + plain, 429, ""},
		{"a field is not believed", "PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\nGET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.10\r\n\r\n", 429, ""},
		{"no header", plain, 0, ""},
		{"half a header, and then something else", "PROXY TCP4 203.0.113.11\r\n" + plain, 0, ""},
		{"no address", "PROXY TCP4 localhost 192.0.2.1 4711 80\r\n" + plain, 0, ""},
		{"a zone", "PROXY TCP6 fe80::1%a ::1 4711 80\r\n" + plain, 0, ""},
		{"a command that there is not", strings.Replace(version2(proxyproto.PROXY, "203.0.113.12:1"), "\x21", "\x22", 1) + plain, 0, ""},
		{"a client of UDP", strings.Replace(version2(proxyproto.PROXY, "203.0.113.12:1"), "\x21\x11", "\x21\x12", 1) + plain, 0, ""},
		{"nothing at all", "\r\n\r\n" + plain, 0, ""},
	} {
		if got := say(t, s, tt.text); got != tt.want {
			t.Errorf("%d, %s: status %d, want %d", i+1, tt.why, got, tt.want)
		}
		if tt.client == "" {
			continue
		}
		if got := <-clients; got != tt.client {
			t.Errorf("%d, %s: the upstream is told of %s, want %s", i+1, tt.why, got, tt.client)
		}
	}
	if got := s.server.Connections().NotProxied; got != 7 {
		t.Errorf("%d connections are counted that had no good header, want 7", got)
	}
}

// Who is no proxy cannot connect, with a header or without.
func TestCheck75Strangers(t *testing.T) {
	t.Parallel()
	cfg := config(t, "ip 1/day")
	cfg.ProxyProtocol = networks("203.0.113.0/24")
	s := start(t, cfg)
	for _, text := range []string{"PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n" + plain, version2(proxyproto.PROXY, "203.0.113.8:1") + plain, plain} {
		if got := say(t, s, text); got != 0 {
			t.Errorf("a stranger who says %q gets %d, want the connection closed", text, got)
		}
	}
	if got, want := s.server.Connections(), (serve.Connections{NotProxied: 3}); got != want {
		t.Errorf("the counts are %+v, want %+v", got, want)
	}
}

// Without proxies a header is what it is to any HTTP server.
func TestCheck75NotGuessed(t *testing.T) {
	t.Parallel()
	s := start(t, config(t, "ip 1/day"))
	if got := say(t, s, "PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n"+plain); got != 400 {
		t.Errorf("status %d, want 400", got)
	}
}

// proxied returns a gate for proxies, and what it lets in.
func proxied(cfg serve.Config) (l backlog, gate net.Listener, counts func() serve.Connections, taken chan net.Conn) {
	l, taken = make(backlog), make(chan net.Conn, 10)
	cfg.ProxyProtocol, cfg.IPv6Prefix, cfg.Logger = networks("10.0.0.0/8"), 64, discard
	gate, counts = serve.NewGate(l, cfg)
	go func() {
		for {
			c, err := gate.Accept()
			if err != nil {
				close(taken)
				return
			}
			taken <- c
		}
	}()
	return l, gate, counts, taken
}

func TestCheck75SlowHeader(t *testing.T) {
	t.Parallel()
	v2 := version2(proxyproto.PROXY, "203.0.113.7:1")
	for why, header := range map[string]struct{ atOnce, inDrops string }{
		"nothing comes":            {"", ""},
		"it comes in drops":        {"", v2},
		"it is cut off":            {v2[:len(v2)-1], ""},
		"version 1 comes in drops": {"", "PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			l, gate, counts, taken := proxied(serve.Config{})
			defer gate.Close()
			client, server := connect(t, "10.0.0.1")
			l <- server
			began, end := time.Now(), make(chan bool)
			go func() {
				defer close(end)
				io.WriteString(client, header.atOnce)
				for _, b := range []byte(header.inDrops) {
					if _, err := client.Write([]byte{b}); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			}()
			// A quick one is not kept waiting meanwhile.
			quick, server := connect(t, "10.0.0.1")
			l <- server
			io.WriteString(quick, version2(proxyproto.PROXY, "203.0.113.8:1")+"x")
			c := <-taken
			if got := c.RemoteAddr().String(); got != "203.0.113.8:1" || time.Since(began) != 0 {
				t.Errorf("%s: the quick one is %s after %v, want 203.0.113.8:1 at once", why, got, time.Since(began))
			}
			b := make([]byte, 10)
			if n, err := c.Read(b); n != 1 || b[0] != 'x' || err != nil {
				t.Errorf("%s: after the header there is %q, %v, want x", why, b[:n], err)
			}
			io.Copy(io.Discard, client) // until it is closed
			if took := time.Since(began); took > serve.ProxyHeaderTimeout {
				t.Errorf("%s: it is closed after %v, want %v at most", why, took, serve.ProxyHeaderTimeout)
			}
			<-end
			if got, want := counts(), (serve.Connections{Open: 1, NotProxied: 1}); got != want {
				t.Errorf("%s: the counts are %+v, want %+v", why, got, want)
			}
		})
	}
}

// A listener that is closed keeps no connection, whatever it waits for.
func TestCheck75Closed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, gate, counts, taken := proxied(serve.Config{})
		client, server := connect(t, "10.0.0.1")
		l <- server
		synctest.Wait()
		began := time.Now()
		gate.Close()
		io.Copy(io.Discard, client)
		if took := time.Since(began); took != 0 {
			t.Errorf("the connection is closed after %v, want at once", took)
		}
		if _, ok := <-taken; ok {
			t.Error("the connection was let in")
		}
		synctest.Wait()
		if got := counts().Open; got != 0 {
			t.Errorf("%d connections are open, want none", got)
		}
	})
}

// Clients behind a proxy are bounded each by itself.
func TestCheck75Bounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, gate, counts, _ := proxied(serve.Config{MaxConnections: 3, MaxPerClient: 1})
		defer gate.Close()
		for i, tt := range []struct {
			from    string
			refused bool
		}{{"203.0.113.7:1", false}, {"203.0.113.7:2", true}, {"203.0.113.8:1", false}, {"203.0.113.9:1", false}, {"203.0.113.10:1", true}} {
			client, server := connect(t, "10.0.0.1")
			l <- server
			go io.WriteString(client, version2(proxyproto.PROXY, tt.from))
			if got := closed(client); got != tt.refused {
				t.Errorf("connection %d, of %s, is refused: %v, want %v", i+1, tt.from, got, tt.refused)
			}
		}
		if got, want := counts(), (serve.Connections{Open: 3, OverAll: 1, OverClient: 1}); got != want {
			t.Errorf("the counts are %+v, want %+v", got, want)
		}
	})
}

// A pending connection that reads from memory.
type pending struct {
	net.Conn
	io.Reader
}

func (p pending) Read(b []byte) (int, error)    { return p.Reader.Read(b) }
func (pending) SetReadDeadline(time.Time) error { return nil }
func (pending) RemoteAddr() net.Addr            { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1} }

// Whatever comes, there is either a client with an address or an error.
func FuzzAnnounced(f *testing.F) {
	f.Add([]byte("PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte(version2(proxyproto.PROXY, "[2001:db8::8]:4711")))
	f.Add([]byte(version2(proxyproto.LOCAL, "")))
	f.Fuzz(func(t *testing.T, data []byte) {
		addr, err := serve.Announced(pending{Reader: strings.NewReader(string(data))})
		if err != nil {
			return
		}
		if tcp, ok := addr.(*net.TCPAddr); !ok || !tcp.AddrPort().IsValid() {
			t.Errorf("%q announces %v", data, fmt.Sprint(addr))
		}
	})
}

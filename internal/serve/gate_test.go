package serve_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir/internal/serve"
)

// A backlog is a listener of connections that are there already.
type backlog chan net.Conn

func (b backlog) Accept() (net.Conn, error) {
	if c, ok := <-b; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (b backlog) Close() error { close(b); return nil }
func (backlog) Addr() net.Addr { return &net.TCPAddr{} }

// A peer is the server's end of a connection from somewhere.
type peer struct {
	net.Conn
	from net.Addr
}

func (p peer) RemoteAddr() net.Addr { return p.from }

// connect returns both ends of a connection from an address, or from a Unix
// socket if it is "@".
func connect(t *testing.T, from string) (client, server net.Conn) {
	t.Helper()
	client, server = net.Pipe()
	t.Cleanup(func() { client.Close(); server.Close() })
	if from == "@" {
		return client, peer{server, &net.UnixAddr{Name: from, Net: "unix"}}
	}
	return client, peer{server, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 4711))}
}

// closed tells whether the other side has closed a connection on which nothing
// is sent.
func closed(c net.Conn) bool {
	c.SetReadDeadline(time.Now().Add(time.Hour)) // of the bubble
	_, err := c.Read(make([]byte, 1))
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why        string
		most, each int
		from       string // clients, of whom those with a '!' are refused
		want       serve.Connections
	}{
		{"in all", 2, 0, "203.0.113.1 203.0.113.2 203.0.113.3! 203.0.113.1!", serve.Connections{Open: 2, OverAll: 2}},
		{"of each client", 0, 2, "203.0.113.1 203.0.113.1 203.0.113.1! 203.0.113.2", serve.Connections{Open: 3, OverClient: 1}},
		{"who is refused takes no place", 2, 1, "203.0.113.1 203.0.113.1! 203.0.113.2 203.0.113.3!", serve.Connections{Open: 2, OverAll: 1, OverClient: 1}},
		{"an IPv6 network is one client", 0, 1, "2001:db8::1 2001:db8::2! 2001:db8:0:1::1", serve.Connections{Open: 2, OverClient: 1}},
		{"in whatever notation", 0, 1, "::ffff:203.0.113.1 203.0.113.1! 203.0.113.2", serve.Connections{Open: 2, OverClient: 1}},
		{"a trusted proxy is many clients", 0, 1, "10.0.0.1 10.0.0.1 ::ffff:10.0.0.2 10.0.0.2", serve.Connections{Open: 4}},
		{"but not without bound", 3, 1, "10.0.0.1 10.0.0.1 10.0.0.1 10.0.0.1!", serve.Connections{Open: 3, OverAll: 1}},
		{"as is who is on a Unix socket", 0, 1, "@ @", serve.Connections{Open: 2}},
		{"any number", 0, 0, strings.Repeat("203.0.113.1 ", 50), serve.Connections{Open: 50}},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := make(backlog)
				gate, counts := serve.NewGate(l, serve.Config{
					MaxConnections: tt.most, MaxPerClient: tt.each, IPv6Prefix: 64, Trust: networks("10.0.0.0/8"), Logger: discard,
				})
				defer gate.Close()
				go func() {
					for {
						if _, err := gate.Accept(); err != nil {
							return
						}
					}
				}()
				var clients []net.Conn
				for from := range strings.FieldsSeq(tt.from) {
					client, server := connect(t, strings.TrimSuffix(from, "!"))
					l <- server
					clients = append(clients, client)
				}
				for i, from := range strings.Fields(tt.from) {
					if got, want := closed(clients[i]), strings.HasSuffix(from, "!"); got != want {
						t.Errorf("connection %d, of %s, is refused: %v, want %v", i+1, from, got, want)
					}
				}
				if got := counts(); got != tt.want {
					t.Errorf("the counts are %+v, want %+v", got, tt.want)
				}
			})
		})
	}
}

// A connection that ends makes room, once, however often it is closed.
func TestRoomIsMadeOnce(t *testing.T) {
	t.Parallel()
	l := make(backlog, 4)
	gate, counts := serve.NewGate(l, serve.Config{MaxConnections: 2, MaxPerClient: 2, IPv6Prefix: 64, Logger: discard})
	accept := func() net.Conn {
		_, server := connect(t, "203.0.113.1")
		l <- server
		c, err := gate.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := accept()
	accept()
	first.Close()
	first.Close()
	if got := counts().Open; got != 1 {
		t.Errorf("%d connections are open, want 1", got)
	}
	accept()
	if got, want := counts(), (serve.Connections{Open: 2}); got != want {
		t.Errorf("the counts are %+v, want %+v", got, want)
	}
}

// However many connections are refused, it is two lines in the log.
func TestRefusalsAreLoggedTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &book{}
		l := make(backlog)
		gate, _ := serve.NewGate(l, serve.Config{MaxPerClient: 1, IPv6Prefix: 64, Logger: slog.New(slog.NewTextHandler(log, nil))})
		defer gate.Close()
		go func() {
			for {
				if _, err := gate.Accept(); err != nil {
					return
				}
			}
		}()
		flood := func(n int) {
			for range n {
				client, server := connect(t, "203.0.113.77")
				l <- server
				client.Close()
				time.Sleep(serve.Calm / 8)
			}
		}
		flood(101)
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=WARN msg=\"connections are refused\"") ||
			!strings.Contains(got, "--max-connections-per-client") {
			t.Errorf("during it the log is\n%s", got)
		}
		time.Sleep(2 * serve.Calm)
		if got := log.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "no longer refused") || !strings.Contains(got, "refused=100") {
			t.Errorf("after it the log is\n%s", got)
		}
		flood(2)
		time.Sleep(2 * serve.Calm)
		got := log.String()
		if strings.Count(got, "\n") != 4 || !strings.Contains(got, "refused=2") || strings.Contains(got, "203.0.113.77") {
			t.Errorf("after another time the log is\n%s", got)
		}
	})
}

// accepted returns both ends of a connection that a gate has let in.
func accepted(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l := make(backlog, 1)
	gate, _ := serve.NewGate(l, serve.Config{IPv6Prefix: 64, Logger: discard})
	client, raw := connect(t, "203.0.113.1")
	l <- raw
	server, err := gate.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return client, server
}

func TestAClientThatDoesNotReadIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := accepted(t)
		began := time.Now()
		go io.ReadFull(client, make([]byte, serve.WritePiece+1)) // and then no more
		n, err := server.Write(make([]byte, 4*serve.WritePiece))
		if !errors.Is(err, os.ErrDeadlineExceeded) || n != serve.WritePiece+1 || time.Since(began) != serve.WriteTimeout {
			t.Errorf("Write = %d, %v after %v, want a timeout after %v", n, err, time.Since(began), serve.WriteTimeout)
		}
	})
}

func TestASlowReaderIsNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := accepted(t)
		want := bytes.Repeat([]byte("0123456789"), 10*serve.WritePiece/10)
		got, end := &bytes.Buffer{}, make(chan bool)
		go func() {
			defer close(end)
			for {
				time.Sleep(serve.WriteTimeout - time.Second)
				if _, err := io.CopyN(got, client, serve.WritePiece); err != nil {
					return
				}
			}
		}()
		time.Sleep(time.Hour) // as a stream of events may rest
		if n, err := server.Write(want); n != len(want) || err != nil {
			t.Errorf("Write = %d, %v, want all of %d", n, err, len(want))
		}
		server.Close()
		<-end
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("the client got %d bytes that are not those written", got.Len())
		}
	})
}

// What net/http or a handler has set as a deadline is not put off.
func TestDeadlinesOfOthersHold(t *testing.T) {
	t.Parallel()
	for why, set := range map[string]func(net.Conn, time.Time) error{
		"SetDeadline": net.Conn.SetDeadline, "SetWriteDeadline": net.Conn.SetWriteDeadline,
	} {
		synctest.Test(t, func(t *testing.T) {
			_, server := accepted(t)
			began := time.Now()
			if err := set(server, began.Add(time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := server.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Second {
				t.Errorf("%s: Write = %v after %v, want a timeout after 1s", why, err, time.Since(began))
			}
		})
	}
}

package main

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
)

// Both kinds of calls, from the server's limit on.
var calls = map[string]func(health.HealthClient) error{
	"unary": func(c health.HealthClient) error {
		_, err := c.Check(context.Background(), &health.HealthCheckRequest{})
		return err
	},
	"stream": func(c health.HealthClient) error {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		stream, err := c.Watch(ctx, &health.HealthCheckRequest{})
		if err != nil {
			return err
		}
		_, err = stream.Recv()
		return err
	},
}

// A network is a listener in memory whose peers have the addresses that they
// were dialled from.
type network struct {
	*bufconn.Listener
	from chan net.Addr
}

type conn struct {
	net.Conn
	from net.Addr
}

func (c conn) RemoteAddr() net.Addr { return c.from }

func (n network) Accept() (net.Conn, error) {
	c, err := n.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return conn{c, <-n.from}, nil
}

// serve runs the server with a limit until the test is over, and returns what
// makes a client with an address.
func serve(t *testing.T, limit bucket.Limit) func(addr string) health.HealthClient {
	t.Helper()
	limiter, err := weir.Open("", weir.Policy{Name: "peer", Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	n := network{bufconn.Listen(1 << 16), make(chan net.Addr, 1)}
	server := newServer(limiter)
	served := make(chan error, 1)
	go func() { served <- server.Serve(n) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return func(addr string) health.HealthClient {
		t.Helper()
		from, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		dial := func(ctx context.Context, _ string) (net.Conn, error) {
			n.from <- from
			return n.DialContext(ctx)
		}
		client, err := grpc.NewClient("passthrough:///weir", grpc.WithContextDialer(dial),
			grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		return health.NewHealthClient(client)
	}
}

// retryDelay returns the RetryInfo of a call that is over the limit.
func retryDelay(t *testing.T, err error) time.Duration {
	t.Helper()
	s := status.Convert(err)
	if s.Code() != codes.ResourceExhausted {
		t.Fatalf("call fails with %v, want %v", err, codes.ResourceExhausted)
	}
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration()
		}
	}
	t.Fatalf("%v has no RetryInfo", s)
	return 0
}

// As many calls as the burst pass and the next does not, just before the
// RetryInfo is over it still does not, then it does, and others are not
// concerned. The clock is virtual, the connections are of memory.
func TestLimited(t *testing.T) {
	t.Parallel()
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				dial := serve(t, bucket.PerMinute(100))
				alice, again := dial("198.51.100.1:1000"), dial("198.51.100.1:1001")
				for i := range 100 {
					client := alice
					if i%2 == 1 {
						client = again
					}
					if err := call(client); err != nil {
						t.Fatalf("call %d: %v", i+1, err)
					}
				}
				start := time.Now()
				delay := retryDelay(t, call(alice))
				if err := call(dial("198.51.100.2:1000")); err != nil {
					t.Errorf("another client: %v", err)
				}
				// Connections live on time, too: what they have spent counts.
				time.Sleep(delay - time.Since(start) - time.Nanosecond)
				if rest := retryDelay(t, call(alice)); rest > time.Nanosecond {
					t.Errorf("RetryInfo said %v and, just before, that %v are left", delay, rest)
				}
				time.Sleep(delay - time.Since(start))
				if err := call(again); err != nil {
					t.Errorf("after the %v of RetryInfo: %v", delay, err)
				}
			})
		})
	}
}

type address string

func (address) Network() string  { return "" }
func (a address) String() string { return string(a) }

func TestPeerKey(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ why, addr, key string }{
		{"no port", "198.51.100.1:4711", "198.51.100.1"},
		{"IPv4 in IPv6 notation is IPv4", "[::ffff:198.51.100.1]:4711", "198.51.100.1"},
		{"a client has a /64", "[2001:db8:0:1::7]:4711", "2001:db8:0:1::/64"},
		{"no zone", "[fe80::1%eth0]:4711", "fe80::/64"},
		{"a Unix socket", "@", "unknown"},
	} {
		ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: address(test.addr)})
		if key := peerKey(ctx); key != test.key {
			t.Errorf("%s: key of %s is %q, want %q", test.why, test.addr, key, test.key)
		}
	}
	if key := peerKey(context.Background()); key != "unknown" {
		t.Errorf("without a peer: key %q", key)
	}
}

package serve_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/internal/policy"
	"github.com/seed-0c889b51/weir/internal/proxy"
	"github.com/seed-0c889b51/weir/internal/serve"
)

// A book keeps what is written to it.
type book struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// A running server, and what it has written.
type running struct {
	url         string
	banner, log *book
	server      *serve.Server
	stop, force context.CancelFunc
	done        chan error // what Run returned
}

// config returns a configuration for a test, with the limits given.
func config(t *testing.T, limits ...string) serve.Config {
	t.Helper()
	policies, err := policy.ParseList(limits...)
	if err != nil {
		t.Fatal(err)
	}
	return serve.Config{
		Listen:        "127.0.0.1:0",
		Policies:      policies,
		UserHeader:    "X-User",
		IPv6Prefix:    64,
		SnapshotEvery: time.Hour, // only the final one
		Timeout:       time.Minute,
	}
}

// inFlight reads how many requests may be in flight.
func inFlight(t *testing.T, texts ...string) []policy.InFlight {
	t.Helper()
	list, err := policy.ParseInFlightList(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// start runs a server, to which something may be done before. It is stopped at
// the end of the test if not before.
func start(t *testing.T, cfg serve.Config, before ...func(*serve.Server)) *running {
	t.Helper()
	r := &running{banner: &book{}, log: &book{}, done: make(chan error, 1)}
	cfg.Banner = r.banner
	cfg.Logger = slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := serve.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.server, r.url = s, "http://"+s.Addr().String()
	if cfg.TLSCert != "" {
		r.url = "https://" + s.Addr().String()
	}
	for _, f := range before {
		f(s)
	}
	var ctx, force context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	force, r.force = context.WithCancel(context.Background())
	finished := make(chan bool)
	go func() {
		r.done <- s.Run(ctx, force)
		close(finished)
	}()
	t.Cleanup(func() {
		r.stop()
		<-finished
		r.force()
	})
	return r
}

// close stops the server in order.
func (r *running) close(t *testing.T) {
	t.Helper()
	r.stop()
	if err := <-r.done; err != nil {
		t.Errorf("Run = %v, want no error", err)
	}
}

// to returns the route to an upstream that runs h.
func to(t *testing.T, h http.HandlerFunc) []proxy.Route {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	list, err := routes(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// routes reads routes.
func routes(texts ...string) ([]proxy.Route, error) {
	var list []proxy.Route
	for _, text := range texts {
		r, err := proxy.ParseRoute(text)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

// status sends a GET on a connection of its own and returns the status.
func status(t *testing.T, url string, fields ...string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	for i := 0; i < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}

// loopback is who connects in tests.
func loopback() serve.Peers { return networks("127.0.0.1/32") }

func networks(prefixes ...string) serve.Peers {
	var p serve.Peers
	for _, prefix := range prefixes {
		p.Networks = append(p.Networks, netip.MustParsePrefix(prefix))
	}
	return p
}

func stateFile(t *testing.T) string { return filepath.Join(t.TempDir(), "weir.db") }

// freePort returns a port that nothing listens on at the moment.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// say sends text on a new connection and returns the status of the answer, 0 if
// the connection is closed without one.
func say(t *testing.T, s *running, text string) int {
	t.Helper()
	conn, err := net.Dial("tcp", s.server.Addr().String())
	if errors.Is(err, syscall.ECONNRESET) { // it was closed as soon as it was there
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, text) // the answer tells if it was too late
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	res.Body.Close()
	return res.StatusCode
}

const plain = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

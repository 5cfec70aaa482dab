package proxy_test

import (
	"context"
	"flag"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/proxy"
)

var malformed = flag.Int("malformed", 100_000, "how many malformed requests to send; less with -short")

// pipes is a listener in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if conn, ok := <-p; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// piped is the server's end, from an address that is a client's.
type piped struct {
	net.Conn
	peer net.IP
}

func (p piped) RemoteAddr() net.Addr { return &net.TCPAddr{IP: p.peer, Port: 1} }

// An asked is a limiter that allows all, and counts by what keys it was asked:
// one by httpmw.ByIP, and one by the peer of the connection.
type asked struct {
	mu   sync.Mutex
	keys map[[2]string]int
}

func (a *asked) Names() []string { return []string{"ip", "peer"} }

func (a *asked) DecideEach(into []bucket.Decision, _ []int, keys ...string) bool {
	for i := range into {
		into[i] = bucket.Decision{Allowed: true}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys[[2]string(keys)]++
	return true
}

func (a *asked) PeekEach([]bucket.Decision, []int, ...string) bool { return true }

func (a *asked) Settle([]int, ...string) {}

// behind returns a middleware that asks a, and believes proxies of which no
// peer is one.
func (a *asked) behind(t *testing.T) *httpmw.Middleware {
	t.Helper()
	ip, err := httpmw.NewClientIP(64, netip.MustParsePrefix("198.51.100.0/24"))
	if err != nil {
		t.Fatal(err)
	}
	mw, err := httpmw.New(a, httpmw.Config{
		Keys: map[string]httpmw.Key{"ip": httpmw.ByIP(), "peer": httpmw.Func(func(r *http.Request) string { return r.RemoteAddr })},
		IP:   ip, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return mw
}

var templates = []string{
	"GET /a?b=c HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nX_User: m\r\n\r\n",
	"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n12345",
	"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n5;e=1\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
	"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, X-Forwarded-For, Via\r\nUpgrade: websocket\r\nVia: 1.1 b\r\n\r\n",
	"PUT http://b:80/x/../y HTTP/1.1\r\nHost: b\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
	"OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nForwarded: for=6.6.6.6\r\n\r\n",
	"HEAD /api/%2e%2e/b;c HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
}

var morsels = []string{
	"\r\n", "\n", "\r", "\x00", " ", "\t", ":", ";", ",", "0\r\n\r\n", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "chunked", "HTTP/1.0", "HTTP/2.0",
	"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", "Host: evil\r\n", "x:", "//", "..", "%00", "_", "\xff", "ffffffffffffffff", "-1", "Connection: close\r\n", "CONNECT", "PRI *", "\r\n ", "h2c", "@",
}

// spoil returns a request that is malformed, most of the time.
func spoil(rng *rand.Rand) string {
	if rng.IntN(20) == 0 { // nothing but noise
		b := make([]byte, rng.IntN(200))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return string(b)
	}
	s := templates[rng.IntN(len(templates))]
	for range rng.IntN(4) {
		i := rng.IntN(len(s))
		j := min(len(s), i+rng.IntN(12))
		switch rng.IntN(5) {
		case 0:
			s = s[:i] + string([]byte{byte(rng.Uint32())}) + s[i+1:]
		case 1:
			s = s[:i] + s[j:]
		case 2:
			s = s[:j] + s[i:]
		default:
			s = s[:i] + morsels[rng.IntN(len(morsels))] + s[i:]
		}
		if s == "" {
			return "\r\n"
		}
	}
	return s
}

// Whatever a client sends: nothing crashes, nothing stays behind, and what the
// upstream gets has one meaning and is one of the requests that the proxy was
// given, and each of these was limited by the address of its peer. Each is given
// a number, which the upstream gets too. The test is not parallel, since it
// counts goroutines.
func TestMalformedRequests(t *testing.T) {
	count := *malformed
	if testing.Short() {
		count = min(count, 5_000)
	}
	before := runtime.NumGoroutine()

	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	wire := &wiretap{Listener: up.Listener}
	up.Listener = wire
	up.Config.DisableGeneralOptionsHandler = true
	var errorsOf logBook
	up.Config.ErrorLog = log.New(&errorsOf, "", 0)
	up.Start()
	to, err := proxy.ParseTarget(up.URL)
	if err != nil {
		t.Fatal(err)
	}
	p, err := proxy.New(proxy.Config{To: to, UserHeader: "X-User"})
	if err != nil {
		t.Fatal(err)
	}
	proxy.Linger(p, time.Millisecond)
	type request struct{ method, peer string }
	var given sync.Map // number: request
	var last atomic.Int64
	limiter := &asked{keys: map[[2]string]int{}}
	listener := make(pipes)
	server := &http.Server{
		Handler: limiter.behind(t).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n := strconv.FormatInt(last.Add(1), 10)
			given.Store(n, request{r.Method, r.RemoteAddr})
			r.Header["X-Number"] = []string{n}
			p.ServeHTTP(w, r)
		})),
		ErrorLog:                     log.New(&errorsOf, "", 0),
		MaxHeaderBytes:               64 << 10,
		DisableGeneralOptionsHandler: true,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	var clients sync.WaitGroup
	const workers = 64
	for worker := range workers {
		clients.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(worker)))
			for range count / workers {
				ours, theirs := net.Pipe()
				listener <- piped{theirs, net.IPv4(192, 0, 2, byte(worker))}
				ended := make(chan bool)
				go func() {
					io.Copy(io.Discard, ours)
					close(ended)
				}()
				ours.SetWriteDeadline(time.Now().Add(time.Second)) // what is refused may not be read to its end
				io.WriteString(ours, spoil(rng)+"GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
				select {
				case <-ended:
				case <-time.After(5 * time.Millisecond): // for more, which does not come
				}
				ours.Close()
				<-ended
			}
		})
	}
	clients.Wait()
	close(listener)
	<-served
	stop, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		t.Errorf("a request has not ended: %v", err)
	}
	p.CloseIdle()
	up.Close()

	asked, err := wire.requests()
	if err != nil {
		t.Errorf("what the upstream got has more than one meaning: %.2000v", err)
	}
	for _, r := range asked {
		n := r.values("X-Number")
		if len(n) != 1 {
			t.Fatalf("the upstream got %v with the numbers %q, want one", r, n)
		}
		of, _ := given.LoadAndDelete(n[0])
		was, ok := of.(request)
		if !ok || was.method != r.method {
			t.Errorf("the upstream got %v, as number %s, which was %v: want each request once", r, n[0], was)
		}
		if xff := r.values("X-Forwarded-For"); len(xff) != 1 || xff[0]+":1" != was.peer {
			t.Errorf("%v: X-Forwarded-For: %q", r, xff)
		}
		if via := r.values("Via"); len(via) != 1 || !strings.Contains(via[0], "weir-") {
			t.Errorf("%v: Via: %q", r, via)
		}
		for _, f := range r.fields {
			if name, _, _ := strings.Cut(f, ":"); strings.Contains(name, "_") || strings.EqualFold(name, "Forwarded") {
				t.Errorf("%v: the upstream got %q", r, f)
			}
		}
	}
	if len(asked) < count/10 {
		t.Errorf("of %d requests the upstream got %d: that is no test of it", count, len(asked))
	}
	limiter.wantPeers(t, workers, int(last.Load()))
	if strings.Contains(errorsOf.String(), "panic") {
		t.Errorf("a handler crashed: %.2000s", errorsOf.String())
	}
	for range 200 { // those of closed connections need a moment
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	stacks := make([]byte, 1<<16)
	t.Errorf("%d goroutines, before there were %d:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
}

// wantPeers checks that the keys of so many requests were those of a plain
// request of each peer.
func (a *asked) wantPeers(t *testing.T, peers, requests int) {
	t.Helper()
	plain := &asked{keys: map[[2]string]int{}}
	h := plain.behind(t).Handler(http.NotFoundHandler())
	for peer := range peers {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = (&net.TCPAddr{IP: net.IPv4(192, 0, 2, byte(peer)), Port: 1}).String()
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	if len(plain.keys) != peers {
		t.Fatalf("%d peers have %d keys", peers, len(plain.keys))
	}
	for keys, n := range a.keys {
		if plain.keys[keys] == 0 {
			t.Errorf("%d requests were limited by %q, want the keys of a peer", n, keys)
		}
		requests -= n
	}
	if requests != 0 || len(a.keys) != peers {
		t.Errorf("limited by %d keys, want %d; %d requests more than were asked about", len(a.keys), peers, requests)
	}
}

// The strings of the test above are what it says they are.
func TestSpoil(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	bad, seen := 0, map[string]bool{}
	for range 1000 {
		s := spoil(rng)
		seen[s] = true
		if _, err := parseWire(s); err != nil {
			bad++
		}
	}
	if bad < 300 || len(seen) < 500 {
		t.Errorf("of 1000 requests %d are malformed, and %d differ: want more", bad, len(seen))
	}
}

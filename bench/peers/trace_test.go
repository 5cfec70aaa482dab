package peers

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A limit is one of so many requests in a window, with a burst of as many.
type limit struct {
	quota  int
	window time.Duration
}

// What is timed: a path is one of the two answers, a spread is how many keys.
type scenario struct {
	name    string
	allowed bool
	keys    int
	limit   limit
	status  int
}

var (
	// No benchmark makes so many requests, nor lasts so long.
	never   = limit{1_000_000_000, time.Hour}
	forever = limit{10, 24 * time.Hour}
)

var scenarios = []scenario{
	{"allowed/hot", true, 1, never, http.StatusOK},
	{"allowed/10k", true, 10_000, never, http.StatusOK},
	{"denied/hot", false, 1, forever, http.StatusTooManyRequests},
	{"denied/10k", false, 10_000, forever, http.StatusTooManyRequests},
}

// address returns the RemoteAddr of the i-th client, i < 2¹⁷, on one of its
// connections: a new string each time, as from the network. A map that is asked
// for the very string that it holds does not look at the bytes.
func address(i, connection int) string {
	return fmt.Sprintf("198.%d.%d.%d:%d", 18+i>>16, i>>8&0xff, i&0xff, 40_000+connection)
}

// sequence returns the addresses of so many clients in a fixed pseudo-random
// order, twice, with other strings the second time. Asked for in turn, over and
// over, no client ever comes with the string that it came with last.
func sequence(clients int) []string {
	order := rand.New(rand.NewPCG(1, 2)).Perm(clients)
	addresses := make([]string, 0, 2*clients)
	for connection := range 2 {
		for _, i := range order {
			addresses = append(addresses, address(i, connection))
		}
	}
	return addresses
}

const body = "hello\n"

// hello is the handler behind every middleware.
var hello = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	w.Write(helloBytes)
})

var helloBytes = []byte(body)

// A sink is an http.ResponseWriter that keeps what was answered and nothing of
// the body but its length. Its header is used again, as a map that is cleared.
type sink struct {
	header http.Header
	status int
	length int
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
}

func (s *sink) Write(p []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	s.length += len(p)
	return len(p), nil
}

func (s *sink) reset() {
	clear(s.header)
	s.status, s.length = 0, 0
}

// A subject is a peer in a scenario, ready to be timed.
type subject struct {
	handler   http.Handler
	status    int // that is expected
	addresses []string
	next      int // of addresses
	request   *http.Request
	sink      sink
	wrong     int // answers with another status, or without a body
}

func newRequest() *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("User-Agent", "curl/8.14.1")
	r.Header.Set("Accept", "*/*")
	return r
}

// newSubject returns a subject of which every client is known and, if the
// scenario says so, over its limit.
func newSubject(t testing.TB, p peer, s scenario) *subject {
	t.Helper()
	sub := &subject{
		handler: p.wrap(t, s.limit, hello),
		status:  s.status,
		request: newRequest(),
		sink:    sink{header: http.Header{}},
	}
	if p.unlimited {
		sub.status = http.StatusOK
	}
	requests := 1
	if !s.allowed {
		requests = s.limit.quota
	}
	for i := range s.keys {
		for n := range requests {
			if sub.ask(address(i, 2+n)); sub.sink.status != http.StatusOK {
				t.Fatalf("%s, %s: client %d got status %d for request %d: want 200", p.name, s.name, i, sub.sink.status, n+1)
			}
		}
	}
	sub.addresses = sequence(s.keys)
	return sub
}

func (s *subject) ask(remote string) {
	s.sink.reset()
	s.request.RemoteAddr = remote
	s.handler.ServeHTTP(&s.sink, s.request)
}

// run makes n requests.
func (s *subject) run(n int) {
	for range n {
		s.ask(s.addresses[s.next])
		if s.next++; s.next == len(s.addresses) {
			s.next = 0
		}
		if s.sink.status != s.status || s.sink.length == 0 {
			s.wrong++
		}
	}
}

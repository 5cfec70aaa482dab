package doctor

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"syscall"
	"time"
)

// A Stack is an API within the process, which needs no network, so that time
// can be virtual.
type Stack struct {
	Handler http.Handler
	Latency time.Duration
	Addrs   []netip.Addr // of the machine
	OneAddr bool         // that requests can be sent from
	Kept    bool         // connections outlive a restart
	Gone    bool         // nobody is there
	Sent    int
	Methods map[string]int
	port    int
}

// Wire has cfg examine the stack. What a request is on the wire is what the
// handler gets.
func Wire(cfg *Config, s *Stack) {
	s.Methods = map[string]int{}
	cfg.wire = &wire{
		send: func(from netip.Addr, alone bool, r *http.Request) (*http.Response, error) {
			s.Sent++
			s.Methods[r.Method]++
			time.Sleep(s.Latency)
			if s.Gone {
				return nil, syscall.ECONNREFUSED
			}
			var raw bytes.Buffer
			if err := r.Write(&raw); err != nil {
				return nil, err
			}
			got, err := http.ReadRequest(bufio.NewReader(&raw))
			if err != nil {
				return nil, err
			}
			if !from.IsValid() {
				from = cfg.Addr.Addr()
			}
			if s.port == 0 || alone {
				s.port++
			}
			got.RemoteAddr = netip.AddrPortFrom(from, uint16(40_000+s.port)).String()
			w := httptest.NewRecorder()
			s.Handler.ServeHTTP(w, got.WithContext(r.Context()))
			time.Sleep(s.Latency)
			return w.Result(), nil
		},
		local: func(netip.Addr) bool { return !s.OneAddr },
		addrs: func() []netip.Addr { return s.Addrs },
		watch: func(context.Context) (func() bool, error) { return func() bool { return s.Kept }, nil },
	}
}

// Malformed and RetryAfter are for tests of what is read from answers.
var (
	Malformed  = malformed
	RetryAfter = retryAfter
)

// Said returns what a header says of the limit.
func Said(h http.Header) (requests int, window time.Duration) {
	q, _ := said(h)
	return q.requests, q.window
}

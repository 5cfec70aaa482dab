package proxy_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/seed-0c889b51/weir/internal/proxy"
)

// A wiretap is a listener that keeps what comes over its connections.
type wiretap struct {
	net.Listener
	mu    sync.Mutex
	conns []*tapped
}

func (w *wiretap) Accept() (net.Conn, error) {
	conn, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &tapped{Conn: conn}
	w.mu.Lock()
	w.conns = append(w.conns, c)
	w.mu.Unlock()
	return c, nil
}

// requests returns what came in all, or why it can be read in another way than
// one. The connections must have ended.
func (w *wiretap) requests() (all []wireRequest, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.mu.Lock()
		rs, e := parseWire(c.in.String())
		c.mu.Unlock()
		all = append(all, rs...)
		err = errors.Join(err, e)
	}
	return all, err
}

type tapped struct {
	net.Conn
	mu sync.Mutex
	in bytes.Buffer
}

func (c *tapped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	c.in.Write(p[:n])
	c.mu.Unlock()
	return n, err
}

// A wireRequest is a request as bytes have it.
type wireRequest struct {
	method, target, body string
	fields               []string // name: value
}

func (r wireRequest) String() string { return strings.TrimRight(r.method+" "+r.target+" "+r.body, " ") }

// values returns those of a field, whatever the case of its name.
func (r wireRequest) values(name string) (vv []string) {
	for _, f := range r.fields {
		if n, v, _ := strings.Cut(f, ": "); strings.EqualFold(n, name) {
			vv = append(vv, v)
		}
	}
	return vv
}

// parseWire reads requests as strictly as RFC 9112 lets: what it takes has one
// meaning for every server. An end in the midst of a request is no error.
func parseWire(data string) (all []wireRequest, err error) {
	line := func() (string, bool) {
		l, rest, ok := strings.Cut(data, "\r\n")
		if !ok {
			return "", false
		}
		data = rest
		return l, true
	}
	const token = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	field := func(l string) error {
		name, value, ok := strings.Cut(l, ":")
		if !ok || name == "" || strings.Trim(name, token) != "" {
			return fmt.Errorf("field line %q", l)
		}
		if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			return fmt.Errorf("field line %q has control characters", l)
		}
		return nil
	}
	for data != "" {
		l, ok := line()
		if !ok {
			return all, nil
		}
		parts := strings.Split(l, " ")
		if len(parts) != 3 || strings.Trim(parts[0], token) != "" || parts[0] == "" || parts[1] == "" || parts[2] != "HTTP/1.1" ||
			strings.ContainsFunc(l, func(c rune) bool { return c < ' ' || c == 0x7f }) ||
			!strings.HasPrefix(parts[1], "/") && (parts[1] != "*" || parts[0] != "OPTIONS") {
			return all, fmt.Errorf("request line %q", l)
		}
		r := wireRequest{method: parts[0], target: parts[1]}
		for {
			if l, ok = line(); !ok {
				return all, nil
			}
			if l == "" {
				break
			}
			if err := field(l); err != nil {
				return all, err
			}
			r.fields = append(r.fields, l)
		}
		length, coding := r.values("Content-Length"), r.values("Transfer-Encoding")
		switch {
		case len(r.values("Host")) != 1:
			return all, fmt.Errorf("%v: Host %q", r, r.values("Host"))
		case len(length)+len(coding) > 1, len(coding) == 1 && coding[0] != "chunked":
			return all, fmt.Errorf("%v: Content-Length %q with Transfer-Encoding %q", r, length, coding)
		case len(length) == 1:
			n, err := strconv.ParseUint(length[0], 10, 31)
			if err != nil || strings.Trim(length[0], "0123456789") != "" {
				return all, fmt.Errorf("%v: Content-Length %q", r, length)
			}
			if int(n) > len(data) {
				return all, nil
			}
			r.body, data = data[:n], data[n:]
		case len(coding) == 1:
			for {
				if l, ok = line(); !ok {
					return all, nil
				}
				n, err := strconv.ParseUint(l, 16, 31)
				if err != nil || strings.Trim(l, "0123456789abcdefABCDEF") != "" {
					return all, fmt.Errorf("%v: chunk size %q", r, l)
				}
				if n == 0 {
					break
				}
				if int(n)+2 > len(data) {
					return all, nil
				}
				if data[n:n+2] != "\r\n" {
					return all, fmt.Errorf("%v: a chunk that ends with %q", r, data[n:n+2])
				}
				r.body, data = r.body+data[:n], data[n+2:]
			}
			for {
				if l, ok = line(); !ok {
					return all, nil
				}
				if l == "" {
					break
				}
				if err := field(l); err != nil {
					return all, err
				}
			}
		}
		all = append(all, r)
	}
	return all, nil
}

// The strict reader is what the tests below stand on.
func TestParseWire(t *testing.T) {
	t.Parallel()
	const host = " HTTP/1.1\r\nHost: a\r\n"
	got, err := parseWire("POST /a" + host + "Content-Length: 2\r\n\r\nhi" +
		"POST /b" + host + "Transfer-Encoding: chunked\r\n\r\n2\r\nyo\r\n0\r\nX: 1\r\n\r\nGET /c" + host + "\r\n")
	if err != nil || fmt.Sprint(got) != "[POST /a hi POST /b yo GET /c]" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{
		"GET /a" + host + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", "GET /a" + host + "Content-Length: +1\r\n\r\nx",
		"GET /a" + host + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "GET /a HTTP/1.1\r\n\r\n",
		"GET  /a" + host + "\r\n", "GET http://a/" + host + "\r\n", "GET /a" + host + " folded: 1\r\n\r\n", "GET /a" + host + "A : 1\r\n\r\n",
		"GET /a" + host + "Transfer-Encoding: chunked\r\n\r\n2;x\r\nyo\r\n0\r\n\r\n", "GET /a" + host + "A: \n1\r\n\r\n",
	} {
		if got, err := parseWire(bad); err == nil {
			t.Errorf("%q is taken as %v", bad, got)
		}
	}
}

// tap returns the address of an upstream that answers everything with 200, what
// goes to it, and a function that ends it.
func tap(t *testing.T) (addr string, wire *wiretap, stop func()) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Upstream", "yes")
	}))
	wire = &wiretap{Listener: server.Listener}
	server.Listener = wire
	server.Config.DisableGeneralOptionsHandler = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, wire, server.Close
}

// raw sends bytes to a proxy in front of a wiretap, and returns the statuses of
// the answers and what the upstream was asked for. With end the client says that
// nothing more comes; else the connection must be ended by the proxy.
func raw(t *testing.T, bytes string, end bool, change func(*proxy.Config)) (statuses []int, asked []wireRequest) {
	t.Helper()
	up, wire, stop := tap(t)
	to, err := proxy.ParseTarget(up)
	if err != nil {
		t.Fatal(err)
	}
	cfg := proxy.Config{To: to, UserHeader: "X-User"}
	if change != nil {
		change(&cfg)
	}
	p, err := proxy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(p)
	server.Config.MaxHeaderBytes = 64 << 10
	server.Config.DisableGeneralOptionsHandler = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	go func() { // what is refused may not be read to its end
		io.WriteString(conn, bytes)
		if end {
			conn.(*net.TCPConn).CloseWrite()
		}
	}()
	in := bufio.NewReader(conn)
	for {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			break
		}
		io.Copy(io.Discard, res.Body)
		statuses = append(statuses, res.StatusCode)
	}
	conn.Close()
	server.Close()
	p.CloseIdle()
	stop()
	asked, err = wire.requests()
	if err != nil {
		t.Errorf("what the upstream got has more than one meaning: %v", err)
	}
	return statuses, asked
}

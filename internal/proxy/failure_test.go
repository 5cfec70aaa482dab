package proxy_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/internal/proxy"
)

// checkProblem holds that an answer is a small problem document that tells
// nothing of where the upstream is.
func checkProblem(t *testing.T, res *http.Response, body string, status int, secret string) {
	t.Helper()
	var doc struct {
		Type, Title, Detail string
		Status              int
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatalf("the body %q is not JSON: %v", body, err)
	}
	if res.StatusCode != status || doc.Status != status || doc.Title != http.StatusText(status) || doc.Type != "about:blank" || doc.Detail == "" {
		t.Errorf("status %d with %s, want %d in both", res.StatusCode, body, status)
	}
	if ct, cc := res.Header.Get("Content-Type"), res.Header.Get("Cache-Control"); ct != "application/problem+json" || cc != "no-store" {
		t.Errorf("Content-Type %q, Cache-Control %q", ct, cc)
	}
	if len(body) > 512 || secret != "" && strings.Contains(body+fmt.Sprint(res.Header), secret) {
		t.Errorf("the answer has %d bytes, or says where the upstream is (%s): %s", len(body), secret, body)
	}
}

func TestUpstreamUnreachable(t *testing.T) {
	t.Parallel()
	const up = "127.0.0.1:1" // tcpmux: nobody listens there any more
	addr := frontWithFields(t, "http://"+up)
	res, body := get(t, addr)
	checkProblem(t, res, body, http.StatusBadGateway, up)
	if res.Header.Get("RateLimit") != ourLimit {
		t.Errorf("the request was counted, and the answer has no RateLimit: %v", res.Header)
	}
	head, err := http.Head(addr)
	if err != nil {
		t.Fatal(err)
	}
	head.Body.Close()
	if head.StatusCode != http.StatusBadGateway || head.ContentLength != int64(len(body)) {
		t.Errorf("HEAD: %d with length %d, want the header of GET", head.StatusCode, head.ContentLength)
	}
}

func TestUpstreamTalksNonsense(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			http.ReadRequest(bufio.NewReader(conn))
			io.WriteString(conn, "SSH-2.0-secret\r\n")
			conn.Close()
		}
	}()
	book := &logBook{}
	addr := front(t, "http://"+l.Addr().String(), func(cfg *proxy.Config) { cfg.Logger = book.logger() })
	res, body := get(t, addr)
	checkProblem(t, res, body, http.StatusBadGateway, "secret")
	if strings.Contains(book.String(), "secret") {
		t.Errorf("what the upstream sent is logged: %s", book)
	}
}

func TestUpstreamTooSlow(t *testing.T) {
	t.Parallel()
	done := make(chan bool)
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) { <-done })
	t.Cleanup(func() { close(done) })
	addr := front(t, up, func(cfg *proxy.Config) { cfg.Timeout = 20 * time.Millisecond })
	res, body := get(t, addr)
	checkProblem(t, res, body, http.StatusGatewayTimeout, strings.TrimPrefix(up, "http://"))
}

// Only the beginning of an answer has a time limit, not a stream.
func TestTimeoutIsForTheBeginning(t *testing.T) {
	t.Parallel()
	begun := make(chan bool)
	addr := front(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-begun
		<-time.After(60 * time.Millisecond)
		io.WriteString(w, "late")
	}), func(cfg *proxy.Config) { cfg.Timeout = 20 * time.Millisecond })
	res, err := http.Get(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	close(begun)
	if body, err := io.ReadAll(res.Body); string(body) != "late" || err != nil {
		t.Errorf("the answer is %q, %v", body, err)
	}
}

func TestClientBodyBreaksOff(t *testing.T) {
	t.Parallel()
	book := &logBook{}
	addr := front(t, upstream(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }),
		func(cfg *proxy.Config) { cfg.Logger = book.logger() })
	conn, err := net.Dial("tcp", strings.TrimPrefix(addr, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	checkProblem(t, res, string(body), http.StatusBadRequest, "")
	if book.String() != "" {
		t.Errorf("a client's mistake is logged as the upstream's: %s", book)
	}
}

func TestOutageIsLoggedOnce(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if broken.Load() {
			panic(http.ErrAbortHandler)
		}
	})
	book := &logBook{}
	addr := front(t, up, func(cfg *proxy.Config) { cfg.Logger = book.logger() })
	ask := func(n int) {
		for range n {
			get(t, addr+"/secret?token=secret", "Authorization", "secret")
		}
	}
	ask(1)
	broken.Store(true)
	ask(3)
	broken.Store(false)
	ask(2)
	if n := strings.Count(book.String(), "does not answer"); n != 1 {
		t.Errorf("the outage is logged %d times, want once:\n%s", n, book)
	}
	if n := strings.Count(book.String(), "answers again"); n != 1 {
		t.Errorf("its end is logged %d times, want once:\n%s", n, book)
	}
	if strings.Contains(book.String(), "secret") {
		t.Errorf("the request is logged:\n%s", book)
	}
}

func TestUpstreamBreaksOff(t *testing.T) {
	t.Parallel()
	book := &logBook{}
	addr := front(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}), func(cfg *proxy.Config) { cfg.Logger = book.logger() })
	res, err := http.Get(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("half an answer passed for a whole one: %q", body)
	}
	if !strings.Contains(book.String(), "the upstream broke off an answer") || strings.Contains(book.String(), "127.0.0.1") {
		t.Errorf("logged: %s", book)
	}
}

// What httputil says of an answer holds addresses of both ends.
func TestErrorLogNamesNobody(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"httputil: ReverseProxy read error during body copy: read tcp 10.0.0.1:5->203.0.113.7:80: connection reset by peer",
		"suppressing panic for copyResponse error in test; copy error: write tcp 10.0.0.1:5->203.0.113.7:80: broken pipe",
	} {
		book := &logBook{}
		proxy.NewErrorLog(book.logger()).Print(line)
		if got := book.String(); got == "" || strings.Contains(got, "203.0.113.7") {
			t.Errorf("of %q is logged %q, want something without an address", line, got)
		}
	}
}

// Two proxies that lead to each other, and one that leads to itself under a
// name that does not say so.
func TestLoops(t *testing.T) {
	t.Parallel()
	for hops := 1; hops <= 2; hops++ {
		t.Run(fmt.Sprint(hops), func(t *testing.T) {
			t.Parallel()
			var count atomic.Int32
			servers := make([]*httptest.Server, hops)
			handlers := make([]atomic.Pointer[proxy.Proxy], hops)
			for i := range servers {
				servers[i] = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					count.Add(1)
					handlers[i].Load().ServeHTTP(w, r)
				}))
				t.Cleanup(servers[i].Close)
			}
			for i := range servers {
				to, err := proxy.ParseTarget(servers[(i+1)%hops].URL)
				if err != nil {
					t.Fatal(err)
				}
				p, err := proxy.New(proxy.Config{To: to})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(p.CloseIdle)
				handlers[i].Store(p)
			}
			// A client's Connection must not hide the loop.
			res, body := get(t, servers[0].URL, "Connection", "Via", "Via", "1.1 elsewhere")
			checkProblem(t, res, body, http.StatusLoopDetected, "")
			if got := count.Load(); got != int32(hops+1) {
				t.Errorf("%d requests were made, want %d", got, hops+1)
			}
		})
	}
}

func TestAnotherWeirIsNoLoop(t *testing.T) {
	t.Parallel()
	inner := front(t, upstream(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, strings.Join(r.Header["Via"], "|")) }), nil)
	res, body := get(t, front(t, inner, nil), "Via", "1.1 weir-ABC", "Connection", "via")
	if res.StatusCode != 200 || strings.Count(body, "weir-") != 3 || strings.Contains(body, "|") {
		t.Errorf("%d with Via %q, want 200 and three proxies in one line", res.StatusCode, body)
	}
}

func TestNewErrors(t *testing.T) {
	t.Parallel()
	if _, err := proxy.New(proxy.Config{}); err == nil || !strings.Contains(err.Error(), "To is nil") {
		t.Errorf("without an upstream: %v", err)
	}
	_, err := proxy.New(proxy.Config{To: &url.URL{Scheme: "http", Host: "a"}, Timeout: -1})
	if err == nil || !strings.Contains(err.Error(), "Timeout -1ns is out of range") {
		t.Errorf("a negative timeout: %v", err)
	}
}

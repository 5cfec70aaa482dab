package serve_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-0c889b51/weir/internal/serve"
)

func TestRefusedRequestsDoNotReachTheUpstream(t *testing.T) {
	t.Parallel()
	var count atomic.Int32
	cfg := config(t, "ip 3/day")
	cfg.Routes = to(t, func(http.ResponseWriter, *http.Request) { count.Add(1) })
	s := start(t, cfg)
	for i, want := range []int{200, 200, 200, 429, 429} {
		if got := status(t, s.url); got != want {
			t.Errorf("request %d: %d, want %d", i+1, got, want)
		}
	}
	if n := count.Load(); n != 3 {
		t.Errorf("the upstream got %d requests, want 3", n)
	}
}

func TestADryRunRefusesNobody(t *testing.T) {
	t.Parallel()
	s := start(t, config(t, "ip 1/day dry-run"))
	for range 3 {
		if got := status(t, s.url); got != 200 {
			t.Errorf("status %d, want 200", got)
		}
	}
}

func TestEachKindOfKey(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		limit, a, b string // header fields that are two clients
	}{
		{"header:X-Api-Key 1/day", "X-Api-Key: 1", "X-Api-Key: 2"},
		{"cookie:sid 1/day", "Cookie: sid=1", "Cookie: sid=2"},
		{"user 1/day", "X-User: alice", "X-User: bob"},
		{"ip 1/day", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 203.0.113.8"},
		{"ip/48 1/day", "X-Forwarded-For: 2001:db8:1:2::7", "X-Forwarded-For: 2001:db8:2:2::7"},
		{"ip/48 1/day", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 203.0.113.8"}, // IPv4 is an address
		{"bearer 1/day", "Authorization: Bearer 1", "Authorization: bearer 2"},
		{"basic 1/day", "Authorization: Basic YTox", "Authorization: Basic Yjox"}, // a:1 and b:1
		{"ip+header:X-Api-Key 1/day", "X-Api-Key: 1", "X-Api-Key: 2"},
	} {
		t.Run(tt.limit, func(t *testing.T) {
			t.Parallel()
			cfg := config(t, tt.limit)
			cfg.Trust = loopback()
			s := start(t, cfg)
			for i, step := range []struct {
				field string
				want  int
			}{{tt.a, 200}, {tt.a, 429}, {tt.b, 200}, {tt.b, 429}} {
				name, value, _ := strings.Cut(step.field, ": ")
				if got := status(t, s.url, name, value); got != step.want {
					t.Errorf("request %d with %s: %d, want %d", i+1, step.field, got, step.want)
				}
			}
		})
	}
	for _, tt := range []struct{ limit, a, b string }{ // header fields that are one client
		{"ip/48 1/day", "X-Forwarded-For: 2001:db8:1:2::7", "X-Forwarded-For: 2001:db8:1:3::8"},
		{"bearer 1/day", "Authorization: Bearer 1", "Authorization: BEARER  1"},
		{"basic 1/day", "Authorization: Basic YTox", "Authorization: Basic YToy"}, // a:1 and a:2
	} {
		t.Run(tt.limit+", one client", func(t *testing.T) {
			t.Parallel()
			cfg := config(t, tt.limit)
			cfg.Trust = loopback()
			s := start(t, cfg)
			for i, step := range []struct {
				field string
				want  int
			}{{tt.a, 200}, {tt.b, 429}} {
				name, value, _ := strings.Cut(step.field, ": ")
				if got := status(t, s.url, name, value); got != step.want {
					t.Errorf("request %d with %s: %d, want %d", i+1, step.field, got, step.want)
				}
			}
		})
	}
	t.Run("path 1/day", func(t *testing.T) {
		t.Parallel()
		s := start(t, config(t, "path 1/day"))
		for i, step := range []struct {
			path string
			want int
		}{{"/a", 200}, {"//a/", 429}, {"/%61", 429}, {"/b", 200}} {
			if got := status(t, s.url+step.path); got != step.want {
				t.Errorf("request %d for %s: %d, want %d", i+1, step.path, got, step.want)
			}
		}
	})
	t.Run("global 2/day", func(t *testing.T) {
		t.Parallel()
		cfg := config(t, "global 2/day")
		cfg.Trust = loopback()
		s := start(t, cfg)
		for i, want := range []int{200, 200, 503} { // it is the server that is short
			if got := status(t, s.url, "X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i), "X-User", fmt.Sprint(i)); got != want {
				t.Errorf("request %d: %d, want %d", i+1, got, want)
			}
		}
	})
}

// What a peer says of itself counts only if it is trusted: otherwise each
// request could come from somebody new.
func TestNobodyIsTrustedUnlessTold(t *testing.T) {
	t.Parallel()
	for _, limit := range []string{"ip 1/day", "user 1/day", "ip+user 1/day"} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			users := make(chan string, 2)
			cfg := config(t, limit)
			cfg.Routes = to(t, func(_ http.ResponseWriter, r *http.Request) { users <- r.Header.Get("X-User") })
			s := start(t, cfg)
			first := status(t, s.url, "X-User", "alice", "X-Forwarded-For", "203.0.113.7")
			second := status(t, s.url, "X-User", "bob", "X-Forwarded-For", "203.0.113.8")
			if first != 200 || second != 429 {
				t.Errorf("statuses %d and %d, want 200 and 429: it is one client", first, second)
			}
			if user := <-users; user != "" {
				t.Errorf("the upstream was told of user %q by a client", user)
			}
		})
	}
}

// A user said twice is no user, and counts by its address.
func TestTwoUsersAreNone(t *testing.T) {
	t.Parallel()
	cfg := config(t, "user 1/day")
	cfg.Trust = loopback()
	s := start(t, cfg)
	for i, tt := range []struct {
		users []string
		want  int
	}{{[]string{"X-User", "a", "X-User", "b"}, 200}, {[]string{"X-User", "a", "X-User", "c"}, 429}, {nil, 429}, {[]string{"X-User", "a"}, 200}} {
		if got := status(t, s.url, tt.users...); got != tt.want {
			t.Errorf("request %d with %q: %d, want %d", i+1, tt.users, got, tt.want)
		}
	}
}

func TestBuiltInUpstream(t *testing.T) {
	t.Parallel()
	s := start(t, config(t, "ip 100/min"))
	res, err := http.Get(s.url + "/some/path%1b%5b2J?secret")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"This is weir", "GET /some/path%1b%5b2J", "RateLimit-Policy", "Retry-After", "--to http://"} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the answer lacks %q:\n%s", want, body)
		}
	}
	if strings.Contains(string(body), "secret") || strings.Contains(string(body), "\x1b") {
		t.Errorf("the answer repeats what it should not: %q", body)
	}
	if got := res.Header.Get("RateLimit-Policy"); got != `"ip";q=100;w=60` {
		t.Errorf("RateLimit-Policy: %s", got)
	}
}

func TestLargeHeaders(t *testing.T) {
	t.Parallel()
	s := start(t, config(t, "ip 100/min"))
	if got := status(t, s.url, "X-Large", strings.Repeat("x", 80<<10)); got != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header of 80 KiB: %d, want 431", got)
	}
	if got := status(t, s.url, "X-Large", strings.Repeat("x", 60<<10)); got != 200 {
		t.Errorf("a header of 60 KiB: %d, want 200", got)
	}
}

// Nothing that is logged, at any level, says who a client is.
func TestLogsNameNobody(t *testing.T) {
	t.Parallel()
	cfg := config(t, "ip 2/day", "user 2/day", "header:Authorization 2/day", "path 2/day dry-run")
	cfg.Trust = loopback()
	var err error
	if cfg.Routes, err = routes("http://127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	s := start(t, cfg)
	for _, forwarded := range []string{"203.0.113.77", "203.0.113.77", "203.0.113.77", "garbage-from-client, ::::"} {
		status(t, s.url+"/secret-path?secret-query", "X-Forwarded-For", forwarded, "X-User", "secret-alice",
			"Authorization", "Bearer secret-token", "Cookie", "sid=secret-sid", "Via", "1.1 secret-via")
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "secret nonsense\r\n\r\n")
	io.Copy(io.Discard, conn)
	conn.Close()
	s.close(t)
	log := s.log.String() + s.banner.String()
	for _, secret := range []string{"secret", "203.0.113.77", "garbage-from-client"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q:\n%s", secret, log)
		}
	}
	if !strings.Contains(log, "the upstream does not answer") {
		t.Errorf("nothing was logged at all:\n%s", log)
	}
}

// Of what net/http says only what names no client is passed on.
func TestErrorLog(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ line, want string }{
		{"http: Accept error: accept tcp 127.0.0.1:8080: accept4: too many open files; retrying in 5ms", "too many open files"},
		{"http: panic serving 203.0.113.7:80: secret\ngoroutine 1 [running]:\nmain.handler", "main.handler"},
		{"http: TLS handshake error from 203.0.113.7:80: secret", "gave up a connection"},
	} {
		b := &book{}
		serve.NewErrorLog(slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))).Print(tt.line)
		got := b.String()
		if !strings.Contains(got, tt.want) || strings.Contains(got, "203.0.113.7") || strings.Contains(got, "secret") {
			t.Errorf("of %q is logged %q, want %q and no client", tt.line, got, tt.want)
		}
	}
}

func TestOwnAddressAsUpstream(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why, listen, host string
		refused           bool
	}{
		{"itself", "127.0.0.1", "127.0.0.1", true},
		{"by name", "127.0.0.1", "LOCALHOST", true},
		{"in IPv6 notation", "127.0.0.1", "[::ffff:127.0.0.1]", true},
		{"any address leads to this machine", "127.0.0.1", "0.0.0.0", true},
		{"listening on all addresses", "0.0.0.0", "127.0.0.1", true},
		{"listening on all addresses, another of the machine's", "0.0.0.0", "127.0.0.9", true},
		{"another address of the machine", "127.0.0.1", "127.0.0.9", false},
		{"another machine", "0.0.0.0", "203.0.113.7", false},
		{"a name that only a resolver knows", "127.0.0.1", "api.example", false},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			cfg := config(t, "ip 1/s")
			cfg.Logger, cfg.Banner = slog.New(slog.DiscardHandler), io.Discard
			var s *serve.Server
			var err error
			for range 10 { // the port may be taken before it is listened on
				port := freePort(t)
				cfg.Listen = tt.listen + ":" + port
				if cfg.Routes, err = routes("http://127.0.0.1:1", "/api=http://"+tt.host+":"+port); err != nil {
					t.Fatal(err)
				}
				if s, err = serve.New(cfg); err == nil || !strings.Contains(err.Error(), "in use") {
					break
				}
			}
			if err == nil {
				done, force := cancelled(), cancelled()
				defer s.Run(done, force)
			}
			if got := errors.Is(err, serve.ErrConfig); got != tt.refused {
				t.Fatalf("--to %s, listening on %s: %v", tt.host, cfg.Listen, err)
			}
			if tt.refused && !strings.HasSuffix(err.Error(), "is the address that weir itself listens on: want the address of your API") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// A request about the server as a whole counts like any other, and the upstream
// answers it.
func TestOptionsOfTheServer(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 3)
	cfg := config(t, "ip 2/day")
	cfg.Routes = to(t, func(_ http.ResponseWriter, r *http.Request) { asked <- r.Method + " " + r.RequestURI })
	cfg.Routes[0].To.Path = "/base" // net/http answers OPTIONS * in the place of the test's upstream
	s := start(t, cfg)
	for i, want := range []int{200, 200, 429} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("request %d: %d, want %d", i+1, res.StatusCode, want)
		}
	}
	if n := len(asked); n != 2 || <-asked != "OPTIONS /base" {
		t.Errorf("the upstream was asked %d times, want 2, for OPTIONS /base", n)
	}
}

// An address that will not do later either is a mistake in the configuration.
func TestAddressThatIsNotOurs(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"203.0.113.7:0": "this machine does not have that address: want one of its own",
		"no..name:0":    "the name is not known: want an address of this machine", // no resolver is asked for it
	} {
		cfg := config(t, "ip 1/s")
		cfg.Listen = address
		_, err := serve.New(cfg)
		if !errors.Is(err, serve.ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("listening on %s: %v, want ErrConfig that says %q", address, err, want)
		}
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := config(t, "ip 1/s")
	cfg.Listen, cfg.State = l.Addr().String(), stateFile(t)
	_, err = serve.New(cfg)
	if err == nil || errors.Is(err, serve.ErrConfig) || !strings.Contains(err.Error(), "the address is in use: stop what listens there") {
		t.Errorf("New = %v, want an error that says the address is in use", err)
	}
}

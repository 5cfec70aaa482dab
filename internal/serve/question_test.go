package serve_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/serve"
)

// asking returns the configuration of a server that a proxy asks.
func asking(t *testing.T, p serve.Proxy, limits ...string) serve.Config {
	t.Helper()
	cfg := config(t, limits...)
	cfg.ForwardAuth, cfg.DenyStatus, cfg.Trust = p, p.DenyStatus(), loopback()
	return cfg
}

// question asks a server with a method and fields, and returns the answer and
// its body.
func question(t *testing.T, s *running, method, path string, fields ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestCheck76Answers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		proxy  serve.Proxy
		status int // 0: that of the proxy
		want   int
	}{
		{serve.Caddy, 0, 429},
		{serve.Traefik, 0, 429},
		{serve.Nginx, 0, 403}, // it makes 500 of a 429
		{serve.Nginx, 429, 429},
		{serve.Caddy, 403, 403},
	} {
		t.Run(fmt.Sprint(tt.proxy, tt.want), func(t *testing.T) {
			t.Parallel()
			cfg := asking(t, tt.proxy, "ip 1/day")
			if tt.status != 0 {
				cfg.DenyStatus = tt.status
			}
			s := start(t, cfg)
			res, body := question(t, s, "GET", "/auth", "X-Forwarded-For", "203.0.113.7")
			if res.StatusCode != 204 || body != "" || res.Header.Get("RateLimit") != `"ip";r=0;t=1` && !strings.HasPrefix(res.Header.Get("RateLimit"), `"ip";r=0;t=`) ||
				res.Header.Get("RateLimit-Policy") != `"ip";q=1;w=86400` || res.Header.Get("Retry-After") != "" {
				t.Errorf("allowed: %d %v %q, want 204 with the fields and no body", res.StatusCode, res.Header, body)
			}
			res, body = question(t, s, "GET", "/auth", "X-Forwarded-For", "203.0.113.7")
			if res.StatusCode != tt.want || body == "" || res.Header.Get("Retry-After") != "86400" || res.Header.Get("RateLimit") != `"ip";r=0;t=86400` ||
				res.Header.Get("RateLimit-Policy") != `"ip";q=1;w=86400` || res.Header.Get("Cache-Control") != "no-store" || res.Close {
				t.Errorf("refused: %d %v %q, want %d with the fields and an open connection", res.StatusCode, res.Header, body, tt.want)
			}
			if strings.Contains(body, "429") && tt.want != 429 {
				t.Errorf("the body says another status than %d: %s", tt.want, body)
			}
			if res, _ = question(t, s, "GET", "/auth", "X-Forwarded-For", "203.0.113.8"); res.StatusCode != 204 {
				t.Errorf("another client: %d, want 204", res.StatusCode)
			}
		})
	}
}

// What is said of a request counts only from who is trusted.
func TestCheck77WhoIsBelieved(t *testing.T) {
	t.Parallel()
	for _, limit := range []string{"ip 1/day", "path 1/day", "user 1/day"} {
		for _, trusted := range []bool{true, false} {
			t.Run(fmt.Sprint(limit, " trusted ", trusted), func(t *testing.T) {
				t.Parallel()
				cfg := asking(t, serve.Caddy, limit)
				want := 204
				if !trusted {
					cfg.Trust, want = serve.Peers{}, 429
				}
				s := start(t, cfg)
				first, _ := question(t, s, "GET", "/auth", "X-Forwarded-For", "203.0.113.7", "X-Forwarded-Uri", "/a", "X-User", "a")
				second, _ := question(t, s, "GET", "/auth", "X-Forwarded-For", "203.0.113.8", "X-Forwarded-Uri", "/b", "X-User", "b")
				if first.StatusCode != 204 || second.StatusCode != want {
					t.Errorf("%d and %d, want 204 and %d", first.StatusCode, second.StatusCode, want)
				}
				says := "who asks is not trusted (--trust), so that all requests that it asks about are limited as its own"
				if got := strings.Contains(s.banner.String(), says); got == trusted {
					t.Errorf("the banner says %q: %v\n%s", says, got, s.banner)
				}
			})
		}
	}
}

// The request that is asked about is the one that this kind of proxy names, and
// never what its client says in the fields of another kind.
func TestCheck77TheRequestAskedAbout(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why    string
		proxy  serve.Proxy
		fields []string
		want   string // method, URI and host; "" is unreadable
	}{
		{"nginx", serve.Nginx, []string{"X-Original-URI", "/a?b=c", "X-Original-Method", "POST"}, "POST /a?b=c weir"},
		{"nginx, and a client who speaks as Caddy", serve.Nginx,
			[]string{"X-Original-URI", "/a", "X-Original-Method", "POST", "X-Forwarded-Uri", "/b", "X-Forwarded-Method", "PUT", "X-Forwarded-Host", "b"}, "POST /a weir"},
		{"Caddy", serve.Caddy, []string{"X-Forwarded-Uri", "/a?b=c", "X-Forwarded-Method", "PUT", "X-Forwarded-Host", "api.example"}, "PUT /a?b=c api.example"},
		{"Traefik, and a client who speaks as nginx", serve.Traefik,
			[]string{"X-Forwarded-Uri", "/a", "X-Original-URI", "/b", "X-Original-Method", "PUT"}, "GET /a weir"},
		{"nothing is said", serve.Caddy, nil, "GET /auth weir"},
		{"HEAD is as GET", serve.Nginx, []string{"X-Original-Method", "HEAD"}, "GET /auth weir"},
		{"the server as a whole", serve.Nginx, []string{"X-Original-URI", "*", "X-Original-Method", "OPTIONS"}, "OPTIONS * weir"},
		{"two slashes are no host", serve.Nginx, []string{"X-Original-URI", "//a/b"}, "GET //a/b weir"},
		{"said twice", serve.Nginx, []string{"X-Original-URI", "/a", "X-Original-URI", "/b"}, ""},
		{"a method said twice", serve.Caddy, []string{"X-Forwarded-Method", "GET", "X-Forwarded-Method", "POST"}, ""},
		{"a host said twice", serve.Caddy, []string{"X-Forwarded-Host", "a", "X-Forwarded-Host", "b"}, ""},
		{"no path", serve.Nginx, []string{"X-Original-URI", "http://a/b"}, ""},
		{"not an encoding", serve.Nginx, []string{"X-Original-URI", "/%zz"}, ""},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			for i := 0; i < len(tt.fields); i += 2 {
				h.Add(tt.fields[i], tt.fields[i+1])
			}
			about, err := http.NewRequest("GET", "http://weir/auth", nil)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if serve.Asked(tt.proxy, about, h) {
				got = about.Method + " " + about.URL.RequestURI() + " " + about.Host
				if strings.HasPrefix(about.URL.Path, "*") {
					got = about.Method + " * " + about.Host
				}
			}
			if got != tt.want {
				t.Errorf("it is %q, want %q", got, tt.want)
			}
		})
	}
}

// A question that cannot be read is answered as such, and counts for nobody.
func TestCheck77Unreadable(t *testing.T) {
	t.Parallel()
	s := start(t, asking(t, serve.Nginx, "ip 1/day"))
	res, body := question(t, s, "GET", "/auth", "X-Original-URI", "/%zz", "X-Forwarded-For", "203.0.113.7")
	if res.StatusCode != 400 || !strings.Contains(body, "X-Original-Method, X-Original-Uri") || strings.Contains(body, "zz") {
		t.Errorf("%d %q, want 400 and the names of the fields", res.StatusCode, body)
	}
	if res, _ := question(t, s, "GET", "/auth", "X-Original-URI", "/", "X-Forwarded-For", "203.0.113.7"); res.StatusCode != 204 {
		t.Errorf("the next: %d, want 204", res.StatusCode)
	}
}

// The method of the question does not matter, and its body is not read.
func TestCheck78AnyMethod(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "BREW"} {
		s := start(t, asking(t, serve.Caddy, "ip 1/day"))
		for i, want := range []int{204, 429} {
			// The fields of a CORS preflight make one only of the request that is
			// asked about: as a question it is one more of the same client.
			asked := []string{"GET", method}[i]
			res, body := question(t, s, asked, "/auth", "Origin", "http://a", "Access-Control-Request-Method", "PUT")
			if res.StatusCode != want || (body == "") != (want == 204 || asked == "HEAD") || !strings.Contains(res.Header.Get("RateLimit"), `"ip";r=0`) {
				t.Errorf("%s, question %d: %d %q, want %d", method, i+1, res.StatusCode, body, want)
			}
		}
	}
}

func TestCheck78TheBodyIsNotRead(t *testing.T) {
	t.Parallel()
	s := start(t, asking(t, serve.Caddy, "ip 2/day"))
	for i, tt := range []struct {
		header string
		want   int
	}{{"Content-Length: 5", 204}, {"Transfer-Encoding: chunked", 204}, {"Content-Length: 1000000", 429}, {"Content-Length: 5\r\nExpect: 100-continue", 429}} {
		conn, err := net.Dial("tcp", s.server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /auth HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n", tt.header) // and no body
		in := bufio.NewReader(conn)
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		if res.StatusCode != tt.want {
			t.Errorf("question %d, %s: %d, want %d", i+1, tt.header, res.StatusCode, tt.want)
		}
		// What is sent of the body yet is no second question.
		if _, err := in.ReadByte(); err != io.EOF {
			t.Errorf("question %d, %s: the connection is open: %v", i+1, tt.header, err)
		}
	}
}

// The body of a question is not that of the request that is asked about: a key, a
// cost or a route that looks for one finds none.
func TestCheck78WhatIsAskedAboutHasNoBody(t *testing.T) {
	t.Parallel()
	for _, trust := range []bool{false, true} {
		for _, length := range []int64{5, -1} {
			var about *http.Request
			h := serve.Questions(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { about = r }), serve.Caddy, trust)
			r := httptest.NewRequest("POST", "/auth", strings.NewReader("hello"))
			r.ContentLength = length
			r.Header.Set("X-Forwarded-Method", "PUT")
			h.ServeHTTP(httptest.NewRecorder(), r)
			if body, err := io.ReadAll(about.Body); len(body) > 0 || err != nil || about.ContentLength != 0 {
				t.Errorf("trusted %v, length %d: it has the body %q, %v, of length %d, want none", trust, length, body, err, about.ContentLength)
			}
			if r.ContentLength != length || r.Body == about.Body {
				t.Error("the question itself has lost its body, which net/http looks at")
			}
		}
	}
}

// Whatever the fields say, the request that is asked about can be decided on.
func FuzzAsked(f *testing.F) {
	f.Add("POST", "/a?b", "api.example")
	f.Add("HEAD", "//a/%2e%2e/b;c", "")
	f.Add("", "*", "[::1]:80")
	f.Fuzz(func(t *testing.T, method, uri, host string) {
		about, err := http.NewRequest("GET", "http://weir/auth", nil)
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{"X-Forwarded-Method": {method}, "X-Forwarded-Uri": {uri}, "X-Forwarded-Host": {host}}
		if !serve.Asked(serve.Caddy, about, h) {
			return
		}
		if about.Method == "" || about.Method == "HEAD" || about.Host == "" || about.URL == nil ||
			about.URL.Path != "*" && !strings.HasPrefix(about.URL.Path, "/") {
			t.Errorf("%q %q %q is read as %q %v %q", method, uri, host, about.Method, about.URL, about.Host)
		}
	})
}

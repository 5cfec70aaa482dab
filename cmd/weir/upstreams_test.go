//go:build unix

package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// api is an upstream that says its name and what it was asked for.
func api(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, name+" "+r.RequestURI)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// body is the answer to a GET.
func body(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Several upstreams are behind one limit.
func TestFlagsOfTheUpstreams(t *testing.T) {
	t.Parallel()
	all, users := api(t, "all"), api(t, "users")
	p := serve(t, t.TempDir(), "--to", all, "--to", "/api/users="+users+" strip", "--limit", "ip 3/day")
	for path, want := range map[string]string{"/": "all /", "/api/users/7": "users /7", "/api/usersX": "all /api/usersX"} {
		if got := body(t, p.url+path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if got := get(t, p.url+"/api/users", "127.0.0.1").StatusCode; got != 429 {
		t.Errorf("the 4th request: %d, want 429", got)
	}
	for _, want := range []string{"upstream   all else to " + all + "\n", "upstream   /api/users to " + users + ", which is asked for what follows /api/users\n"} {
		if !strings.Contains(p.stderr(), want) {
			t.Errorf("the banner lacks %q:\n%s", want, p.stderr())
		}
	}
}

// Who a client is can be told in several ways, and by several keys.
func TestFlagsOfTheClient(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args      string // split at "|"
		a, b      string // fields of two requests
		oneClient bool
	}{
		{"--trust|127.0.0.1", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 203.0.113.8", false},
		{"--trust|127.0.0.1|--client-ip|xff", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 203.0.113.8", false},
		{"--trust|127.0.0.1|--client-ip|peer", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 203.0.113.8", true},
		{"--client-ip|peer", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 203.0.113.8", true},
		{"--trust|127.0.0.1|--client-ip|forwarded", "Forwarded: for=203.0.113.7", "Forwarded: for=203.0.113.8", false},
		{"--trust|127.0.0.1|--client-ip|forwarded", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 203.0.113.8", true},
		{"--trust|127.0.0.1|--client-ip|header:x-real-ip", "X-Real-Ip: 203.0.113.7", "X-Real-Ip: 203.0.113.8", false},
		{"--trust|127.0.0.1|--client-ip|hops:2", "X-Forwarded-For: 203.0.113.7, 10.0.0.1", "X-Forwarded-For: 203.0.113.8, 10.0.0.1", false},
		{"--trust|127.0.0.1|--client-ip|hops:1", "X-Forwarded-For: 203.0.113.7, 10.0.0.1", "X-Forwarded-For: 203.0.113.8, 10.0.0.1", true},
		{"--trust|10.0.0.1|--client-ip|forwarded", "Forwarded: for=203.0.113.7", "Forwarded: for=203.0.113.8", true}, // of another peer
		{"--trust|127.0.0.1|--limit|ip/48 1/day", "X-Forwarded-For: 2001:db8:0:1::", "X-Forwarded-For: 2001:db8:0:2::", true},
		{"--limit|bearer 1/day", "Authorization: Bearer 1", "Authorization: Bearer 2", false},
		{"--limit|basic 1/day", "Authorization: Basic YTox", "Authorization: Basic YToy", true}, // a:1 and a:2
	} {
		t.Run(tt.args+" "+tt.a, func(t *testing.T) {
			t.Parallel()
			args := append(strings.Split(tt.args, "|"), "--state", "none")
			if !strings.Contains(tt.args, "--limit") {
				args = append(args, "--limit", "ip 1/day")
			}
			p := serve(t, t.TempDir(), args...)
			for i, field := range []string{tt.a, tt.b} {
				req, err := http.NewRequestWithContext(t.Context(), "GET", p.url, nil)
				if err != nil {
					t.Fatal(err)
				}
				name, value, _ := strings.Cut(field, ": ")
				req.Header.Set(name, value)
				res, err := http.DefaultTransport.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
				if want := i > 0 && tt.oneClient; (res.StatusCode == 429) != want {
					t.Errorf("%s: %d, and that it is over the limit should be %v", field, res.StatusCode, want)
				}
			}
		})
	}
}

// How many requests are served at once can be limited.
func TestFlagInFlight(t *testing.T) {
	t.Parallel()
	began, finish := make(chan bool), make(chan bool)
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		began <- true
		<-finish
	}))
	t.Cleanup(upstream.Close)
	p := serve(t, t.TempDir(), "--to", upstream.URL, "--in-flight", "ip 1")
	slow := make(chan int, 1)
	go func() {
		res, err := http.Get(p.url)
		if err != nil {
			slow <- 0
			return
		}
		res.Body.Close()
		slow <- res.StatusCode
	}()
	<-began
	res := get(t, p.url, "127.0.0.1")
	if got, want := res.Header.Get("RateLimit-Policy"), `"ip";q=100;w=60, "user";q=1000;w=86400, "ip/in-flight";q=1;qu="concurrent-requests"`; res.StatusCode != 429 || got != want {
		t.Errorf("one too many: %d, %s, want 429, %s", res.StatusCode, got, want)
	}
	close(finish)
	if got := <-slow; got != 200 {
		t.Errorf("the one in flight: %d, want 200", got)
	}
	if !strings.Contains(p.stderr(), "in flight  ip: at most 1 at once\n") {
		t.Errorf("the banner does not say so:\n%s", p.stderr())
	}
}

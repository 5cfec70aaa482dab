package serve_test

import (
	"net/http"
	"strings"
	"testing"
)

// No more requests are served at once than was said, and clients are told.
func TestRequestsInFlight(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		limit  string
		a, b   string // what one client and another send
		status int    // of the one too many
		other  int    // of the other client then
		policy string
		says   string
	}{
		{"ip 1", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 203.0.113.8", 429, 200,
			`"ip";q=100;w=86400, "ip/in-flight";q=1;qu="concurrent-requests"`, "in flight  ip: at most 1 at once\n"},
		{"user 1", "X-User: alice", "X-User: bob", 429, 200,
			`"ip";q=100;w=86400, "user/in-flight";q=1;qu="concurrent-requests"`, "in flight  user: at most 1 at once\n"},
		{"bearer 1", "Authorization: Bearer a", "Authorization: Bearer b", 429, 200,
			`"ip";q=100;w=86400, "bearer/in-flight";q=1;qu="concurrent-requests"`, "note       no --in-flight is by ip, user or global alone: "},
		{"global 1", "X-User: alice", "X-User: bob", 503, 503,
			`"ip";q=100;w=86400, "global/in-flight";q=1;qu="concurrent-requests"`, "in flight  global: at most 1 at once\n"},
	} {
		t.Run(tt.limit, func(t *testing.T) {
			t.Parallel()
			began, finish := make(chan bool), make(chan bool)
			cfg := config(t, "ip 100/day")
			cfg.Routes = to(t, func(_ http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					began <- true
					<-finish
				}
			})
			cfg.Trust, cfg.InFlight = loopback(), inFlight(t, tt.limit)
			s := start(t, cfg)
			a, b := strings.Split(tt.a, ": "), strings.Split(tt.b, ": ")
			slow := make(chan int, 1)
			go func() { slow <- status(t, s.url+"/slow", a...) }()
			<-began
			res, _ := question(t, s, "GET", "/", a...)
			if got := res.Header.Get("RateLimit-Policy"); res.StatusCode != tt.status || got != tt.policy || res.Header.Get("Retry-After") != "1" {
				t.Errorf("one too many: %d, %s, Retry-After %q, want %d, %s and 1", res.StatusCode, got, res.Header.Get("Retry-After"), tt.status, tt.policy)
			}
			if got := status(t, s.url, b...); got != tt.other {
				t.Errorf("another client: %d, want %d", got, tt.other)
			}
			close(finish)
			if got := <-slow; got != 200 {
				t.Errorf("the one in flight: %d, want 200", got)
			}
			got := 0
			for range 1000 { // it is in flight a little longer than its client knows
				if got = status(t, s.url, a...); got == 200 {
					break
				}
			}
			if got != 200 {
				t.Errorf("when none is in flight: %d, want 200", got)
			}
			if !strings.Contains(s.banner.String(), tt.says) {
				t.Errorf("the banner lacks %q:\n%s", tt.says, s.banner)
			}
			if strings.Contains(s.banner.String(), "note") != strings.HasPrefix(tt.says, "note") {
				t.Errorf("the banner has a note, or lacks one:\n%s", s.banner)
			}
		})
	}
}

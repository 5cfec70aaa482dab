package serve_test

import (
	"strings"
	"testing"
)

func TestBanner(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why    string
		limits []string
		trust  bool
		want   []string
		not    string
	}{
		{"what is limited, in words", []string{"ip 100/min", "user 1000/day burst 50 dry-run"}, false, []string{
			"upstream   built in: it answers by itself; --to URL names your API\n",
			"limit      ip 100/min: at most 100 at once, then one every 600ms; never more than 200 in any minute\n",
			"limit      user 1000/day burst 50 dry-run: at most 50 at once, then one every 1m26.4s; never more than 1050 in any day (dry run: counted, never refused)\n",
			"trust      nobody: the client is who connects, and no X-User is believed, so that user counts by address (--trust)\n",
		}, "note"},
		{"who is trusted", []string{"user 1/s"}, true, []string{"trust      127.0.0.1/32: believed about X-Forwarded-For and X-User\n"}, "note"},
		{"nothing holds who makes up keys", []string{"header:X-Api-Key 1/s", "ip+path 1/s", "ip 1/s dry-run"}, false, []string{
			"trust      nobody: the client is who connects\n",
			"note       no limit is by ip, user or global alone: a client that makes up paths, headers, cookies or credentials is not held\n"}, "--trust"},
		{"nothing holds who makes up credentials", []string{"bearer 1/s", "basic+ip 1/s"}, false, []string{
			"note       no limit is by ip, user or global alone: a client that makes up paths, headers, cookies or credentials is not held\n"}, "--trust"},
		{"a network holds who makes up credentials", []string{"bearer 1/s", "ip/48 9/s"}, false, nil, "note"},
		{"who makes up keys is held by what he cannot make up", []string{"header:X-Api-Key 1/s", "user+ip 9/s"}, true, nil, "note"},
		{"nothing is refused", []string{"ip 1/s dry-run", "path 1/s dry-run"}, false, []string{
			"note       all limits are dry runs: nothing is refused\n"}, "makes up"},
		{"all together are held", []string{"header:X-Api-Key 1/s", "global 9/s"}, false, nil, "note"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			cfg := config(t, tt.limits...)
			if tt.trust {
				cfg.Trust = loopback()
			}
			s := start(t, cfg)
			got := s.banner.String()
			for _, want := range append(tt.want, "listening  "+s.url+"\n", "try        curl -i "+s.url+"/\n") {
				if !strings.Contains(got, want) {
					t.Errorf("the banner lacks %q:\n%s", want, got)
				}
			}
			if strings.Contains(got, tt.not) {
				t.Errorf("the banner has %q:\n%s", tt.not, got)
			}
		})
	}
}

// A server on all addresses is tried at one that exists.
func TestTryLine(t *testing.T) {
	t.Parallel()
	cfg := config(t, "ip 1/s")
	cfg.Listen = ":0"
	s := start(t, cfg)
	_, try, _ := strings.Cut(s.banner.String(), "curl -i ")
	if try = strings.TrimSpace(try); !strings.HasPrefix(try, "http://127.0.0.1:") || status(t, try) != 200 {
		t.Errorf("the banner says to try %q:\n%s", try, s.banner)
	}
}

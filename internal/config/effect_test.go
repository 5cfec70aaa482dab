package config_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/config"
	"github.com/seed-0c889b51/weir/internal/serve"
)

// upstream answers with the status in the path, if there is one, and says in
// X-Work what the request says it is.
func upstream(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if work := r.URL.Query().Get("work"); work != "" {
			w.Header().Set("X-Work", work)
		}
		status := 200
		fmt.Sscanf(r.URL.Path, "/status/%d", &status)
		if status/100 == 3 {
			w.Header().Set("Location", "/")
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// serveFile runs a server by a file, and returns its URL.
func serveFile(t *testing.T, file string) string {
	t.Helper()
	file = "listen: 127.0.0.1:0\nstate: none\nadmin: none\njitter: false\nupstreams: ['" + upstream(t) + "']\n" + file
	cfg, err := config.Load(config.Input{Name: "weir.yaml", File: []byte(file)})
	if err != nil {
		t.Fatalf("%s\n%v", file, err)
	}
	cfg.Serve.Logger, cfg.Serve.Banner = slog.New(slog.DiscardHandler), io.Discard
	s, err := serve.New(cfg.Serve)
	if err != nil {
		t.Fatalf("%s\n%v", file, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, context.Background()) }()
	t.Cleanup(func() {
		stop()
		<-done
	})
	return "http://" + s.Addr().String()
}

// send sends a request: METHOD PATH, and header fields as "Name: value".
func send(t *testing.T, url, request string) *http.Response {
	t.Helper()
	line, fields, _ := strings.Cut(request, "\n")
	method, path, _ := strings.Cut(line, " ")
	r, err := http.NewRequest(method, url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for field := range strings.SplitSeq(fields, "\n") {
		if name, value, ok := strings.Cut(field, ": "); ok {
			r.Header.Add(name, value)
		}
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res
}

// What a file says comes to pass.
func TestWhatAFileDoes(t *testing.T) {
	t.Parallel()
	k1, err := config.Fingerprint("header:X-Api-Key", "k1")
	if err != nil {
		t.Fatal(err)
	}
	const asUser = "trust: [127.0.0.1, '::1']\n"
	for _, tt := range []struct {
		why, file string
		requests  []string
		want      []int
	}{
		{"a limit", "policies: [ip 2/day]", []string{"GET /", "GET /a", "GET /b"}, []int{200, 200, 429}},
		{"a route", "policies: [{key: ip, limit: 1/day, routes: [POST /login]}]",
			[]string{"GET /login", "POST /login", "POST //login", "GET /login"}, []int{200, 200, 429, 200}},
		{"a route in any case", "fold-case: true\npolicies: [{key: ip, limit: 1/day, routes: [/login]}]", []string{"GET /LOGIN", "GET /login"}, []int{200, 429}},
		{"an exempt route", "policies: [ip 1/day]\nexempt-routes: [GET /healthz]", []string{"GET /", "GET /healthz", "GET /"}, []int{200, 200, 429}},
		{"a cost", "policies: [{key: ip, limit: 5/day, cost: 3}]", []string{"GET /", "GET /"}, []int{200, 429}},
		{"a cost of nothing", "policies: [{key: ip, limit: 1/day, cost: 0}]", []string{"GET /", "GET /", "GET /"}, []int{200, 200, 200}},
		{"a cost that a request says", "policies: [{key: ip, limit: 10/day, cost: {header: X-Cost, max: 6}}]",
			[]string{"GET /\nX-Cost: 5", "GET /\nX-Cost: 6", "GET /", "GET /\nX-Cost: 0", "GET /\nX-Cost: 4", "GET /\nX-Cost: 3", "GET /"}, []int{200, 429, 200, 200, 429, 200, 429}},
		{"one that is above the most, or cannot be read", "policies: [{key: ip, limit: 10/day, cost: {header: X-Cost, max: 4}}]",
			[]string{"GET /\nX-Cost: 99999999999999999999", "GET /\nX-Cost: -1", "GET /\nX-Cost: 3", "GET /\nX-Cost: 1\nX-Cost: 1", "GET /\nX-Cost: 2"}, []int{200, 200, 429, 429, 200}},
		{"only some statuses count", "policies: [{key: ip, limit: 2/day, settle: {statuses: [401, 5xx]}}]",
			[]string{"GET /", "GET /status/403", "GET /status/401", "GET /", "GET /status/503", "GET /"}, []int{200, 403, 401, 200, 503, 429}},
		{"what the response says", "policies: [{key: ip, limit: 10/day, settle: {header: X-Work, max: 8}}]",
			[]string{"GET /?work=7", "GET /?work=0", "GET /?work=99", "GET /"}, []int{200, 200, 200, 429}},
		{"what the response says, of some statuses", "policies: [{key: ip, limit: 10/day, settle: {statuses: [2xx], header: X-Work, max: 20}}]",
			[]string{"GET /status/404?work=20", "GET /?work=10", "GET /"}, []int{404, 200, 429}},
		{"a tier by user", asUser + "policies: [{key: user, limit: 1/day, tiers: [{limit: 3/day, keys: [alice]}]}]",
			[]string{"GET /\nX-User: alice", "GET /\nX-User: alice", "GET /\nX-User: bob", "GET /\nX-User: bob", "GET /\nX-User: alice", "GET /\nX-User: alice"},
			[]int{200, 200, 200, 429, 200, 429}},
		{"a tier by a key that is not in the file", "policies: [{key: header:X-Api-Key, limit: 1/day, tiers: [{limit: 2/day, keys: ['" + k1 + "']}]}]",
			[]string{"GET /\nX-Api-Key: k1", "GET /\nX-Api-Key: k1", "GET /\nX-Api-Key: k1", "GET /\nX-Api-Key: k2", "GET /\nX-Api-Key: k2"}, []int{200, 200, 429, 200, 429}},
		{"a tier by the user of Basic", "policies: [{key: basic, limit: 1/day, tiers: [{limit: 2/day, keys: [me]}]}]",
			[]string{"GET /\nAuthorization: Basic bWU6YQ==", "GET /\nAuthorization: Basic bWU6Yg==", "GET /\nAuthorization: Basic bWU6Yg=="}, []int{200, 200, 429}},
		{"a tier by address", "policies: [{key: ip, limit: 1/day, tiers: [{limit: 2/day, keys: [127.0.0.1]}]}]", []string{"GET /", "GET /", "GET /"}, []int{200, 200, 429}},
		{"without an identity, by address", "policies: [{key: header:A, limit: 1/day}]", []string{"GET /", "GET /"}, []int{200, 429}},
		{"without an identity, refused", "policies: [{key: header:A, limit: 1/day, missing: refuse}]", []string{"GET /", "GET /\nA: 1"}, []int{400, 200}},
		{"without an identity, skipped", "policies: [{key: header:A, limit: 1/day, missing: skip}]", []string{"GET /", "GET /", "GET /\nA: 1", "GET /\nA: 1"}, []int{200, 200, 200, 429}},
		{"a dry run", "policies: [{key: ip, limit: 1/day, dry-run: true}]", []string{"GET /", "GET /"}, []int{200, 200}},
		{"a start with nothing, of one policy", "policies: [{key: ip, limit: 1/day, cold-start: empty}]", []string{"GET /"}, []int{429}},
		{"a start with nothing, but for one policy", "cold-start: empty\npolicies: [{key: ip, limit: 1/day, cold-start: full}]", []string{"GET /"}, []int{200}},
		{"preflights apart", "policies: [ip 1/day]", []string{"GET /", "OPTIONS /\nOrigin: http://a\nAccess-Control-Request-Method: PUT", "GET /"}, []int{200, 200, 429}},
		{"preflights charged", "preflight: charge\npolicies: [ip 1/day]", []string{"GET /", "OPTIONS /\nOrigin: http://a\nAccess-Control-Request-Method: PUT"}, []int{200, 429}},
		{"preflights skipped", "preflight: skip\npolicies: [ip 1/day]",
			[]string{"OPTIONS /\nOrigin: http://a\nAccess-Control-Request-Method: PUT", "OPTIONS /\nOrigin: http://a\nAccess-Control-Request-Method: PUT", "GET /", "GET /"}, []int{200, 200, 200, 429}},
		{"in flight by a route", "in-flight: [{key: header:A, max: 1, missing: refuse, routes: [/a]}]", []string{"GET /", "GET /a", "GET /a\nA: 1"}, []int{200, 400, 200}},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			url := serveFile(t, tt.file)
			var got []int
			for _, r := range tt.requests {
				got = append(got, send(t, url, r).StatusCode)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%s\n%q\nare answered with %v, want %v", tt.file, tt.requests, got, tt.want)
			}
		})
	}
}

// What clients are told, as a file says.
func TestWhatAFileTellsClients(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why, file, request, field string
		is                        func(string) bool
	}{
		{"no partition key", "policies: [ip 1/day]", "GET /", "RateLimit", func(s string) bool { return !strings.Contains(s, "pk=") }},
		{"one by address", "policies: [ip 1/day]\npartition-key: ip", "GET /", "RateLimit", func(s string) bool { return strings.Contains(s, ";pk=:") }},
		{"one by a header field", "policies: [ip 1/day]\npartition-key: header:T", "GET /\nT: a", "RateLimit", func(s string) bool { return strings.Contains(s, ";pk=:") }},
		{"none without the field", "policies: [ip 1/day]\npartition-key: header:T", "GET /", "RateLimit", func(s string) bool { return s != "" && !strings.Contains(s, "pk=") }},
		{"one by a user", "trust: [127.0.0.1]\npolicies: [ip 1/day]\npartition-key: user", "GET /\nX-User: a", "RateLimit", func(s string) bool { return strings.Contains(s, ";pk=:") }},
		{"none of who is not believed", "policies: [ip 1/day]\npartition-key: user", "GET /\nX-User: a", "RateLimit", func(s string) bool { return s != "" && !strings.Contains(s, "pk=") }},
		{"fields on a redirect", "policies: [ip 1/day]", "GET /status/302", "RateLimit", func(s string) bool { return s != "" }},
		{"none on a redirect", "policies: [ip 1/day]\nfields-on-redirect: false", "GET /status/302", "RateLimit", func(s string) bool { return s == "" }},
		{"the name", "policies: [{name: mine, key: ip, limit: 1/day}]", "GET /", "RateLimit-Policy", func(s string) bool { return s == `"mine";q=1;w=86400` }},
		{"the name of one in flight", "policies: [ip 1/day]\nin-flight: [{name: slots, key: ip, max: 3}]", "GET /", "RateLimit-Policy", func(s string) bool { return strings.Contains(s, `"slots";q=3`) }},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			if got := send(t, serveFile(t, tt.file), tt.request).Header.Get(tt.field); !tt.is(got) {
				t.Errorf("%s\n%s: %q", tt.file, tt.field, got)
			}
		})
	}
}

// The banner says what a limit asks for beyond itself.
func TestTheBannerOfAFile(t *testing.T) {
	t.Parallel()
	cfg := load(t, `
listen: 127.0.0.1:0
state: none
admin: none
policies:
  - {key: ip, limit: 2/s, routes: [POST /login, /a/], settle: {statuses: [401]}}
  - {key: user, limit: 3/s, missing: skip, cost: 5, tiers: [{limit: 9/s, keys: [a, b]}]}
  - {key: header:A, limit: 4/s, missing: refuse, cost: {header: X-Cost, max: 7}}
  - {key: bearer, limit: 5/s, missing: shared}
  - {key: path, limit: 6/s}
`).Serve
	var banner strings.Builder
	cfg.Logger, cfg.Banner = slog.New(slog.DiscardHandler), &banner
	s, err := serve.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Run(ended, context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"in any second (only for POST /login, /a/; settled by the response)\n",
		"in any second (not without that identity; costs 5; 2 with a limit of their own)\n",
		"in any second (without that identity refused with 400; costs what X-Cost says, 1 to 7)\n",
		"in any second (without that identity as one)\n",
		"limit      path 6/s: at most 6 at once, then about one every 167ms; never more than 12 in any second\n",
	} {
		if !strings.Contains(banner.String(), want) {
			t.Errorf("the banner lacks %q:\n%s", want, banner.String())
		}
	}
}

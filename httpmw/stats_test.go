package httpmw_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// Each policy counts the requests that it was asked about, by what became of
// them, and those without an identity.
func TestStatsByPolicy(t *testing.T) {
	t.Parallel()
	l := newPerKey(
		policy{name: "ip", limit: bucket.PerHour(4)},
		policy{name: "key", limit: bucket.PerHour(2)},
		policy{name: "dry", limit: bucket.PerHour(1), dryRun: true},
		policy{name: "login", limit: bucket.PerHour(1)})
	s := limit(t, l, httpmw.Config{
		Keys: map[string]httpmw.Key{
			"ip": httpmw.ByIP(), "key": apiKey, "dry": apiKey.OrSkip(), "login": apiKey.OrRefuse(),
		},
		Routes:   map[string][]string{"login": {"/login"}},
		InFlight: []httpmw.InFlight{{Name: "busy", Key: apiKey, Max: 1}},
	})
	key := field("X-Api-Key", "k")
	for i, row := range []struct {
		edit   []func(*http.Request)
		status int
	}{
		{[]func(*http.Request){key}, 200},
		{[]func(*http.Request){key}, 200},            // dry would refuse
		{[]func(*http.Request){key}, 429},            // key refuses, and so would dry
		{nil, 200},                                   // dry is skipped
		{[]func(*http.Request){path("/login")}, 400}, // login is not to be had without
		{[]func(*http.Request){path("/login"), field("X-Api-Key", "l")}, 200},
		{[]func(*http.Request){path("/login"), field("X-Api-Key", "l")}, 429}, // ip and login
		{[]func(*http.Request){func(r *http.Request) { // a preflight, which has a bucket of its own
			r.Method = "OPTIONS"
			r.Header.Set("Origin", "https://a.example")
			r.Header.Set("Access-Control-Request-Method", "GET")
		}}, 200},
	} {
		if got := get(t, s, row.edit...).Code; got != row.status {
			t.Errorf("request %d: status %d, want %d", i+1, got, row.status)
		}
	}
	want := []httpmw.PolicyStats{
		{Name: "ip", Allowed: 5, Denied: 1, Spared: 1},
		{Name: "key", Allowed: 5, Denied: 1, Spared: 1, Missing: 2},
		{Name: "dry", Allowed: 2, Denied: 3, Missing: 2},
		{Name: "login", Allowed: 1, Denied: 1, Missing: 1},
		{Name: "busy", Allowed: 5, Spared: 2, Missing: 2},
	}
	if got := s.Stats().Policies; !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

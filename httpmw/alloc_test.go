//go:build !race

// The race detector has pools drop things at random.

package httpmw_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/httpmw"
)

// What a request costs is a small fixed number of allocations, whatever the
// client sends.
func TestAllocs(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	huge := strings.Repeat("10.0.0.1,", 100_000)
	for _, row := range []struct {
		why      string
		key      httpmw.Key
		edit     func(*http.Request)
		policies int
		allowed  bool
		most     float64
	}{
		{"allowed", httpmw.ByIP(), nil, 1, true, 3},
		{"allowed, two policies", httpmw.ByIP(), nil, 2, true, 4},
		{"refused", httpmw.ByIP(), nil, 1, false, 3},
		{"refused, two policies", httpmw.ByIP(), nil, 2, false, 4},
		{"a header", apiKey, field("X-Api-Key", "k"), 2, false, 4},
		{"a huge header", apiKey, field("X-Api-Key", huge), 2, false, 4},
		{"a huge authorization", httpmw.Header("Authorization"), field("Authorization", "Bearer "+huge), 2, false, 4},
		{"join", httpmw.Join(httpmw.ByIP(), httpmw.Path(), apiKey), nil, 2, false, 4},
		{"a huge X-Forwarded-For", httpmw.ByIP(), field(xff, huge), 2, false, 4},
		{"a huge element of X-Forwarded-For", httpmw.ByIP(), field(xff, strings.Repeat("1", 900_000)), 2, false, 4},
	} {
		l := stub(row.allowed, row.policies)
		keys := map[string]httpmw.Key{}
		for _, name := range l.names {
			keys[name] = row.key
		}
		m, err := httpmw.New(l, httpmw.Config{Keys: keys, IP: clientIP(t, "10.0.0.0/8"), Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "10.0.0.1:4711"
		if row.edit != nil {
			row.edit(r)
		}
		serve := served(m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), r)
		if got := testing.AllocsPerRun(200, serve); got > row.most {
			t.Errorf("%s: %v allocations, want at most %v", row.why, got, row.most)
		}
	}
}

// What an option costs, only those who set it pay. The first two rows are what
// there is without any.
func TestAllocs_options(t *testing.T) {
	origin := field("Origin", "https://a.example")
	for _, row := range []struct {
		why              string
		cfg              httpmw.Config
		edit             func(*http.Request)
		allowed, refused float64
	}{
		{"none", httpmw.Config{}, nil, 3, 3},
		{"none, and a script of another origin", httpmw.Config{}, origin, 3, 3},
		{"a browser", httpmw.Config{}, field("Accept", "text/html,application/xml;q=0.9,*/*;q=0.8"), 3, 3},
		{"no fields", httpmw.Config{Fields: httpmw.NoFields}, nil, 1, 3},
		{"jitter", httpmw.Config{Jitter: true}, nil, 3, 3},
		{"preflights", httpmw.Config{Preflight: httpmw.PreflightSkip}, nil, 3, 3},
		{"draft 7", httpmw.Config{Fields: httpmw.Draft7}, nil, 4, 6},
		{"draft 6", httpmw.Config{Fields: httpmw.Draft6}, nil, 4, 6},
		{"X", httpmw.Config{Fields: httpmw.XRateLimit}, nil, 3, 5},
		{"draft 11 and X", httpmw.Config{Fields: httpmw.Draft11 | httpmw.XRateLimit}, nil, 5, 5},
		{"partition key", httpmw.Config{PartitionKey: constantPartition}, nil, 3, 3},
		{"exposed fields, and no other origin", httpmw.Config{ExposeFields: true}, nil, 3, 3},
		{"exposed fields", httpmw.Config{ExposeFields: true}, origin, 4, 4},
		{"no fields on redirects", httpmw.Config{NoFieldsOnRedirect: true}, nil, 5, 5},
	} {
		for _, allowed := range []bool{true, false} {
			l := stub(allowed, 1)
			cfg := row.cfg
			cfg.Keys, cfg.Logger = byIP(l), slog.New(slog.DiscardHandler)
			m, err := httpmw.New(l, cfg)
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("GET", "/", nil)
			if row.edit != nil {
				row.edit(r)
			}
			most := row.refused
			if allowed {
				most = row.allowed
			}
			serve := served(m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), r)
			if got := testing.AllocsPerRun(200, serve); got > most {
				t.Errorf("%s, allowed %v: %v allocations, want at most %v", row.why, allowed, got, most)
			}
		}
	}
}

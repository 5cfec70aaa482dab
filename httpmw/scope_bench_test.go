package httpmw_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/seed-0c889b51/weir/httpmw"
)

// scopes are the options that say what is limited and by how much, each on its
// own. Of the routes one matches the request and one does not.
var scopes = []struct {
	name string
	cfg  httpmw.Config
	most float64 // allocations of an allowed request
}{
	{"none", httpmw.Config{}, 4},
	{"routes", httpmw.Config{Routes: map[string][]string{"ip": {"/api/"}, "user": {"POST /login"}}}, 7},
	{"other routes", httpmw.Config{Routes: map[string][]string{"ip": {"/admin/"}, "user": {"POST /login"}}}, 4},
	{"wildcard", httpmw.Config{Routes: map[string][]string{"ip": {"/{a}/{b}"}, "user": {"POST /login"}}}, 5},
	{"exempt routes", httpmw.Config{ExemptRoutes: []string{"/healthz", "/static/"}}, 4},
	{"exempt", httpmw.Config{Exempt: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}, 4},
	{"exempted", httpmw.Config{ExemptRoutes: []string{"/api/"}}, 3},
	{"cost", httpmw.Config{Cost: func(*http.Request) int { return 1 }}, 4},
	{"costs", httpmw.Config{Costs: map[string]func(*http.Request) int{"ip": func(*http.Request) int { return 1 }}}, 4},
	{"settle", httpmw.Config{Settle: map[string]func(httpmw.Outcome) int{
		"ip": httpmw.CountStatus(func(status int) bool { return status != 200 }),
	}}, 5},
	{"in flight", httpmw.Config{InFlight: []httpmw.InFlight{{Name: "busy", Key: httpmw.ByIP(), Max: 1}}}, 5},
}

// scoped returns a function that serves an allowed request.
func scoped(t testing.TB, cfg httpmw.Config) func() {
	t.Helper()
	l := stub(true, 2)
	cfg.Keys, cfg.Logger = byIP(l), slog.New(slog.DiscardHandler)
	m, err := httpmw.New(l, cfg)
	if err != nil {
		t.Fatal(err)
	}
	h := m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	return served(h, httptest.NewRequest("GET", "http://api.example.com/api/search?q=weir", nil))
}

func BenchmarkScope(b *testing.B) {
	for _, row := range scopes {
		b.Run(row.name, func(b *testing.B) {
			serve := scoped(b, row.cfg)
			b.ReportAllocs()
			for b.Loop() {
				serve()
			}
		})
	}
}

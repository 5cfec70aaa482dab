package httpmw_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// stub returns a limiter of one or two policies that always says the same.
func stub(allowed bool, policies int) scripted {
	d := bucket.Decision{Allowed: allowed, Limit: bucket.PerMinute(100), Remaining: 99, ResetAfter: time.Second}
	if !allowed {
		d.Remaining, d.RetryAfter = 0, time.Second
	}
	l := scripted{allowed: allowed}
	for i := range policies {
		l.names, l.decisions = append(l.names, []string{"ip", "user"}[i]), append(l.decisions, d)
	}
	return l
}

// served returns a function that has h answer one and the same request.
func served(h http.Handler, r *http.Request) func() {
	w := &discard{h: make(http.Header, 16)}
	return func() {
		clear(w.h)
		h.ServeHTTP(w, r)
	}
}

// BenchmarkMiddleware has what the middleware costs, with a limiter and a
// ResponseWriter that cost next to nothing, and what each option adds.
func BenchmarkMiddleware(b *testing.B) {
	origin := field("Origin", "https://a.example")
	for _, row := range []struct {
		name     string
		policies int
		cfg      httpmw.Config
		edit     func(*http.Request)
	}{
		{name: "1", policies: 1},
		{name: "2", policies: 2},
		{name: "no-fields", policies: 1, cfg: httpmw.Config{Fields: httpmw.NoFields}},
		{name: "draft-7", policies: 1, cfg: httpmw.Config{Fields: httpmw.Draft7}},
		{name: "draft-6", policies: 1, cfg: httpmw.Config{Fields: httpmw.Draft6}},
		{name: "draft-11+x", policies: 1, cfg: httpmw.Config{Fields: httpmw.Draft11 | httpmw.XRateLimit}},
		{name: "partition-key", policies: 1, cfg: httpmw.Config{PartitionKey: constantPartition}},
		{name: "expose", policies: 1, cfg: httpmw.Config{ExposeFields: true}, edit: origin},
		{name: "jitter", policies: 1, cfg: httpmw.Config{Jitter: true}},
		{name: "redirects", policies: 1, cfg: httpmw.Config{NoFieldsOnRedirect: true}},
		{name: "browser", policies: 1, edit: field("Accept",
			"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8")},
	} {
		for _, allowed := range []bool{true, false} {
			name := "refused/" + row.name
			if allowed {
				name = "allowed/" + row.name
			}
			b.Run(name, func(b *testing.B) {
				l := stub(allowed, row.policies)
				cfg := row.cfg
				cfg.Keys, cfg.Logger = byIP(l), slog.New(slog.DiscardHandler)
				m, err := httpmw.New(l, cfg)
				if err != nil {
					b.Fatal(err)
				}
				r := httptest.NewRequest("GET", "/", nil)
				if row.edit != nil {
					row.edit(r)
				}
				serve := served(m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), r)
				b.ReportAllocs()
				for b.Loop() {
					serve()
				}
			})
		}
	}
}

var partition = []byte("0123456789ab")

func constantPartition(*http.Request, string) []byte { return partition }

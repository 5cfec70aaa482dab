package httpmw_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/seed-0c889b51/weir/httpmw"
)

// BenchmarkInFlight has what many goroutines wait for each other where all of
// them are counted together, and where each is a client of its own.
func BenchmarkInFlight(b *testing.B) {
	for _, row := range []struct {
		name string
		cfg  httpmw.Config
	}{
		{"none", httpmw.Config{}},
		{"by-ip", httpmw.Config{InFlight: []httpmw.InFlight{{Name: "busy", Key: httpmw.ByIP(), Max: 1000}}}},
		{"global", httpmw.Config{InFlight: []httpmw.InFlight{{Name: "busy", Key: httpmw.Global(), Max: 1000}}}},
	} {
		b.Run(row.name, func(b *testing.B) {
			l := stub(true, 1)
			row.cfg.Keys, row.cfg.Logger = byIP(l), slog.New(slog.DiscardHandler)
			m, err := httpmw.New(l, row.cfg)
			if err != nil {
				b.Fatal(err)
			}
			h := m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			var clients atomic.Int64
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				r := httptest.NewRequest("GET", "/", nil)
				r.RemoteAddr = fmt.Sprintf("203.0.113.%d:80", clients.Add(1))
				serve := served(h, r)
				for pb.Next() {
					serve()
				}
			})
		})
	}
}

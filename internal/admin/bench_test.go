package admin_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/admin"
)

// What a denial costs beyond the decision: of one key, and of ever new ones.
func BenchmarkDenied(b *testing.B) {
	for _, keys := range []int{1, 100_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			w := admin.NewWatch(admin.WatchConfig{Logger: slog.New(slog.DiscardHandler), IDs: true})
			r := httptest.NewRequest("GET", "/", nil)
			to := nowhere{}
			var names []string
			for i := range keys {
				names = append(names, fmt.Sprint("key", i))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				w.Denied(to, r, httpmw.Denial{Policy: "ip", Key: names[i%keys], Decision: bucket.Decision{RetryAfter: time.Minute}})
			}
		})
	}
}

// What the timings cost a request that is let through.
func BenchmarkTimings(b *testing.B) {
	t := admin.NewTimings()
	h := t.Around(t.Behind(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) })))
	r := httptest.NewRequest("GET", "/", nil)
	to := nowhere{}
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(to, r)
	}
}

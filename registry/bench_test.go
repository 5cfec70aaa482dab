package registry_test

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/registry"
)

// BenchmarkDecision is what a decision costs, beside the floor: a single
// rate.Limiter without keys.
func BenchmarkDecision(b *testing.B) {
	plenty := bucket.Limit{Quota: 1e9, Window: time.Second, Burst: 1 << 30}
	spent := bucket.Limit{Quota: 1, Window: time.Hour, Burst: 1}
	b.Run("floor/rate.Limiter", func(b *testing.B) {
		lim := rate.NewLimiter(rate.Limit(plenty.Rate()), plenty.Burst)
		b.ReportAllocs()
		for b.Loop() {
			lim.AllowN(time.Now(), 1)
		}
	})
	for name, limit := range map[string]bucket.Limit{"allowed": plenty, "denied": spent} {
		for _, keys := range []int{1, 1000, 1_000_000} {
			b.Run(fmt.Sprintf("%s/keys=%d", name, keys), func(b *testing.B) {
				r := mustNew(b, registry.Config[string]{Limit: limit, Size: 2 * keys})
				names := make([]string, keys)
				for i := range names {
					names[i] = fmt.Sprintf("198.51.%d", i)
					r.Allow(names[i])
				}
				i := 0
				b.ReportAllocs()
				for b.Loop() {
					if i++; i == keys {
						i = 0
					}
					if r.Allow(names[i]) != (name == "allowed") {
						b.Fatal("wrong decision")
					}
				}
			})
		}
	}
	b.Run("two limits", func(b *testing.B) {
		g := mustGroup(b, mustNew(b, registry.Config[string]{Limit: plenty}), mustNew(b, registry.Config[string]{Limit: plenty}))
		into := make([]bucket.Decision, 2)
		b.ReportAllocs()
		for b.Loop() {
			g.Decide(into, 1, "203.0.113.7", "alice")
		}
	})
	b.Run("miss with eviction", func(b *testing.B) {
		r := mustNew(b, registry.Config[int]{Limit: bucket.PerDay(1000)})
		for key := range 1 << 17 {
			r.Allow(key)
		}
		b.ReportAllocs()
		for key := 1 << 17; b.Loop(); key++ {
			r.Allow(key)
		}
	})
}

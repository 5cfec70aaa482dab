package peers

import "testing"

// BenchmarkMiddleware has one request per op. Ratios are better taken from
// TestTable, which has the peers take turns.
func BenchmarkMiddleware(b *testing.B) {
	for _, p := range peers {
		for _, s := range scenarios {
			b.Run(p.name+"/"+s.name, func(b *testing.B) {
				sub := newSubject(b, p, s)
				b.ReportAllocs()
				b.ResetTimer()
				sub.run(b.N)
				b.StopTimer()
				if sub.wrong > 0 {
					b.Fatalf("%d of %d answers were not of status %d", sub.wrong, b.N, sub.status)
				}
			})
		}
	}
}

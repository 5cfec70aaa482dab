package bench

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/internal/measure"
	"github.com/seed-0c889b51/weir/internal/measure/subjects"
	"github.com/seed-0c889b51/weir/registry"
)

// workloads returns those that the benchmarks of the hot path have: with -short
// without those that take long to begin.
func workloads(b *testing.B, denied bool) (all []*measure.Workload) {
	b.Helper()
	names := measure.Workloads()
	if testing.Short() {
		names = names[:2]
	}
	for _, name := range names {
		if name == "miss" && denied {
			continue
		}
		w, err := measure.NewWorkload(name, denied)
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, w)
	}
	return all
}

// hammer asks from all goroutines of b, each from another place in the sequence
// on. Every answer is checked.
func hammer(b *testing.B, w *measure.Workload, want bool, ask func(i int) bool) {
	b.Helper()
	var goroutines, wrong atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		at := int(goroutines.Add(1)) * 618_033 % len(w.Sequence)
		bad := int64(0)
		for pb.Next() {
			if ask(int(w.Sequence[at])) != want {
				bad++
			}
			if at++; at == len(w.Sequence) {
				at = 0
			}
		}
		wrong.Add(bad)
	})
	b.StopTimer()
	if n := wrong.Load(); n > 0 {
		b.Fatalf("%d of %d answers were wrong", n, b.N)
	}
}

// BenchmarkDecision is one decision: by weir in the ways that it can be asked,
// and beside it the parts of one. See measure.Workloads for the keys.
func BenchmarkDecision(b *testing.B) {
	for _, denied := range []bool{false, true} {
		for _, w := range workloads(b, denied) {
			for _, s := range append(subjects.Ours(), subjects.Floors()...) {
				if !s.Fits(w) {
					continue
				}
				b.Run(fmt.Sprintf("%s/%s", w.Title(), s.Name), func(b *testing.B) {
					benchmarkSubject(b, &s, w)
				})
			}
		}
	}
}

// BenchmarkDecisionBeside is one decision of the whole limiter while snapshots
// are written, others evict keys, or the limit is changed.
func BenchmarkDecisionBeside(b *testing.B) {
	name := "zipf100k"
	if testing.Short() {
		name = "1k"
	}
	w, err := measure.NewWorkload(name, false)
	if err != nil {
		b.Fatal(err)
	}
	w.Limit = subjects.LongDebts
	w.Limit.Quota, w.Limit.Burst = 1e9, 1e9 // so that a second of it is not enough
	for _, s := range subjects.During() {
		during := s.During
		if during == "" {
			during = "nothing"
		}
		b.Run(during, func(b *testing.B) { benchmarkSubject(b, &s, w) })
	}
}

func benchmarkSubject(b *testing.B, s *measure.Subject, w *measure.Workload) {
	decide, done, err := s.Ready(b.Context(), w)
	if err != nil {
		b.Fatal(err)
	}
	defer done()
	hammer(b, w, !w.Denied, func(i int) bool { return decide(w.Asked(i)) })
}

// BenchmarkKeys is one decision by keys of several types.
func BenchmarkKeys(b *testing.B) {
	for _, denied := range []bool{false, true} {
		for _, w := range workloads(b, denied) {
			if w.Miss {
				continue
			}
			benchmarkKeys(b, w, "string", w.Key, w.Asked)
			addresses := make([]netip.Addr, w.Keys)
			for i := range addresses {
				addresses[i] = netip.MustParseAddr(w.Key(i))
			}
			address := func(i int) netip.Addr { return addresses[i] }
			benchmarkKeys(b, w, "netip.Addr", address, address)
			number := func(i int) uint64 { return uint64(i) * 0x9e3779b97f4a7c15 }
			benchmarkKeys(b, w, "uint64", number, number)
		}
	}
}

// benchmarkKeys benchmarks keys of a type: as they are at first, and as they are
// asked for then.
func benchmarkKeys[K comparable](b *testing.B, w *measure.Workload, name string, stored, asked func(i int) K) {
	b.Run(w.Title()+"/"+name, func(b *testing.B) {
		r, err := registry.New(registry.Config[K]{Limit: subjects.Of(w.Limit), Size: w.Capacity})
		if err != nil {
			b.Fatal(err)
		}
		for i := range w.Keys {
			r.Allow(stored(i))
			for w.Denied && r.Allow(stored(i)) {
			}
		}
		hammer(b, w, !w.Denied, func(i int) bool { return r.Allow(asked(i)) })
	})
}

// BenchmarkMemory is what a million keys take: an op is to make a limiter and
// have each of them ask once.
func BenchmarkMemory(b *testing.B) {
	for _, s := range append(subjects.Ours(), subjects.MutexMap()) {
		b.Run(s.Name, func(b *testing.B) {
			var bytes, gc series
			for b.Loop() {
				m, err := measure.MeasureMemory(b.Context(), &s, manyKeys())
				if err != nil {
					b.Fatal(err)
				}
				bytes, gc = append(bytes, m.BytesPerKey), append(gc, m.GCCPUMs)
			}
			b.ReportMetric(bytes.median(), "B/key")
			b.ReportMetric(gc.median(), "gc-ms")
		})
	}
}

// The limits of the benchmarks are those that weir is asked under: a limit that
// nobody reaches, and one that is used up at once.
func TestLimitsOfWorkloads(t *testing.T) {
	t.Parallel()
	for _, denied := range []bool{false, true} {
		w, err := measure.NewWorkload("hot", denied)
		if err != nil {
			t.Fatal(err)
		}
		l := subjects.Of(w.Limit)
		if l.Quota != w.Limit.Quota || l.Window != w.Limit.Window || l.Burst != w.Limit.Burst || denied != (l.Burst == 10) || l.Window < time.Hour {
			t.Errorf("%s: %v of %v", w.Title(), l, w.Limit)
		}
	}
}

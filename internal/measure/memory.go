package measure

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"strings"
)

// MeasureMemory gives a subject so many keys, each as a string of its own, as
// off the network, and returns what live heap they take and what a garbage
// collection then costs. What the process held before is taken off the heap,
// but the collector looks at it too: for exact figures a process should measure
// one subject. The subject has to be keyed.
func MeasureMemory(ctx context.Context, s *Subject, keys int) (Memory, error) {
	m := Memory{Subject: s.Name, Keys: keys}
	if !s.Keyed {
		return m, fmt.Errorf("memory of %s, which has no keys", s.Name)
	}
	w, err := ManyKeys("memory", keys, Limit{Quota: 1e9, Window: 3600e9, Burst: 1e9})
	if err != nil {
		return m, err
	}
	w.Sequence = nil
	before := liveHeap()
	decide, done, err := s.Make(w)
	if err != nil {
		return m, fmt.Errorf("%s, memory: %w", s.Name, err)
	}
	a := &asked{Subject: s, decide: decide, want: true}
	if done != nil {
		defer done()
	}
	if err := a.use(ctx, w, func(i int) string { return strings.Clone(w.Key(i)) }); err != nil {
		return m, err
	}
	m.BytesPerKey = max(float64(liveHeap())-float64(before), 0) / float64(keys)
	var cpu []float64
	for range 5 {
		start := gcCPU()
		runtime.GC()
		cpu = append(cpu, 1e3*(gcCPU()-start))
	}
	m.GCCPUMs = Median(cpu)
	// All of it is still there: it was not collected as nobody needs it.
	for i := range min(keys, 1000) {
		if !decide(w.Asked(i)) && !s.MayFail {
			return m, fmt.Errorf("%s, memory: key %d is denied", s.Name, i)
		}
	}
	runtime.KeepAlive(w)
	return m, nil
}

// liveHeap returns the bytes of the heap that are in use.
func liveHeap() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// gcCPU returns the seconds of CPU time that garbage collections have taken,
// those of processors that were idle otherwise too. The runtime brings it up to
// date at the end of each.
func gcCPU() float64 {
	sample := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindFloat64 {
		return 0
	}
	return sample[0].Value.Float64()
}

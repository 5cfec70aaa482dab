package measure

import (
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// Two goroutines that are measured do the work of two: each alone gets as far
// as when there is one. That they have a processor each is not ours to say, so
// runs in which they had not are passed over.
func TestGoroutinesRunAtOnce(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("one processor")
	}
	nothing := Subject{Name: "nothing", Keyed: true, Make: func(*Workload) (Decide, func(), error) {
		return func(string) bool { return true }, nil, nil
	}}
	w := workload(t, "hot", false)
	a, err := nothing.ready(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	together, best := 0, 0.0
	for range 20 {
		one, two := a.run(w, 1, 0, 10*time.Millisecond), a.run(w, 2, 0, 10*time.Millisecond)
		if !two.apart {
			together++
			best = max(best, float64(two.ops)/float64(one.ops))
		}
		if best > 1.3 {
			return
		}
	}
	if together < 10 {
		t.Skip("the machine is too busy: seldom did two goroutines run at once")
	}
	t.Errorf("in %d runs two goroutines did at best %.2f times what one did: want 1.3 once", together, best)
}

// All begin, though there are more than processors, and none before the last
// has come.
func TestLineup(t *testing.T) {
	t.Parallel()
	for _, goroutines := range append([]int{1, 2, 3, 4 * runtime.NumCPU()}, slices.Repeat([]int{2}, 200)...) {
		line := lineup{goroutines: int64(goroutines)}
		var all sync.WaitGroup
		came := make([]time.Time, goroutines)
		for g := range goroutines {
			all.Go(func() {
				if g == goroutines-1 {
					runtime.Gosched()
				}
				came[g] = time.Now()
				line.begin(g == 0)
				if line.start.IsZero() {
					t.Errorf("%d goroutines: number %d has begun before the time was taken", goroutines, g)
				}
			})
		}
		all.Wait()
		for g, at := range came {
			if line.start.Before(at) {
				t.Errorf("%d goroutines: begun %v before number %d had come", goroutines, at.Sub(line.start), g)
			}
		}
	}
}

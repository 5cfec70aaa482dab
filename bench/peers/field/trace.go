package field

import (
	"fmt"
	"slices"
	"time"
)

// A Step is so many requests at once, one after the other.
type Step struct {
	After    float64 // windows since the trace began
	Requests int
}

// A Trace is what one client does under a limit of TraceQuota in a window. It
// begins with an edge of the windows that are aligned to the clock.
type Trace struct {
	Name  string
	About string
	Steps []Step
}

// TraceQuota is the quota of all traces.
const TraceQuota = 10

// Traces returns those that tell algorithms, and their errors, apart.
func Traces() []Trace { return []Trace{Edge(), Steady(), Rest()} }

// Edge has most requests at both sides of the edge of a window.
func Edge() Trace {
	return Trace{"edge", "1 request, 20 at 0.95 windows, 20 at 1.083", []Step{{0, 1}, {0.95, 20}, {65. / 60, 20}}}
}

// Steady uses up the quota, and then goes on with two requests for each that is
// refilled.
func Steady() Trace {
	steps := []Step{{0, 20}}
	for i := 1; i < 60; i += 2 {
		steps = append(steps, Step{float64(i) / 60, 1})
	}
	return Trace{"steady", "20 requests, then 30 over the rest of the window", steps}
}

// Rest leaves a bucket full for longer than it took to fill, uses it up but for
// one, and comes again at once.
func Rest() Trace {
	return Trace{"rest", "1 request, 9 at 1.285 windows, 20 at 1.31", []Step{{0, 1}, {1.285, 9}, {1.31, 20}}}
}

// times returns when each request comes, by the plan.
func (tr Trace) times(window time.Duration) (at []time.Duration) {
	for _, s := range tr.Steps {
		at = append(at, slices.Repeat([]time.Duration{s.at(window)}, s.Requests)...)
	}
	return at
}

func (s Step) at(window time.Duration) time.Duration {
	return time.Duration(s.After * float64(window))
}

// perStep adds up the requests allowed at each step.
func (tr Trace) perStep(allowed []bool) []int {
	admitted := make([]int, len(tr.Steps))
	i := 0
	for n, s := range tr.Steps {
		for range s.Requests {
			if allowed[i] {
				admitted[n]++
			}
			i++
		}
	}
	return admitted
}

// Bucket returns what a token bucket admits at each step, exactly.
func (tr Trace) Bucket(window time.Duration) []int {
	l := Limit{TraceQuota, window}
	return tr.perStep(BucketAdmits(tr.times(window), l))
}

// Log returns what is admitted at each step if no stretch shorter than a window
// may see more than the quota, exactly.
func (tr Trace) Log(window time.Duration) []int {
	l := Limit{TraceQuota, window}
	return tr.perStep(LogAdmits(tr.times(window), l))
}

// Play makes the requests of the trace, waits in between, and returns how many
// were allowed at each step. It waits for an edge of the clock's windows first.
// If a step ends later than by a hundredth of a window, that is an error, and
// tells nothing about who was asked.
func (tr Trace) Play(window time.Duration, allow func() bool) ([]int, error) {
	start := time.Now().Truncate(window).Add(window)
	admitted := make([]int, len(tr.Steps))
	for n, s := range tr.Steps {
		due := start.Add(s.at(window))
		time.Sleep(time.Until(due))
		for range s.Requests {
			if allow() {
				admitted[n]++
			}
		}
		if late := time.Since(due); late > window/100 {
			return nil, fmt.Errorf("%s: step %d of %d ended %v after it was due: want %v at most",
				tr.Name, n+1, len(tr.Steps), late, window/100)
		}
	}
	return admitted, nil
}

func total(values []int) (n int) {
	for _, v := range values {
		n += v
	}
	return n
}

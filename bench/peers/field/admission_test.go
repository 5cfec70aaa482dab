package field

import (
	"context"
	"flag"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"math/rand/v2"
)

var realTime = flag.Bool("real", false, "have TestAdmissions_realTime ask all contenders by the clock of the machine, which takes a minute")

// What is known of contenders that goes against a fake clock.
var (
	realClock = []string{"go-limiter", "tailscale-rate-syncmap"} // read the clock past package time
	outlives  = []string{"ulule"}                                // have a goroutine that never ends
)

// What each admits at the steps of edge and rest, and in all of steady.
type admits struct {
	edge, rest []int
	steady     int
}

var (
	likeABucket = admits{[]int{1, 10, 1}, []int{1, 9, 1}, 19}
	likeWindows = admits{[]int{1, 9, 10}, []int{1, 9, 1}, 10}
)

// wanted returns what a contender is known to admit. What is not as its
// algorithm promises has a reason.
func wanted(c Contender) admits {
	switch c.Name {
	case "tailscale":
		// It refills when it has run dry, from when it did so last, and so what had
		// no room in the bucket meanwhile: 9 more at the end of the window.
		return admits{[]int{1, 18, 1}, []int{1, 9, 10}, 19}
	case "juju-syncmap":
		// It has whole tokens, refilled at times that are the same for all.
		return admits{[]int{1, 10, 1}, []int{1, 9, 2}, 19}
	case "httprate":
		// It rounds 0.69 requests of the window before to 1.
		return admits{[]int{1, 9, 1}, []int{1, 9, 0}, 10}
	}
	switch c.Algorithm {
	case TokenBucket:
		return likeABucket
	case FixedWindow:
		return likeWindows
	}
	return admits{[]int{1, 9, 1}, []int{1, 9, 1}, 10}
}

func (a admits) check(t *testing.T, tr Trace, got []int) {
	t.Helper()
	switch tr.Name {
	case "edge":
		if !slices.Equal(got, a.edge) {
			t.Errorf("edge: admitted %v: want %v", got, a.edge)
		}
	case "rest":
		if !slices.Equal(got, a.rest) {
			t.Errorf("rest: admitted %v: want %v", got, a.rest)
		}
	case "steady":
		if total(got) != a.steady {
			t.Errorf("steady: admitted %d, %v: want %d", total(got), got, a.steady)
		}
	default:
		t.Errorf("trace %s: nothing is known of it", tr.Name)
	}
}

// Each contender admits what it is known to; a token bucket exactly what a plain
// rate.Limiter does, but for those that say why not.
func TestTraces(t *testing.T) {
	t.Parallel()
	if bucket := likeABucket; !slices.Equal(bucket.edge, Edge().Bucket(time.Minute)) || !slices.Equal(bucket.rest, Rest().Bucket(time.Minute)) {
		t.Errorf("what a token bucket is taken to admit, %v, is not the exact answer", bucket)
	}
	for _, c := range All() {
		if !c.Keyed || slices.Contains(realClock, c.Name) {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			for _, tr := range Traces() {
				admitted, err := inBubble(t, c, Limit{TraceQuota, time.Minute}, func(limiter func() Limiter) ([]int, error) {
					return tr.Play(time.Minute, func() bool { return limiter().Allow(keyOf(0)) })
				})
				if err != nil {
					t.Fatal(err)
				}
				wanted(c).check(t, tr, admitted)
			}
		})
	}
}

// inBubble runs f where time is fake. limiter returns a limiter that is made in
// there when it is asked for first, unless that has goroutines that do not end.
func inBubble(t *testing.T, c Contender, l Limit, f func(limiter func() Limiter) ([]int, error)) (got []int, err error) {
	t.Helper()
	newLimiter := func() Limiter {
		limiter, err := c.Make(l, floodSize)
		if err != nil {
			t.Fatal(err)
		}
		return limiter
	}
	made := sync.OnceValue(newLimiter)
	if slices.Contains(outlives, c.Name) {
		made()
	}
	synctest.Test(t, func(t *testing.T) {
		got, err = f(made)
		made().Close()
	})
	return got, err
}

// On any sequence of requests at any times weir decides each as a plain
// rate.Limiter does, and so do those that are one.
func TestDecisionsAreThoseOfABucket(t *testing.T) {
	t.Parallel()
	l := Limit{10, time.Minute}
	random := rand.New(rand.NewPCG(4, 4))
	var gaps, at []time.Duration
	now := time.Duration(0)
	for range 5_000 {
		gap := time.Duration(0)
		switch random.IntN(4) {
		case 1:
			gap = time.Duration(random.Int64N(int64(6 * time.Second)))
		case 2:
			gap = time.Duration(random.Int64N(int64(20 * time.Second)))
		case 3:
			if random.IntN(20) == 0 {
				gap = 2 * l.Window
			}
		}
		now += gap
		gaps, at = append(gaps, gap), append(at, now)
	}
	want := BucketAdmits(at, l)
	for _, c := range All() {
		if !c.Ours && c.Name != "rate.Limiter-map" && c.Name != "rate.Limiter-lru" && c.Name != "echo" && c.Name != "tollbooth" {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			differ, err := inBubble(t, c, l, func(limiter func() Limiter) (differ []int, err error) {
				for i, gap := range gaps {
					time.Sleep(gap)
					if limiter().Allow(keyOf(0)) != want[i] {
						differ = append(differ, i)
					}
				}
				return differ, nil
			})
			if err != nil || len(differ) > 0 {
				t.Errorf("%d of %d decisions differ, %v the first: want none (%v)", len(differ), len(gaps), differ[:min(len(differ), 5)], err)
			}
		})
	}
}

// A limiter that is late tells nothing.
func TestPlayNoticesLateness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, err := Edge().Play(time.Minute, func() bool { time.Sleep(31 * time.Millisecond); return true })
		if err == nil || !strings.Contains(err.Error(), "step 2 of 3") { // 20 of them, and 600 ms are let pass
			t.Errorf("steps of 620 ms: %v: want an error about step 2", err)
		}
		if _, err := Edge().Play(time.Minute, func() bool { time.Sleep(29 * time.Millisecond); return true }); err != nil {
			t.Errorf("steps of 580 ms: %v: want no error", err)
		}
	})
}

// Whoever asks, and however many: weir admits what a token bucket does, and no
// more. Of a flood with debts of their own no more is asked than there is room
// for.
func TestWeirInACrowd(t *testing.T) {
	for _, c := range ours() {
		got, err := Admissions(context.Background(), []Contender{c}, 100*time.Millisecond, 100*time.Millisecond, func(string) {})
		if err != nil {
			t.Fatal(err)
		}
		a := got[0]
		for i, part := range a.Crowds {
			if part > 1 || part == 0 {
				t.Errorf("%s: a crowd was given %.4f of what a bucket of %v could have: want more than 0, and 1 at most", c.Name, part, CrowdLimits()[i])
			}
		}
		if a.Edges != 0 || a.Refused != 0 || a.Beyond != 0 || a.First != firstKeys || a.Flood != hourly.Quota {
			t.Errorf("%s: edges %d, refused %d, beyond %d, first %d, flood %d: want 0, 0, 0, %d, %d",
				c.Name, a.Edges, a.Refused, a.Beyond, a.First, a.Flood, firstKeys, hourly.Quota)
		}
	}
}

// The parts of an Admission show what is wrong, with limiters that are.
func TestAdmissionsShowWhatIsWrong(t *testing.T) {
	open := func(string) bool { return true }
	for _, row := range []struct {
		why   string
		make  func(l Limit) func(key string) bool
		check func(a Admission) bool
	}{
		{"who lets all pass is over everywhere", func(Limit) func(string) bool { return open }, func(a Admission) bool {
			return slices.Min(a.Crowds) > 1.01 && a.Edges > 0 && a.Refused == 0 && a.Beyond > 0 && a.First == firstKeys*crowd &&
				a.Flood == 2*hourly.Quota*(floodCycles+1) && a.DearFlood == a.Flood
		}},
		{"who lets none pass refuses what is within the quota", func(Limit) func(string) bool { return func(string) bool { return false } },
			func(a Admission) bool {
				return slices.Max(a.Crowds) == 0 && a.Edges == 0 && a.Refused == 1500*crowd && a.Beyond == 0 && a.First == 0 && a.Flood == 0
			}},
		{"who counts window after window", func(l Limit) func(string) bool {
			var mu sync.Mutex
			var start time.Time
			used := 0
			return func(string) bool {
				mu.Lock()
				defer mu.Unlock()
				if now := time.Now(); now.Sub(start) >= l.Window {
					start, used = now, 0
				}
				used++
				return used <= l.Quota
			}
		}, func(a Admission) bool { return a.Edges > edges.Quota/2 && a.Refused == 0 && a.Beyond == 0 }},
	} {
		c := Contender{Name: "c", Keyed: true, Make: func(l Limit, _ int) (Limiter, error) {
			return Limiter{Allow: row.make(l), Close: forever}, nil
		}}
		// What a crowd gets in too short a time for it can not be told for certain,
		// and where the machine is busy all is too short.
		const attempts = 20
		for attempt := 1; ; attempt++ {
			got, err := Admissions(context.Background(), []Contender{c}, 50*time.Millisecond, 20*time.Millisecond, func(string) {})
			if err != nil {
				t.Fatal(err)
			}
			if row.check(got[0]) {
				break
			}
			if attempt == attempts {
				t.Errorf("%s: %+v", row.why, got[0])
				break
			}
		}
	}
	if _, err := Admissions(context.Background(), singles()[:1], time.Second, time.Second, func(string) {}); err == nil {
		t.Error("a contender without keys: want an error")
	}
}

// Not parallel: it goes by the clock.
func TestAdmissions_realTime(t *testing.T) {
	if !*realTime {
		t.Skip("takes a minute, and a machine that is not busy: -real")
	}
	keyed := slices.DeleteFunc(All(), func(c Contender) bool { return !c.Keyed })
	all, err := Admissions(t.Context(), keyed, 2*time.Second, 300*time.Millisecond, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + AdmissionTables(all))
	for i, a := range all {
		t.Run(a.Name, func(t *testing.T) {
			if len(a.Traces) == 0 {
				t.Skip("the machine was late each time")
			}
			for _, tr := range Traces() {
				if got, ok := a.Traces[tr.Name]; ok {
					wanted(keyed[i]).check(t, tr, got)
				}
			}
		})
	}
}

func TestAdmissionTables(t *testing.T) {
	t.Parallel()
	exact := Admission{
		Name: "good", Algorithm: TokenBucket, Bounded: true,
		Traces: map[string][]int{"edge": {1, 10, 1}, "steady": Steady().Bucket(time.Minute), "rest": {1, 9, 1}},
		Crowds: []float64{1, 0.999, 0.5}, First: firstKeys, Flood: 10, DearFlood: 10,
	}
	bad := exact
	bad.Name, bad.Algorithm, bad.Bounded = "bad", FixedWindow, false
	bad.Traces = maps.Clone(exact.Traces)
	bad.Traces["edge"] = []int{1, 9, 10}
	delete(bad.Traces, "rest")
	bad.Crowds, bad.Edges, bad.Refused, bad.Flood = []float64{1, 2.5, 1.011}, 89, 3, 110
	got := AdmissionTables([]Admission{exact, bad})
	for _, want := range []string{
		"| *exact: token bucket* | 1, 10, 1 | 19 | 1, 9, 1 |\n",
		"| *exact: no window, wherever it starts, with more than 10* | 1, 9, 1 | 10 | 1, 9, 1 |\n",
		"| good, token bucket | 1, 10, 1 | 19 | 1, 9, 1 |\n",
		"| bad, fixed window | **1, 9, 10** | 19 | (late) |\n",
		"| | 1000 in 10ms | 10000 in 10ms | 100000 in 1s | at edges | refused | beyond | first | flood | dear flood |\n",
		"| *exact* | ≤ 1 | ≤ 1 | ≤ 1 | 0 | 0 | 0 | 500 | 10 | 10 |\n",
		"| good ● | 1.00 | 1.00 | 0.50 | 0 | 0 | 0 | 500 | 10 | 10 |\n",
		"| bad | 1.00 | **2.50** | **1.01** | **89** | **3** | 0 | 500 | **110** | 10 |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

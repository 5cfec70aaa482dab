package peers

import (
	"flag"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

var realTime = flag.Bool("real", false, "have TestAdmits_realTime take some seconds for the peers whose clock can not be faked")

// A step is so many requests of one client at once, after part of a window.
type step struct {
	after    float64 // windows since the first
	requests int
}

// A trace is what one client does under a limit of 10 in a window.
type trace struct {
	name  string
	steps []step
}

const traceQuota = 10

var (
	// The first request starts a window that ends between the other steps.
	edge = trace{"edge", []step{{0, 1}, {0.9, 20}, {65. / 60, 20}}}
	// As much at once as there is, and then one request after the other.
	steady = trace{"steady", steadySteps()}
)

func steadySteps() []step {
	steps := []step{{0, 20}}
	for i := 1; i < 60; i += 2 {
		steps = append(steps, step{float64(i) / 60, 1})
	}
	return steps
}

// admits returns how many requests a handler lets pass at each step. It waits
// for as long as the trace says, and tells when each step really was.
func (tr trace) admits(h http.Handler, window time.Duration) (admitted []int, at []time.Duration) {
	r := newRequest()
	w := &sink{header: http.Header{}}
	start := time.Now()
	for _, s := range tr.steps {
		time.Sleep(time.Until(start.Add(time.Duration(s.after * float64(window)))))
		at = append(at, time.Since(start))
		n := 0
		for i := range s.requests {
			w.reset()
			r.RemoteAddr = address(1, i)
			h.ServeHTTP(w, r)
			if w.status == http.StatusOK {
				n++
			}
		}
		admitted = append(admitted, n)
	}
	return admitted, at
}

// bucketAdmits is the exact answer of a token bucket with a burst of a quota.
func (tr trace) bucketAdmits(window time.Duration) (admitted []int) {
	b := rate.NewLimiter(rate.Limit(traceQuota/window.Seconds()), traceQuota)
	start := time.Unix(1_000_000_000, 0)
	for _, s := range tr.steps {
		now := start.Add(time.Duration(s.after * float64(window)))
		n := 0
		for range s.requests {
			if b.AllowN(now, 1) {
				n++
			}
		}
		admitted = append(admitted, n)
	}
	return admitted
}

// logAdmits is the exact answer where no stretch as long as a window, wherever
// it starts, may see more than the quota.
func (tr trace) logAdmits() (admitted []int) {
	for i, s := range tr.steps {
		since := 0
		for j := range i {
			if tr.steps[i].after-tr.steps[j].after < 1 {
				since += admitted[j]
			}
		}
		admitted = append(admitted, min(s.requests, traceQuota-since))
	}
	return admitted
}

func sum(values []int) (n int) {
	for _, v := range values {
		n += v
	}
	return n
}

const (
	tokenBucket = "token bucket"
	fixedWindow = "fixed window"
	// Of the window before counts the part that is still within a window.
	weighed = "two windows, weighed"
)

// What each kind admits at the steps of edge, and in the whole of steady, which
// is shorter than a window.
var kinds = map[string]struct {
	edge   []int
	steady int
}{
	// At 0.9 it is full again: 10. A sixth of a window later it has 1.83.
	tokenBucket: {[]int{1, 10, 1}, 19},
	// 9 before the end of the window and 10 after, in less than a fifth of one.
	fixedWindow: {[]int{1, 9, 10}, 10},
	// 10 in the window before count 9.17, rounded.
	weighed: {[]int{1, 9, 1}, 10},
}

var kindOf = map[string]string{
	weirMemory: tokenBucket, weirFile: tokenBucket, "httprate": weighed, "tollbooth": tokenBucket,
	"ulule": fixedWindow, "go-limiter": fixedWindow, "throttled": tokenBucket, "echo": tokenBucket,
}

// The exact answers are those that the kinds are held against.
func TestExactAnswers(t *testing.T) {
	t.Parallel()
	const window = time.Minute
	bucket := kinds[tokenBucket]
	if got := edge.bucketAdmits(window); !slices.Equal(got, bucket.edge) {
		t.Errorf("edge: a token bucket admits %v: want %v", got, bucket.edge)
	}
	if got := sum(steady.bucketAdmits(window)); got != bucket.steady {
		t.Errorf("steady: a token bucket admits %d: want %d", got, bucket.steady)
	}
	if got, want := edge.logAdmits(), []int{1, 9, 1}; !slices.Equal(got, want) {
		t.Errorf("edge: a log admits %v: want %v", got, want)
	}
	if got := sum(steady.logAdmits()); got != traceQuota {
		t.Errorf("steady: a log admits %d: want %d", got, traceQuota)
	}
}

// Each peer admits what its kind does. A token bucket is exact: it decides at
// each step like a plain rate.Limiter.
func TestAdmits(t *testing.T) {
	for _, p := range peers {
		if p.unlimited || p.realClock {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			for _, tr := range []trace{edge, steady} {
				var outside http.Handler
				if p.outside {
					outside = p.wrap(t, limit{traceQuota, time.Minute}, hello)
				}
				synctest.Test(t, func(t *testing.T) {
					h := outside
					if h == nil {
						h = p.wrap(t, limit{traceQuota, time.Minute}, hello)
					}
					admitted, _ := tr.admits(h, time.Minute)
					checkAdmitted(t, p, tr, admitted, time.Minute)
				})
			}
		})
	}
}

// Not parallel: it goes by the clock. A step that comes late says nothing.
func TestAdmits_realTime(t *testing.T) {
	if !*realTime {
		t.Skip("takes seconds, and a machine that is not busy: -real")
	}
	const window = 3 * time.Second
	for _, p := range peers {
		if !p.realClock {
			continue
		}
		for _, tr := range []trace{edge, steady} {
			t.Run(p.name+"/"+tr.name, func(t *testing.T) {
				admitted, at := tr.admits(p.wrap(t, limit{traceQuota, window}, hello), window)
				for i, s := range tr.steps {
					if due := time.Duration(s.after * float64(window)); at[i] > due+window/120 {
						t.Skipf("step %d was at %v and not at %v", i, at[i], due)
					}
				}
				checkAdmitted(t, p, tr, admitted, window)
			})
		}
	}
}

// checkAdmitted checks what a peer admitted, and logs a line for the README.
func checkAdmitted(t *testing.T, p peer, tr trace, admitted []int, window time.Duration) {
	t.Helper()
	kind := kindOf[p.name]
	want, ok := kinds[kind]
	if !ok {
		t.Fatalf("%s: its kind is not known", p.name)
	}
	if tr.name == edge.name && !slices.Equal(admitted, want.edge) || tr.name == steady.name && sum(admitted) != want.steady {
		t.Errorf("%s: %s admitted %v, %d in all: want %v of edge, %d of steady", tr.name, p.name, admitted, sum(admitted), want.edge, want.steady)
	}
	if exact := tr.bucketAdmits(window); kind == tokenBucket && !slices.Equal(admitted, exact) {
		t.Errorf("%s: %s admitted %v: want %v", tr.name, p.name, admitted, exact)
	}
	line := fmt.Sprint(sum(admitted))
	if tr.name == edge.name {
		line = fmt.Sprint(admitted)
	}
	t.Logf("%s: %s (%s)", tr.name, line, kind)
}

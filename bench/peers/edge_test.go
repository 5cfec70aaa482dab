package peers

import (
	"flag"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir/bench/peers/field"
)

var realTime = flag.Bool("real", false, "have TestAdmits_realTime take some seconds for the peers whose clock can not be faked")

// What each kind admits at the steps of edge and rest, and in all of steady.
// The exact answers are those of package field, and tested there.
var kinds = map[field.Algorithm]struct {
	edge, rest []int
	steady     int
}{
	field.TokenBucket: {[]int{1, 10, 1}, []int{1, 9, 1}, 19},
	// 9 before the end of the window and 10 after, in less than a seventh of one.
	field.FixedWindow: {[]int{1, 9, 10}, []int{1, 9, 1}, 10},
	// 10 in the window before count 9.17, rounded, and 1 counts 0.69, rounded.
	field.Weighed: {[]int{1, 9, 1}, []int{1, 9, 0}, 10},
}

var kindOf = map[string]field.Algorithm{
	weirMemory: field.TokenBucket, weirFile: field.TokenBucket, "httprate": field.Weighed, "tollbooth": field.TokenBucket,
	"ulule": field.FixedWindow, "go-limiter": field.FixedWindow, "throttled": field.TokenBucket, "echo": field.TokenBucket,
}

// play plays a trace to a handler, as one client on many connections.
func play(tr field.Trace, h http.Handler, window time.Duration) ([]int, error) {
	r := newRequest()
	w := &sink{header: http.Header{}}
	connection := 0
	return tr.Play(window, func() bool {
		w.reset()
		r.RemoteAddr = address(1, connection%20)
		connection++
		h.ServeHTTP(w, r)
		return w.status == http.StatusOK
	})
}

// Each peer admits what its kind does. A token bucket is exact: it decides at
// each step like a plain rate.Limiter.
func TestAdmits(t *testing.T) {
	for _, p := range peers {
		if p.unlimited || p.realClock {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			for _, tr := range field.Traces() {
				var outside http.Handler
				if p.outside {
					outside = p.wrap(t, limit{field.TraceQuota, time.Minute}, hello)
				}
				synctest.Test(t, func(t *testing.T) {
					h := outside
					if h == nil {
						h = p.wrap(t, limit{field.TraceQuota, time.Minute}, hello)
					}
					admitted, err := play(tr, h, time.Minute)
					if err != nil {
						t.Fatal(err)
					}
					checkAdmitted(t, p, tr, admitted)
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
		for _, tr := range field.Traces() {
			t.Run(p.name+"/"+tr.Name, func(t *testing.T) {
				admitted, err := play(tr, p.wrap(t, limit{field.TraceQuota, window}, hello), window)
				if err != nil {
					t.Skip(err)
				}
				checkAdmitted(t, p, tr, admitted)
			})
		}
	}
}

func checkAdmitted(t *testing.T, p peer, tr field.Trace, admitted []int) {
	t.Helper()
	kind := kindOf[p.name]
	want, ok := kinds[kind]
	if !ok {
		t.Fatalf("%s: its kind is not known", p.name)
	}
	var right bool
	sum := 0
	for _, n := range admitted {
		sum += n
	}
	switch tr.Name {
	case "edge":
		right = slices.Equal(admitted, want.edge)
	case "rest":
		right = slices.Equal(admitted, want.rest)
	case "steady":
		right = sum == want.steady
	}
	if !right {
		t.Errorf("%s: %s admitted %v, %d in all: want %v of edge, %v of rest, %d of steady", tr.Name, p.name, admitted, sum, want.edge, want.rest, want.steady)
	}
	if exact := tr.Bucket(time.Minute); kind == field.TokenBucket && !slices.Equal(admitted, exact) {
		t.Errorf("%s: %s admitted %v: want %v", tr.Name, p.name, admitted, exact)
	}
}

package measure

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// A Latency is how long single requests took.
type Latency struct {
	Subject  string `json:"subject"`
	Workload string `json:"workload"`
	Denied   bool   `json:"denied"`
	Procs    int    `json:"procs"`
	// During is what went on beside; "" is nothing.
	During string `json:"during,omitempty"`
	// EveryNs is how far apart the instants are at which requests of one
	// goroutine were due: each is measured from then. 0 is back to back: each is
	// measured from when it was made, so that what keeps a client from making
	// the next one is not in it.
	EveryNs int64 `json:"everyNs"`

	Count   uint64 `json:"count"`
	Wrong   uint64 `json:"wrong"`
	P50Ns   int64  `json:"p50Ns"`
	P90Ns   int64  `json:"p90Ns"`
	P99Ns   int64  `json:"p99Ns"`
	P999Ns  int64  `json:"p999Ns"`
	P9999Ns int64  `json:"p9999Ns"`
	MaxNs   int64  `json:"maxNs"`
	// Curve has the latency below which each part of the requests is, at some
	// parts from 0 to 1, both not falling.
	Curve []Point `json:"curve"`

	histogram *hdr.Histogram // of all, nil if it was read
}

// Add adds the requests of another latency of the same kind, which was measured
// in this process too.
func (l *Latency) Add(other Latency) {
	l.Wrong += other.Wrong
	l.histogram.Merge(other.histogram)
	l.SetFrom(l.histogram)
}

// A Point of a curve says that this part of all requests took at most so long.
type Point struct {
	Part float64 `json:"part"`
	Ns   int64   `json:"ns"`
}

// NewHistogram returns an empty histogram for latencies in ns from 1 to a
// minute, of three significant digits.
func NewHistogram() *hdr.Histogram { return hdr.New(1, int64(time.Minute), 3) }

// Record counts a latency; one beyond the histogram counts as its longest.
func Record(h *hdr.Histogram, d time.Duration) {
	if h.RecordValue(max(int64(d), 0)) != nil {
		h.RecordValue(int64(time.Minute)) // which it holds
	}
}

// SetFrom takes the percentiles from a histogram, and keeps it.
func (l *Latency) SetFrom(h *hdr.Histogram) {
	l.histogram = h
	l.Count = uint64(h.TotalCount())
	l.P50Ns = h.ValueAtQuantile(50)
	l.P90Ns = h.ValueAtQuantile(90)
	l.P99Ns = h.ValueAtQuantile(99)
	l.P999Ns = h.ValueAtQuantile(99.9)
	l.P9999Ns = h.ValueAtQuantile(99.99)
	l.MaxNs = h.Max()
	l.Curve = l.Curve[:0]
	// Ten points for each nine, for as many nines as there are requests.
	for i := 0; ; i++ {
		beyond := math.Pow(10, -float64(i)/10)
		if i > 0 && beyond*float64(l.Count) < 1 || i > 100 {
			break
		}
		l.Curve = append(l.Curve, Point{1 - beyond, h.ValueAtQuantile(100 * (1 - beyond))})
	}
	l.Curve = append(l.Curve, Point{1, l.MaxNs})
}

// Schedule is what MeasureLatency is to do.
type Schedule struct {
	Procs   int
	Lasting time.Duration
	// Every is the time between two requests of a goroutine; 0 is back to back.
	Every time.Duration
}

// MeasureLatency measures each request of a subject: none is sampled or left
// out. With a schedule, requests that were due while the client or the subject
// was held up are late and count as that: there is no coordinated omission.
func MeasureLatency(ctx context.Context, s *Subject, w *Workload, plan Schedule) (Latency, error) {
	l := Latency{Subject: s.Name, Workload: w.Name, Denied: w.Denied, Procs: plan.Procs, During: s.During, EveryNs: int64(plan.Every)}
	if plan.Procs < 1 || plan.Lasting <= 0 || plan.Every < 0 {
		return l, fmt.Errorf("latency with %d goroutines for %v, a request each %v: want 1 or more, more than 0s, 0s or more", plan.Procs, plan.Lasting, plan.Every)
	}
	if !s.Fits(w) {
		return l, fmt.Errorf("%s is not made for %s", s.Name, w.Title())
	}
	a, err := s.ready(ctx, w)
	if err != nil {
		return l, err
	}
	defer a.close()
	runtime.GC()
	histograms := make([]*hdr.Histogram, plan.Procs)
	wrong := make([]uint64, plan.Procs)
	var all sync.WaitGroup
	line := lineup{goroutines: int64(plan.Procs), patience: 500 * time.Millisecond}
	for g := range plan.Procs {
		histograms[g] = NewHistogram()
		all.Go(func() {
			line.begin(g == 0)
			wrong[g] = a.time(ctx, w, plan, line.start, len(w.Sequence)/plan.Procs*g, histograms[g])
		})
	}
	all.Wait()
	if err := ctx.Err(); err != nil {
		return l, err
	}
	for g, h := range histograms {
		if g > 0 {
			histograms[0].Merge(h)
		}
		l.Wrong += wrong[g]
	}
	l.SetFrom(histograms[0])
	if l.Wrong > 0 && !s.MayFail {
		return l, fmt.Errorf("%s, %s: %d of %d answers were wrong", s.Name, w.Title(), l.Wrong, l.Count)
	}
	return l, nil
}

// time makes requests for so long, one at least, and returns how many answers
// were wrong.
func (a *asked) time(ctx context.Context, w *Workload, plan Schedule, base time.Time, at int, h *hdr.Histogram) (wrong uint64) {
	seen := byte(0)
	for i := 0; ; i++ {
		key := w.Asked(int(w.Sequence[at]))
		seen ^= key[0] // so that it is in the cache
		if at++; at == len(w.Sequence) {
			at = 0
		}
		start := time.Since(base)
		if plan.Every > 0 {
			due := time.Duration(i) * plan.Every
			if due >= plan.Lasting {
				break // each that was due before counts, however late it is
			}
			for start < due {
				start = time.Since(base)
			}
			start = due
		} else if i > 0 && start >= plan.Lasting {
			break
		}
		if i%1024 == 0 && ctx.Err() != nil {
			break
		}
		allowed := a.decide(key)
		Record(h, time.Since(base)-start)
		if allowed != a.want {
			wrong++
		}
	}
	if seen == 255 {
		wrong++
	}
	return wrong
}

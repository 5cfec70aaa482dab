package admin

import (
	"bufio"
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Timings measure how long decisions and upstreams take. [NewTimings] makes
// them. They are safe for concurrent use.
type Timings struct {
	decision prometheus.Histogram
	upstream *prometheus.HistogramVec
	class    [len(classes)]prometheus.Observer // of upstream
}

// sampled is the part of the requests of which a decision is timed.
const sampled = 64

// NewTimings returns timings of nothing yet.
func NewTimings() *Timings {
	t := &Timings{
		decision: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "weir_decision_duration_seconds",
			Help:    "Time from the beginning of a request to its decision, with keys and header fields; of a refusal, to its end. Of one request in 64.",
			Buckets: prometheus.ExponentialBuckets(250e-9, 2, 16), // to 8 ms
		}),
		upstream: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "weir_upstream_duration_seconds",
			Help:    "Time from the decision on a request to the end of its response, by class of its status.",
			Buckets: prometheus.ExponentialBuckets(0.5e-3, 2, 16), // to 16 s
		}, []string{"class"}),
	}
	for i, class := range classes { // each is there from the beginning
		t.class[i] = t.upstream.WithLabelValues(class)
	}
	return t
}

// A stopwatch runs from the beginning of a request.
type stopwatch struct{ begun time.Time }

type stopwatchKey struct{}

// Around returns a handler around one that limits.
func (t *Timings) Around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rand.Uint32()%sampled != 0 {
			next.ServeHTTP(w, r)
			return
		}
		sw := &stopwatch{begun: time.Now()}
		defer func() {
			if !sw.begun.IsZero() { // it has not been let through
				t.decision.Observe(time.Since(sw.begun).Seconds())
			}
		}()
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), stopwatchKey{}, sw)))
	})
}

// Behind returns a handler around what is behind the limits.
func (t *Timings) Behind(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		if sw, ok := r.Context().Value(stopwatchKey{}).(*stopwatch); ok && !sw.begun.IsZero() {
			t.decision.Observe(now.Sub(sw.begun).Seconds())
			sw.begun = time.Time{}
		}
		seen := &statusWriter{ResponseWriter: w}
		defer func() { t.class[classOf(seen.status)].Observe(time.Since(now).Seconds()) }()
		next.ServeHTTP(seen, r)
	})
}

// classes are all values of the label class.
var classes = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

// classOf returns the class of a status, the first if there was no response.
func classOf(status int) int {
	if c := status / 100; c >= 1 && c < len(classes) {
		return c
	}
	return 0
}

// A statusWriter notes the status of a response.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// Unwrap is for [http.ResponseController].
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader notes the status: the first that is final, or 101.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// FlushError is for [http.ResponseController]: what is flushed has a status.
func (w *statusWriter) FlushError() error {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack is for [http.ResponseController]: what is taken over is upgraded.
func (w *statusWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil && w.status == 0 {
		w.status = http.StatusSwitchingProtocols
	}
	return conn, rw, err
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

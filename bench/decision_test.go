package bench

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// deep is a limit of which a bucket holds more than a benchmark takes, and that
// refills in a day.
var deep = bucket.Limit{Quota: 1 << 30, Window: 24 * time.Hour}

const (
	half    = 1 << 29 // tokens that every key owes: half a day
	tooMany = 1 << 28 // asked for where the answer has to be no: an empty bucket has as many in six hours
)

// A traffic is a limiter with all keys in debt, and those of them that clients
// ask for: the first tenth is allowed, the others are denied. One in 100 of all
// keys is in that tenth.
type traffic struct {
	*kept
	active  int           // keys asked for
	changed int           // of them, the keys that are allowed
	pause   time.Duration // between two snapshots
	writer  []string      // the keys that are allowed
}

func newTraffic(tb testing.TB, keys int, pause time.Duration) *traffic {
	tb.Helper()
	t := &traffic{kept: newKept(tb, keys, deep), active: keys / 10, changed: keys / 100, pause: pause}
	for i := range keys {
		n := half
		if i >= t.changed && i < t.active {
			n = 1<<30 - 1 // all that is left of its bucket but what is refilled
		}
		if !t.Take(n, key(scattered(i, keys))).Allowed {
			tb.Fatalf("key %d is denied", i)
		}
	}
	for i := range t.changed {
		t.writer = append(t.writer, key(scattered(i, keys)))
	}
	t.save(tb)
	return t
}

// client returns a new client, with strings of its own.
func (t *traffic) client(seed uint64, every time.Duration) *client {
	c := &client{order: zipfOrder(seed, t.active, 1<<17), every: every}
	for i := range t.active {
		a := ask{key(scattered(i, t.keys)), 1, true}
		if i >= t.changed {
			a.tokens, a.allowed = tooMany, false
		}
		c.asks = append(c.asks, a)
	}
	return c
}

// A mode is what is done about the file meanwhile.
type mode string

const (
	nothing mode = "none"
	changes mode = "changed"
	full    mode = "full"
)

var modes = []mode{nothing, changes, full}

// round lets the clients ask for so long, and begins a snapshot each t.pause
// or, if one takes longer, when it is done. Before each, one in 100 of all keys
// is touched, whether or not it is then written. It returns the latencies.
func (t *traffic) round(tb testing.TB, m mode, clients []*client, lasting time.Duration) *histogram {
	tb.Helper()
	runtime.GC() // of what the round before left; that of this round is in it
	var stop atomic.Bool
	defer stop.Store(true)
	var all sync.WaitGroup
	for _, c := range clients {
		c.latency = histogram{}
		all.Go(func() {
			c.run(func(tokens int, key string) bool { return t.Take(tokens, key).Allowed }, &stop)
		})
	}
	saves := t.Stats().Saves
	want := t.writeFor(tb, m, lasting)
	if m == nothing {
		want = 0
	}
	if got := t.Stats().Saves - saves; got != uint64(want) {
		tb.Errorf("%s: %d snapshots: want %d", m, got, want)
	}
	stop.Store(true)
	all.Wait()
	latency := &histogram{}
	for _, c := range clients {
		latency.merge(&c.latency)
		if c.wrong > 0 || c.latency.count == 0 {
			tb.Fatalf("%d wrong answers of %d", c.wrong, c.latency.count)
		}
	}
	return latency
}

// writeFor does what a mode is about, once at least. It returns how often.
func (t *traffic) writeFor(tb testing.TB, m mode, lasting time.Duration) (times int) {
	tb.Helper()
	tick := time.NewTicker(t.pause)
	defer tick.Stop()
	for start := time.Now(); times == 0 || time.Since(start) < lasting; {
		<-tick.C
		for _, key := range t.writer {
			if !t.Allow(key) {
				tb.Error("a key to be touched is denied")
				return times
			}
		}
		times++
		least := t.changed
		switch m {
		case nothing:
			continue // what would have been one
		case full:
			t.makeFullDue(tb)
			least = t.keys
		}
		if _, written := t.save(tb); written < int64(least)*recordSize {
			tb.Errorf("%s: %d bytes written: want %d records", m, written, least)
		}
	}
	return times
}

// BenchmarkDecisionDuringSnapshot is what a snapshot does to the latency of
// decisions. An op is a round, in which nothing is written, then what has
// changed, then all, each for the same time. See client.run for what is measured.
func BenchmarkDecisionDuringSnapshot(b *testing.B) {
	lasting, pause := 2*time.Second, 100*time.Millisecond
	if testing.Short() {
		lasting, pause = 50*time.Millisecond, 5*time.Millisecond
	}
	for _, row := range []struct {
		name    string
		clients int
		every   time.Duration
	}{
		{"2 clients back to back", 2, 0},
		{"1 client on schedule", 1, 10 * time.Microsecond},
	} {
		b.Run(row.name, func(b *testing.B) {
			t := newTraffic(b, manyKeys(), pause)
			var clients []*client
			for i := range row.clients {
				clients = append(clients, t.client(uint64(i+1), row.every))
			}
			figures := map[string]series{}
			note := func(what string, v float64) { figures[what] = append(figures[what], v) }
			for b.Loop() {
				for _, m := range modes {
					latency := t.round(b, m, clients, lasting)
					for _, q := range quantiles {
						note(string(m)+"-"+q.name+"-ns", float64(latency.quantile(q.q)))
					}
				}
			}
			b.ReportMetric(0, "ns/op")
			for what, s := range figures {
				b.ReportMetric(s.median(), what)
			}
			for _, m := range modes[1:] {
				ratios := figures[string(m)+"-p99.9-ns"].over(figures[string(nothing)+"-p99.9-ns"])
				b.ReportMetric(ratios.median(), string(m)+"/none-p99.9")
			}
			t.save(b)
			t.check(b)
		})
	}
}

var quantiles = []struct {
	name string
	q    float64
}{{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}, {"p99.99", 0.9999}, {"max", 1}}

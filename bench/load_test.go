package bench

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// An ask is a request, and what the answer has to be.
type ask struct {
	key     string
	tokens  int
	allowed bool
}

// A client makes requests, one after the other, and measures each.
type client struct {
	asks  []ask    // that there are, the most frequent first
	order []uint32 // in which they come; again from the start at its end
	// every is the time between the instants at which requests are due. 0 is
	// back to back: each is due when the client gets to it.
	every time.Duration

	latency histogram
	wrong   int  // answers
	seen    byte // of the keys, so that reading them is not for nothing
}

// zipfOrder draws so many requests from n with Zipf's law, the exponent of
// which has to be over 1; near it the head is the least heavy.
func zipfOrder(seed uint64, n, requests int) []uint32 {
	zipf := rand.NewZipf(rand.New(rand.NewPCG(seed, 0)), 1.01, 1, uint64(n-1))
	order := make([]uint32, requests)
	for i := range order {
		order[i] = uint32(zipf.Uint64())
	}
	return order
}

// run makes requests until stop is set, one at least.
//
// No latency is left out or sampled. Of a client that asks back to back each
// call is measured from when it is made to when it returns; what keeps the
// client from making the next is not seen. Of one with a schedule each is
// measured from when it was due: if the client is held up, in a call or between
// two, all requests due meanwhile are late and count as that.
func (c *client) run(take func(tokens int, key string) bool, stop *atomic.Bool) {
	base := time.Now()
	for i := 0; i == 0 || !stop.Load(); i++ {
		a := &c.asks[c.order[i%len(c.order)]]
		// The key is in the cache, as it is when it has just been read.
		c.seen += a.key[len(a.key)-1]
		start := time.Since(base)
		if c.every > 0 {
			due := time.Duration(i) * c.every
			for start < due && !stop.Load() {
				start = time.Since(base)
			}
			if start < due {
				return
			}
			start = due
		}
		allowed := take(a.tokens, a.key)
		c.latency.add(time.Since(base) - start)
		if allowed != a.allowed {
			c.wrong++
		}
	}
}

func TestLatencyIsFromWhenARequestWasDue(t *testing.T) {
	t.Parallel()
	// The first of 11 takes 10 ms, and the others no time: virtual time only
	// passes while somebody sleeps.
	for _, row := range []struct {
		why   string
		every time.Duration
		sum   time.Duration // of the latencies of all
	}{
		{"one a millisecond: the first makes all others late, by 9, 8, ... 0 ms", time.Millisecond, 55 * time.Millisecond},
		{"back to back: only the first has waited", 0, 10 * time.Millisecond},
	} {
		t.Run(row.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var stop atomic.Bool
				calls := 0
				c := client{asks: []ask{{"a", 1, true}, {"b", 2, false}}, order: []uint32{0, 1, 1}, every: row.every}
				c.run(func(tokens int, key string) bool {
					if calls++; calls == 1 {
						time.Sleep(10 * time.Millisecond)
					}
					stop.Store(calls == 11)
					return key == "a" && tokens == 1
				}, &stop)
				var sum time.Duration
				for slot, n := range c.latency.slots {
					sum += time.Duration(n) * lastOf(slot)
				}
				if c.latency.count != 11 || sum < row.sum || sum > row.sum+row.sum/64 || c.latency.max != 10*time.Millisecond || c.wrong != 0 {
					t.Errorf("%d latencies of %v in all, up to %v, %d wrong: want 11 of %v, up to 10ms, none", c.latency.count, sum, c.latency.max, c.wrong, row.sum)
				}
			})
		})
	}
}

func TestWrongAnswersAreSeen(t *testing.T) {
	t.Parallel()
	var stop atomic.Bool
	calls := 0
	c := client{asks: []ask{{"a", 1, true}, {"b", 1, false}}, order: []uint32{0, 1, 1, 1}}
	c.run(func(int, string) bool {
		calls++
		stop.Store(calls == 40)
		return true
	}, &stop)
	if c.wrong != 30 {
		t.Errorf("%d wrong of 40 of which three in four should have been denied: want 30", c.wrong)
	}
}

func TestZipfOrder(t *testing.T) {
	t.Parallel()
	const n, requests = 1000, 200_000
	counts := make([]int, n)
	for _, i := range zipfOrder(1, n, requests) {
		counts[i]++
	}
	// The k-th has about 1/k of the first's share.
	for _, k := range []int{2, 10, 100} {
		around := 0
		for i := k - k/10; i <= k+k/10; i++ {
			around += counts[i-1]
		}
		got, want := float64(around)/float64(2*(k/10)+1), float64(counts[0])/float64(k)
		if got < 0.8*want || got > 1.2*want {
			t.Errorf("the %d-th comes %.0f times, the first %d times: want about %.0f", k, got, counts[0], want)
		}
	}
}

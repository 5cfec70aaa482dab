package field

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// crowd is how many goroutines ask at once where contention is meant.
const crowd = 64

// contend has a crowd ask for one key for a time, as fast as it can, and returns
// how many requests were allowed, and how many a token bucket could have allowed
// in the time from before the first to after the last.
func contend(limiter Limiter, l Limit, d time.Duration) (admitted int, most float64) {
	key := keyOf(0)
	counts := make([]int, crowd)
	start := time.Now()
	together(func(i int) {
		n := 0
		for j := 0; ; j++ {
			if limiter.Allow(key) {
				n++
			}
			if j%64 == 0 && time.Since(start) > d {
				break
			}
		}
		counts[i] = n
	})
	return total(counts), float64(l.Quota) + perSecond(l)*time.Since(start).Seconds()
}

// atEdges has one request made, which begins a window if there are any, and then
// a crowd ask at each edge of some windows, for a fifth of one. It returns when
// each request was allowed.
func atEdges(limiter Limiter, window time.Duration) []grant {
	const windows = 3
	key := keyOf(0)
	grants := make([][]grant, crowd)
	// An edge, too, of windows that are aligned to the clock.
	start := time.Now().Truncate(window).Add(window)
	time.Sleep(time.Until(start))
	limiter.Allow(key)
	together(func(i int) {
		for n := range windows {
			edge := time.Duration(n+1) * window
			time.Sleep(edge - window/10 - time.Since(start))
			for before := time.Since(start); before < edge+window/10; {
				ok := limiter.Allow(key)
				after := time.Since(start)
				if ok {
					grants[i] = append(grants[i], grant{before, after})
				}
				before = after
			}
		}
	})
	return slices.Concat(grants...)
}

// useUp has a crowd ask for a key some requests each, and returns how many were
// allowed.
func useUp(limiter Limiter, key string, each int) int {
	var admitted atomic.Int64
	together(func(int) {
		for range each {
			if limiter.Allow(key) {
				admitted.Add(1)
			}
		}
	})
	return int(admitted.Load())
}

// together runs f in a crowd of goroutines, with the number of each, and waits
// for all. They start at about the same time.
func together(f func(i int)) {
	var begin, done sync.WaitGroup
	begin.Add(1)
	for i := range crowd {
		done.Go(func() {
			begin.Wait()
			f(i)
		})
	}
	begin.Done()
	done.Wait()
}

// flood has a victim use up its quota, and then, so many times over, fresh keys
// ask and the victim again. Each fresh key makes so many requests. It returns
// how many requests of the victim were allowed.
func flood(limiter Limiter, l Limit, cycles, fresh, requests int) int {
	victim := keyOf(0)
	admitted := 0
	ask := func() {
		for range 2 * l.Quota {
			if limiter.Allow(victim) {
				admitted++
			}
		}
	}
	ask()
	next := 1
	for range cycles {
		for range fresh {
			key := keyOf(next)
			next++
			for range requests {
				limiter.Allow(key)
			}
		}
		ask()
	}
	return admitted
}

// keyOf returns the i-th key, i < 2²⁴, as the text of an IPv4 address of 15
// bytes, a new string each time.
func keyOf(i int) string {
	b := []byte("100.000.000.000")
	for at, part := range [3]int{i >> 16 & 0xff, i >> 8 & 0xff, i & 0xff} {
		for digit := 2; digit >= 0; digit-- {
			b[4+4*at+digit] = byte('0' + part%10)
			part /= 10
		}
	}
	return string(b)
}

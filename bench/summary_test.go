package bench

import (
	"slices"
	"testing"
	"time"
)

// A series holds one figure of each round.
type series []float64

func (s series) median() float64 {
	sorted := slices.Sorted(slices.Values(s))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

func (s series) mean() float64 {
	sum := 0.0
	for _, v := range s {
		sum += v
	}
	return sum / float64(len(s))
}

// over returns the ratio to another series, round by round: what slows the
// machine for some rounds is in both.
func (s series) over(other series) series {
	ratios := make(series, len(s))
	for i := range s {
		ratios[i] = s[i] / other[i]
	}
	return ratios
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }
func microseconds(d time.Duration) float64 { return d.Seconds() * 1e6 }

func TestSeries(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why          string
		of           series
		median, mean float64
	}{
		{"one round", series{3}, 3, 3},
		{"an odd number, not in order", series{9, 1, 2}, 2, 4},
		{"an even number has its median in the middle", series{8, 1, 2, 5}, 3.5, 4},
		{"one bad round moves the mean only", series{1, 1, 1, 1, 101}, 1, 21},
	} {
		if median, mean := row.of.median(), row.of.mean(); median != row.median || mean != row.mean {
			t.Errorf("%s: median %v, mean %v: want %v, %v", row.why, median, mean, row.median, row.mean)
		}
	}
	if got := (series{2, 40, 6}).over(series{1, 20, 2}); !slices.Equal(got, series{2, 2, 3}) {
		t.Errorf("ratios %v: want 2 2 3", got)
	}
}

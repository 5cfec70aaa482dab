package measure

import (
	"math"
	"slices"
)

// Median returns the median, of an even number the mean of the two in the
// middle, and of nothing NaN.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// MAD returns the median of the distances to the median.
func MAD(values []float64) float64 {
	m := Median(values)
	apart := make([]float64, len(values))
	for i, v := range values {
		apart[i] = math.Abs(v - m)
	}
	return Median(apart)
}

// Ratios returns a/b, round by round, for as many rounds as both have.
func Ratios(a, b []float64) []float64 {
	quotients := make([]float64, min(len(a), len(b)))
	for i := range quotients {
		quotients[i] = a[i] / b[i]
	}
	return quotients
}

// PValue returns how probable it is that two samples of the same thing differ
// by as much as these or more: that of the Mann-Whitney U test, two-sided and
// exact. It asks about the order of the values only. Equal values count for half.
func PValue(a, b []float64) float64 {
	n, m := len(a), len(b)
	if n == 0 || m == 0 {
		return 1
	}
	twice := 0 // 2U
	for _, x := range a {
		for _, y := range b {
			switch {
			case x > y:
				twice += 2
			case x == y:
				twice++
			}
		}
	}
	// ways[j][u] is in how many orders of i and j values U is u.
	ways := make([][]float64, m+1)
	for j := range ways {
		ways[j] = make([]float64, n*m+1)
		ways[j][0] = 1
	}
	for i := 1; i <= n; i++ {
		next := make([][]float64, m+1)
		for j := range next {
			next[j] = make([]float64, n*m+1)
			if j == 0 {
				next[j][0] = 1
				continue
			}
			for u := 0; u <= i*j; u++ {
				next[j][u] = next[j-1][u] // the largest is one of b
				if u >= j {
					next[j][u] += ways[j][u-j] // or of a, and above all of b
				}
			}
		}
		ways = next
	}
	low := min(twice, 2*n*m-twice) / 2
	tail, all := 0.0, 0.0
	for u, count := range ways[m] {
		all += count
		if u <= low {
			tail += count
		}
	}
	return min(2*tail/all, 1)
}

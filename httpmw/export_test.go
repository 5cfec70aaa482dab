package httpmw

// SetRandom has m take the numbers of its jitter, from 0 to n−1, from f.
func SetRandom(m *Middleware, f func(n int64) int64) { m.random = f }

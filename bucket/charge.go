package bucket

import "time"

// Charge takes n tokens at time t whether they are there or not: for what has
// been spent already and only now is known. What is missing is a debt, which is
// refilled before anything can be taken again. An n below 1 takes nothing.
//
// The debt stops at 2³¹−1 tokens and at what refills in 100 years; what is
// charged beyond that is forgotten.
func (b *Bucket) Charge(t time.Time, n int) {
	if n < 1 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.clamp(t)
	deepest := min(maxCount, maxRefill*b.rule.rate)
	if room := max(0, b.lim.TokensAt(at)+deepest); float64(n) > room {
		n = int(room)
	}
	if n > b.rule.limit.Burst {
		// The limiter reserves no more than its burst at once. Nothing is
		// refilled, since no time passes between these calls.
		b.lim.SetBurstAt(at, n)
		defer b.lim.SetBurstAt(at, b.rule.limit.Burst)
	}
	b.lim.ReserveN(at, n)
}

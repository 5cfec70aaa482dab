package bucket_test

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"
	"pgregory.net/rapid"

	"github.com/seed-0c889b51/weir/bucket"
)

func TestChargeStepByStep(t *testing.T) {
	t.Parallel()
	b := mustNew(t, bucket.Limit{Quota: 1, Window: time.Second, Burst: 5})
	for i, step := range []struct {
		at     time.Duration
		charge int
		tokens float64
		why    string
	}{
		{0, 2, 3, "what is there is taken"},
		{0, 0, 3, "nothing is nothing"},
		{0, -4, 3, "a negative number is nothing, not a refund"},
		{0, math.MinInt, 3, "however negative"},
		{0, 4, -1, "and so is what is not there"},
		{time.Second, 5, -5, "in debt too"},
		{time.Second, 7, -12, "more than the burst"},
		{13 * time.Second, 0, 0, "the debt is refilled like anything else"},
		{14 * time.Second, 6, -5, "more than the burst, when there is something"},
		{time.Hour, 0, 5, "and then the bucket fills up"},
		{time.Hour, 5, 0, "all of it"},
	} {
		b.Charge(epoch.Add(step.at), step.charge)
		if got := b.State(epoch.Add(step.at)).Tokens; got != step.tokens {
			t.Errorf("step %d (%s): after Charge(%v, %d) there are %v tokens, want %v", i, step.why, step.at, step.charge, got, step.tokens)
		}
	}
}

// A charge whose reading of the clock is old is one at the latest reading: it
// neither mints tokens nor moves time back.
func TestChargeWithAnOldReading(t *testing.T) {
	t.Parallel()
	b := mustNew(t, bucket.Limit{Quota: 1, Window: time.Second, Burst: 5})
	now := epoch.Add(10 * time.Second)
	b.Take(now, 5)
	b.Charge(epoch, 2)
	if got := b.State(now).Tokens; got != -2 {
		t.Errorf("%v tokens, want -2", got)
	}
	b.Charge(now.Add(time.Second), 1)
	if d := b.Take(now, 1); d.Allowed || !near(d.RetryAfter, 4*time.Second) {
		t.Errorf("a second before the charge: %+v, want to wait 4s", d)
	}
}

// A charge is what rate.Limiter reserves, with no more than the burst at once.
func TestChargesAsRateLimiterReserves(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := limits().Draw(t, "limit")
		b, _ := bucket.New(l)
		lim := rate.NewLimiter(rate.Limit(l.Rate()), l.Burst)
		deepest := math.Min(math.MaxInt32, 100*365*24*3600*l.Rate())
		h, due := history{t, l, epoch}, time.Duration(0)
		for range 50 {
			at, n := h.next(due)
			n = max(n, 1)
			if rapid.Bool().Draw(t, "charge") {
				n = rapid.OneOf(rapid.IntRange(1, min(3*min(l.Burst, 1<<29), math.MaxInt32)), rapid.Just(n)).Draw(t, "more")
				if lim.TokensAt(at)-float64(n) < -deepest {
					continue // see TestDebtsAreBounded
				}
				b.Charge(at, n)
				for ; n > 0; n -= l.Burst {
					lim.ReserveN(at, min(n, l.Burst))
				}
			} else {
				there := lim.TokensAt(at) + l.Rate()*1e-9 // less than a nanosecond away is there
				got, want := b.Take(at, n), lim.AllowN(at, n)
				if got.Allowed != want {
					// Charges in pieces are rounded otherwise than one at once.
					// Both answers are right only at the very border of a token.
					if math.Abs(there-float64(n)) < 1e-12*float64(l.Burst) {
						return
					}
					t.Fatalf("%v at %v: Take(%d) = %+v, rate.Limiter %v", l, at.Sub(epoch), n, got, want)
				}
				due = got.RetryAfter
			}
			if got, want := b.State(at).Tokens, lim.TokensAt(at); math.Abs(got-want) > 1e-12*math.Max(math.Abs(want), float64(l.Burst)) {
				t.Fatalf("%v at %v: %v tokens, rate.Limiter %v", l, at.Sub(epoch), got, want)
			}
		}
	})
}

// Invariants 1 and 3 where there are forced charges: in any window what is
// admitted, and charged on top of it, is paid for; a denied request is denied
// until just before its RetryAfter, and allowed then.
func TestChargesArePaidFor(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := bucket.Limit{
			Quota:  rapid.IntRange(1, 1000).Draw(t, "quota"),
			Window: time.Duration(rapid.Int64Range(1e6, 1e10).Draw(t, "window")),
			Burst:  rapid.IntRange(1, 50).Draw(t, "burst"),
		}
		b, err := bucket.New(l)
		if err != nil {
			t.Skip()
		}
		type event struct {
			at    time.Time
			n     int
			taken bool
		}
		var events []event
		now := epoch
		for range 100 {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(l.Refill())/10+1).Draw(t, "pause")))
			n := rapid.IntRange(1, l.Burst).Draw(t, "n")
			if rapid.IntRange(0, 3).Draw(t, "kind") == 0 {
				n = rapid.IntRange(1, 4*l.Burst).Draw(t, "charge")
				b.Charge(now, n)
				events = append(events, event{now, n, false})
				continue
			}
			d := b.Take(now, n)
			if d.Allowed {
				events = append(events, event{now, n, true})
				continue
			}
			early, then := mustNew(t, l), mustNew(t, l)
			for _, b := range []*bucket.Bucket{early, then} {
				for _, e := range events {
					if e.taken {
						b.Take(e.at, e.n)
					} else {
						b.Charge(e.at, e.n)
					}
				}
			}
			if e := early.Take(now.Add(d.RetryAfter-1), n); e.Allowed {
				t.Fatalf("%v: Take(%d) was told to wait %v, and allowed 1ns earlier", l, n, d.RetryAfter)
			}
			if e := then.Take(now.Add(d.RetryAfter), n); !e.Allowed {
				t.Fatalf("%v: Take(%d) was told to wait %v, and then %v", l, n, d.RetryAfter, e.RetryAfter)
			}
		}
		for i := range events {
			sum := 0.0
			for _, e := range events[i:] {
				sum += float64(e.n)
				// Only a Take says that there was enough for all before it.
				if bound := float64(l.Burst) + l.Rate()*(e.at.Sub(events[i].at)+1).Seconds(); e.taken && sum > bound+1e-6 {
					t.Fatalf("%v: admitted with %v taken in %v, at most %v are there", l, sum, e.at.Sub(events[i].at), bound)
				}
			}
		}
	})
}

// However much is charged, all that can be asked of a bucket is finite, and it
// is full again some day.
func TestDebtsAreBounded(t *testing.T) {
	t.Parallel()
	const years = 365 * day
	for _, l := range []bucket.Limit{
		{Quota: 1, Window: time.Second, Burst: 1},
		{Quota: 1, Window: 366 * day, Burst: 99},
		{Quota: 1, Window: time.Nanosecond, Burst: math.MaxInt32},
		{Quota: math.MaxInt32, Window: 366 * day, Burst: math.MaxInt32},
	} {
		b := mustNew(t, l)
		at := epoch
		for range 5 {
			for range 3 { // an int of 32 bits is no more than the largest burst
				b.Charge(at, math.MaxInt)
			}
			b.Charge(at, 1)
			deepest := math.Min(math.MaxInt32, 100*365*24*3600*l.Rate())
			if got := b.State(at).Tokens; got < -deepest || got > -deepest+1 {
				t.Errorf("%v: %v tokens, want %v", l, got, -deepest)
			}
			d := b.Take(at, 1)
			if d.Allowed || d.Remaining != 0 || d.RetryAfter <= 0 || d.RetryAfter > 102*years || d.ResetAfter < d.RetryAfter || d.ResetAfter > 202*years {
				t.Errorf("%v: %+v", l, d)
			}
			if debt := b.Debt(at); debt < d.ResetAfter || debt > 202*years {
				t.Errorf("%v: debt %v, reset after %v", l, debt, d.ResetAfter)
			}
			if e := mustNewAt(b.State(at), l).Take(at.Add(d.RetryAfter), 1); !e.Allowed {
				t.Errorf("%v: after %v there is no token: %+v", l, d.RetryAfter, e)
			}
			at = at.Add(time.Hour)
		}
	}
	var zero bucket.Bucket
	zero.Charge(epoch, math.MaxInt)
	if got := zero.State(epoch).Tokens; got != 0 {
		t.Errorf("the zero bucket: %v tokens", got)
	}
}

// Tokens are conserved: what many goroutines take, charge and give back in any
// order adds up.
func TestTokensAreConserved(t *testing.T) {
	t.Parallel()
	const burst, goroutines, rounds = 1000, 16, 400
	b := mustNew(t, bucket.Limit{Quota: 1, Window: day, Burst: burst})
	var spent atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for i := range rounds {
				n := 1 + i%7
				if b.Take(epoch, n).Allowed {
					spent.Add(int64(n))
				}
				b.Charge(epoch, 2*n)
				spent.Add(int64(2 * n))
				b.Refund(epoch, n) // of those 2n: it never gets to a full bucket
				spent.Add(int64(-n))
			}
		})
	}
	wg.Wait()
	if got, want := b.State(epoch).Tokens, float64(burst-spent.Load()); got != want || want >= 0 {
		t.Errorf("%v tokens, want %v", got, want)
	}
}

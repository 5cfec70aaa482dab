package bucket_test

import (
	"math"
	"testing"
	"time"

	"golang.org/x/time/rate"
	"pgregory.net/rapid"

	"github.com/seed-0c889b51/weir/bucket"
)

// Invariant 8 for a bucket: whenever it is saved and restored, it decides as
// one that never stopped.
func TestRestoredBucketDecidesAsOneThatNeverStopped(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := limits().Draw(t, "limit")
		stopped, _ := bucket.New(l)
		plain := rate.NewLimiter(rate.Limit(l.Rate()), l.Burst)
		h, due := history{t, l, epoch}, time.Duration(0)
		for range 50 {
			at, n := h.next(due)
			if rapid.IntRange(0, 3).Draw(t, "restart") == 0 {
				stopped = mustNewAt(stopped.State(at), l)
			}
			n = max(n, 1)
			got, want := stopped.Take(at, n), plain.AllowN(at, n)
			if got.Allowed != want {
				// The tokens add up in another order. Both answers are right
				// only at the very border of a token.
				miss := float64(n) - plain.TokensAt(at) - l.Rate()*1e-9
				if want {
					miss = float64(n) - stopped.State(at).Tokens - l.Rate()*1e-9
				}
				if math.Abs(miss) < 1e-14*float64(l.Burst) {
					return
				}
				t.Fatalf("%v: after restarts Take(%d) = %+v, rate.Limiter %v with %v tokens", l, n, got, want, plain.TokensAt(at))
			}
			due = got.RetryAfter
		}
	})
}

func TestRestoreIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := limits().Draw(t, "limit")
		tokens := rapid.Float64Range(-2*float64(l.Burst), float64(l.Burst)).Draw(t, "tokens")
		b := mustNewAt(bucket.State{At: epoch, Tokens: tokens}, l)
		got := b.State(epoch)
		if got.At != epoch || math.Abs(got.Tokens-tokens) > 2.3e-16*math.Max(1, math.Abs(tokens)) {
			if tokens < -math.MaxInt32 && got.Tokens == -math.MaxInt32 {
				return
			}
			t.Fatalf("restored %v tokens, got %+v (off by %g)", tokens, got, got.Tokens-tokens)
		}
	})
}

func TestRestoreOfNonsenseIsHarmless(t *testing.T) {
	t.Parallel()
	l := bucket.PerMinute(10)
	for _, tt := range []struct {
		tokens, want float64
	}{
		{math.NaN(), 0}, {math.Inf(1), 10}, {11, 10}, {1e300, 10},
		// A debt is at most 100 years long.
		{math.Inf(-1), -100 * 365 * 24 * 60 * 10}, {-1e300, -100 * 365 * 24 * 60 * 10},
	} {
		b := mustNewAt(bucket.State{At: epoch, Tokens: tt.tokens}, l)
		if got := b.State(epoch).Tokens; got != tt.want {
			t.Errorf("restored %v tokens: %v, want %v", tt.tokens, got, tt.want)
		}
	}
}

// A debt is a bucket's state as one number of nanoseconds: it forgives nothing,
// and costs less than two of them.
func TestDebtRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := limits().Draw(t, "limit")
		tokens := rapid.Float64Range(-float64(l.Burst), float64(l.Burst)).Draw(t, "tokens")
		debt := mustNewAt(bucket.State{At: epoch, Tokens: tokens}, l).Debt(epoch)
		b, _ := bucket.New(l)
		b.RestoreDebt(epoch, debt)
		lost := tokens - b.State(epoch).Tokens
		fuzz := 1e-15 * float64(l.Burst) // of float64 at this size
		if lost < -fuzz || lost > l.Rate()*2e-9+fuzz {
			t.Fatalf("%v: %v tokens came back as %v through a debt of %v", l, tokens, b.State(epoch).Tokens, debt)
		}
	})
}

func TestDebtOfAFullBucketIsNone(t *testing.T) {
	t.Parallel()
	b := mustNew(t, bucket.PerMinute(60))
	if got := b.Debt(epoch); got != 0 {
		t.Errorf("new: %v", got)
	}
	b.Take(epoch, 6)
	if got := b.Debt(epoch); got != 6*time.Second {
		t.Errorf("6 of 60 a minute taken: %v, want 6s", got)
	}
	if got := b.Debt(epoch.Add(6 * time.Second)); got != 0 {
		t.Errorf("6s later: %v", got)
	}
	b.RestoreDebt(epoch.Add(time.Minute), -time.Hour)
	if got := b.Take(epoch.Add(time.Minute), 60); !got.Allowed {
		t.Errorf("a negative debt: %+v, want a full bucket", got)
	}
}

func TestReuseIsNew(t *testing.T) {
	t.Parallel()
	b := mustNew(t, bucket.PerMinute(10))
	b.Take(epoch.Add(time.Hour), 10)
	b.Reserve(epoch.Add(time.Hour), 5, time.Hour)
	l := bucket.PerSecond(3)
	b.Reuse(l)
	fresh := mustNew(t, l)
	for range 5 {
		if got, want := b.Take(epoch, 1), fresh.Take(epoch, 1); got != want {
			t.Errorf("reused %+v, new %+v", got, want)
		}
	}
}

// Questions about the future move nothing.
func TestReadsDoNotMoveTime(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(b *bucket.Bucket, at time.Time){
		"Peek":  func(b *bucket.Bucket, at time.Time) { b.Peek(at, 1) },
		"State": func(b *bucket.Bucket, at time.Time) { b.State(at) },
		"Debt":  func(b *bucket.Bucket, at time.Time) { b.Debt(at) },
	} {
		b := mustNew(t, bucket.PerHour(100))
		b.Take(epoch, 100)
		if ask(b, epoch.Add(time.Hour)); b.Take(epoch, 1).Allowed {
			t.Errorf("after %s in an hour's time there are tokens now", name)
		}
	}
}

// Debts beyond what a time.Duration holds end somewhere, and no search for
// their end goes on for ever.
func TestHugeDebtsEnd(t *testing.T) {
	t.Parallel()
	slow := bucket.Limit{Quota: 1, Window: 366 * day, Burst: 99}
	b := mustNewAt(bucket.State{At: epoch, Tokens: -math.MaxInt32}, slow)
	if d := b.Take(epoch, 1); d.Allowed || d.RetryAfter == bucket.Never || d.RetryAfter > 102*366*day {
		t.Errorf("two thousand million owed: %+v, want about 100 years", d)
	}
	b = mustNew(t, slow)
	reserved := 0
	for range 5 {
		if _, err := b.Reserve(epoch, 99, bucket.Never); err == nil {
			reserved++
		}
	}
	if d := b.Take(epoch, 1); reserved != 2 || d.Allowed || b.Debt(epoch) > 201*366*day {
		t.Errorf("%d reservations of 99 years each, then %+v and a debt of %v", reserved, d, b.Debt(epoch))
	}
	b.RestoreDebt(epoch, bucket.Never)
	if d := b.Take(epoch, 99); d.Allowed {
		t.Errorf("a debt for ever: %+v", d)
	}
}

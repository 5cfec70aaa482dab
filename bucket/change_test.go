package bucket_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0c889b51/weir/bucket"
)

func TestSetLimitChangesTokens(t *testing.T) {
	t.Parallel()
	lim := func(quota, burst int) bucket.Limit {
		return bucket.Limit{Quota: quota, Window: time.Minute, Burst: burst}
	}
	const used, fraction, over = bucket.KeepUsed, bucket.KeepFraction, bucket.StartOver
	for _, tt := range []struct {
		why      string
		how      bucket.Change
		from, to bucket.Limit
		take     int
		want     float64
	}{
		{"nothing used: full is full", used, lim(100, 100), lim(10, 10), 0, 10},
		{"a higher limit gives its increment at once", used, lim(100, 100), lim(150, 150), 30, 120},
		{"a lower limit keeps what is used", used, lim(100, 100), lim(50, 50), 30, 20},
		{"what is used beyond the new burst is forgotten", used, lim(100, 100), lim(50, 50), 80, 0},
		{"the rate alone", used, lim(100, 100), lim(10, 100), 30, 70},
		{"the same", used, lim(100, 100), lim(100, 100), 30, 70},

		{"nothing used: full is full", fraction, lim(100, 100), lim(10, 10), 0, 10},
		{"three tenths used of more", fraction, lim(100, 100), lim(150, 150), 30, 105},
		{"three tenths used of less", fraction, lim(100, 100), lim(50, 50), 30, 35},
		{"all used is all used", fraction, lim(100, 100), lim(1000, 1000), 100, 0},
		{"the rate alone", fraction, lim(100, 100), lim(10, 100), 30, 70},
		{"the same", fraction, lim(100, 100), lim(100, 100), 30, 70},

		{"full, whatever was used", over, lim(100, 100), lim(50, 50), 80, 50},
		{"full, of more", over, lim(100, 100), lim(150, 150), 80, 150},
		{"the rate alone", over, lim(100, 100), lim(10, 100), 30, 100},
		{"the same is no change", over, lim(100, 100), lim(100, 100), 30, 70},
	} {
		b := mustNew(t, tt.from)
		b.Take(epoch, tt.take)
		debt := b.Debt(epoch)
		if err := b.SetLimit(epoch, tt.to, tt.how); err != nil {
			t.Fatal(err)
		}
		if got := b.State(epoch).Tokens; math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%v: %s: %v tokens, want %v", tt.how, tt.why, got, tt.want)
		}
		if got, want := tt.how.Rescale(debt, tt.from, tt.to), b.Debt(epoch); got-want < -5 || got-want > 5 {
			t.Errorf("%v: %s: Rescale(%v) = %v, want %v as of SetLimit", tt.how, tt.why, debt, got, want)
		}
		if b.Limit() != tt.to {
			t.Errorf("%v: %s: Limit() = %v", tt.how, tt.why, b.Limit())
		}
	}
}

func TestSetLimitOfTheZeroBucket(t *testing.T) {
	t.Parallel()
	for how := range bucket.StartOver + 1 {
		var b bucket.Bucket
		if err := b.SetLimit(epoch, bucket.PerSecond(3), how); err != nil || b.State(epoch).Tokens != 3 {
			t.Errorf("%v: %v tokens, %v, want a full bucket", how, b.State(epoch).Tokens, err)
		}
	}
}

func TestSetLimitKeepsReservations(t *testing.T) {
	t.Parallel()
	for how, want := range map[bucket.Change]float64{
		bucket.KeepUsed:     -5,
		bucket.KeepFraction: -5,
		bucket.StartOver:    4 - 5,
	} {
		b := mustNew(t, bucket.PerSecond(10))
		b.Take(epoch, 10)
		if d, err := b.Reserve(epoch, 5, time.Hour); err != nil || d != 500*time.Millisecond {
			t.Fatalf("Reserve = %v, %v", d, err)
		}
		b.SetLimit(epoch, bucket.PerSecond(4), how)
		if got := b.State(epoch).Tokens; got != want {
			t.Errorf("%v: 5 reserved beyond what is there: %v tokens, want %v", how, got, want)
		}
	}
}

func TestSetLimitRejectsAndLosesNothing(t *testing.T) {
	t.Parallel()
	b := mustNew(t, bucket.PerMinute(10))
	b.Take(epoch, 4)
	before := b.Peek(epoch, 1)
	for _, l := range []bucket.Limit{{}, bucket.PerSecond(-1), {Quota: 1, Window: time.Second, Burst: -1}} {
		if err := b.SetLimit(epoch, l, bucket.KeepUsed); err == nil {
			t.Errorf("SetLimit(%#v): no error", l)
		}
	}
	if err := b.SetLimit(epoch, bucket.PerSecond(1), bucket.StartOver+1); err == nil {
		t.Error("a change that is none: no error")
	}
	if after := b.Peek(epoch, 1); after != before {
		t.Errorf("after errors: %+v, before %+v", after, before)
	}
}

func TestRescaleNeverGrowsBeyondOneRefill(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		from, to := limits().Draw(t, "from"), limits().Draw(t, "to")
		debt := time.Duration(rapid.Int64Range(-5, max(0, int64(from.Refill())-2)).Draw(t, "debt"))
		how := bucket.Change(rapid.IntRange(0, int(bucket.StartOver)).Draw(t, "how"))
		got := how.Rescale(debt, from, to)
		if got < 0 || got > to.Refill()+1 {
			t.Fatalf("%v: Rescale(%v, %v, %v) = %v, beyond a refill of %v", how, debt, from, to, got, to.Refill())
		}
	})
}

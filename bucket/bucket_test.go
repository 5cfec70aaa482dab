package bucket_test

import (
	"math"
	"testing"
	"time"

	"golang.org/x/time/rate"
	"pgregory.net/rapid"

	"github.com/seed-0c889b51/weir/bucket"
)

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func mustNew(t rapid.TB, l bucket.Limit) *bucket.Bucket {
	t.Helper()
	b, err := bucket.New(l)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTakeStepByStep(t *testing.T) {
	t.Parallel()
	limit := bucket.Limit{Quota: 1, Window: time.Second, Burst: 5}
	b := mustNew(t, limit)
	for i, step := range []struct {
		at        time.Duration
		n         int
		allowed   bool
		remaining int
		retry     time.Duration
		reset     time.Duration
		why       string
	}{
		{0, 1, true, 4, 0, time.Second, "a new bucket is full"},
		{0, 3, true, 1, 0, 4 * time.Second, "several at once"},
		{0, 2, false, 1, time.Second, 4 * time.Second, "all or none: two are not there"},
		{0, 1, true, 0, 0, 5 * time.Second, "and the denial took nothing"},
		{400 * time.Millisecond, 1, false, 0, 600 * time.Millisecond, 4600 * time.Millisecond, "refill is continuous"},
		{time.Second - 2, 1, false, 0, 2, 4*time.Second + 2, "too early is denied, if only by nanoseconds"},
		{time.Second, 1, true, 0, 0, 5 * time.Second, "and exactly then allowed"},
		{time.Second, 6, false, 0, bucket.Never, 5 * time.Second, "more than the burst is never there"},
		{time.Second, 0, true, 0, 0, 5 * time.Second, "nothing is always there"},
		{time.Second, -7, true, 0, 0, 5 * time.Second, "a negative number is nothing, not a refund"},
		{time.Second, math.MinInt, true, 0, 0, 5 * time.Second, "however negative"},
		{time.Second, math.MaxInt, false, 0, bucket.Never, 5 * time.Second, "a huge number overflows nothing"},
		{time.Hour, 0, true, 5, 0, 0, "no more than the burst is saved up"},
	} {
		got := b.Take(epoch.Add(step.at), step.n)
		if got.Allowed != step.allowed || got.Limit != limit || got.Remaining != step.remaining ||
			!near(got.RetryAfter, step.retry) || !near(got.ResetAfter, step.reset) {
			t.Errorf("step %d (%s): Take(%v, %d)\n got %+v\nwant %+v", i, step.why, step.at, step.n, got, step)
		}
	}
}

// near allows for the nanosecond that rate.Limiter takes as none.
func near(a, b time.Duration) bool { return a-b >= -1 && a-b <= 1 }

func TestZeroBucketDeniesEverything(t *testing.T) {
	t.Parallel()
	var b bucket.Bucket
	want := bucket.Decision{RetryAfter: bucket.Never, ResetAfter: bucket.Never}
	for _, at := range []time.Duration{0, time.Hour, 1000 * time.Hour} {
		if got := b.Take(epoch.Add(at), 1); got != want {
			t.Errorf("Take at %v = %+v, want %+v", at, got, want)
		}
		if got := b.Peek(epoch.Add(at), 1); got != want {
			t.Errorf("Peek at %v = %+v, want %+v", at, got, want)
		}
	}
	b.Refund(epoch, 5)
	b.RestoreDebt(epoch, 0)
	if got := b.Take(epoch, 1); got.Allowed {
		t.Errorf("after a refund: %+v", got)
	}
	if got := b.Debt(epoch); got != 0 {
		t.Errorf("Debt = %v, want 0", got)
	}
}

func TestRefundIsTheInverseOfTake(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b, _ := bucket.New(limits().Draw(t, "limit"))
		at := epoch
		for range rapid.IntRange(0, 5).Draw(t, "takes") {
			at = at.Add(time.Duration(rapid.Int64Range(0, int64(b.Limit().Window)).Draw(t, "pause")))
			b.Take(at, rapid.IntRange(1, b.Limit().Burst).Draw(t, "n"))
		}
		before := b.Peek(at, 1)
		n := rapid.IntRange(1, b.Limit().Burst).Draw(t, "n")
		if b.Take(at, n).Allowed {
			b.Refund(at, n)
		}
		if after := b.Peek(at, 1); after.Remaining != before.Remaining || after.Allowed != before.Allowed {
			t.Fatalf("before %+v, after %d taken and given back %+v", before, n, after)
		}
	})
}

func TestRefundStopsAtFull(t *testing.T) {
	t.Parallel()
	b := mustNew(t, bucket.PerMinute(10))
	b.Take(epoch, 4)
	for _, n := range []int{0, -3, math.MinInt} {
		if b.Refund(epoch, n); b.Peek(epoch, 1).Remaining != 6 {
			t.Errorf("Refund(%d) changed the bucket to %+v", n, b.Peek(epoch, 1))
		}
	}
	b.Refund(epoch, math.MaxInt)
	if got := b.Peek(epoch, 1); got.Remaining != 10 || got.ResetAfter != 0 {
		t.Errorf("after a huge refund: %+v", got)
	}
	if b.Take(epoch, 10); b.Take(epoch, 1).Allowed {
		t.Error("a refund made the bucket hold more than its burst")
	}
}

// rate.Limiter does not document that a negative n gives tokens back, in debt
// too; Refund depends on it.
func TestLimiterGivesBackForNegativeN(t *testing.T) {
	t.Parallel()
	lim := rate.NewLimiter(1, 10)
	lim.ReserveN(epoch, 10)
	lim.ReserveN(epoch, 8)
	lim.ReserveN(epoch, -3)
	if got := lim.TokensAt(epoch); got != -5 {
		t.Errorf("18 reserved of 10, 3 given back: %v tokens, want -5", got)
	}
	lim.ReserveN(epoch, -30)
	if got := lim.TokensAt(epoch); got != 10 {
		t.Errorf("30 more given back: %v tokens, want a full 10", got)
	}
}

// A history is a random sequence of requests with random pauses, some of which
// end exactly where a token is due, or a nanosecond to either side.
type history struct {
	t   *rapid.T
	l   bucket.Limit
	now time.Time
}

func (h *history) next(due time.Duration) (time.Time, int) {
	pause := rapid.OneOf(
		rapid.Just(int64(0)),
		rapid.Int64Range(0, int64(h.l.Window/time.Duration(h.l.Quota))*2+2),
		rapid.Int64Range(0, int64(min(h.l.Refill(), 400*day))),
		rapid.SampledFrom([]int64{-1, 0, 1}),
	).Draw(h.t, "pause")
	if pause <= 1 && due != bucket.Never {
		pause += int64(due)
	}
	h.now = h.now.Add(time.Duration(max(0, pause)))
	return h.now, rapid.OneOf(rapid.Just(1), rapid.IntRange(-2, 5), rapid.IntRange(1, h.l.Burst)).Draw(h.t, "n")
}

// Invariant: as long as time does not run backwards, a bucket is rate.Limiter.
func TestDecidesAsRateLimiter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := limits().Draw(t, "limit")
		b, _ := bucket.New(l)
		lim := rate.NewLimiter(rate.Limit(l.Rate()), l.Burst)
		h, due := history{t, l, epoch}, time.Duration(0)
		for range 50 {
			at, n := h.next(due)
			n = max(n, 1)
			peek := b.Peek(at, n)
			got, want := b.Take(at, n), lim.AllowN(at, n)
			if got.Allowed != want || peek.Allowed != want {
				t.Fatalf("%v at %v: Take(%d) = %+v, Peek %+v, rate.Limiter %v", l, at.Sub(epoch), n, got, peek, want)
			}
			due = got.RetryAfter
		}
	})
}

// Invariant 3: just before RetryAfter the request is denied; at it, allowed.
func TestRetryAfterIsHonest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := limits().Draw(t, "limit")
		b, _ := bucket.New(l)
		h, due := history{t, l, epoch}, time.Duration(0)
		var past []request
		for range 20 {
			at, n := h.next(due)
			d := b.Take(at, n)
			past = append(past, request{at, n})
			due = d.RetryAfter
			if d.Allowed != (d.RetryAfter == 0) || d.Exceeded() == d.Allowed {
				t.Fatalf("%+v", d)
			}
			if d.Allowed {
				continue
			}
			if n > l.Burst {
				if d.RetryAfter != bucket.Never {
					t.Fatalf("%v: Take(%d) = %+v, want Never", l, n, d)
				}
				continue
			}
			// Two buckets with the same past, so that time can go back to just
			// before the answer.
			early, then := replay(t, l, past), replay(t, l, past)
			if e := early.Take(at.Add(d.RetryAfter-1), n); e.Allowed {
				t.Fatalf("%v: Take(%d) was told to wait %v, and allowed 1ns earlier", l, n, d.RetryAfter)
			}
			if e := then.Take(at.Add(d.RetryAfter), n); !e.Allowed {
				t.Fatalf("%v: Take(%d) was told to wait %v, and then to wait %v", l, n, d.RetryAfter, e.RetryAfter)
			}
		}
	})
}

type request struct {
	at time.Time
	n  int
}

func replay(t *rapid.T, l bucket.Limit, past []request) *bucket.Bucket {
	b, err := bucket.New(l)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range past {
		b.Take(r.at, r.n)
	}
	return b
}

func mustNewAt(s bucket.State, l bucket.Limit) *bucket.Bucket {
	b, err := bucket.New(l)
	if err != nil {
		panic(err)
	}
	b.Restore(s)
	return b
}

// Remaining is how many can be taken now, no fewer and no more.
func TestRemainingIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := limits().Draw(t, "limit")
		b, _ := bucket.New(l)
		h, due := history{t, l, epoch}, time.Duration(0)
		for range 20 {
			at, n := h.next(due)
			d := b.Take(at, n)
			due = d.RetryAfter
			if d.Remaining > 0 && !b.Peek(at, d.Remaining).Allowed {
				t.Fatalf("%v: %d remaining of which %+v", l, d.Remaining, b.Peek(at, d.Remaining))
			}
			if d.Remaining < l.Burst && b.Peek(at, d.Remaining+1).Allowed {
				t.Fatalf("%v: %d remaining, and yet one more is allowed", l, d.Remaining)
			}
			full := b.State(at.Add(d.ResetAfter + 1)).Tokens
			if missing := float64(l.Burst) - full; missing > 1e-9*float64(l.Burst) {
				t.Fatalf("%v: after ResetAfter %v there are %v tokens", l, d.ResetAfter, full)
			}
		}
	})
}

// Invariant 1 for one goroutine whose clock readings come in any order: in any
// window, admitted ≤ burst + rate·t. (The limiter takes less than a nanosecond
// for now, hence t+1ns.)
func TestNeverOverAdmitsWhateverTheOrderOfReadings(t *testing.T) {
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
			at time.Time
			n  int
		}
		var events []event
		now, latest, span := epoch, epoch, int64(l.Refill())
		for range 200 {
			now = now.Add(time.Duration(rapid.Int64Range(0, span/20+1).Draw(t, "pause")))
			// The reading may be old by the time it gets to the bucket, but for
			// the first: with it the bucket's time begins.
			reading := now
			if len(events) > 0 {
				reading = now.Add(-time.Duration(rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, span)).Draw(t, "age")))
			}
			latest = later(latest, reading)
			if n := rapid.IntRange(1, l.Burst).Draw(t, "n"); b.Take(reading, n).Allowed {
				events = append(events, event{latest, n})
			}
		}
		for i := range events {
			sum := 0.0
			for _, e := range events[i:] {
				sum += float64(e.n)
				if bound := float64(l.Burst) + l.Rate()*(e.at.Sub(events[i].at)+1).Seconds(); sum > bound+1e-6 {
					t.Fatalf("%v: %v admitted in %v, at most %v are", l, sum, e.at.Sub(events[i].at), bound)
				}
			}
		}
	})
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// A caller whose reading is behind is told how long to wait from its reading.
func TestOldReadingsGetAnHonestAnswer(t *testing.T) {
	t.Parallel()
	b := mustNew(t, bucket.PerSecond(1))
	b.Take(epoch, 1)
	b.Take(epoch.Add(300*time.Millisecond), 1)
	d := b.Take(epoch, 1)
	if d.Allowed || !near(d.RetryAfter, time.Second) || !near(d.ResetAfter, time.Second) {
		t.Errorf("a reading of 300ms ago: %+v, want to wait 1s from it", d)
	}
	if got := b.Debt(epoch); got != time.Second {
		t.Errorf("Debt seen from 300ms ago = %v, want 1s", got)
	}
}

func TestDecisionsDoNotAllocate(t *testing.T) {
	b := mustNew(t, bucket.Limit{Quota: 1, Window: time.Hour, Burst: 500})
	now := epoch
	for name, f := range map[string]func(){
		"allowed": func() { b.Take(now, 1) },
		"denied":  func() { b.Take(now, 501) },
		"peek":    func() { b.Peek(now, 1) },
		"refund":  func() { b.Refund(now, 1) },
		"charge":  func() { b.Charge(now, 1); b.Charge(now, 501) },
		"debt":    func() { b.Debt(now) },
		"restore": func() { b.Restore(bucket.State{At: now, Tokens: -3.5}) },
		"reuse":   func() { b.Reuse(b.Limit()) },
		"setlimit": func() {
			b.SetLimit(now, bucket.PerSecond(1), bucket.KeepUsed)
			b.SetLimit(now, bucket.PerSecond(2), bucket.KeepUsed)
		},
	} {
		if got := testing.AllocsPerRun(100, f); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
}

package bucket_test

import (
	"flag"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/time/rate"
	"pgregory.net/rapid"

	"github.com/seed-0c889b51/weir/bucket"
)

var decisions = flag.Int("decisions", 10_000_000, "decisions to compare with rate.Limiter")

// A level is a fast path. What it decides is what rate.Limiter decides, and the
// whole decision is that of a Bucket, on histories that go to the borders of
// what a limiter tells apart.
func TestLevelDecidesAsRateLimiter(t *testing.T) {
	t.Parallel()
	total, done, denied := *decisions, 0, 0
	if testing.Short() {
		total = min(total, 500_000)
	}
	random := rand.New(rand.NewPCG(1, 2))
	const each = 1000
	for history := 0; done < total; history++ {
		l := randomLimit(random)
		rule := mustRule(t, l)
		lim := rate.NewLimiter(rate.Limit(l.Rate()), l.Burst)
		// A tenth of the histories with the whole decision: a Bucket is slow.
		var b *bucket.Bucket
		if history%10 == 0 {
			b = mustNew(t, l)
		}
		level := rule.Full()
		origin := epoch.Add(-time.Duration(random.Int64N(int64(time.Hour))))
		at, last := epoch.Sub(origin), bucket.Decision{}
		for step := range each {
			if at += randomPause(random, l, last); at > 1<<61 {
				break // 73 years
			}
			n := randomCost(random, l)
			now := origin.Add(at)
			want := lim.AllowN(now, n)
			if rule.Has(level, at, n) != want {
				t.Fatalf("history %d, step %d, %v: Has(%d) is not %v", history, step, l, n, want)
			}
			var d bucket.Decision
			if b != nil {
				if rule.Peek(&d, level, at, n); d != b.Peek(now, n) {
					t.Fatalf("history %d, step %d, %v: Peek(%d) = %+v, of a bucket %+v", history, step, l, n, d, b.Peek(now, n))
				}
			}
			if alone := level; rule.Allow(&alone, at, n) != want || want && rule.Debt(alone, at) < rule.Debt(level, at) {
				t.Fatalf("history %d, step %d, %v: Allow(%d) is not %v", history, step, l, n, want)
			}
			if rule.Take(&d, &level, at, n) != want || d.Allowed != want {
				t.Fatalf("history %d, step %d, %v: Take(%d) = %+v, rate.Limiter %v", history, step, l, n, d, want)
			}
			if b != nil {
				if other := b.Take(now, n); d != other {
					t.Fatalf("history %d, step %d, %v: Take(%d) = %+v, of a bucket %+v", history, step, l, n, d, other)
				}
			}
			if done++; !want {
				denied++
			}
			last = d
		}
	}
	if denied < total/10 || denied > 9*total/10 {
		t.Errorf("%d of %d decisions were denials, which proves little about one of both", denied, total)
	}
}

func randomLimit(random *rand.Rand) bucket.Limit {
	for {
		l := bucket.Limit{
			Quota:  1 + random.IntN(1<<random.IntN(30)),
			Window: time.Duration(1 + random.Int64N(1<<(20+random.IntN(30)))),
			Burst:  1 + random.IntN(1<<random.IntN(12)),
		}
		if l, err := l.Normalize(); err == nil {
			return l
		}
	}
}

// randomPause is often none, or ends where the last decision said that
// something changes, or a nanosecond to either side.
func randomPause(random *rand.Rand, l bucket.Limit, last bucket.Decision) time.Duration {
	due := time.Duration(0)
	switch random.IntN(8) {
	case 0, 1:
		return 0
	case 2, 3:
		if last.RetryAfter != bucket.Never {
			due = last.RetryAfter
		}
	case 4:
		due = last.ResetAfter
	case 5:
		return time.Duration(random.Int64N(3))
	default:
		return time.Duration(random.Int64N(2 + int64(l.Refill())/int64(l.Burst)))
	}
	return max(0, due+time.Duration(random.IntN(3)-1))
}

func randomCost(random *rand.Rand, l bucket.Limit) int {
	switch random.IntN(8) {
	case 0:
		return 1 + random.IntN(l.Burst)
	case 1:
		return l.Burst + random.IntN(2)
	}
	return 1
}

func mustRule(t rapid.TB, l bucket.Limit) *bucket.Rule {
	t.Helper()
	r, err := bucket.NewRule(l)
	if err != nil {
		t.Fatal(err)
	}
	return &r
}

// Readings in any order mint no tokens from a level either: in any window,
// admitted ≤ burst + rate·t.
func TestLevelNeverOverAdmitsWhateverTheOrderOfReadings(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := limits().Draw(t, "limit")
		rule := mustRule(t, l)
		level, span := rule.Full(), int64(min(l.Refill(), time.Hour))
		type event struct {
			at time.Duration
			n  int
		}
		var events []event
		now, latest := time.Hour, time.Duration(0)
		for range 200 {
			now += time.Duration(rapid.Int64Range(0, span/20+1).Draw(t, "pause"))
			reading := now - time.Duration(rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, span)).Draw(t, "age"))
			if n := rapid.IntRange(1, l.Burst).Draw(t, "n"); rule.Allow(&level, reading, n) {
				latest = max(latest, reading)
				events = append(events, event{latest, n})
			}
		}
		for i := range events {
			sum := 0.0
			for _, e := range events[i:] {
				sum += float64(e.n)
				if bound := float64(l.Burst) + l.Rate()*(e.at-events[i].at+1).Seconds(); sum > bound*(1+1e-9) {
					t.Fatalf("%v: %v admitted in %v, at most %v are", l, sum, e.at-events[i].at, bound)
				}
			}
		}
	})
}

// One whose reading is behind is told how long to wait from its reading.
func TestLevelAnswersOldReadings(t *testing.T) {
	t.Parallel()
	rule := mustRule(t, bucket.PerSecond(1))
	level := rule.Full()
	rule.Allow(&level, 300*time.Millisecond, 1)
	var d bucket.Decision
	if rule.Take(&d, &level, 0, 1) || !near(d.RetryAfter, 1300*time.Millisecond) || !near(d.ResetAfter, 1300*time.Millisecond) {
		t.Errorf("a reading of 300ms ago: %+v, want to wait 1.3s from it", d)
	}
	if got := rule.Debt(level, 0); got != 1300*time.Millisecond {
		t.Errorf("Debt seen from 300ms ago = %v, want 1.3s", got)
	}
	var b bucket.Bucket
	b.Unpack(rule, level, epoch)
	if got := b.Pack(0, epoch); got != level {
		t.Errorf("packed as of 300ms ago: %+v, want %+v: time would be counted twice", got, level)
	}
	// It does not starve for having been asked by one who is behind.
	two := mustRule(t, bucket.Limit{Quota: 1, Window: time.Hour, Burst: 2})
	level = two.Full()
	two.Allow(&level, time.Hour, 1)
	if !two.Allow(&level, 0, 1) {
		t.Error("the second of two tokens was refused to one whose reading is an hour behind")
	}
}

// A debt has an end, whatever is said to be owed.
func TestDebtsOfLevelsAreBounded(t *testing.T) {
	t.Parallel()
	l := bucket.PerDay(1)
	rule, b := mustRule(t, l), mustNew(t, l)
	b.RestoreDebt(epoch, bucket.Never)
	if got, want := rule.Debt(rule.Owing(0, bucket.Never), 0), b.Debt(epoch); got != want || got == bucket.Never {
		t.Errorf("owing for ever is a debt of %v, of a bucket %v", got, want)
	}
}

// A level goes through a Bucket and back unchanged, whatever the bucket does in
// between is done, and a debt is a level.
func TestLevelIsWhatABucketHolds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := limits().Draw(t, "limit")
		rule := mustRule(t, l)
		at := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "at"))
		owed := time.Duration(rapid.Int64Range(-1, 2*int64(min(l.Refill(), bucket.Never/4))).Draw(t, "owed"))
		level := rule.Owing(at, owed)
		if got := rule.Debt(level, at); got-max(owed, 0) > roundUp(l) || got < max(owed, 0)-roundUp(l) {
			t.Fatalf("%v: owing %v, the debt is %v", l, owed, got)
		}
		var b bucket.Bucket
		b.Unpack(rule, level, epoch)
		if got := b.Pack(at, epoch); !sameTokens(rule, got, level, at) {
			t.Fatalf("%v: %+v came back as %+v", l, level, got)
		}
		now := epoch.Add(at)
		if b.Limit() != l || b.Debt(now) != rule.Debt(level, at) {
			t.Fatalf("%v: a bucket with %+v has %v and owes %v", l, level, b.Limit(), b.Debt(now))
		}
		n := rapid.IntRange(1, l.Burst).Draw(t, "n")
		b.Charge(now, n)
		b.Refund(now, n)
		if got, before := b.Pack(at, epoch), b.Debt(now); rule.Debt(got, at) != before {
			t.Fatalf("%v: packed, %v are owed, before %v", l, rule.Debt(got, at), before)
		}
	})
}

// roundUp is how much a debt may be off by its way through tokens.
func roundUp(l bucket.Limit) time.Duration { return 2 + l.Refill()>>50 }

func sameTokens(r *bucket.Rule, a, b bucket.Level, at time.Duration) bool {
	return math.Abs(float64(r.Debt(a, at)-r.Debt(b, at))) <= float64(roundUp(r.Limit()))
}

func TestZeroRuleDeniesEverything(t *testing.T) {
	t.Parallel()
	var rule bucket.Rule
	level := rule.Full()
	var d bucket.Decision
	want := bucket.Decision{RetryAfter: bucket.Never, ResetAfter: bucket.Never}
	if rule.Has(level, 0, 1) || rule.Allow(&level, 0, 1) || rule.Take(&d, &level, 0, 1) || d != want {
		t.Errorf("the zero rule allows, or answers %+v", d)
	}
	if !rule.Take(&d, &level, time.Hour, 0) || d.Remaining != 0 || rule.Remaining(level, time.Hour) != 0 {
		t.Errorf("nothing taken from the zero rule: %+v", d)
	}
	if _, err := bucket.NewRule(bucket.Limit{}); err == nil {
		t.Error("a rule of no limit is no error")
	}
}

func TestLevelsDoNotAllocate(t *testing.T) {
	rule := mustRule(t, bucket.Limit{Quota: 1, Window: time.Hour, Burst: 100_000})
	level := rule.Full()
	var d bucket.Decision
	for name, f := range map[string]func(){
		"allow":  func() { rule.Allow(&level, 0, 1) },
		"take":   func() { rule.Take(&d, &level, 0, 1) },
		"denied": func() { rule.Take(&d, &level, 0, 100_000) },
		"peek":   func() { rule.Peek(&d, level, 0, 1) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

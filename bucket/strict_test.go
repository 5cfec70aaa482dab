package bucket_test

import (
	"math"
	"testing"
	"time"

	"golang.org/x/time/rate"
	"pgregory.net/rapid"

	"github.com/seed-0c889b51/weir/bucket"
)

// strictLimits draws strict limits over the whole range that is valid.
func strictLimits() *rapid.Generator[bucket.Limit] {
	return rapid.Custom(func(t *rapid.T) bucket.Limit {
		l := bucket.Limit{
			Quota: rapid.OneOf(rapid.IntRange(1, 5), rapid.IntRange(1, 200)).Draw(t, "quota"),
			Window: time.Duration(rapid.OneOf(rapid.Int64Range(1, 5000), rapid.Int64Range(1, int64(time.Minute)),
				rapid.SampledFrom([]int64{int64(time.Second), int64(time.Minute), int64(day), int64(366 * day), 999_999_999})).Draw(t, "window")),
			Strict: true,
		}
		l.Burst = rapid.OneOf(rapid.Just(0), rapid.IntRange(1, max(1, l.Quota-1))).Draw(t, "burst")
		l, err := l.Normalize()
		if err != nil {
			t.Skip("not valid")
		}
		return l
	})
}

// most returns how many of the instants, which are in order, one stretch of time
// of that length holds at most, both ends in it.
func most(instants []time.Duration, window time.Duration) int {
	n, from := 0, 0
	for to, at := range instants {
		for at-instants[from] > window {
			from++
		}
		n = max(n, to-from+1)
	}
	return n
}

// Whatever is asked for when, no window sees more than the quota: the requests
// come at random, at the edges of windows, as soon as the last was refused, or
// just before that. A level and a bucket agree.
func TestStrictNeverAdmitsMoreThanTheQuota(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := strictLimits().Draw(t, "limit")
		rule, err := bucket.NewRule(l)
		if err != nil {
			t.Fatal(err)
		}
		b, err := bucket.New(l)
		if err != nil {
			t.Fatal(err)
		}
		origin := time.Unix(1_700_000_000, 0)
		level := rule.Full()
		var admitted []time.Duration
		at, retry := time.Duration(0), time.Duration(0)
		for range rapid.IntRange(1, 400).Draw(t, "requests") {
			switch rapid.IntRange(0, 6).Draw(t, "step") {
			case 0: // at once
			case 1:
				at += time.Duration(rapid.Int64Range(0, int64(2*l.Window)).Draw(t, "gap"))
			case 2:
				at += l.Window / time.Duration(l.Quota)
			case 3: // a window after one that was admitted, or just off that
				if len(admitted) > 0 {
					before := admitted[rapid.IntRange(0, len(admitted)-1).Draw(t, "before")]
					at = max(at, before+l.Window+time.Duration(rapid.IntRange(-2, 2).Draw(t, "off")))
				}
			case 4:
				at += max(0, retry-time.Duration(rapid.IntRange(0, 2).Draw(t, "early")))
			default:
				at += retry
			}
			var d, asLevel bucket.Decision
			d = b.Take(origin.Add(at), 1)
			rule.Take(&asLevel, &level, at, 1)
			if d != asLevel {
				t.Fatalf("%v at %v: a bucket decides %+v, a level %+v", l, at, d, asLevel)
			}
			if retry = 0; d.Allowed {
				admitted = append(admitted, at)
			} else {
				retry = d.RetryAfter
			}
		}
		if n := most(admitted, l.Window); n > l.Quota {
			t.Fatalf("%v: %d in one window of %v: %v", l, n, l.Window, admitted)
		}
	})
}

// A client that takes what it gets as soon as it is there comes to the quota in
// its best window, so that nothing is withheld; and to what is sustained in
// each of those that follow.
func TestStrictGivesTheQuota(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"100/min strict", "100/min strict burst 1", "100/min strict burst 99", "10/s strict burst 5", "2/day strict", "1000/h strict", "3/s strict"} {
		l, err := bucket.ParseLimit(text)
		if err != nil {
			t.Fatal(err)
		}
		rule, err := bucket.NewRule(l)
		if err != nil {
			t.Fatal(err)
		}
		level := rule.Full()
		var admitted []time.Duration
		for at := time.Duration(0); at <= 4*l.Window; {
			var d bucket.Decision
			if rule.Take(&d, &level, at, 1) {
				admitted = append(admitted, at)
			} else {
				at += d.RetryAfter
			}
		}
		if n := most(admitted, l.Window); n != l.Quota && n != l.Quota-1 { // the last may come a rounded nanosecond later
			t.Errorf("%s: %d in its best window: want %d", text, n, l.Quota)
		}
		if want := l.Burst + 4*l.Sustained(); len(admitted) < want-1 || len(admitted) > want {
			t.Errorf("%s: %d in four windows: want %d", text, len(admitted), want)
		}
	}
}

// Of one, the next comes just after the window: by nanoseconds, and never in it.
func TestStrictOfOne(t *testing.T) {
	t.Parallel()
	windows := []time.Duration{10, 1000, time.Millisecond, time.Second, time.Minute, day, 30 * day, 366 * day}
	for i := range time.Duration(100) { // all of which round in another way
		windows = append(windows, 250*day+i*i*i*10*time.Second+i)
	}
	for _, window := range windows {
		rule, err := bucket.NewRule(bucket.Limit{Quota: 1, Window: window, Strict: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, start := range []time.Duration{0, 1, 1<<53 + 1, time.Duration(math.MaxInt64 / 4)} {
			level := rule.Full()
			var d bucket.Decision
			if !rule.Take(&d, &level, start, 1) || rule.Take(&d, &level, start+window, 1) {
				t.Fatalf("1/%v strict: %+v a window after the first", window, d)
			}
			if after := d.RetryAfter; after < 1 || after > 3+window>>46 {
				t.Errorf("1/%v strict: the next is %v after the window", window, after)
			}
			if !rule.Take(&d, &level, start+window+d.RetryAfter, 1) {
				t.Errorf("1/%v strict: denied when it was said to be there", window)
			}
		}
	}
}

// A strict bucket is a rate.Limiter of its burst and its rate, decision by
// decision.
func TestStrictIsARateLimiter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := strictLimits().Draw(t, "limit")
		b, err := bucket.New(l)
		if err != nil {
			t.Fatal(err)
		}
		plain := rate.NewLimiter(rate.Limit(l.Rate()), l.Burst)
		at := time.Unix(1_700_000_000, 0)
		for range 100 {
			at = at.Add(time.Duration(rapid.Int64Range(0, int64(l.Window)/int64(l.Quota)*2+1).Draw(t, "gap")))
			if got, want := b.Take(at, 1).Allowed, plain.AllowN(at, 1); got != want {
				t.Fatalf("%v at %v: %v, by rate.Limiter %v", l, at, got, want)
			}
		}
	})
}

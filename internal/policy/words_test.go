package policy_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/internal/policy"
)

func TestWorst(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ limit, want string }{
		{"100/min", "at most 100 at once, then one every 600ms; never more than 200 in any minute"},
		{"1000/day burst 50", "at most 50 at once, then one every 1m26.4s; never more than 1050 in any day"},
		{"1/s", "at most 1 at once, then one every second; never more than 2 in any second"},
		{"60/h", "at most 60 at once, then one every minute; never more than 120 in any hour"},
		{"12/h", "at most 12 at once, then one every 5 minutes; never more than 24 in any hour"},
		{"24/day", "at most 24 at once, then one every hour; never more than 48 in any day"},
		{"3/day", "at most 3 at once, then one every 8 hours; never more than 6 in any day"},
		{"1/week", "at most 1 at once, then one every 7 days; never more than 2 in any week"},
		{"7/week burst 1", "at most 1 at once, then one every day; never more than 8 in any week"},
		{"1/366day", "at most 1 at once, then one every 366 days; never more than 2 in any 366 days"},
		{"1/1h30m", "at most 1 at once, then one every 1h30m; never more than 2 in any 1h30m"},
		{"1/1500ms", "at most 1 at once, then one every 1.5s; never more than 2 in any 1.5s"},
		{"5/500ms", "at most 5 at once, then one every 100ms; never more than 10 in any 500ms"},
		{"1/10us", "at most 1 at once, then one every 10us; never more than 2 in any 10us"},
		// Strict: no more than is written.
		{"100/min strict", "at most 10 at once, then about one every 667ms; never more than 100 in any minute"},
		{"100/min strict burst 40", "at most 40 at once, then one every second; never more than 100 in any minute"},
		{"1/day strict", "at most 1 at once, then one every day; never more than 1 in any day"},
		// It does not come out even: three digits, and the word for it.
		{"7/min", "at most 7 at once, then about one every 8.57s; never more than 14 in any minute"},
		{"2147483647/h", "at most 2147483647 at once, then about one every 1.68us; never more than 4294967294 in any hour"},
		{"3000000/s", "at most 3000000 at once, then about 3 every microsecond; never more than 6000000 in any second"},
	} {
		l, err := bucket.ParseLimit(tt.limit)
		if err != nil {
			t.Fatal(err)
		}
		if got := policy.Worst(l); got != tt.want {
			t.Errorf("Worst(%s):\n got %s\nwant %s", tt.limit, got, tt.want)
		}
	}
}

// What the words promise is what a bucket does: a client that takes all it can
// within one window gets the number that is said, and no more.
func TestWorstIsTheWorst(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		quota, burst := rapid.IntRange(1, 50).Draw(t, "quota"), rapid.IntRange(1, 50).Draw(t, "burst")
		l := bucket.Limit{Quota: quota, Window: time.Minute, Burst: burst}
		b, err := bucket.New(l)
		if err != nil {
			t.Fatal(err)
		}
		start, got := time.Unix(0, 0), 0
		for at := start; !at.After(start.Add(l.Window)); {
			d := b.Take(at, 1)
			if d.Allowed {
				got++
			} else {
				at = at.Add(d.RetryAfter)
			}
		}
		var atOnce, most int
		if _, err := fmt.Sscanf(policy.Worst(l), "at most %d at once", &atOnce); err != nil || atOnce != burst {
			t.Fatalf("%s: %v, want a burst of %d", policy.Worst(l), err, burst)
		}
		most = burst + quota
		want := fmt.Sprintf("; never more than %d in any minute", most)
		if s := policy.Worst(l); s[len(s)-len(want):] != want {
			t.Fatalf("Worst(%s) = %s, want it to end in %q", l, s, want)
		}
		// The last token may come a rounded nanosecond after the window.
		if got > most || got < most-1 {
			t.Fatalf("%s let %d through in its window, the words say %d", l, got, most)
		}
	})
}

package bucket_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0c889b51/weir/bucket"
)

func TestWaitServesInOrderAtTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := mustNew(t, bucket.Limit{Quota: 10, Window: time.Second, Burst: 1})
		start := time.Now()
		type turn struct {
			who int
			at  time.Duration
		}
		turns := make(chan turn, 5)
		for i := range 5 {
			go func() {
				if err := b.Wait(t.Context(), 1); err != nil {
					t.Error(err)
				}
				turns <- turn{i, time.Since(start)}
			}()
			synctest.Wait() // so that they come one after the other
		}
		if b.Take(time.Now(), 1).Allowed {
			t.Error("someone who does not wait got ahead of those who do")
		}
		for i := range 5 {
			if got, want := <-turns, (turn{i, time.Duration(i) * 100 * time.Millisecond}); got != want {
				t.Errorf("turn %+v, want %+v", got, want)
			}
		}
	})
}

func TestWaitErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := mustNew(t, bucket.PerSecond(2))
		start := time.Now()
		if err := b.Wait(t.Context(), 3); !errors.Is(err, bucket.ErrBurst) {
			t.Errorf("more than the burst: %v", err)
		}
		b.Take(time.Now(), 2)
		soon, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
		defer cancel()
		if err := b.Wait(soon, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a deadline that comes first: %v", err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.Wait(gone, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that has ended: %v", err)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("errors that are known at once came after %v", d)
		}
		if s := b.State(time.Now()); s.Tokens != 0 {
			t.Errorf("after the errors: %v tokens, want 0", s.Tokens)
		}
		if err := b.Wait(t.Context(), -1); err != nil || time.Since(start) != 0 {
			t.Errorf("Wait(-1): %v after %v", err, time.Since(start))
		}
		if err := b.Wait(t.Context(), 1); err != nil || time.Since(start) != 500*time.Millisecond {
			t.Errorf("and the next: %v after %v, want 500ms", err, time.Since(start))
		}
	})
}

func TestWaitGivesBackWhenItIsCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := mustNew(t, bucket.Limit{Quota: 1, Window: time.Second, Burst: 3})
		b.Take(time.Now(), 3)
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error)
		go func() { errs <- b.Wait(ctx, 2) }()
		time.Sleep(time.Second / 2)
		cancel()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if s := b.State(time.Now()); s.Tokens != 0.5 {
			t.Errorf("%v tokens after half a second, want 0.5: nothing was taken", s.Tokens)
		}
	})
}

// Invariant 1 with waiters, some of whom give up: what happens, when it
// happens, stays within burst + rate·t. Someone who gave up gives back only
// what nobody behind him has been promised.
func TestWaitersNeverExceedTheLimit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := bucket.Limit{Quota: 10, Window: time.Second, Burst: rapid.IntRange(1, 4).Draw(t, "burst")}
		b, _ := bucket.New(l)
		now := epoch
		type reservation struct {
			act time.Time
			n   int
		}
		var waiting []reservation
		for range 60 {
			now = now.Add(time.Duration(rapid.Int64Range(0, 150).Draw(t, "pause ms")) * time.Millisecond)
			n := rapid.IntRange(1, l.Burst).Draw(t, "n")
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0, 1:
				if d, err := b.Reserve(now, n, 2*time.Second); err == nil && d <= 2*time.Second {
					waiting = append(waiting, reservation{now.Add(d), n})
				}
			case 2:
				if b.Take(now, n).Allowed {
					waiting = append(waiting, reservation{now, n})
				}
			case 3:
				var pending []int
				for i, r := range waiting {
					if r.act.After(now) {
						pending = append(pending, i)
					}
				}
				if len(pending) > 0 {
					i := rapid.SampledFrom(pending).Draw(t, "cancel")
					b.Unreserve(now, waiting[i].n, waiting[i].act)
					waiting = append(waiting[:i:i], waiting[i+1:]...)
				}
			}
		}
		done := waiting
		for _, from := range done {
			for _, to := range done {
				if to.act.Before(from.act) {
					continue
				}
				sum := 0
				for _, r := range done {
					if !r.act.Before(from.act) && !r.act.After(to.act) {
						sum += r.n
					}
				}
				if bound := float64(l.Burst) + l.Rate()*(to.act.Sub(from.act)+2).Seconds(); float64(sum) > bound+1e-6 {
					t.Fatalf("%v: %d acted within %v, at most %v may", l, sum, to.act.Sub(from.act), bound)
				}
			}
		}
	})
}

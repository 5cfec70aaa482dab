package weir_test

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
)

// A strict limit holds across restarts: no hour sees more than its quota, whether
// the limiter was closed and opened in it or not, and the file knows the limit.
func TestStrictAcrossRestarts(t *testing.T) {
	t.Parallel()
	limit := bucket.Limit{Quota: 20, Window: time.Hour, Strict: true}
	path := filepath.Join(t.TempDir(), "weir.db")
	synctest.Test(t, func(t *testing.T) {
		var admitted []time.Time
		for range 8 {
			l := mustOpen(t, weir.Config{Policies: []weir.Policy{{Name: "ip", Limit: limit}}, Path: path})
			for range 40 {
				if d := l.Take(1, "a"); d.Allowed {
					admitted = append(admitted, time.Now())
				}
				time.Sleep(time.Minute)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if hours := 8 * 40 / 60.0; float64(len(admitted)) < 17*hours {
			t.Errorf("%d admitted in %.1f hours: want about 18 an hour", len(admitted), hours)
		}
		for i, first := range admitted {
			n := 0
			for _, at := range admitted[i:] {
				if at.Sub(first) <= time.Hour {
					n++
				}
			}
			if n > limit.Quota {
				t.Fatalf("%d in the hour from %v", n, first)
			}
		}
	})
}

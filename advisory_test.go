package weir_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
)

func TestAdvisory_CVE_2024_21652(t *testing.T) {
	t.Parallel()
	// Argo CD counted failed logins in memory alone: who made it crash could go on
	// guessing. What was saved before the crash is not forgotten.
	synctest.Test(t, func(t *testing.T) {
		k := newKept(t, weir.Config{Policies: []weir.Policy{{Name: "login", Limit: bucket.PerDay(5)}}, Interval: time.Second})
		tries := 0
		for range 10 {
			for range 10 {
				if k.Allow("admin") {
					tries++
				}
			}
			time.Sleep(2 * time.Second) // it is saved
			k.crash(nil)
		}
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		if tries != 5 {
			t.Errorf("%d tries over ten crashes, the limit is 5", tries)
		}
	})
}

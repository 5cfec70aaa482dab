package registry_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/registry"
)

// Mistakes that others have made with the memory of a limiter. Each test is
// named for the advisory on it.

func TestAdvisory_CVE_2024_21662(t *testing.T) {
	t.Parallel()
	// Argo CD kept failed logins of so many users and dropped the oldest: failures
	// of other users, made up, had those of the one under attack forgotten.
	synctest.Test(t, func(t *testing.T) {
		const size = 1000
		r := mustNew(t, registry.Config[string]{Limit: bucket.PerDay(5), Size: size})
		tries := 0
		for round := range 20 {
			for range 10 {
				if r.Allow("admin") {
					tries++
				}
			}
			for i := range 2 * size {
				r.Allow(fmt.Sprint("made up ", round, " ", i))
			}
		}
		if tries != 5 {
			t.Errorf("%d tries for admin, the limit is 5", tries)
		}
	})
}

func TestAdvisory_CVE_2026_55512(t *testing.T) {
	// nebula-mesh kept a limiter for each address for ever. (Not parallel: it
	// measures the heap.)
	r := mustNew(t, registry.Config[string]{Limit: bucket.PerDay(5), Size: 1000})
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	flood := func(round int) {
		for i := range 200_000 {
			r.Allow(fmt.Sprint(round, ".", i))
		}
	}
	flood(0)
	before := heap()
	flood(1)
	if after := heap(); after > before+1<<20 {
		t.Errorf("200,000 more keys took %d bytes of memory", after-before)
	}
	if got := r.Stats().Keys; got > 1000 {
		t.Errorf("%d keys are kept, the size is 1000", got)
	}
	runtime.KeepAlive(r)
}

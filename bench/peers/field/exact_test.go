package field

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// What is taken for exact admits what can be worked out by hand, at each step.
func TestExactAnswers(t *testing.T) {
	t.Parallel()
	const window = time.Minute
	for _, row := range []struct {
		trace       Trace
		bucket, log []int
		why         string
	}{
		{Edge(), []int{1, 10, 1}, []int{1, 9, 1}, "at 0.95 the bucket is full again, and 0.133 windows later it has 1.33"},
		{Rest(), []int{1, 9, 1}, []int{1, 9, 1}, "at 1.31 the bucket has 1.25; a minute before has 9"},
	} {
		if got := row.trace.Bucket(window); !slices.Equal(got, row.bucket) {
			t.Errorf("%s: a token bucket admits %v: want %v: %s", row.trace.Name, got, row.bucket, row.why)
		}
		if got := row.trace.Log(window); !slices.Equal(got, row.log) {
			t.Errorf("%s: a log admits %v: want %v: %s", row.trace.Name, got, row.log, row.why)
		}
	}
	// 10 at once and 9 of what is refilled in 59 s, a request each other second.
	if got := total(Steady().Bucket(window)); got != 19 {
		t.Errorf("steady: a token bucket admits %d: want 19", got)
	}
	if got := total(Steady().Log(window)); got != TraceQuota {
		t.Errorf("steady: a log admits %d: want %d", got, TraceQuota)
	}
}

// The traces have the same exact answers if each step comes as late as Play
// takes: else a judgement would depend on the machine.
func TestTracesBearLateness(t *testing.T) {
	t.Parallel()
	const window = time.Minute
	random := rand.New(rand.NewPCG(1, 1))
	for _, tr := range Traces() {
		for range 200 {
			late := Trace{Name: tr.Name, Steps: slices.Clone(tr.Steps)}
			for i := range late.Steps {
				late.Steps[i].After += random.Float64() / 100
			}
			if got, want := late.Bucket(window), tr.Bucket(window); tr.Name != "steady" && !slices.Equal(got, want) || total(got) != total(want) {
				t.Fatalf("%s at %v: a token bucket admits %v: want %v", tr.Name, late.Steps, got, want)
			}
			if got, want := late.Log(window), tr.Log(window); total(got) != total(want) {
				t.Fatalf("%s at %v: a log admits %v: want %v", tr.Name, late.Steps, got, want)
			}
		}
	}
}

// A log admits as many as any way to admit no more than the quota in a window
// does, and so does not refuse what it need not.
func TestLogAdmitsAsManyAsMayBe(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(2, 2))
	l := Limit{2, 10}
	for range 300 {
		at := make([]time.Duration, 1+random.IntN(10))
		for i := 1; i < len(at); i++ {
			at[i] = at[i-1] + time.Duration(random.IntN(8))
		}
		most := 0
		for choice := range 1 << len(at) {
			chosen, ok := 0, true
			for i := range at {
				if choice>>i&1 == 0 {
					continue
				}
				chosen++
				within := 0
				for j := range i + 1 {
					if choice>>j&1 == 1 && at[i]-at[j] < l.Window {
						within++
					}
				}
				ok = ok && within <= l.Quota
			}
			if ok {
				most = max(most, chosen)
			}
		}
		got := 0
		for _, allowed := range LogAdmits(at, l) {
			if allowed {
				got++
			}
		}
		if got != most {
			t.Fatalf("of requests at %v a log of %v admits %d: want %d", at, l, got, most)
		}
	}
}

// overBucket finds the worst stretch of all that begin with a grant and end with
// one, as does a search through all of them.
func TestOverBucketFindsTheWorstStretch(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 3))
	l := Limit{3, 10 * time.Second}
	for range 500 {
		grants := make([]grant, 1+random.IntN(12))
		for i := range grants {
			before := time.Duration(random.IntN(20)) * time.Second
			grants[i] = grant{before, before + time.Duration(random.IntN(5))*time.Second}
		}
		want := -1e9
		for _, first := range grants {
			for _, last := range grants {
				within := 0
				for _, g := range grants {
					if g.before >= first.before && g.after <= last.after {
						within++
					}
				}
				if last.after >= first.before {
					want = max(want, float64(within-l.Quota)-perSecond(l)*(last.after-first.before).Seconds())
				}
			}
		}
		if got := overBucket(grants, l); got < want-1e-9 || got > want+1e-9 {
			t.Fatalf("grants %v are %v over: want %v", grants, got, want)
		}
	}
}

func TestOverBucket(t *testing.T) {
	t.Parallel()
	l := Limit{2, 2 * time.Second}
	at := func(seconds ...float64) (grants []grant) {
		for _, s := range seconds {
			d := time.Duration(s * float64(time.Second))
			grants = append(grants, grant{d, d})
		}
		return grants
	}
	for _, row := range []struct {
		why    string
		grants []grant
		want   float64
	}{
		{"nothing is granted", nil, -2},
		{"the burst, and then what is refilled", at(0, 0, 1, 2, 3), 0},
		{"one too many at once", at(0, 0, 0), 1},
		{"after a rest a full bucket and no more", at(0, 0, 100, 100, 100), 1},
		{"half a second too early", at(0, 0, 0.5), 0.5},
		{"a grant that may have been later is not held against it", []grant{{0, 0}, {0, 0}, {0, time.Second}}, 0},
	} {
		if got := overBucket(row.grants, l); got != row.want {
			t.Errorf("%s: %v over: want %v", row.why, got, row.want)
		}
	}
}

package bench

import (
	"bytes"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/seed-0c889b51/weir/persist"
)

// After a snapshot the file holds every key: at a million keys as at a few.
func TestFileHoldsAllKeys(t *testing.T) {
	t.Parallel()
	k := newKept(t, manyKeys(), slow)
	took, written := k.save(t)
	if took <= 0 || written < int64(k.keys)*recordSize {
		t.Errorf("%d bytes written in %v: want at least %d each of %d keys", written, took, recordSize, k.keys)
	}
	k.check(t)
}

func TestOnlyWhatWasTouchedIsWritten(t *testing.T) {
	t.Parallel()
	k := newKept(t, 20_000, slow)
	_, full := k.save(t)
	for _, row := range []struct {
		why         string
		touch       int
		anew        bool
		least, most int64
	}{
		{"nothing was touched", 0, false, 0, 0},
		{"one in 100", k.keys / 100, false, int64(k.keys/100) * recordSize, full / 10},
		{"nothing was touched, and all is written anew", 0, true, int64(k.keys) * recordSize, 2 * full},
		{"nothing again: only one snapshot was full", 0, false, 0, 0},
		{"all", k.keys, false, int64(k.keys) * recordSize, 2 * full},
	} {
		k.touch(t, 5, row.touch)
		if row.anew {
			k.makeFullDue(t)
		}
		if _, written := k.save(t); written < row.least || written > row.most {
			t.Errorf("%s: %d bytes written: want %d to %d", row.why, written, row.least, row.most)
		}
		k.check(t)
	}
}

// What a limiter says that it has written is what the kernel was given.
// Not parallel: the kernel counts for the whole process.
func TestBytesWrittenAreThoseOfTheKernel(t *testing.T) {
	given := func() (n int64) {
		text, err := os.ReadFile("/proc/self/io")
		if err != nil {
			t.Skip("only Linux counts what a process writes: ", err)
		}
		for _, line := range bytes.Split(text, []byte("\n")) {
			if digits, ok := bytes.CutPrefix(line, []byte("wchar: ")); ok {
				for _, d := range digits {
					n = 10*n + int64(d-'0')
				}
			}
		}
		return n
	}
	k := newKept(t, 20_000, slow)
	k.save(t)
	for _, touched := range []int{200, k.keys} {
		k.touch(t, 0, touched)
		before := given()
		_, written := k.save(t)
		kernel := given() - before
		// bbolt also writes one page with the roots of the file.
		if page := int64(os.Getpagesize()); kernel < written || kernel > written+4*page {
			t.Errorf("%d touched: said %d bytes, the kernel %d: want no more than 4 pages between them", touched, written, kernel)
		}
	}
}

// A file that lacks a key, and a limiter that did not get one back, are found.
func TestChecksFindWhatIsMissing(t *testing.T) {
	t.Parallel()
	k := newKept(t, 1000, slow)
	k.save(t)
	k.check(t)
	k.touch(t, 0, 1) // the key that will be missing
	if err := k.Reset(policyName, key(scattered(0, k.keys))); err != nil {
		t.Fatal(err)
	}
	k.save(t)
	if file, err := persist.Read(k.path, persist.Config{}); err != nil || file.Info().Policies[0].Live != k.keys-1 {
		t.Fatalf("%+v, %v: want %d live debts", file.Info(), err, k.keys-1)
	}
	if !fails(k.check) {
		t.Error("check finds nothing wrong with a file that lacks a key")
	}
}

func TestRestoredIsWhatWasSaved(t *testing.T) {
	t.Parallel()
	k := newKept(t, 20_000, slow)
	if !fails(k.checkRestored) {
		t.Error("checkRestored finds nothing wrong with a limiter that restored nothing")
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	again := openKept(t, k.path, k.keys, slow)
	again.checkRestored(t)
	again.keys++
	if !fails(again.checkRestored) {
		t.Error("checkRestored finds nothing wrong with a limiter that lacks a key")
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

// Clients ask with strings of their own, for keys that are in memory; what has
// to be denied is denied, what has to be allowed is allowed, and the snapshots
// that are said to have gone on have.
func TestTrafficIsWhatItIsSaidToBe(t *testing.T) {
	t.Parallel()
	tr := newTraffic(t, 20_000, time.Millisecond)
	a, b := tr.client(1, 0), tr.client(2, 10*time.Microsecond)
	for i := range a.asks {
		mine, other := unsafe.StringData(a.asks[i].key), unsafe.StringData(b.asks[i].key)
		if mine == other || i < tr.changed && mine == unsafe.StringData(tr.writer[i]) {
			t.Fatalf("ask %d has the string of another", i)
		}
	}
	allowed, denied := 0, 0
	before := tr.Stats().Policies[0]
	for i, ask := range a.asks {
		d := tr.Take(ask.tokens, ask.key)
		if d.Allowed != ask.allowed || d.Allowed != (d.RetryAfter == 0) {
			t.Fatalf("ask %d, %+v: %+v", i, ask, d)
		}
		if d.Allowed {
			allowed++
		} else {
			denied++
		}
	}
	if st := tr.Stats().Policies[0]; allowed != tr.changed || denied != tr.active-tr.changed || st.Denied-before.Denied != uint64(denied) {
		t.Errorf("%d allowed, %d denied, stats %+v after %+v: want %d, %d", allowed, denied, st, before, tr.changed, tr.active-tr.changed)
	}
	for _, m := range modes {
		saves := tr.Stats().Saves
		latency := tr.round(t, m, []*client{a, b}, 20*tr.pause)
		if done := tr.Stats().Saves - saves; (done > 0) != (m != nothing) {
			t.Errorf("%s: %d snapshots", m, done)
		}
		if latency.count != a.latency.count+b.latency.count || latency.quantile(1) <= 0 {
			t.Errorf("%s: %d latencies up to %v: want those of both clients, %d and %d", m, latency.count, latency.max, a.latency.count, b.latency.count)
		}
	}
	if st := tr.Stats().Policies[0]; st.Keys != tr.keys || st.Evicted > 0 {
		t.Errorf("%+v: want %d keys in memory, as before", st, tr.keys)
	}
	tr.check(t)

	// A client that expects something else says so.
	a.asks[0].allowed = false
	var stop atomic.Bool
	a.wrong = 0
	a.run(func(tokens int, key string) bool {
		ok := tr.Take(tokens, key).Allowed
		if key == a.asks[0].key {
			stop.Store(true)
		}
		return ok
	}, &stop)
	if a.wrong != 1 {
		t.Errorf("%d wrong answers of a client that was allowed once what it expected to be denied: want 1", a.wrong)
	}
}

// fails tells whether a check fails.
func fails(check func(testing.TB)) bool {
	var tb failing
	done := make(chan struct{})
	go func() { // Fatalf ends its goroutine
		defer close(done)
		check(&tb)
	}()
	<-done
	return tb.failed
}

// A failing stands in for a test that may fail.
type failing struct {
	testing.TB
	failed bool
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(string, ...any) {
	f.failed = true
	runtime.Goexit()
}

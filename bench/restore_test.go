package bench

import (
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"
)

// BenchmarkRestore starts a limiter on a file with the debt of every key, which
// is in the page cache. The heap is empty and given back each time, as at the
// start of a process, so that memory is paid for.
func BenchmarkRestore(b *testing.B) {
	keys := manyKeys()
	path := filepath.Join(b.TempDir(), "state")
	k := openKept(b, path, keys, slow)
	k.touch(b, 0, keys)
	if err := k.Close(); err != nil {
		b.Fatal(err)
	}
	k.Limiter = nil
	var ms series
	for b.Loop() {
		b.StopTimer()
		debug.FreeOSMemory()
		b.StartTimer()
		start := time.Now()
		k := openKept(b, path, keys, slow)
		ms = append(ms, milliseconds(time.Since(start)))
		b.StopTimer()
		k.checkRestored(b)
		if err := k.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ms.median(), "ms")
	k.check(b)
}

// checkRestored fails unless the debt of every key came back from the file.
func (k *kept) checkRestored(tb testing.TB) {
	tb.Helper()
	res, st := k.Restored(), k.Stats().Policies[0]
	if res.Records != k.keys || st.Debts+int(st.DebtsDropped) != k.keys || st.DebtsDropped > uint64(k.keys/1000) || !res.Clean {
		tb.Fatalf("restored %+v, stats %+v: want %d debts", res, st, k.keys)
	}
	for i := range 100 {
		if d := k.Peek(1, key(scattered(i, k.keys))); d.Remaining >= d.Limit.Burst {
			tb.Fatalf("key %d has a full bucket: %+v", scattered(i, k.keys), d)
		}
	}
}

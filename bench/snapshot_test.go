package bench

import (
	"testing"
	"time"
)

// recordSize is what a debt takes in the file at least: a hash of 64 bits and a
// time of 32.
const recordSize = 12

// A cost collects what snapshots cost.
type cost struct{ ms, kB series }

func (c *cost) add(took time.Duration, written int64) {
	c.ms = append(c.ms, milliseconds(took))
	c.kB = append(c.kB, float64(written)/1e3)
}

// report reports the median time, and both the median of what was written and
// the mean, in which a full snapshot that comes due now and then counts.
func (c *cost) report(b *testing.B) {
	b.ReportMetric(0, "ns/op") // says the same, but for a mean
	b.ReportMetric(c.ms.median(), "ms")
	b.ReportMetric(c.kB.median(), "kB-written")
	b.ReportMetric(c.kB.mean(), "kB-written-mean")
}

// BenchmarkSnapshotFull writes the debt of every key: when all are in the file
// already, and it is written anew, and when all have changed.
func BenchmarkSnapshotFull(b *testing.B) {
	keys := manyKeys()
	b.Run("anew", func(b *testing.B) {
		k := newKept(b, keys, slow)
		k.save(b)
		var c cost
		for b.Loop() {
			b.StopTimer()
			k.makeFullDue(b)
			b.StartTimer()
			took, written := k.save(b)
			c.add(took, written)
			if written < int64(keys)*recordSize {
				b.Fatalf("%d bytes written of %d keys", written, keys)
			}
		}
		c.report(b)
		k.check(b)
	})
	b.Run("all changed", func(b *testing.B) {
		k := newKept(b, keys, slow)
		var c cost
		for b.Loop() {
			took, written := k.save(b)
			c.add(took, written)
			if written < int64(keys)*recordSize {
				b.Fatalf("%d bytes written of %d keys", written, keys)
			}
			b.StopTimer()
			// Written anew the file does not grow, and the next is not a full one.
			k.makeFullDue(b)
			k.save(b)
			k.touch(b, 0, keys)
			b.StartTimer()
		}
		c.report(b)
		k.save(b)
		k.check(b)
	})
}

// BenchmarkSnapshotChanged writes the debts of those keys that have changed
// since the snapshot before: one in a hundred, scattered, and none.
func BenchmarkSnapshotChanged(b *testing.B) {
	keys := manyKeys()
	for _, row := range []struct {
		name    string
		changed int
	}{{"one in 100", keys / 100}, {"none", 0}} {
		b.Run(row.name, func(b *testing.B) {
			changed := row.changed
			k := newKept(b, keys, slow)
			k.save(b)
			var c cost
			for b.Loop() {
				b.StopTimer()
				k.touch(b, len(c.ms)*changed, changed)
				b.StartTimer()
				took, written := k.save(b)
				c.add(took, written)
				if written < int64(changed)*recordSize || changed == 0 && written > 0 {
					b.Fatalf("%d bytes written of %d keys", written, changed)
				}
			}
			c.report(b)
			k.check(b)
		})
	}
}

package persist

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

const manyKeys = 1_000_000

// BenchmarkFullSave saves a million buckets.
func BenchmarkFullSave(b *testing.B) {
	f, err := Open(filepath.Join(b.TempDir(), "state"), Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	s := Snapshot{Full: true, Sections: []Section{{Policy: "a", Limit: daily, Records: spread(manyKeys)}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Save(s); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSave saves the hundredth part of them.
func BenchmarkSave(b *testing.B) {
	f, err := Open(filepath.Join(b.TempDir(), "state"), Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var written int64
	b.ReportAllocs()
	for b.Loop() {
		saved, err := f.Save(Snapshot{Live: manyKeys, Sections: []Section{{Policy: "a", Limit: daily, Records: spread(manyKeys / 100)}}})
		if err != nil {
			b.Fatal(err)
		}
		written += saved.Bytes
	}
	b.ReportMetric(float64(written)/float64(b.N), "B-written/op")
}

// BenchmarkOpenLoad restores a million buckets.
func BenchmarkOpenLoad(b *testing.B) {
	path := filepath.Join(b.TempDir(), "state")
	f, err := Open(path, Config{})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := f.Save(Snapshot{Full: true, Sections: []Section{{Policy: "a", Limit: daily, Records: spread(manyKeys)}}}); err != nil {
		b.Fatal(err)
	}
	f.Close()
	b.ReportAllocs()
	for b.Loop() {
		f, err := Open(path, Config{})
		if err != nil {
			b.Fatal(err)
		}
		res := f.Load(func(string, bucket.Limit) bool { return true }, func(string, uint64, time.Duration) {})
		if res.Records != manyKeys {
			b.Fatal(res)
		}
		f.Close()
	}
}

// spread yields n debts of hours without making a map of them.
func spread(n int) func(yield func(uint64, time.Duration) bool) {
	return func(yield func(uint64, time.Duration) bool) {
		for i := range n {
			if !yield(uint64(i+1)*0x9e3779b97f4a7c15, time.Hour+time.Duration(i)) {
				return
			}
		}
	}
}

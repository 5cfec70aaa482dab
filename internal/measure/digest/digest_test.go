package digest

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/internal/measure"
)

func sample() *measure.Report {
	cell := func(subject, workload string, denied bool, procs int, ns, allocs float64) measure.Cell {
		return measure.Cell{Subject: subject, Workload: workload, Denied: denied, Procs: procs, NsPerOp: ns, Mad: ns / 10, Allocs: allocs,
			Rounds: []float64{ns - 2, ns - 1, ns, ns + 1, ns + 2}}
	}
	latency := func(subject, workload, during string, every time.Duration, p99 time.Duration) measure.Latency {
		return measure.Latency{Subject: subject, Workload: workload, During: during, Procs: 2, EveryNs: int64(every), Count: 1000,
			P50Ns: 100, P90Ns: 200, P99Ns: int64(p99), P999Ns: 5000, P9999Ns: 6000, MaxNs: 7_000_000}
	}
	return &measure.Report{
		Schema: measure.Schema, Settings: measure.Settings{Rounds: 5, Window: time.Millisecond, Procs: []int{1, 2}},
		Machine:  measure.Machine{GOOS: "linux", GOARCH: "amd64", CPU: "a processor", Procs: 2, Go: "go1.26", Weir: "v1"},
		Subjects: []measure.SubjectInfo{{Name: "weir", Kind: measure.Ours}, {Name: "weir-limiter", Kind: measure.Ours}, {Name: "other", Kind: measure.Peer}},
		Cells: []measure.Cell{
			cell("weir", "hot", false, 1, 50, 0), cell("weir", "hot", false, 2, 80, 0), cell("weir", "hot", true, 1, 40, 0),
			cell("other", "hot", false, 1, 100, 2),
		},
		Latency: []measure.Latency{
			latency("weir", "hot", "", 0, 900), latency("weir-limiter", "1k", "snapshots", time.Millisecond, 40_000),
			latency("weir serve", "proxy", "", 4*time.Millisecond, 2_000_000),
		},
		Memory:  []measure.Memory{{Subject: "weir", Keys: 1000, BytesPerKey: 180, GCCPUMs: 12}},
		Targets: []measure.Target{{Name: "hot", Goal: 0.8, Got: 0.9, Unit: "×", Against: "other"}},
	}
}

func TestExpectations(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		text string
		met  bool
		got  string
	}{
		{"hot.ns<100ns", true, "80.0 ns"}, // the worst of both numbers of processors
		{"hot.ns<60ns", false, "80.0 ns"},
		{"hot@1.ns<60ns", true, "50.0 ns"},
		{"hot.ns>60ns", false, "50.0 ns"}, // and there the worst is the lowest
		{"hot.denied.ns <= 40ns", true, "40.0 ns"},
		{"hot.denied.ns<40ns", false, "40.0 ns"},
		{"hot.allocs<=0", true, "0"},
		{"other/hot.allocs<=1", false, "2"},
		{"hot.p99<1us", true, "900 ns"},
		{"hot.p99<1µs", true, "900 ns"},
		{"hot.p9999<5us", false, "6.00 µs"},
		{"1k.snapshots.p99<50us", true, "40.0 µs"}, // of weir-limiter, since weir was not measured so
		{"weir-limiter/1k.snapshots.max>=7ms", true, "7.00 ms"},
		{"proxy.p99<1ms", false, "2.00 ms"},
		{"memory.bytes<200", true, "180"},
		{"memory.gc<10ms", false, "12.0 ms"},
	} {
		e, err := ParseExpectation(row.text)
		if err != nil {
			t.Errorf("%s: %v", row.text, err)
			continue
		}
		f, err := e.Check(sample())
		if err != nil || f.Met != row.met || f.Got != row.got {
			t.Errorf("%s: met %v, got %s (%s), %v: want %v, %s", row.text, f.Met, f.Got, f.Of, err, row.met, row.got)
		}
	}
}

func TestExpectationsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ text, want string }{
		{"", expectationForm},
		{"hot.p99", expectationForm},
		{"hot<1us", expectationForm},
		{"hot.p98<1us", expectationForm},
		{"hot.p99==1us", expectationForm},
		{"hott.p99<1us", `workload "hott": want one of hot, 1k, zipf100k, 1m, miss, proxy, memory`},
		{"hot.allowed.p99<1us", `"allowed": want denied, open, snapshots, flood or reloads`},
		{"hot.p99<1", `value "1" of p99: want a duration such as 250ns, 1us or 3ms`},
		{"hot.ns<-1ns", `value "-1ns" of ns: want a duration`},
		{"hot.allocs<1us", `value "1us" of allocs: want a number from 0`},
		{"hot.allocs<NaN", `value "NaN" of allocs: want a number from 0`},
		{"hot@0.ns<1us", `processors "0": want 1 to 1024`},
		{"hot@99999999999999999999.ns<1us", `want 1 to 1024`},
		{"memory.p99<1us", `metric "p99" of memory: want one of bytes, gc`},
		{"proxy.ns<1us", `metric "ns" of proxy: want one of p50, p90, p99, p999, p9999, max`},
		{"hot.open.allocs<1", `metric "allocs" of hot: want one of p50`},
		{"hot.gc<1ms", `metric "gc" of hot: want one of ns`},
	} {
		if _, err := ParseExpectation(row.text); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%q: error %v: want one with %q", row.text, err, row.want)
		}
	}
	for _, text := range []string{"1m.ns<1us", "nobody/hot.ns<1us", "hot@7.ns<1us", "hot.open.p99<1us", "1k.flood.p99<1us", "memory.bytes>0"} {
		e, err := ParseExpectation(text)
		if err != nil {
			t.Fatal(err)
		}
		r := sample()
		r.Memory = nil
		if f, err := e.Check(r); err == nil {
			t.Errorf("%s: %+v: want an error, since nothing of that kind was measured", text, f)
		}
	}
}

func FuzzParseExpectation(f *testing.F) {
	for _, text := range []string{"hot.p99<1us", "a b/zipf100k.denied@2.ns >= 3ms", "memory.gc<1ms", "proxy.flood.max<=1h", "hot.denied.denied.p50<1e3ns"} {
		f.Add(text)
	}
	r := sample()
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseExpectation(text)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error that says nothing")
			}
			return
		}
		if e.String() != text {
			t.Errorf("%q became %q", text, e.String())
		}
		if finding, err := e.Check(r); err == nil && (finding.Got == "" || finding.Of == "") {
			t.Errorf("%q: %+v", text, finding)
		}
	})
}

func TestTime(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		ns   float64
		want string
	}{
		{0, "0.00 ns"}, {2.345, "2.35 ns"}, {50, "50.0 ns"}, {99.96, "100 ns"}, {999.4, "999 ns"}, {999.6, "1.00 µs"},
		{12_345, "12.3 µs"}, {999_960, "1.00 ms"}, {2.5e9, "2.50 s"}, {3.6e12, "3600 s"},
	} {
		if got := Time(row.ns); got != row.want {
			t.Errorf("%v ns is %q: want %q", row.ns, got, row.want)
		}
	}
}

var spaces = regexp.MustCompile(` +`)

// squeezed has one space for several: columns are as wide as they have to be.
func squeezed(text string) string { return spaces.ReplaceAllString(text, " ") }

func TestTable(t *testing.T) {
	t.Parallel()
	r := sample()
	r.Cells[1].Apart = 3
	var out strings.Builder
	if err := Table(&out, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"linux/amd64, 2 × a processor, go1.26, weir v1\n5 rounds of 1ms",
		"Allowed, ns  hot p1     hot p2      allocs\nweir         50.0 ±10%  80.0 ±10%   0\nother        100 ±10%   -           2\n",
		"Denied, ns  hot p1     allocs\nweir        40.0 ±10%  0\n",
		"weir                  hot, 2 goroutines  100 ns",
		"2 goroutines, one each 1.00 ms, during snapshots",
		"weir    1000  180          12.0 ms",
		"hot      0.8 ×    0.9  MISSED   other",
		"In 3 rounds goroutines had to share a processor",
	} {
		if !strings.Contains(squeezed(out.String()), squeezed(want)) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	old, now := sample(), sample()
	now.Cells[0].NsPerOp, now.Cells[0].Rounds = 25, []float64{23, 24, 25, 26, 27} // clearly less
	now.Cells[1].Rounds = []float64{78.5, 79.5, 80.5, 81.5, 79}                   // the same
	now.Cells[2].Allocs = 1
	now.Memory[0].BytesPerKey = 90
	var out strings.Builder
	if err := Compare(&out, old, now); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"weir            hot         p1  50.0  25.0  -50%  0.008  0\n",
		"weir            hot         p2  80.0  80.0  ~     ",
		"1, was 0\n",
		"hot, 2 goroutines, back to back",
		"weir    1000  180               90   12.0 ms",
	} {
		if !strings.Contains(squeezed(out.String()), squeezed(want)) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "another machine") || strings.Contains(out.String(), "more than chance") {
		t.Errorf("a warning about nothing in\n%s", out.String())
	}

	now.Machine.CPU, now.Settings.Rounds, now.Settings.Window = "another", 3, time.Second
	out.Reset()
	if err := Compare(&out, old, now); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"of another machine", "With 3 rounds no difference is more than chance", "rounds were of 1ms, these are of 1s"} {
		if !strings.Contains(squeezed(out.String()), squeezed(want)) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if err := Compare(&out, &measure.Report{}, now); err == nil {
		t.Error("two reports with nothing in common were compared")
	}
}

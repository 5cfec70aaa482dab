package measure

import (
	"bytes"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func sample() *Report {
	return &Report{
		Schema: Schema, Made: time.Unix(1_000_000_000, 0).UTC(), Machine: ThisMachine(), Settings: quick(1, 2),
		Subjects: []SubjectInfo{{Name: "weir", Kind: Ours, Keyed: true}},
		Cells:    []Cell{{Subject: "weir", Workload: "hot", Procs: 1, NsPerOp: 50, Mad: 1, Ops: 9, Rounds: []float64{49, 50, 51}}},
		Latency:  []Latency{{Subject: "weir", Workload: "hot", Procs: 2, Count: 5, P50Ns: 3, Curve: []Point{{0.5, 3}, {1, 9}}}},
		Memory:   []Memory{{Subject: "weir", Keys: 10, BytesPerKey: 120, GCCPUMs: 3}},
		Targets:  []Target{{Name: "hot", Goal: 0.8, Got: 0.7, Unit: "×", Against: "x", Reached: true}},
	}
}

func TestReportIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	was := sample()
	var text bytes.Buffer
	if err := was.Write(&text); err != nil {
		t.Fatal(err)
	}
	is, err := Read(&text)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(was, is) { // a histogram is not written, and there is none
		t.Errorf("read %+v: want %+v", is, was)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ why, text, want string }{
		{"no JSON", "weir", "not a report: invalid character"},
		{"nothing", "", "not a report: EOF"},
		{"another schema", `{"schema":2}`, "a report of schema 2: want 1"},
		{"something else", `{"a":1}`, "a report of schema 0: want 1"},
		{"a cell without rounds", `{"schema":1,"cells":[{"subject":"a","workload":"hot","procs":1}]}`, "cell 0 has no rounds"},
		{"a time that none took", `{"schema":1,"cells":[{"subject":"a","workload":"hot","procs":1,"rounds":[0]}]}`, "a round of 0 ns"},
	} {
		if _, err := Read(strings.NewReader(row.text)); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: error %v: want one with %q", row.why, err, row.want)
		}
	}
}

// Every field of the JSON is in bench/schema.md.
func TestSchemaIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../bench/schema.md")
	if err != nil {
		t.Fatal(err)
	}
	var check func(of reflect.Type)
	check = func(of reflect.Type) {
		switch of.Kind() {
		case reflect.Slice:
			check(of.Elem())
		case reflect.Struct:
			if of == reflect.TypeFor[time.Time]() {
				return
			}
			for i := range of.NumField() {
				name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
				if name == "" || name == "-" {
					continue
				}
				if !strings.Contains(string(text), "`"+name+"`") {
					t.Errorf("bench/schema.md lacks `%s` of %s", name, of.Name())
				}
				check(of.Field(i).Type)
			}
		}
	}
	check(reflect.TypeFor[Report]())
}

func TestStatistics(t *testing.T) {
	t.Parallel()
	if got := Median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("median of 1 to 4 is %v: want 2.5", got)
	}
	if got := Median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing is %v: want NaN", got)
	}
	if got := MAD([]float64{1, 2, 3, 4, 100}); got != 1 { // 2, 1, 0, 1, 97 from 3
		t.Errorf("median distance is %v: want 1", got)
	}
	if got := Ratios([]float64{2, 40, 6}, []float64{1, 20}); len(got) != 2 || got[0] != 2 || got[1] != 2 {
		t.Errorf("ratios %v: want 2 2", got)
	}
	for _, row := range []struct {
		why  string
		a, b []float64
		want float64
	}{
		{"all of one below all of the other, one order of 20, on two sides", []float64{1, 2, 3}, []float64{4, 5, 6}, 0.1},
		{"the same the other way round", []float64{4, 5, 6}, []float64{1, 2, 3}, 0.1},
		{"5 and 5, 1 of 252", []float64{1, 2, 3, 4, 5}, []float64{6, 7, 8, 9, 10}, 2. / 252},
		{"one apart: U is 0 or 1, 2 of 20", []float64{1, 2, 4}, []float64{3, 5, 6}, 0.2},
		{"of different size: 1 of 3", []float64{1}, []float64{2, 3}, 2. / 3},
		{"no difference", []float64{1, 4}, []float64{2, 3}, 1},
		{"equal values", []float64{1, 1}, []float64{1, 1}, 1},
		{"nothing", nil, []float64{1}, 1},
	} {
		if got := PValue(row.a, row.b); math.Abs(got-row.want) > 1e-12 {
			t.Errorf("%s: p %v: want %v", row.why, got, row.want)
		}
	}
}

// The first of 11 decisions takes 10 ms, and the others no time: time only passes
// in here while somebody sleeps.
func TestLatencyIsFromWhenARequestWasDue(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why   string
		every time.Duration
		sum   time.Duration // of the latencies
	}{
		{"one a millisecond: the first makes all others late, by 9, 8, ... 0 ms", time.Millisecond, 55 * time.Millisecond},
		{"back to back: only the first has waited", 0, 10 * time.Millisecond},
	} {
		t.Run(row.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := workload(t, "hot", false)
				h := NewHistogram()
				calls := 0
				a := &asked{Subject: &Subject{Name: "slow"}, want: true, decide: func(string) bool {
					if calls++; calls == 1 {
						time.Sleep(10 * time.Millisecond)
					}
					if row.every == 0 && calls == 11 {
						time.Sleep(time.Millisecond) // or it would go on for ever
					}
					return calls%2 == 1
				}}
				wrong := a.time(t.Context(), w, Schedule{Procs: 1, Lasting: 11 * time.Millisecond, Every: row.every}, time.Now(), 0, h)
				sum := time.Duration(h.Mean() * float64(h.TotalCount()))
				want := row.sum
				if row.every == 0 {
					want += time.Millisecond
				}
				if h.TotalCount() != 11 || wrong != 5 || sum < want*99/100 || sum > want*101/100 {
					t.Errorf("%d latencies of %v in all, %d wrong: want 11 of %v, 5", h.TotalCount(), sum, wrong, want)
				}
			})
		})
	}
}

func TestPercentiles(t *testing.T) {
	t.Parallel()
	h := NewHistogram()
	for i := range 10_000 {
		Record(h, time.Duration(i+1))
	}
	Record(h, 2*time.Hour) // counts as the longest there is
	Record(h, -1)          // as 0
	var l Latency
	l.SetFrom(h)
	near := func(got, want int64) bool { return math.Abs(float64(got-want)) <= float64(want)/500 }
	if l.Count != 10_002 || !near(l.P50Ns, 5000) || !near(l.P90Ns, 9000) || !near(l.P99Ns, 9900) || !near(l.P999Ns, 9990) || !near(l.P9999Ns, 10_000) || !near(l.MaxNs, int64(time.Minute)) {
		t.Errorf("%+v: want percentiles of 1 to 10,000 ns and a maximum of a minute", l)
	}
	last := Point{-1, -1}
	for _, p := range l.Curve {
		if p.Part < last.Part || p.Ns < last.Ns {
			t.Errorf("after %v comes %v: want nothing to fall", last, p)
		}
		last = p
	}
	if len(l.Curve) < 41 || l.Curve[0].Part != 0 || last != (Point{1, l.MaxNs}) {
		t.Errorf("%d points from %v to %v: want ten for each of four nines, to all", len(l.Curve), l.Curve[0], last)
	}
}

// Latencies of several rounds are one of all requests.
func TestLatenciesAreAdded(t *testing.T) {
	t.Parallel()
	var a, b Latency
	first, second := NewHistogram(), NewHistogram()
	for i := range 100 {
		Record(first, time.Duration(i+1))
		Record(second, time.Duration(i+101))
	}
	a.SetFrom(first)
	b.SetFrom(second)
	a.Wrong, b.Wrong = 1, 2
	a.Add(b)
	if a.Count != 200 || a.Wrong != 3 || a.P50Ns != 100 || a.MaxNs != 200 || a.Curve[len(a.Curve)-1].Ns != 200 {
		t.Errorf("%+v: want 200 of 1 to 200 ns, 3 wrong", a)
	}
}

// Memory is that of the keys and of what is kept with them.
func TestMemory(t *testing.T) {
	const keys = 20_000
	keep := Subject{Name: "keep", Keyed: true, Make: func(w *Workload) (Decide, func(), error) {
		m := make(map[string]*[100]byte)
		return func(key string) bool {
			if m[key] == nil {
				m[key] = new([100]byte)
			}
			return true
		}, nil, nil
	}}
	forget := Subject{Name: "forget", Keyed: true, Make: func(w *Workload) (Decide, func(), error) {
		return func(string) bool { return true }, nil, nil
	}}
	kept, err := MeasureMemory(t.Context(), &keep, keys)
	if err != nil {
		t.Fatal(err)
	}
	// 112 of the array, 16 of the string, and an entry of 24 or up to twice that
	// and a byte.
	if kept.BytesPerKey < 140 || kept.BytesPerKey > 220 || kept.GCCPUMs < 0 {
		t.Errorf("%+v: want 140 to 220 bytes", kept)
	}
	forgotten, err := MeasureMemory(t.Context(), &forget, keys)
	if err != nil {
		t.Fatal(err)
	}
	if forgotten.BytesPerKey > 2 {
		t.Errorf("%+v: want nothing", forgotten)
	}
	if _, err := MeasureMemory(t.Context(), &Subject{Name: "one"}, keys); err == nil || !strings.Contains(err.Error(), "no keys") {
		t.Errorf("a subject without keys: error %v", err)
	}
}

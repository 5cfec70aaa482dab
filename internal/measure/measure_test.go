package measure

import (
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

// A spy is a subject that notes what it is asked.
type spy struct {
	mu      sync.Mutex
	counts  map[string]int
	first   map[string]*byte // the string that it was first given for a key
	same    int              // requests with that very string after the warm-up
	known   bool             // all keys have come
	asked   atomic.Int64
	deny    bool // after the burst
	wrongBy int  // each so many a wrong answer; 0 is none
}

func (s *spy) subject() Subject {
	return Subject{Name: "spy", Kind: Peer, Keyed: true, Bounded: true, Make: func(w *Workload) (Decide, func(), error) {
		s.counts, s.first, s.known = map[string]int{}, map[string]*byte{}, false
		return func(key string) bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			n := s.asked.Add(1)
			s.counts[key]++
			if s.first[key] == nil {
				s.first[key] = unsafe.StringData(key)
			} else if s.counts[key] > w.Limit.Burst+1 || !w.Denied {
				if s.first[key] == unsafe.StringData(key) {
					s.same++
				}
			}
			allowed := s.counts[key] <= w.Limit.Burst || !s.deny
			if s.wrongBy > 0 && n > 1_000_000 && n%int64(s.wrongBy) == 0 {
				return !allowed
			}
			return allowed
		}, nil, nil
	}}
}

func quick(procs ...int) Settings {
	return Settings{Rounds: 2, Window: time.Millisecond, Procs: procs}
}

func workload(t *testing.T, name string, denied bool) *Workload {
	t.Helper()
	w, err := NewWorkload(name, denied)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// No subject is ever asked with the string that it was first given, which it
// may hold: comparing that to itself needs no look at its bytes.
func TestAskedIsNeverTheStoredString(t *testing.T) {
	for _, row := range []struct {
		name   string
		denied bool
	}{{"hot", false}, {"hot", true}, {"1k", false}, {"1k", true}, {"zipf100k", false}} {
		s := &spy{deny: row.denied}
		w := workload(t, row.name, row.denied)
		cells, err := Throughput(t.Context(), []Subject{s.subject()}, []*Workload{w}, quick(1, 2))
		if err != nil {
			t.Fatal(err)
		}
		if s.same > 0 {
			t.Errorf("%s: %d requests with the stored string", w.Title(), s.same)
		}
		if len(s.counts) != w.Keys || len(cells) != 2 {
			t.Errorf("%s: %d keys, %d cells: want %d, 2", w.Title(), len(s.counts), len(cells), w.Keys)
		}
	}
}

// What is counted as requests has been asked, all of it, in the warm-up or in
// the window.
func TestAllThatIsCountedIsAsked(t *testing.T) {
	s := &spy{}
	w := workload(t, "1k", false)
	cells, err := Throughput(t.Context(), []Subject{s.subject()}, []*Workload{w}, quick(2))
	if err != nil {
		t.Fatal(err)
	}
	const rounds = 2
	if want := int64(cells[0].Ops) + rounds*int64(w.Keys); s.asked.Load() != want {
		t.Errorf("asked %d times: want %d", s.asked.Load(), want)
	}
	if len(cells[0].Rounds) != rounds || cells[0].NsPerOp <= 0 || cells[0].Wrong != 0 {
		t.Errorf("%+v: want %d rounds of more than 0 ns, none wrong", cells[0], rounds)
	}
}

// Wrong answers end the run, in the warm-up and later, unless the subject is
// known for them: then they are counted.
func TestWrongAnswers(t *testing.T) {
	always := func(answer bool) Subject {
		return Subject{Name: "always", Keyed: true, Make: func(*Workload) (Decide, func(), error) {
			return func(string) bool { return answer }, nil, nil
		}}
	}
	later := func() Subject { // it forgets that it denies
		return Subject{Name: "forgets", Keyed: true, Make: func(w *Workload) (Decide, func(), error) {
			var n atomic.Int64
			return func(string) bool { i := n.Add(1); return i <= int64(w.Limit.Burst) || i > 50 }, nil, nil
		}}
	}
	for _, row := range []struct {
		why     string
		subject Subject
		denied  bool
		mayFail bool
		want    string // part of the error
	}{
		{"one that never denies is none that denies", always(true), true, false, "request 11 of key 0"},
		{"one that always denies is none that allows", always(false), false, false, "request 1 of key 0"},
		{"one that forgets is found out when it is measured", later(), true, false, "answers were wrong"},
		{"one that is known for it is measured", later(), true, true, ""},
		{"one that is right", always(true), false, false, ""},
	} {
		row.subject.MayFail = row.mayFail
		cells, err := Throughput(t.Context(), []Subject{row.subject}, []*Workload{workload(t, "hot", row.denied)}, quick(1))
		if row.want == "" {
			if err != nil || (cells[0].Wrong > 0) != row.mayFail {
				t.Errorf("%s: %v, %+v", row.why, err, cells)
			}
		} else if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: error %v: want one with %q", row.why, err, row.want)
		}
		_, err = MeasureLatency(t.Context(), &row.subject, workload(t, "hot", row.denied), Schedule{Procs: 1, Lasting: time.Millisecond})
		if (err != nil) != (row.want != "") {
			t.Errorf("%s: latency: error %v: want one with %q", row.why, err, row.want)
		}
	}
}

// All subjects take turns, another one first in each round.
func TestRoundsTakeTurns(t *testing.T) {
	var order []string
	named := func(name string) Subject {
		return Subject{Name: name, Keyed: true, Make: func(*Workload) (Decide, func(), error) {
			order = append(order, name)
			return func(string) bool { return true }, func() { order = append(order, "close "+name) }, nil
		}}
	}
	s := quick(1, 2)
	s.Rounds = 3
	var told []int
	s.Progress = func(done, all int, _ string) { told = append(told, all-done) }
	_, err := Throughput(t.Context(), []Subject{named("a"), named("b")}, []*Workload{workload(t, "hot", false)}, s)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"a", "close a", "b", "close b", "b", "close b", "a", "close a", "a", "close a", "b", "close b"}
	if !slices.Equal(order, want) {
		t.Errorf("order %q: want %q", order, want)
	}
	if want := []int{6, 5, 4, 3, 2, 1, 0}; !slices.Equal(told, want) {
		t.Errorf("progress: %v left: want %v", told, want)
	}
}

// Where each key is to be new, no key comes that a store of that capacity may
// still hold, whichever goroutine comes with it and however often it is run.
func TestMissesMiss(t *testing.T) {
	if testing.Short() {
		t.Skip("asks for a million keys, twice")
	}
	w := workload(t, "miss", false)
	hits, asks := 0, 0
	lru := Subject{Name: "lru", Keyed: true, Bounded: true, Make: func(w *Workload) (Decide, func(), error) {
		var mu sync.Mutex
		at := map[string]int{} // key: how many had come when it was asked for
		now := 0
		return func(key string) bool {
			mu.Lock()
			defer mu.Unlock()
			now++
			if was, ok := at[key]; ok && now-was <= w.Capacity {
				hits++
			}
			at[key] = now
			asks++
			return true
		}, nil, nil
	}}
	a, err := lru.ready(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	for _, procs := range []int{1, 2, 3, 1} {
		a.run(w, procs, 0, 2*time.Millisecond)
	}
	if hits > 0 || asks < w.Keys+4*batch {
		t.Errorf("%d of %d were hits: want none", hits, asks)
	}
}

// A subject is measured with what it is made for and with nothing else.
func TestFits(t *testing.T) {
	t.Parallel()
	hot, denied, many, miss := &Workload{Keys: 1}, &Workload{Keys: 1, Denied: true}, &Workload{Keys: 9}, &Workload{Keys: 9, Miss: true}
	for _, row := range []struct {
		why     string
		subject Subject
		want    []*Workload
	}{
		{"one limiter for all", Subject{}, []*Workload{hot, denied}},
		{"keys without a bound", Subject{Keyed: true}, []*Workload{hot, denied, many}},
		{"keys with a bound", Subject{Keyed: true, Bounded: true}, []*Workload{hot, denied, many, miss}},
		{"a floor", Subject{Keyed: true, NeverDenies: true}, []*Workload{hot, many}},
	} {
		var got []*Workload
		for _, w := range []*Workload{hot, denied, many, miss} {
			if row.subject.Fits(w) {
				got = append(got, w)
			}
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("%s: fits %d workloads: want %d", row.why, len(got), len(row.want))
		}
	}
}

func TestWorkloads(t *testing.T) {
	t.Parallel()
	for _, name := range Workloads() {
		if testing.Short() && (name == "1m" || name == "miss") {
			continue
		}
		for _, denied := range []bool{false, true} {
			w, err := NewWorkload(name, denied)
			if err != nil {
				if name != "miss" || !denied {
					t.Error(err)
				}
				continue
			}
			seen := make(map[string]bool, w.Keys)
			for i := range w.Keys {
				if len(w.Key(i)) != 15 || w.Key(i) != w.Asked(i) || unsafe.StringData(w.Key(i)) == unsafe.StringData(w.Asked(i)) {
					t.Fatalf("%s: key %d is %q and %q: want the same 15 bytes in two places", name, i, w.Key(i), w.Asked(i))
				}
				seen[w.Key(i)] = true
			}
			if len(seen) != w.Keys {
				t.Errorf("%s: %d different keys: want %d", name, len(seen), w.Keys)
			}
			again, err := NewWorkload(name, denied)
			if err != nil || !slices.Equal(w.Sequence, again.Sequence) {
				t.Errorf("%s: another sequence the second time, %v", name, err)
			}
			for i, k := range w.Sequence {
				if int(k) >= w.Keys {
					t.Fatalf("%s: step %d is key %d of %d", name, i, k, w.Keys)
				}
			}
			if w.Miss == (w.Capacity > w.Keys) {
				t.Errorf("%s: capacity %d of %d keys", name, w.Capacity, w.Keys)
			}
		}
	}
	if _, err := NewWorkload("hott", false); err == nil || !strings.Contains(err.Error(), `"hott": want one of hot, 1k`) {
		t.Errorf("an unknown workload: %v", err)
	}
}

// By Zipf's law with exponent 1.1 the k-th key comes 1/k^1.1 as often as the
// first.
func TestZipf(t *testing.T) {
	t.Parallel()
	w := workload(t, "zipf100k", false)
	counts := make([]float64, w.Keys)
	for _, k := range w.Sequence {
		counts[k]++
	}
	for _, row := range []struct {
		k    int
		want float64 // of the first
	}{{1, 0.467}, {9, 0.0794}, {99, 0.00631}} { // (k+1)^-1.1
		if got := counts[row.k] / counts[0]; got < 0.9*row.want || got > 1.1*row.want {
			t.Errorf("key %d comes %.4f as often as the first: want %.4f", row.k, got, row.want)
		}
	}
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		s    Settings
		want string
	}{
		{Settings{0, time.Second, []int{1}, nil}, "rounds 0: want 1 or more"},
		{Settings{1, 0, []int{1}, nil}, "window 0s: want more than 0s"},
		{Settings{1, time.Second, nil, nil}, "no number of processors"},
		{Settings{1, time.Second, []int{1, 0}, nil}, "0 processors: want 1 to 1024"},
	} {
		if _, err := Throughput(t.Context(), nil, nil, row.s); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%+v: %v: want %q", row.s, err, row.want)
		}
	}
}

func TestARunCanBeEnded(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	s := Subject{Name: "stops", Keyed: true, Make: func(*Workload) (Decide, func(), error) {
		return func(string) bool { stop(); return true }, nil, nil
	}}
	if _, err := Throughput(ctx, []Subject{s}, []*Workload{workload(t, "hot", false)}, quick(1)); err != context.Canceled {
		t.Errorf("error %v: want %v", err, context.Canceled)
	}
	if _, err := MeasureLatency(ctx, &s, workload(t, "hot", false), Schedule{Procs: 1, Lasting: time.Hour}); err != context.Canceled {
		t.Errorf("latency: error %v: want %v", err, context.Canceled)
	}
}

// A subject that allocates is seen to, and one that does not is not.
func TestAllocationsAreCounted(t *testing.T) {
	var sink atomic.Pointer[[100]byte]
	subjects := []Subject{
		{Name: "none", Keyed: true, Make: func(*Workload) (Decide, func(), error) {
			return func(string) bool { return true }, nil, nil
		}},
		{Name: "two", Keyed: true, Make: func(*Workload) (Decide, func(), error) {
			return func(string) bool { sink.Store(new([100]byte)); sink.Store(new([100]byte)); return true }, nil, nil
		}},
	}
	cells, err := Throughput(t.Context(), subjects, []*Workload{workload(t, "hot", false)}, quick(1, 2))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cells {
		want := map[string]float64{"none": 0, "two": 2}[c.Subject]
		if math.Abs(c.Allocs-want) > 0.2 || c.Bytes < 100*want { // the runtime has some of its own
			t.Errorf("%s: %v allocations of %v bytes: want %v", c.Subject, c.Allocs, c.Bytes, want)
		}
	}
}

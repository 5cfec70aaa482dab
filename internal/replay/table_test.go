package replay

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

func ruleOf(t *testing.T, text string) bucket.Rule {
	t.Helper()
	l, err := bucket.ParseLimit(text)
	if err != nil {
		t.Fatal(err)
	}
	rule, err := bucket.NewRule(l)
	if err != nil {
		t.Fatal(err)
	}
	return rule
}

// A table finds what was put into it, and no other.
func TestTable(t *testing.T) {
	t.Parallel()
	tab := newTable(1<<20, ruleOf(t, "1/s"))
	random := rand.New(rand.NewPCG(3, 4))
	var hashes []uint64
	for i := range 20_000 {
		hash := random.Uint64()
		if i%3 == 0 { // many at one place, and with one tag
			hash &= 0xffff_ffff_0000_0fff
		}
		hashes = append(hashes, hash)
		tab.find(hash).denied += uint32(i + 1)
	}
	want := map[uint64]uint32{}
	for i, hash := range hashes {
		want[hash] += uint32(i + 1)
	}
	for hash, n := range want {
		if got := tab.find(hash).denied; got != n {
			t.Fatalf("%x has %d: want %d", hash, got, n)
		}
	}
	if tab.used != len(want) {
		t.Errorf("%d slots: want %d", tab.used, len(want))
	}
}

// What goes first from a full table is what would not be missed: keys that have
// been away for a window, then those with a full bucket, then those that owe
// least. Each kind is counted.
func TestSweep(t *testing.T) {
	t.Parallel()
	const most = 800
	fill := func(limit string, spent func(i int) (at time.Duration, tokens int)) *table {
		tab := newTable(most, ruleOf(t, limit))
		for i := range most {
			at, tokens := spent(i)
			s := tab.find(uint64(i + 1))
			tab.hulls.arrive(&s.need, at-1, tab.window, tab.quota)
			tab.hulls.arrive(&s.need, at, tab.window, tab.quota)
			tab.rule.Allow(&s.level, at, tokens)
			s.denied = uint32(i % 2)
		}
		return tab
	}
	now := time.Hour
	for _, tt := range []struct {
		why             string
		limit           string
		spent           func(i int) (time.Duration, int)
		kept            int
		keys            int64
		early, forgiven int64
	}{
		{"200 have been away for a window", "100/min", func(i int) (time.Duration, int) {
			if i < 200 {
				return now - time.Minute, 100
			}
			return now - time.Minute + 1, 100
		}, 600, 200, 0, 0},
		{"none has, but 200 are full", "100/min", func(i int) (time.Duration, int) {
			if i < 200 {
				return now - time.Second, 1
			}
			return now - time.Second, 10
		}, 600, 200, 200, 0},
		{"none is full: the eighth that owes least", "1000/min", func(i int) (time.Duration, int) { return now, i + 1 }, 700, 100, 0, 100},
		{"50 are full: and 50 of the others", "1000/min", func(i int) (time.Duration, int) { return now, max(0, i+1-50) }, 700, 100, 50, 50},
	} {
		tab := fill(tt.limit, tt.spent)
		tab.sweep(now)
		a := tab.away
		if rooms := len(tab.hulls.all) - len(tab.hulls.free); rooms > tab.used {
			t.Errorf("%s: room for %d keys with corners is in use, of %d", tt.why, rooms, tab.used)
		}
		if tab.used != tt.kept || a.keys != tt.keys || a.early != tt.early || a.forgiven != tt.forgiven {
			t.Errorf("%s: %d left, %+v: want %d, %d, %d, %d", tt.why, tab.used, a, tt.kept, tt.keys, tt.early, tt.forgiven)
		}
		for i := range most { // those that stay are found, with what is theirs
			before := tab.used
			s := tab.find(uint64(i + 1))
			if gone := tab.used > before; gone != (i < int(tt.keys)) {
				t.Fatalf("%s: number %d is gone: %v", tt.why, i, gone)
			} else if !gone && s.denied != uint32(i%2) {
				t.Fatalf("%s: number %d has what is of another", tt.why, i)
			}
		}
		if sum := tab.sum(); sum.keys != int64(tab.used)+a.keys {
			t.Errorf("%s: %d keys in sum", tt.why, sum.keys)
		}
	}
}

// With more keys than there is room for, memory stays as it was, the keys are
// counted, and the notes say so.
func TestManyKeys(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	for i := range 50_000 {
		log.WriteString(logLine(i, fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), "/"))
	}
	r := replayText(t, Config{Limits: parsePolicies(t, "ip 100/min"), MaxKeys: 1000}, log.String())
	l := r.Present.Limits[0]
	if l.Keys != 50_000 || l.Denied != 0 || l.Fits[3].Limit != "ip 1/min" {
		t.Errorf("%d keys, %d denied, %+v", l.Keys, l.Denied, l.Fits)
	}
	if len(r.Notes) != 1 || !strings.HasPrefix(r.Notes[0], "ip 100/min: there were more than 1,000 keys: ") {
		t.Errorf("%q", r.Notes)
	}
}

// Names are kept of the keys that are denied most.
func TestNamesOfMany(t *testing.T) {
	t.Parallel()
	n := names{of: map[uint64]*denials{}}
	for i := range uint64(3 * maxNames) {
		n.prune()
		d := &denials{name: fmt.Sprint(i), denied: 1}
		if i%1000 == 7 {
			d.denied = int64(i)
		}
		n.of[i] = d
	}
	if len(n.of) > maxNames {
		t.Errorf("%d names: want at most %d", len(n.of), maxNames)
	}
	top := n.top(20)
	for i, d := range top {
		if want := int64((3*maxNames/1000-i)*1000 + 7); d.denied != want {
			t.Fatalf("number %d was denied %d times: want %d", i, d.denied, want)
		}
	}
}

// Whatever comes late by less than the time, and by less than half of the room,
// leaves in order; lines of one time stay as they were.
func TestOrder(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	o := newOrder(time.Minute, 2)
	type one struct {
		at, line int64
		client   string
	}
	var want, got []one
	leave := func(q *request) {
		client, user, path := o.textsOf(q)
		if string(user) != "u"+string(client) || string(path) != "/"+string(client) || o.hashesOf(q)[1] != uint64(q.line) || len(o.hashesOf(q)) != 3 {
			t.Fatalf("line %d has the texts %s %s %s and hashes %v", q.line, client, user, path, o.hashesOf(q))
		}
		got = append(got, one{q.at, q.line, string(client)})
	}
	for i := range int64(5 * room) {
		at := i*int64(10*time.Millisecond) - random.Int64N(int64(59*time.Second))
		at -= at % int64(time.Second)
		client := fmt.Sprint(i % 1000)
		want = append(want, one{at, i, client})
		o.add(&record{at: at, client: []byte(client), user: []byte("u" + client), path: []byte("/" + client)}, i)[1] = uint64(i)
		if o.full() {
			o.leave(false, leave)
		}
	}
	o.leave(true, leave)
	slices.SortStableFunc(want, func(a, b one) int { return cmp.Compare(a.at, b.at) })
	if !slices.Equal(got, want) {
		t.Errorf("%d of %d left, or not in order", len(got), len(want))
	}
	if cap(o.text) > 64*room || o.moved == 0 {
		t.Errorf("%d bytes for texts, %d moved", cap(o.text), o.moved)
	}
}

// Bins begin at multiples of their length, and nothing gets lost when they are
// made longer.
func TestTimeline(t *testing.T) {
	t.Parallel()
	for _, span := range []time.Duration{0, time.Minute, 10 * time.Minute, 3 * time.Hour, 100 * time.Hour, 400 * day, 200 * 365 * day} {
		var tl timeline
		start := time.Date(1999, 12, 31, 23, 59, 58, 5, time.UTC).UnixNano()
		if span > 100*365*day {
			start = 0
		}
		for i := range int64(1000) {
			tl.at(start+i*(int64(span)/999)).requests++
		}
		sum := int64(0)
		for _, b := range tl.bins {
			sum += b.requests
		}
		out := tl.result(false)
		step := time.Duration(out.StepS * float64(time.Second))
		if sum != 1000 || len(out.Requests) > maxBins || out.From.UnixNano()%int64(step) != 0 || len(out.Requests) < 80 && step > time.Second {
			t.Errorf("%v: %d requests in %d bins of %v from %v", span, sum, len(out.Requests), step, out.From)
		}
		if out.Requests[0] == 0 || out.Requests[len(out.Requests)-1] == 0 {
			t.Errorf("%v: the first or last bin is empty", span)
		}
	}
}

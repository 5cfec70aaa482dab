package httpmw_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

func ExampleCostFrom() {
	cost, err := httpmw.CostFrom("X-Cost", 100)
	if err != nil {
		fmt.Println(err)
		return
	}
	limit, err := httpmw.New(newPerKey(policy{name: "rows", limit: bucket.PerMinute(60)}), httpmw.Config{
		Keys:   map[string]httpmw.Key{"rows": httpmw.ByIP()},
		Settle: map[string]func(httpmw.Outcome) int{"rows": cost},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := limit.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Cost", "90") }))
	show(h)
	show(h)
	// Output:
	// 200 "rows";r=59;t=59
	// 429 "rows";r=0;t=31 31
}

func TestCostFromErrors(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		most int
	}{{"", 1}, {"X Cost", 1}, {"X-Cost\n", 1}, {"X-Cost", 0}, {"X-Cost", -1}} {
		if _, err := httpmw.CostFrom(row.name, row.most); err == nil {
			t.Errorf("%q, %d: no error", row.name, row.most)
		}
	}
}

func TestCostFrom(t *testing.T) {
	t.Parallel()
	cost, err := httpmw.CostFrom("x-cost", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		lines []string
		want  int
		why   string
	}{
		{nil, 7, "none: what was taken"},
		{[]string{"12"}, 12, "a number"},
		{[]string{"0"}, 0, "nothing"},
		{[]string{"0012"}, 12, "with zeros"},
		{[]string{"1000"}, 1000, "the most"},
		{[]string{"1001"}, 1000, "more"},
		{[]string{"99999999999999999999999999"}, 1000, "much more"},
		{[]string{""}, 7, "empty"},
		{[]string{"-1"}, 7, "a sign"},
		{[]string{"+1"}, 7, "a sign"},
		{[]string{" 1"}, 7, "a space"},
		{[]string{"1.5"}, 7, "a fraction"},
		{[]string{"1e3"}, 7, "an exponent"},
		{[]string{"0x10"}, 7, "no decimal"},
		{[]string{"1_0"}, 7, "an underscore"},
		{[]string{"٣"}, 7, "no ASCII"},
		{[]string{"1", "2"}, 7, "two of them"},
	} {
		if got := cost(httpmw.Outcome{Header: http.Header{"X-Cost": row.lines}, Taken: 7}); got != row.want {
			t.Errorf("%s: %q costs %d, want %d", row.why, row.lines, got, row.want)
		}
	}
}

func TestCountStatus(t *testing.T) {
	t.Parallel()
	cost := httpmw.CountStatus(func(status int) bool { return status == 401 })
	for status, want := range map[int]int{401: 7, 200: 0, 500: 0, 0: 7} { // 0: aborted, so nobody knows
		if got := cost(httpmw.Outcome{Status: status, Taken: 7}); got != want {
			t.Errorf("status %d costs %d, want %d", status, got, want)
		}
	}
}

// Each policy is asked for its own cost, and Cost is called once for those that
// have none, if there is one that is asked.
func TestCosts(t *testing.T) {
	t.Parallel()
	policies := []policy{{name: "a"}, {name: "b"}, {name: "c"}, {name: "d"}}
	for i := range policies {
		policies[i].limit = bucket.PerHour(100)
	}
	for _, row := range []struct {
		path   string
		shared int // calls of Cost
		left   []int
	}{
		{"/all", 1, []int{97, 90, 97, 100}},
		{"/c", 1, []int{100, 90, 97, 100}},
		{"/none", 0, []int{100, 90, 100, 100}},
	} {
		l := newPerKey(policies...)
		shared := 0
		s := limit(t, l, httpmw.Config{
			Cost: func(*http.Request) int { shared++; return 3 },
			Costs: map[string]func(*http.Request) int{
				"b": func(*http.Request) int { return 10 },
				"d": func(*http.Request) int { return -5 },
			},
			Routes: map[string][]string{"a": {"/all"}, "c": {"/all", "/c"}},
		})
		get(t, s, path(row.path))
		var left []int
		for i := range policies {
			n := 100
			for _, b := range l.buckets[i] {
				n = b.Peek(l.now, 1).Remaining
			}
			left = append(left, n)
		}
		if st := s.Stats().Policies; st[3].Allowed != 1 {
			t.Errorf("%s: a cost below 0 is one of 0, and not a policy that is not asked: %+v", row.path, st[3])
		}
		if !slices.Equal(left, row.left) || shared != row.shared {
			t.Errorf("%s: %v left and Cost called %d times, want %v and %d", row.path, left, shared, row.left, row.shared)
		}
	}
}

package policy_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/internal/policy"
)

func ExampleExplain() {
	p, err := policy.Parse("ip 100/min strict")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(policy.Explain(p))
	// Output:
	// ip 100/min strict
	//   who         each client address (of IPv6 the /64 network, unless --ipv6-prefix says another) by itself
	//   at once     10, after a pause
	//   sustained   about one every 667ms: 90 in a minute, 129,600 a day
	//   worst case  100 in any minute, 5,410 in any hour, 129,610 in any day
	//   when empty  the next request passes after 666.7ms, all is back after 6.667s
	//   keeps       a few bytes for each key that has used some, whatever the numbers are
	//   strict      no minute ever sees more than 100: the bucket of 10 is refilled by 90 in it
}

func ExampleLint() {
	policies, err := policy.ParseList("ip 100/min", "ip 50/h burst 1")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range policy.Lint(policies) {
		fmt.Println(f.Severity, f.Code)
		fmt.Println(f)
	}
	// Output:
	// warning unreachable
	// ip 100/min never refuses anything: ip 50/h burst 1 allows no more in the longer hour; give the longer window the larger quota
	// note worst-case
	// ip 100/min: up to 200 pass in the worst minute: 100 at once, and the 100 that are refilled meanwhile; for never more than 100 write 'ip 100/min strict' (10 at once)
}

func ExampleWorstIn() {
	fmt.Println(policy.WorstIn(bucket.PerMinute(100), time.Hour))
	// Output: 6100
}

func TestExplain(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"user 1000/day burst 50": {
			"user 1000/day burst 50\n  who         each user that a trusted proxy names by itself\n",
			"at once     50, after a pause\n", "sustained   one every 1m26.4s: 1,000 in a day\n", "worst case  1,050 in any day\n",
			"the next request passes after 1m26.4s, all is back after 1h12m\n",
		},
		"global 1/s dry-run":         {"who         all requests together\n", "1 in a second, 86,400 a day\n", "2 in any second, 61 in any minute,", "passes after 1 second", "it is counted, and never refuses\n"},
		"ip/48+path 7/1h30m":         {"each client address (of IPv6 the /48 network) with each path by itself\n", "about one every 12m51s: 7 in 1h30m, 112 a day\n", "14 in any 1h30m, 119 in any day\n"},
		"header:X-Api-Key 60/h":      {"each value of the request header field X-Api-Key by itself\n", "60 in an hour, 1,440 a day\n", "passes after 1 minute, all is back after 1 hour\n"},
		"cookie:s 1/366day":          {"each value of the cookie s by itself\n", "1 in 366 days\n", "2 in any 366 days\n", "passes after 366 days, all is back after 366 days\n"},
		"bearer+basic 2147483647/3s": {"each bearer token with each user of basic authentication by itself\n", "4,294,967,294 in any 3s", "61,847,529,033,600 a day\n", "the next request passes after 1ns, all is back after 3s\n"},
		"ip 1/min strict":            {"worst case  1 in any minute,", "no minute ever sees more than 1: the bucket of 1 is refilled by 1 in it\n", "passes after 1 minute"},
	} {
		p, err := policy.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		got := policy.Explain(p).String()
		for _, part := range want {
			if !strings.Contains(got, part) {
				t.Errorf("%q is not in\n%s", part, got)
			}
		}
	}
}

// The numbers are those of the limit, whatever it is, and can be written as JSON.
func TestExplanationsAreSound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l, err := bucket.Limit{
			Quota:  rapid.OneOf(rapid.IntRange(1, 50), rapid.IntRange(1, 1<<31-1)).Draw(t, "quota"),
			Window: time.Duration(rapid.OneOf(rapid.Int64Range(1, 1e6), rapid.Int64Range(1, int64(366*24*time.Hour))).Draw(t, "window")),
			Burst:  rapid.OneOf(rapid.IntRange(0, 50), rapid.IntRange(0, 1<<31-1)).Draw(t, "burst"),
			Strict: rapid.Bool().Draw(t, "strict"),
		}.Normalize()
		if err != nil {
			t.Skip("not valid")
		}
		p := policy.Policy{Key: policy.Key{{Kind: policy.IP}}, Limit: l}
		e := policy.Explain(p)
		if e.Worst[0].Requests < int64(l.Quota) || l.Strict && e.Worst[0].Requests != int64(l.Quota) || !l.Strict && e.Worst[0].Requests != int64(l.Quota)+int64(l.Burst) {
			t.Errorf("%v: %+v", l, e.Worst)
		}
		for i, w := range e.Worst {
			if i > 0 && (w.WindowS <= e.Worst[i-1].WindowS || w.Requests < e.Worst[i-1].Requests-1) {
				t.Errorf("%v: %+v do not rise", l, e.Worst)
			}
		}
		if _, err := json.Marshal(e); err != nil || strings.Contains(e.String(), "%!") {
			t.Errorf("%v, %s", err, e)
		}
		for _, f := range policy.Lint([]policy.Policy{p}) {
			if f.Problem == "" || f.Cure == "" || strings.Contains(f.String(), "%!") {
				t.Errorf("%v: %+v", l, f)
			}
		}
	})
}

func TestLint(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why    string
		limits []string
		want   []string // severity, code and first policy
	}{
		{"none", nil, nil},
		{"the default", []string{"ip 100/min", "user 1000/day"}, []string{"note worst-case ip 100/min", "note worst-case user 1000/day"}},
		{"strict says what it does", []string{"ip 100/min strict", "user 1000/day strict"}, nil},
		{"little more than written", []string{"ip 100/min burst 10"}, nil},
		{"somewhat more", []string{"ip 100/min burst 11"}, []string{"note worst-case ip 100/min burst 11"}},
		{"far more", []string{"ip 100/min burst 101"}, []string{"warning worst-case ip 100/min burst 101"}},
		{"one at each end of the window", []string{"ip 1/min"}, nil},

		{"a day's at once", []string{"user 1000/day"}, []string{"warning no-short-limit user 1000/day", "note worst-case user 1000/day"}},
		{"a day's, with a burst", []string{"user 1000/day burst 50"}, nil},
		{"few a day", []string{"user 50/day burst 5"}, nil},
		{"a week's, and one of a day is no short one", []string{"user 10000/week", "user 2000/day burst 40"}, []string{"warning no-short-limit user 10000/7day", "note worst-case user 10000/7day"}},
		{"the short one is a dry run", []string{"user 1000/day burst 300", "user 10/min dry-run"}, []string{"warning no-short-limit user 1000/day burst 300", "note worst-case user 1000/day burst 300", "note worst-case user 10/min dry-run"}},
		{"the short one is of another key", []string{"user 1000/day burst 300", "path 10/min strict"}, []string{"warning no-short-limit user 1000/day burst 300", "note worst-case user 1000/day burst 300"}},
		{"the short one is no tighter", []string{"user 1000/day burst 300", "user 300/min strict burst 299"}, []string{"note worst-case user 1000/day burst 300"}},

		{"a larger period with a smaller limit", []string{"ip 50/h burst 5", "ip 100/min burst 9"}, []string{"warning unreachable ip 100/min burst 9"}},
		{"in the other order", []string{"ip 100/min burst 9", "ip 50/h burst 5"}, []string{"warning unreachable ip 100/min burst 9"}},
		{"a larger period with a smaller limit, which holds more", []string{"ip 60/h burst 6", "ip 100/min burst 5"}, nil},
		{"identical, in other words", []string{"ip 60/min burst 6", "ip 3600/h burst 6"}, []string{"warning identical ip 3600/h burst 6"}},
		{"one of them is a dry run", []string{"ip 60/min burst 6 dry-run", "ip 3600/h burst 6"}, []string{"warning unreachable ip 60/min burst 6 dry-run"}},
		{"the other is a dry run", []string{"ip 60/min burst 6", "ip 50/h burst 5 dry-run"}, nil},
		{"all together are fewer than each", []string{"global 60/min burst 6", "ip 70/min burst 7"}, []string{"warning unreachable ip 70/min burst 7"}},
		{"a network is fewer than each address in it", []string{"ip/32 60/min burst 6", "ip 70/min burst 7"}, []string{"warning unreachable ip 70/min burst 7"}},
		{"an address may be a wider network than /48", []string{"ip/48 60/min burst 6", "ip 70/min burst 7"}, nil},
		{"each path of an address more than the address", []string{"ip+path 70/min burst 7", "ip 60/min burst 6"}, []string{"warning unreachable ip+path 70/min burst 7"}},
		{"other keys say nothing of each other", []string{"user 60/min burst 6", "ip 70/min burst 7"}, nil},

		{"global alone", []string{"global 60/min burst 6"}, []string{"warning global-alone global 60/min burst 6"}},
		{"global, and a dry run", []string{"global 60/min burst 6", "ip 5/min burst 1 dry-run"}, []string{"warning global-alone global 60/min burst 6"}},
		{"all can be got round", []string{"path 60/min burst 6", "cookie:c 60/min burst 6"}, []string{"warning evadable path 60/min burst 6"}},
		{"only dry runs", []string{"ip 60/min burst 6 dry-run"}, []string{"warning dry-run-only ip 60/min burst 6 dry-run"}},
	} {
		policies, err := policy.ParseList(tt.limits...)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range policy.Lint(policies) {
			got = append(got, fmt.Sprint(f.Severity, " ", f.Code, " ", f.Policies[0]))
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %q\n got %q\nwant %q", tt.why, tt.limits, got, tt.want)
		}
	}
}

// A policy for some requests only does not keep one for all from being reached.
func TestLintKnowsTerms(t *testing.T) {
	t.Parallel()
	policies, err := policy.ParseList("ip 50/h burst 5", "ip 100/min burst 9")
	if err != nil {
		t.Fatal(err)
	}
	for why, change := range map[string]func(by, p *policy.Policy){
		"routes of one":    func(by, _ *policy.Policy) { by.Routes = []string{"POST /login"} },
		"tiers of one":     func(by, _ *policy.Policy) { by.Tiers = []policy.Tier{{Keys: []string{"a"}}} },
		"tiers of another": func(_, p *policy.Policy) { p.Tiers = []policy.Tier{{Keys: []string{"a"}}} },
		"cost":             func(_, p *policy.Policy) { p.Cost = &policy.Cost{Tokens: 5} },
		"without identity": func(by, _ *policy.Policy) { by.Missing = policy.Skip },
	} {
		both := append([]policy.Policy{}, policies...)
		change(&both[0], &both[1])
		if found := policy.Lint(both); len(found) != 0 {
			t.Errorf("%s: %v", why, found)
		}
	}
	both := append([]policy.Policy{}, policies...)
	both[0].Routes, both[1].Routes = []string{"/a"}, []string{"/a"}
	if found := policy.Lint(both); len(found) != 1 || found[0].Code != "unreachable" {
		t.Errorf("the same routes: %v", found)
	}
}

// What is said never to refuse anything never does, and what is not may: of two
// limits that decide together, whatever comes.
func TestUnreachableIsUnreachable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := func(name string) bucket.Limit {
			return bucket.Limit{
				Quota:  rapid.IntRange(1, 6).Draw(t, name+" quota"),
				Window: time.Duration(rapid.IntRange(1, 6).Draw(t, name+" window")) * time.Second,
				Burst:  rapid.IntRange(1, 6).Draw(t, name+" burst"),
			}
		}
		key := policy.Key{{Kind: policy.IP}}
		p := []policy.Policy{{Key: key, Limit: limit("first")}, {Key: key, Limit: limit("second")}}
		dead := -1
		for _, f := range policy.Lint(p) {
			if f.Code == "unreachable" || f.Code == "identical" {
				for i := range p {
					if f.Policies[0] == p[i].String() {
						dead = i
					}
				}
			}
		}
		if dead < 0 {
			t.Skip("both have a say")
		}
		var rules [2]bucket.Rule
		var levels [2]bucket.Level
		for i := range p {
			var err error
			if rules[i], err = bucket.NewRule(p[i].Limit); err != nil {
				t.Fatal(err)
			}
			levels[i] = rules[i].Full()
		}
		at := time.Duration(0)
		for range 60 {
			at += time.Duration(rapid.IntRange(0, 1500).Draw(t, "gap")) * time.Millisecond
			alive := 1 - dead
			if rules[alive].Has(levels[alive], at, 1) {
				if !rules[dead].Has(levels[dead], at, 1) {
					t.Fatalf("%v is said never to refuse anything beside %v, and does at %v", p[dead], p[alive], at)
				}
				rules[0].Allow(&levels[0], at, 1)
				rules[1].Allow(&levels[1], at, 1)
			}
		}
	})
}

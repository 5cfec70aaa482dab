package httpmw_test

import (
	"encoding/json"
	"math"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// A parsed is what a client makes of a response. NaN is a number that it
// looked for and did not find.
type parsed struct {
	limit, used, remaining float64
	reset                  time.Time // zero: none
}

var inDictionary = map[string]*regexp.Regexp{
	"limit":     regexp.MustCompile(`(?i)limit\s*=\s*(\d+)`),
	"remaining": regexp.MustCompile(`(?i)remaining\s*=\s*(\d+)`),
	"reset":     regexp.MustCompile(`(?i)reset\s*=\s*(\d+)`),
}

// parseRateLimit follows the rules of ratelimit-header-parser of npm, 0.1.0: a
// RateLimit field is a dictionary, whatever it looks like; else it is three
// fields, with or without the X; and a reset above 10⁹ is a time, below it is a
// number of seconds from now.
func parseRateLimit(h http.Header, now time.Time) (parsed, bool) {
	number := func(s string) float64 {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return float64(n)
		}
		return math.NaN()
	}
	after := func(n float64) time.Time {
		if math.IsNaN(n) {
			return time.Time{}
		}
		return now.Add(time.Duration(n) * second)
	}
	if combined := h.Get("RateLimit"); combined != "" {
		n := map[string]float64{}
		for name, expr := range inDictionary {
			n[name] = math.NaN()
			if found := expr.FindStringSubmatch(combined); found != nil {
				n[name] = number(found[1])
			}
		}
		return parsed{n["limit"], n["limit"] - n["remaining"], n["remaining"], after(n["reset"])}, true
	}
	for _, prefix := range []string{"RateLimit-", "X-RateLimit-"} {
		if h.Get(prefix+"Remaining") == "" {
			continue
		}
		p := parsed{limit: number(h.Get(prefix + "Limit")), remaining: number(h.Get(prefix + "Remaining"))}
		p.used = p.limit - p.remaining
		if n := number(h.Get(prefix + "Reset")); n > 1e9 {
			p.reset = time.Unix(int64(n), 0)
		} else {
			p.reset = after(n)
		}
		return p, true
	}
	return parsed{}, false
}

// The sets of fields, and what the parser makes of each after three of 100
// requests in 1000 seconds.
var parserRows = []struct {
	set   httpmw.FieldSet
	found bool
	nan   bool
}{
	{httpmw.Draft7, true, false},
	{httpmw.Draft6, true, false},
	{httpmw.XRateLimit, true, false},
	{httpmw.Draft7 | httpmw.XRateLimit, true, false},
	{httpmw.Draft6 | httpmw.XRateLimit, true, false},
	{httpmw.NoFields, false, false},
	// As the documentation of XRateLimit says.
	{httpmw.Draft11, true, true},
	{httpmw.Draft11 | httpmw.XRateLimit, true, true},
}

// responseOf returns the header of the third response under a set.
func responseOf(t *testing.T, set httpmw.FieldSet) http.Header {
	t.Helper()
	l := newPerKey(policy{name: "a", limit: bucket.Limit{Quota: 100, Window: 1000 * second}})
	s := limit(t, l, httpmw.Config{Fields: set})
	ask(t, s)
	ask(t, s)
	return ask(t, s).Header()
}

// wantParsed checks what a parser made of a response; 97 tokens refill in 970 s.
func wantParsed(t *testing.T, set httpmw.FieldSet, p parsed, nan bool) {
	t.Helper()
	if nan {
		if !math.IsNaN(p.limit) || !math.IsNaN(p.remaining) {
			t.Errorf("%v: %+v, want no numbers: is the documentation of XRateLimit out of date?", set, p)
		}
		return
	}
	wait := time.Until(p.reset)
	if p.limit != 100 || p.used != 3 || p.remaining != 97 || wait < 900*second || wait > 972*second {
		t.Errorf("%v: %+v, reset in %v", set, p, wait)
	}
}

func TestCheck_20_rules_of_a_known_parser(t *testing.T) {
	t.Parallel()
	for _, row := range parserRows {
		p, found := parseRateLimit(responseOf(t, row.set), time.Now())
		if found != row.found {
			t.Errorf("%v: found %v, want %v", row.set, found, row.found)
		} else if found {
			wantParsed(t, row.set, p, row.nan)
		}
	}
}

// The parser itself, where it is: node, and the package in NODE_PATH.
func TestCheck_20_the_known_parser_itself(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node to run ratelimit-header-parser with; the rules that it follows are tested without it")
	}
	if exec.CommandContext(t.Context(), node, "-e", `require.resolve("ratelimit-header-parser")`).Run() != nil {
		t.Skip("node does not find ratelimit-header-parser: npm install ratelimit-header-parser@0.1.0 in some directory, " +
			"and set NODE_PATH to its node_modules; the rules that it follows are tested without it")
	}
	const script = `
		const {parseRateLimit} = require("ratelimit-header-parser");
		const p = parseRateLimit(JSON.parse(process.argv[1]));
		const number = n => Number.isFinite(n) ? String(n) : "";
		console.log(JSON.stringify(p ? {
			limit: number(p.limit), used: number(p.used), remaining: number(p.remaining),
			reset: p.reset && !isNaN(p.reset) ? p.reset.toISOString() : "",
		} : {}));`
	number := func(s string) float64 {
		if s == "" {
			return math.NaN()
		}
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Error(err)
		}
		return n
	}
	for _, row := range parserRows {
		lines := map[string]string{} // as node has them
		for name, values := range responseOf(t, row.set) {
			lines[strings.ToLower(name)] = strings.Join(values, ", ")
		}
		header, err := json.Marshal(lines)
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), node, "-e", script, string(header)).Output()
		if err != nil {
			t.Fatalf("%v: %v", row.set, err)
		}
		var got struct{ Limit, Used, Remaining, Reset string }
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%v: %s: %v", row.set, out, err)
		}
		if found := strings.TrimSpace(string(out)) != "{}"; found != row.found {
			t.Errorf("%v: it found %s", row.set, out)
			continue
		} else if !found {
			continue
		}
		p := parsed{limit: number(got.Limit), used: number(got.Used), remaining: number(got.Remaining)}
		if got.Reset != "" {
			if p.reset, err = time.Parse(time.RFC3339Nano, got.Reset); err != nil {
				t.Error(err)
			}
		}
		wantParsed(t, row.set, p, row.nan)
	}
}

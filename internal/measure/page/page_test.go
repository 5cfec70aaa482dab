package page

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/internal/measure"
)

const hostile = `<script>alert("x")</script>&`

func sample() *measure.Report {
	cell := func(subject, workload string, denied bool, procs int, ns float64) measure.Cell {
		return measure.Cell{Subject: subject, Workload: workload, Denied: denied, Procs: procs, NsPerOp: ns, Mad: ns / 10, Rounds: []float64{ns}}
	}
	latency := func(subject, workload, during string, every int64) measure.Latency {
		return measure.Latency{Subject: subject, Workload: workload, During: during, Procs: 2, EveryNs: every, Count: 1000,
			P50Ns: 100, P90Ns: 200, P99Ns: 900, P999Ns: 5000, P9999Ns: 6000, MaxNs: 7_000_000,
			Curve: []measure.Point{{Part: 0, Ns: 0}, {Part: 0.5, Ns: 100}, {Part: 0.9, Ns: 200}, {Part: 0.99, Ns: 900}, {Part: 1, Ns: 7_000_000}}}
	}
	return &measure.Report{
		Schema: measure.Schema, Made: time.Unix(1_000_000_000, 0), Settings: measure.Settings{Rounds: 5, Window: time.Millisecond, Procs: []int{1, 2}},
		Machine: measure.Machine{GOOS: "linux", GOARCH: "amd64", CPU: hostile, Procs: 2, Go: "go1.26", Weir: "v1"},
		Subjects: []measure.SubjectInfo{
			{Name: "weir", Kind: measure.Ours, About: "one limit"}, {Name: hostile, Kind: measure.Peer}, {Name: "clock", Kind: measure.Floor}},
		Cells: []measure.Cell{
			cell("weir", "hot", false, 1, 50), cell("weir", "hot", false, 2, 80), cell(hostile, "hot", false, 1, 1e6), cell(hostile, "hot", false, 2, 9e5),
			cell("clock", "hot", false, 1, 20), cell("clock", "hot", false, 2, 0), cell("weir", "hot", true, 2, 40),
		},
		Latency: []measure.Latency{
			latency("weir", "hot", "", 0), latency(hostile, "hot", "", 0), latency("weir-limiter", "1k", "", 1000),
			latency("weir-limiter", "1k", hostile, 1000), latency("weir serve", "proxy", "", 4_000_000)},
		Memory:  []measure.Memory{{Subject: "weir", Keys: 1_000_000, BytesPerKey: 180, GCCPUMs: 12}, {Subject: hostile, Keys: 1_000_000}},
		Targets: []measure.Target{{Name: "hot allowed", Goal: 0.8, Got: 0.9, Unit: "×", Against: hostile}, {Name: "bytes", Goal: 200, Got: 180, Unit: "B", Reached: true}},
	}
}

func write(t *testing.T, r *measure.Report) string {
	t.Helper()
	var out strings.Builder
	if err := Write(&out, r); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// The page needs nothing from anywhere, and runs nothing.
func TestThePageIsAlone(t *testing.T) {
	t.Parallel()
	text := write(t, sample())
	for _, not := range []string{"<script", "src=", "href=", "url(", "@import", "http:", "https:", "<link", "<iframe", " onload"} {
		if strings.Contains(text, not) {
			t.Errorf("%q is in the page", not)
		}
	}
	for _, want := range []string{`default-src 'none'`, "prefers-color-scheme: dark", `name="viewport"`, `lang="en"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
}

// What was measured is there, in the units that belong to it.
func TestThePageSays(t *testing.T) {
	t.Parallel()
	text := write(t, sample())
	for _, want := range []string{
		"<b>80.0 ns</b>", "<b>40.0 ns</b>", "<b>900 ns</b>", "<b>180 B</b>", // cards
		"one key, denied", "Decisions a second", "million a second", // figures
		"weir-limiter alone", "The whole proxy", "a request every 4 ms",
		">1 µs<", ">1 ms<", ">99.9<", // axes
		`class="no">missed`, `class="yes">reached`, "one limit", "Allowed, ns",
		"9 September 2001",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
}

var (
	drawings = regexp.MustCompile(`(?s)<svg viewBox="0 0 (\d+) (\d+)".*?</svg>`)
	numbers  = regexp.MustCompile(`\b(x|y|x1|x2|y1|y2|cx|cy)="([^"]*)"`)
	points   = regexp.MustCompile(`points="([^"]*)"`)
)

// Each drawing is XML, with all that is drawn inside of it.
func TestDrawings(t *testing.T) {
	t.Parallel()
	one := sample() // a report with little in it
	one.Cells, one.Latency, one.Memory = one.Cells[:1], one.Latency[:1], nil
	one.Latency[0].Curve = []measure.Point{{Part: 1, Ns: 0}}
	for _, r := range []*measure.Report{sample(), one} {
		all := drawings.FindAllStringSubmatch(write(t, r), -1)
		if len(all) < 2 {
			t.Fatalf("%d drawings: want more", len(all))
		}
		for _, d := range all {
			for decoder := xml.NewDecoder(strings.NewReader(d[0])); ; {
				if _, err := decoder.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%v in %s", err, d[0])
				}
			}
			inside := func(name, text, most string) {
				v, err := strconv.ParseFloat(text, 64)
				limit, _ := strconv.ParseFloat(most, 64)
				if err != nil || math.IsNaN(v) || v < 0 || v > limit {
					t.Errorf("%s %q: want 0 to %s, in %s", name, text, most, d[0])
				}
			}
			for _, n := range numbers.FindAllStringSubmatch(d[0], -1) {
				most := d[1]
				if strings.Contains(n[1], "y") {
					most = d[2]
				}
				inside(n[1], n[2], most)
			}
			for _, p := range points.FindAllStringSubmatch(d[0], -1) {
				for pair := range strings.FieldsSeq(p[1]) {
					x, y, _ := strings.Cut(pair, ",")
					inside("x", x, d[1])
					inside("y", y, d[2])
				}
			}
		}
	}
}

// A bar that is far out is cut, and says so; the others keep their scale.
func TestABarFarOutIsCut(t *testing.T) {
	t.Parallel()
	rows := []bar{{name: "a", value: 10, text: "10"}, {name: "b", value: 12, apart: 1000, text: "12"}, {name: "c", value: 11, text: "11"}, {name: "d", value: 5000, text: "5000"}}
	text := string(bars("bars", rows, axisTime))
	if !strings.Contains(text, ">› 5000<") || strings.Contains(text, "› 1") || strings.Count(text, "<rect") != 4 {
		t.Errorf("want 5000, and nothing else, to be cut in %s", text)
	}
	if first := regexp.MustCompile(`<rect [^>]*width="([0-9.]+)"`).FindStringSubmatch(text); first == nil || len(first[1]) < 4 || first[1] < "30" {
		t.Errorf("the first bar is %v wide: want enough to be seen, in %s", first, text)
	}
}

// Of labels that would touch, the later one is left out.
func TestLabelsDoNotTouch(t *testing.T) {
	t.Parallel()
	for _, most := range []float64{1, 3, 5, 6.5, 7.9, 9} {
		text := string(lines("lines", "y", []series{{name: "a", x: []float64{0, most}, y: []float64{1, 10}}}, nines(most), logTime(1, 10)))
		end, labels := -1.0, 0
		for _, m := range regexp.MustCompile(`<text x="([0-9.]+)" y="230.0" class="tick" text-anchor="([a-z]+)">([^<]*)<`).FindAllStringSubmatch(text, -1) {
			at, _ := strconv.ParseFloat(m[1], 64)
			wide := 6 * float64(len(m[3]))
			from := at - wide/2
			if m[2] == "end" {
				from = at - wide
			}
			if from <= end || from+wide > width {
				t.Errorf("%v nines: label %s is from %.0f to %.0f: want from %.0f to %d", most, m[3], from, from+wide, end, width)
			}
			end = from + wide
			labels++
		}
		if labels < 2 {
			t.Errorf("%v nines: %d labels: want 2 or more", most, labels)
		}
	}
}

func TestSteps(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ v, want float64 }{
		{0, 1}, {math.NaN(), 1}, {1, 1}, {1.1, 2}, {3, 5}, {7, 10}, {0.03, 0.05}, {1234, 2000},
	} {
		if got := roundStep(row.v); math.Abs(got-row.want) > 1e-9*row.want {
			t.Errorf("a step for %v is %v: want %v", row.v, got, row.want)
		}
	}
	for _, row := range []struct {
		ns   float64
		want string
	}{{0, "0"}, {10, "10 ns"}, {500, "500 ns"}, {1500, "1.5 µs"}, {1e6, "1 ms"}, {1e8, "100 ms"}} {
		if got := axisTime(row.ns); got != row.want {
			t.Errorf("%v ns is %q: want %q", row.ns, got, row.want)
		}
	}
	if got := count(1_234_567); got != "1\u202f234\u202f567" {
		t.Errorf("1,234,567 is %q", got)
	}
}

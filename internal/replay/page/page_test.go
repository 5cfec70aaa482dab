package page_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/internal/policy"
	"github.com/seed-0c889b51/weir/internal/replay"
	"github.com/seed-0c889b51/weir/internal/replay/page"
)

func write(t *testing.T, show bool, name, log string, limits ...string) string {
	t.Helper()
	policies, err := policy.ParseList(limits[:1]...)
	if err != nil {
		t.Fatal(err)
	}
	candidate, err := policy.ParseList(limits[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	r, err := replay.Run(t.Context(), replay.Config{Limits: policies, Candidate: candidate, ShowClients: show}, replay.Source{Name: name, Reader: strings.NewReader(log)})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := page.Write(&out, r); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// sample is a log of so many clients over so long; each makes as many requests
// at once as its number.
func sample(clients int, span time.Duration) string {
	var out strings.Builder
	for i := range clients {
		at := time.Date(2015, 5, 17, 10, 0, 0, 0, time.UTC).Add(span * time.Duration(i) / time.Duration(clients))
		for range i%37 + 1 {
			fmt.Fprintf(&out, "192.0.2.%d - - [%s] \"GET / HTTP/1.1\" 200 1\n", i, at.Format("02/Jan/2006:15:04:05 -0700"))
		}
	}
	return out.String()
}

// The page needs nothing from anywhere, runs nothing, and passes on no markup of
// a log.
func TestThePageIsAlone(t *testing.T) {
	t.Parallel()
	const hostile = `<script>alert(1)</script>`
	log := sample(100, time.Hour) + hostile + "\n" + strings.Repeat(hostile+" - - [17/May/2015:11:05:03 +0000] \"GET / HTTP/1.1\" 200 1\n", 90)
	text := write(t, true, hostile+".log", log, "ip 10/min", "ip 5/min")
	for _, not := range []string{"<script", "src=", "href=", "url(", "@import", "http:", "https:", "<link", "<iframe", " onload"} {
		if strings.Contains(text, not) {
			t.Errorf("%q is in the page", not)
		}
	}
	for _, want := range []string{`default-src 'none'`, "prefers-color-scheme: dark", `name="viewport"`, `lang="en"`, "&lt;script&gt;alert(1)&lt;/script&gt;</td>"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
}

// What came out is there; who was denied is a hash unless clients are shown.
func TestThePageSays(t *testing.T) {
	t.Parallel()
	log := sample(100, time.Hour)
	text := write(t, false, "a.log", log, "ip 10/min", "ip 5/min")
	for _, want := range []string{
		"a.log: 2015-05-17 10:00:00 to 2015-05-17 10:59:24 UTC", "ip 10/min", "candidate", "The candidate denies ", "denied by the candidate",
		"<code>--limit &#39;ip 37/min&#39;</code>", "# never denies 99.9 % of them\npolicies:\n  - ip 37/min\n",
		`class="line candidate"`, `class="line need"`, `class="mark"`, "Denied most by ip 10/min", "A # is a hash",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
	if strings.Contains(text, "192.0.2.") {
		t.Error("an address is in the page")
	}
	text = write(t, true, "a.log", log, "ip 10/min")
	for want, is := range map[string]bool{"<td class=\"key\">192.0.2.36</td>": true, "A # is a hash": false, "candidate": false} {
		if got := strings.Contains(strings.ReplaceAll(text, ".candidate", ""), want); got != is && want != "candidate" {
			t.Errorf("%q is in the page: %v", want, got)
		}
	}
	if strings.Contains(text, `class="line candidate"`) {
		t.Error("there is a line of a candidate that was not given")
	}
}

var (
	drawings = regexp.MustCompile(`(?s)<svg viewBox="0 0 (\d+) (\d+)".*?</svg>`)
	numbers  = regexp.MustCompile(`\b(x|y|x1|x2|y1|y2|cx|cy)="([^"]*)"`)
	points   = regexp.MustCompile(`points="([^"]*)"`)
)

// Each drawing is XML, with all that is drawn inside of it, whatever the log.
func TestDrawings(t *testing.T) {
	t.Parallel()
	for why, log := range map[string]string{
		"one request":  sample(1, time.Hour),
		"a second":     sample(100, time.Second),
		"an hour":      sample(100, time.Hour),
		"a day":        sample(200, 24*time.Hour),
		"years":        sample(200, 20000*time.Hour),
		"one of a lot": strings.Repeat(sample(1, time.Hour), 20_000),
	} {
		all := drawings.FindAllStringSubmatch(write(t, false, "a", log, "ip 10/min", "ip 5/min"), -1)
		if len(all) != 2 {
			t.Errorf("%s: %d drawings: want 2", why, len(all))
		}
		for _, d := range all {
			for decoder := xml.NewDecoder(strings.NewReader(d[0])); ; {
				if _, err := decoder.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%s: %v in %s", why, err, d[0])
				}
			}
			inside := func(name, text, most string) {
				v, err := strconv.ParseFloat(text, 64)
				limit, _ := strconv.ParseFloat(most, 64)
				if err != nil || math.IsNaN(v) || v < 0 || v > limit {
					t.Errorf("%s: %s %q: want 0 to %s", why, name, text, most)
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
	if text := write(t, false, "a", "", "ip 10/min"); strings.Contains(text, "<svg") || !strings.Contains(text, "no time at all") {
		t.Error("an empty log has a drawing, or is not said to be one")
	}
}

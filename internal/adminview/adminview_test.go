package adminview

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"github.com/seed-0c889b51/weir/internal/adminapi"
)

func TestSpan(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		ms   int64
		want string
	}{
		{-5, "0 s"}, {0, "0 s"}, {1, "1 ms"}, {999, "999 ms"}, {1000, "1 s"}, {1001, "2 s"}, {41_000, "41 s"}, {59_001, "1 min"}, {60_000, "1 min"}, {61_000, "1 min 1 s"},
		{3_600_000, "1 h"}, {3_601_000, "1 h 1 min"}, {7_980_000, "2 h 13 min"}, {86_400_000, "1 day"}, {86_400_001, "1 day 1 h"}, {172_800_000, "2 days"}, {86_399_999, "1 day"},
		{1<<63 - 1, "106751991167 days 8 h"},
	} {
		if got := Span(tt.ms); got != tt.want {
			t.Errorf("%d ms: %q, want %q", tt.ms, got, tt.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for _, tt := range [][2]string{
		{count(0), "0"}, {count(999), "999"}, {count(1000), "1,000"}, {count(123456), "123,456"}, {count(1234567), "1,234,567"},
		{share(0, 0), "0 %"}, {share(0, 5), "0 %"}, {share(1, 10_000), "<0.1 %"}, {share(1, 40), "2.5 %"}, {share(999, 1000), "99 %"}, {share(1, 1), "100 %"},
		{rate(0), "0"}, {rate(0.04), "0.0"}, {rate(1.5), "1.5"}, {rate(12.4), "12"}, {rate(1234), "1,234"},
	} {
		if tt[0] != tt[1] {
			t.Errorf("%q, want %q", tt[0], tt[1])
		}
	}
}

// Text is as wide as it is told to be, whatever is in it.
func TestFit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text  string
		width int
		right bool
		want  string
	}{
		{"abc", 5, false, "abc  "}, {"abc", 5, true, "  abc"}, {"abc", 3, false, "abc"}, {"abcd", 3, false, "ab…"}, {"日本語", 4, false, "日 …"}, {"日本語", 6, false, "日本語"},
		{"日本語", 5, false, "日本…"}, {"e\u0301e\u0301e\u0301", 2, false, "e\u0301…"}, {"", 2, false, "  "}, {"ab", 1, false, "…"}, {"日", 1, false, "…"},
	} {
		if got := fit(tt.text, tt.width, tt.right); got != tt.want {
			t.Errorf("fit(%q, %d): %q, want %q", tt.text, tt.width, got, tt.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom(nil, unicode.Latin, unicode.Han, unicode.Mn, unicode.Digit)).Draw(t, "text")
		width := rapid.IntRange(1, 30).Draw(t, "width")
		if got := widthOf(fit(text, width, false)); got != width {
			t.Fatalf("%q in %d columns takes %d", text, width, got)
		}
	})
}

const hostile = "<b>\x1b[2J\u202e\n日本語"

func sample() *View {
	saved := time.Unix(1_800_000_000, 0)
	s := &adminapi.Status{
		Version: "v1.2.3", UptimeMs: 7_980_000, Listen: "http://127.0.0.1:8080", Upstreams: []string{"http://127.0.0.1:3000"},
		State: adminapi.State{Path: "weir.db", LastSaved: &saved, AgeMs: 3000},
		Policies: []adminapi.Policy{
			{Name: "ip", Limit: "100/min", Key: "ip", Asked: 120_012, Allowed: 117_000, Denied: 3012, KeysInMemory: 1204, PeakUse: 1},
			{Name: "user", Limit: "1000/day burst 50", Key: "user", Scope: "POST /api/", DryRun: true, Asked: 4100, Allowed: 4100, PeakUse: 0.34, Missing: 3, DebtsDropped: 2,
				Shadow: &adminapi.Shadow{Limit: "500/day", WouldDeny: 212}},
		},
		Warnings: []adminapi.Warning{{Text: "X-Forwarded-For comes from " + hostile, Cure: "start weir with --trust"}},
		Health:   []adminapi.Health{{Level: adminapi.LevelInfo, Text: "a note"}, {Level: adminapi.LevelError, Text: "the state is not saved", Cure: "make room"}, {Level: "odd", Text: "of a newer server"}},
	}
	v := &View{Status: s, Trend: &Trend{}, At: saved, Now: saved.Add(2 * time.Second), Keys: []adminapi.Key{
		{Key: "203.0.113.7", Policy: "ip", Burst: 100, RetryAfterMs: 41_000, ResetAfterMs: 101_000},
		{Key: hostile, Policy: "user", Remaining: 33, Burst: 50, ResetAfterMs: 4_000_000},
		{Key: "198.51.100.9", Policy: "ip", Remaining: 99, Burst: 100, ResetAfterMs: 1000},
	}}
	for i := range 70 {
		s.UptimeMs += 1000
		s.Policies[0].Allowed += uint64(i % 9)
		s.Policies[0].Denied += uint64(i % 2)
		v.Trend.Add(s)
	}
	s.UptimeMs = 7_980_000
	return v
}

// What is shown, once in full.
func TestLines(t *testing.T) {
	t.Parallel()
	v := sample()
	v.Unicode = true
	got := strings.Join(v.Lines(120, 0), "\n")
	for _, line := range []string{
		"weir v1.2.3  up 2 h 13 min  http://127.0.0.1:8080 to http://127.0.0.1:3000\nstate weir.db, saved 3 s ago\nerror   the state is not saved\n  cure  make room\nwarning of a newer server\n" +
			`warning X-Forwarded-For comes from <b>\x1b[2J\u202e\n日本語` + "\n  cure  start weir with --trust\nnote    a note\n\nLIMIT ",
		"ip 100/min                                           6        1     120,012   2.5 %  100 %  ▄▅▆▇██▁▂▃▄▅▆▇  █▁█▁█▁█▁█▁█▁█",
		"\nuser 1000/day burst 50 on POST /api/ dry-run         0        0       4,100     0 %   34 %",
		"203.0.113.7              ip    ░░░░░░",
		"  0 of 100  free again in 39 s\n", // two seconds later
		`<b>\x1b[2J\u202e\n日本語`,
		" 33 of 50  free, full in 1 h 7 min\n",
		"99 of 100  free",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("there is no %q in\n%s", line, got)
		}
	}
}

// Of no size is a line too wide, or are there too many, and nothing of a key gets
// to the terminal as a control character.
func TestLinesFitEverySize(t *testing.T) {
	t.Parallel()
	ansi := regexp.MustCompile("\x1b\\[[0-9;]+m")
	for width := 1; width <= 220; width++ {
		for _, height := range []int{1, 2, 5, 14, 24, 60} {
			v := sample()
			v.Colour, v.Unicode = width%2 == 0, width%3 == 0
			v.Problem = "no answer"
			lines := v.Lines(width, height)
			if len(lines) > height {
				t.Errorf("%d by %d: %d lines", width, height, len(lines))
			}
			for _, line := range lines {
				if v.Colour {
					line = ansi.ReplaceAllString(line, "")
				}
				if widthOf(line) > width {
					t.Errorf("%d by %d: %q takes %d columns", width, height, line, widthOf(line))
				}
				if strings.ContainsFunc(line, unicode.IsControl) || strings.Contains(line, "\u202e") {
					t.Errorf("%d by %d: %q has control characters", width, height, line)
				}
				if !v.Unicode && strings.ContainsAny(line, "░█▁…") {
					t.Errorf("%d by %d: %q is not for a terminal without Unicode", width, height, line)
				}
			}
		}
	}
}

func TestLinesWithoutKeysOrNews(t *testing.T) {
	t.Parallel()
	v := sample()
	v.Keys, v.KeysNote, v.Problem = nil, "want the token: --token-file", "127.0.0.1:9429: no answer"
	got := strings.Join(v.Lines(100, 40), "\n")
	for _, want := range []string{"KEYS  want the token: --token-file", "no news for 2 s: 127.0.0.1:9429: no answer"} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, got)
		}
	}
	v.KeysNote, v.Status.Policies, v.Status.Warnings, v.Status.Health = "", nil, nil, nil
	got = strings.Join(v.Lines(100, 40), "\n")
	for _, want := range []string{"KEYS  nobody has used any", "no limits", "all is well"} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, got)
		}
	}
	if got := (&View{Problem: "no answer"}).Lines(5, 3); len(got) != 1 || got[0] != "no a." {
		t.Errorf("before the first answer: %q", got)
	}
}

// A trend is by the server's own clock, and begins anew with the server.
func TestTrend(t *testing.T) {
	t.Parallel()
	var trend Trend
	status := func(started, uptime int64, allowed, denied uint64) *adminapi.Status {
		return &adminapi.Status{Started: time.Unix(started, 0), UptimeMs: uptime, Policies: []adminapi.Policy{{Name: "ip", Allowed: allowed, Denied: denied}}}
	}
	for i, tt := range []struct {
		s               *adminapi.Status
		allowed, denied string
	}{
		{status(1, 1000, 10, 1), "[]", "[]"},
		{status(1, 2000, 30, 1), "[20]", "[0]"},
		{status(1, 2000, 99, 9), "[20]", "[0]"}, // no newer
		{status(1, 4000, 40, 5), "[20 5]", "[0 2]"},
		{status(1, 5000, 10, 5), "[20 5 0]", "[0 2 0]"}, // a limit of the same name, anew
		{status(9, 100, 3, 3), "[]", "[]"},              // another server
		{status(9, 600, 4, 3), "[2]", "[0]"},
	} {
		trend.Add(tt.s)
		allowed, denied := trend.of("ip")
		if fmt.Sprint(allowed) != tt.allowed || fmt.Sprint(denied) != tt.denied {
			t.Errorf("after %d: %v and %v, want %s and %s", i, allowed, denied, tt.allowed, tt.denied)
		}
	}
	for i := range 200 {
		trend.Add(status(9, 1000+int64(i), 4, 3))
	}
	if allowed, _ := trend.of("ip"); len(allowed) != points {
		t.Errorf("%d points are kept, want %d", len(allowed), points)
	}
	if allowed, denied := (*Trend)(nil).of("ip"); allowed != nil || denied != nil {
		t.Error("nil knows something")
	}
}

// Only what is new is written, and what is gone is erased.
func TestFrame(t *testing.T) {
	t.Parallel()
	var p pad
	show := func(width int, lines ...string) string {
		frame := string(p.frame(width, 10, func(int, int) []string { return lines }))
		frame, found := strings.CutPrefix(frame, begin)
		frame, ended := strings.CutSuffix(frame, end)
		if !found || !ended {
			t.Errorf("%q is not shown at once", frame)
		}
		return frame
	}
	for _, tt := range []struct{ why, got, want string }{
		{"the first clears", show(80, "a", "b"), "\x1b[2J\x1b[1;1H\x1b[Ka\x1b[2;1H\x1b[Kb"},
		{"nothing new", show(80, "a", "b"), ""},
		{"one line", show(80, "a", "c"), "\x1b[2;1H\x1b[Kc"},
		{"fewer lines", show(80, "a"), "\x1b[2;1H\x1b[K"},
		{"another size clears", show(81, "a"), "\x1b[2J\x1b[1;1H\x1b[Ka"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", tt.why, tt.got, tt.want)
		}
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	v := sample()
	var b strings.Builder
	if err := WriteStatus(&b, v.Status); err != nil {
		t.Fatal(err)
	}
	if err := WriteKeys(&b, v.Keys); err != nil {
		t.Fatal(err)
	}
	if err := WriteWhoami(&b, &adminapi.Whoami{Peer: "10.0.0.1", Client: "203.0.113.7", Why: "a proxy says so", Policies: []adminapi.Keying{
		{Policy: "ip", Limit: "100/min", Applies: true, Key: hostile, Why: "it is by ip"}, {Policy: "user", Limit: "1/s", Why: "not for requests like this one"}}}); err != nil {
		t.Fatal(err)
	}
	const want = `weir       v1.2.3, up for 2 h 13 min
listening  http://127.0.0.1:8080
upstream   http://127.0.0.1:3000
state      weir.db, saved 3 s ago
limit      ip 100/min
           consulted 120,012, denied 3,047 (2.5 %), peak use of the burst 100 %: it bites
           keys in memory 1,204, evicted 0
limit      user 1000/day burst 50 on POST /api/ dry-run
           consulted 4,100, denied 0 (0 %), peak use of the burst 34 %: never reached; candidate 500/day would have denied 212
           keys in memory 0, evicted 0, requests without the identity 3, debts forgotten 2
error      the state is not saved
           cure: make room
warning    of a newer server
warning    X-Forwarded-For comes from <b>\x1b[2J\u202e\n日本語
           cure: start weir with --trust
note       a note
KEY                       LIMIT  LEFT       WHEN
203.0.113.7               ip     0 of 100   free again in 41 s
<b>\x1b[2J\u202e\n日本語  user   33 of 50   free, full in 1 h 7 min
198.51.100.9              ip     99 of 100  free, full in 1 s
connected  10.0.0.1
client     203.0.113.7: a proxy says so
limit      ip 100/min: <b>\x1b[2J\u202e\n日本語: it is by ip
limit      user 1/s: not asked: not for requests like this one
`
	if b.String() != want {
		t.Errorf("it writes\n%s\nwant\n%s", b.String(), want)
	}
}

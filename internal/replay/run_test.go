package replay

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/internal/policy"
)

// logLine is a line of the common format, so many seconds after a Sunday.
func logLine(seconds int, client, path string) string {
	at := time.Date(2015, 5, 17, 10, 0, seconds, 0, time.UTC)
	return fmt.Sprintf("%s - - [%s] \"GET %s HTTP/1.1\" 200 1\n", client, at.Format("02/Jan/2006:15:04:05 -0700"), path)
}

func replayText(t testing.TB, cfg Config, logs ...string) *Result {
	t.Helper()
	var sources []Source
	for i, log := range logs {
		sources = append(sources, Source{Name: fmt.Sprintf("log%d", i), Reader: strings.NewReader(log)})
	}
	r, err := Run(t.Context(), cfg, sources...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Lines that cannot be read are counted, and the first few told, without a word
// of theirs unless clients may be shown.
func TestBadLines(t *testing.T) {
	t.Parallel()
	log := "cut off\n" + logLine(0, "192.0.2.1", "/") + "\n" + strings.Repeat("x", maxLine+5) + "\n" + logLine(1, "192.0.2.1", "/") +
		"192.0.2.77 - - [bad\n192.0.2.77\n192.0.2.77\n192.0.2.77\n192.0.2.77 - - [17/May/2015:10:05:03 +0000] \"GET"
	r := replayText(t, Config{Limits: parsePolicies(t, "ip 1/min")}, log)
	if r.Lines != (Lines{All: 10, Requests: 2, Bad: 7, Other: 1}) {
		t.Errorf("%+v", r.Lines)
	}
	want := []BadLine{
		{"log0", 1, errCommon.Error(), ""}, {"log0", 4, errLong.Error(), ""}, {"log0", 6, errCommonTime.Error(), ""},
		{"log0", 7, errCommon.Error(), ""}, {"log0", 8, errCommon.Error(), ""},
	}
	if !slices.Equal(r.Bad, want) {
		t.Errorf("%+v", r.Bad)
	}
	r = replayText(t, Config{Limits: parsePolicies(t, "ip 1/min"), ShowClients: true}, log)
	if r.Bad[2].Text != "192.0.2.77 - - [bad" {
		t.Errorf("%+v: want the line", r.Bad[2])
	}
}

// Packed or not, in several files of different formats, at once or in pieces, a
// log is the same log.
func TestSources(t *testing.T) {
	t.Parallel()
	first, second := logLine(0, "192.0.2.1", "/")+logLine(1, "192.0.2.1", "/"), "ts,ip\n1431857103,192.0.2.1\n"
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	zip.Write([]byte(first))
	zip.Close()
	cfg := Config{Limits: parsePolicies(t, "ip 1/day")}
	for name, sources := range map[string][]Source{
		"plain":     {{"a", strings.NewReader(first)}, {"b", strings.NewReader(second)}},
		"packed":    {{"a", bytes.NewReader(packed.Bytes())}, {"b", strings.NewReader(second)}},
		"in pieces": {{"a", iotest.OneByteReader(bytes.NewReader(packed.Bytes()))}, {"b", iotest.HalfReader(strings.NewReader(second))}},
		"an empty one, and Windows' ends": {{"c", strings.NewReader("")}, {"a", strings.NewReader(strings.ReplaceAll(first, "\n", "\r\n"))},
			{"b", strings.NewReader(strings.TrimSpace(second))}},
	} {
		r, err := Run(t.Context(), cfg, sources...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if r.Lines.Requests != 3 || r.Present.Denied != 2 || r.Lines.Bad != 0 || !slices.Equal(r.Formats, []string{"combined", "csv"}) {
			t.Errorf("%s: %+v, %d denied, %v", name, r.Lines, r.Present.Denied, r.Formats)
		}
	}
	broken := errors.New("the disk is gone")
	for _, tt := range []struct {
		r    io.Reader
		want string
	}{
		{bytes.NewReader(packed.Bytes()[:packed.Len()-9]), "x: line 3: unexpected EOF"},
		{strings.NewReader("\x1f\x8bxxxxxxxxxxx"), "x: unpacking it: gzip: invalid header"},
		{io.MultiReader(strings.NewReader(first), iotest.ErrReader(broken)), "x: line 3: the disk is gone"},
		{strings.NewReader("what\nis\nthis\n"), "x: it is in no format that can be told: want --format combined, caddy or csv"},
	} {
		if _, err := Run(t.Context(), cfg, Source{"x", tt.r}); err == nil || err.Error() != tt.want {
			t.Errorf("%v: want %s", err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, cfg, Source{"x", strings.NewReader(strings.Repeat(first, room))}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v: want that it was stopped", err)
	}
}

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	limits := parsePolicies(t, "ip 1/min")
	many := make([]policy.Policy, MaxLimits+1)
	for _, tt := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "replay: 0 limits: want 1 to 16"},
		{Config{Limits: many}, "replay: 17 limits: want 1 to 16"},
		{Config{Limits: limits, Candidate: many}, "replay: 17 limits of a candidate: want 0 to 16"},
		{Config{Limits: parsePolicies(t, "cookie:c 1/s")}, `replay: cookie:c 1/s: key "cookie:c" is not in an access log: want ip, ip/BITS, user, basic, path, global, or several joined by '+'`},
		{Config{Limits: limits, Candidate: parsePolicies(t, "ip+bearer 1/s")}, `replay: ip+bearer 1/s: key "bearer" is not in an access log: want ip, ip/BITS, user, basic, path, global, or several joined by '+'`},
		{Config{Limits: limits, IPv6Prefix: 31}, "replay: IPv6 prefix 31 is out of range: want 32 to 128"},
		{Config{Limits: limits, MaxKeys: 99}, "replay: number of keys 99 is out of range: want 100 to 100000000"},
		{Config{Limits: limits, Reorder: -1}, "replay: reorder -1ns is out of range: want more than 0s, at most 24h"},
		{Config{Limits: []policy.Policy{{Key: limits[0].Key, Limit: bucket.Limit{}}}}, "replay: ip 0/0s: bucket: quota 0 is out of range: want 1 to 2147483647"},
		{Config{Limits: limits, Format: "cady"}, `x: format "cady": want auto, combined, caddy, csv; did you mean "caddy"?`},
	} {
		if _, err := Run(t.Context(), tt.cfg, Source{"x", strings.NewReader("x\n")}); err == nil || err.Error() != tt.want {
			t.Errorf("%v\nwant %s", err, tt.want)
		}
	}
}

// Lines that are late by less than a minute are put in order; others count as of
// the time that it was, which is told.
func TestOutOfOrder(t *testing.T) {
	t.Parallel()
	log := logLine(59, "192.0.2.1", "/") + logLine(0, "192.0.2.1", "/") + logLine(30, "192.0.2.1", "/")
	r := replayText(t, Config{Limits: parsePolicies(t, "ip 3/min burst 1")}, log)
	if r.Present.Denied != 0 || r.Lines.OutOfOrder != 2 || r.Lines.Late != 0 {
		t.Errorf("%d denied, %+v: want none, since they are 29 s apart or more", r.Present.Denied, r.Lines)
	}
	var many strings.Builder
	for i := range 2 * room { // so many that some must go on before the last is there
		many.WriteString(logLine(3600+i, "192.0.2.2", "/"))
	}
	many.WriteString(log)
	r = replayText(t, Config{Limits: parsePolicies(t, "ip 3/min burst 1")}, many.String())
	if r.Lines.Late != 3 || r.Lines.OutOfOrder != 3 {
		t.Errorf("%+v: want 3 late", r.Lines)
	}
	if r.Present.Limits[0].KeysHurt != 2 {
		t.Errorf("%+v: want that both keys are hurt, since the late lines are at one time", r.Present.Limits[0])
	}
	if len(r.Notes) != 1 || !strings.HasPrefix(r.Notes[0], "3 lines came too late to be put in their place: ") {
		t.Errorf("%q", r.Notes)
	}
}

// With a candidate both decide about the same requests, each with buckets of its
// own. A dry run counts and denies nothing.
func TestCandidate(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	for range 5 {
		log.WriteString(logLine(0, "192.0.2.1", "/"))
	}
	for range 3 {
		log.WriteString(logLine(0, "192.0.2.2", "/only"))
	}
	log.WriteString(logLine(0, "192.0.2.3", "/"))
	r := replayText(t, Config{
		Limits: parsePolicies(t, "ip 4/min", "path 5/h dry-run"), Candidate: parsePolicies(t, "ip 2/min", "global 100/h"), ShowClients: true,
	}, log.String())
	// .1 is denied once and by the candidate three times; .2 only by that, once.
	if r.Present.Denied != 1 || r.Candidate.Denied != 4 || *r.Difference != (Difference{OnlyPresent: 0, OnlyCandidate: 3, Both: 1, ClientsNewlyHit: 1, ClientsBoth: 1}) {
		t.Errorf("%d and %d denied, %+v", r.Present.Denied, r.Candidate.Denied, *r.Difference)
	}
	dry := r.Present.Limits[1]
	if dry.Denied != 0 || r.Present.ClientsHurt != 1 { // 4 of .1 and 1 of .3 went on: that is 5
		t.Errorf("the dry run: %+v, %d clients hurt", dry, r.Present.ClientsHurt)
	}
	at := time.Date(2015, 5, 17, 10, 0, 0, 0, time.UTC)
	if want := (Hurt{"192.0.2.1", 3, at, at}); len(r.Candidate.Limits[0].Top) != 2 || r.Candidate.Limits[0].Top[0] != want {
		t.Errorf("%+v: want %v first", r.Candidate.Limits[0].Top, want)
	}
	if len(r.Candidate.Limits[0].Fits) != 0 {
		t.Error("limits that fit are said of a candidate")
	}
	r = replayText(t, Config{Limits: parsePolicies(t, "path 4/h dry-run")}, log.String())
	if dry := r.Present.Limits[0]; dry.Denied != 2 || r.Present.Denied != 0 {
		t.Errorf("the dry run would deny %d, %d denied: want 2 and none", dry.Denied, r.Present.Denied)
	}
}

// Names of clients are in a result only if that was asked for; otherwise the
// same client is the same hash, which another run does not repeat.
func TestNamesAreHidden(t *testing.T) {
	t.Parallel()
	log := strings.Repeat(logLine(0, "192.0.2.1", "/"), 3)
	cfg := Config{Limits: parsePolicies(t, "ip 1/min", "ip 1/h"), Candidate: parsePolicies(t, "ip 2/min")}
	a, b := replayText(t, cfg, log), replayText(t, cfg, log)
	one := a.Present.Limits[0].Top[0].Key
	if len(one) != 9 || one[0] != '#' || one != a.Present.Limits[1].Top[0].Key || one != a.Candidate.Limits[0].Top[0].Key {
		t.Errorf("%q: want one hash", one)
	}
	if b.Present.Limits[0].Top[0].Key == one {
		t.Errorf("%q in two runs: want a secret for each", one)
	}
}

// What is said to fit does: held against the log, it denies no more of the keys,
// and one less does.
func TestFitsFit(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	for client := range 200 {
		for i := range client%23*client%11 + 1 {
			log.WriteString(logLine(i*(client%7), fmt.Sprintf("192.0.2.%d", client), "/"))
		}
	}
	r := replayText(t, Config{Limits: parsePolicies(t, "ip 30/min")}, log.String())
	fits := r.Present.Limits[0].Fits
	if len(fits) != len(Percents) {
		t.Fatalf("%+v", fits)
	}
	hurt := func(text string) int64 {
		return replayText(t, Config{Limits: parsePolicies(t, text)}, log.String()).Present.Limits[0].KeysHurt
	}
	for _, f := range fits {
		for _, text := range []string{f.Limit, f.Burst} {
			most := 200 - int64(f.Percent*2+0.999)
			if got := hurt(text); got > most {
				t.Errorf("%s is said to never deny %g %%: it denies %d of 200", text, f.Percent, got)
			}
			p := parsePolicies(t, text)[0]
			if text == f.Limit {
				p.Limit.Quota--
			}
			if p.Limit.Burst--; p.Limit.Burst < 1 {
				continue
			}
			if got := hurt(p.String()); got <= most {
				t.Errorf("%s is said to be the least for %g %%, but %s denies %d of 200", text, f.Percent, p, got)
			}
		}
		if f.Flag != "--limit '"+f.Limit+"'" {
			t.Errorf("%q for %q", f.Flag, f.Limit)
		}
	}
	needs := r.Present.Limits[0].Needs
	if last := needs[len(needs)-1]; last.Part != 1 || !slices.IsSortedFunc(needs, func(a, b Need) int { return a.Quota - b.Quota }) {
		t.Errorf("%+v: want all of the keys in the end", needs)
	}
}

// An empty log is a result too.
func TestNothing(t *testing.T) {
	t.Parallel()
	r := replayText(t, Config{Limits: parsePolicies(t, "ip 1/min")}, "")
	var out strings.Builder
	if err := r.WriteText(&out); err != nil || r.From != nil || !strings.Contains(out.String(), "0 requests of no time at all") {
		t.Errorf("%v, %s", err, out.String())
	}
}

// A line costs no allocation once its key is known.
func TestNoAllocationALine(t *testing.T) {
	var log strings.Builder
	for i := range 3 * room {
		log.WriteString(logLine(i/20, fmt.Sprintf("192.0.2.%d", i%50), "/a/b"))
	}
	run := func(n int) float64 {
		text := log.String()[:n*log.Len()/3/room]
		return testing.AllocsPerRun(1, func() { replayText(t, Config{Limits: parsePolicies(t, "ip 100/min", "path 9/min")}, text) })
	}
	few, many := run(2*room), run(3*room)
	if more := many - few; more > room/100 {
		t.Errorf("%.0f allocations for %d more lines: want about none", more, room)
	}
}

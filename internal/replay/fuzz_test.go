package replay

import (
	"bytes"
	stdcsv "encoding/csv"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// checkRecord holds what every record is like.
func checkRecord(t *testing.T, r *record) {
	t.Helper()
	if r.at < minTime || r.at >= maxTime {
		t.Errorf("the time %d is out of range", r.at)
	}
	if missing(r.client) {
		t.Error("there is no client")
	}
	for _, k := range []string{"ip", "user", "path", "ip+path", "ip/48"} {
		p := parsePolicies(t, k+" 1/s")[0]
		(&keyer{key: p.Key, bits: 64}).name(r.client, r.user, r.path)
	}
	if path := appendPath(nil, r.path); len(path) == 0 || path[0] != '/' || !bytes.Equal(appendPath(nil, []byte(cleanPath(string(path)))), appendPath(nil, path)) {
		t.Errorf("the path of %q is %q", r.path, path)
	}
}

func FuzzCombined(f *testing.F) {
	for _, line := range []string{
		`192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a?b=c HTTP/1.1" 200 12`,
		`example.org:443 2001:db8::1 - al [ice [29/Feb/2024:23:59:60 -0930] "GET /%2e%2e//x;y\"z" 200 -`,
		`a - - [17/May/2015:10:05:03 +0000] "\`, ` - [`, ``,
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var r, again record
		common := &combined{}
		if common.parse([]byte(line), &r) != nil {
			return
		}
		checkRecord(t, &r)
		if common.parse([]byte(line), &again) != nil || shownRecord(&again) != shownRecord(&r) {
			t.Errorf("read again it is %s, before %s", shownRecord(&again), shownRecord(&r))
		}
		// The time is in there as package time reads it, but for leap seconds.
		if !strings.Contains(line, ":60 ") {
			found := false
			for i := range line {
				if i+commonTime <= len(line) {
					at, err := time.Parse("02/Jan/2006:15:04:05 -0700", line[i:i+commonTime])
					found = found || err == nil && at.UnixNano() == r.at
				}
			}
			if !found {
				t.Errorf("%q is said to be at %v", line, time.Unix(0, r.at).UTC())
			}
		}
	})
}

// FuzzCaddy holds the parser against encoding/json.
func FuzzCaddy(f *testing.F) {
	for _, line := range []string{
		`{"ts":1431857103.5,"request":{"client_ip":"192.0.2.1","uri":"/a\u00e4\ud83d\ude00\n","headers":{"A":["b\"{"]}},"user_id":"alice"}`,
		`{"ts":"2015-05-17T10:05:03Z","request":{"remote_addr":"[2001:db8::1]:1","remote_ip":null}}`,
		`{"ts":1e9,"request":{"client_ip":"\ud800\u0041"},"request":{}}`, `{"a":[[1,{}],-0.5E-3]}`, `{`, ``,
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var r record
		err := (&caddy{}).parse([]byte(line), &r)
		if err == nil {
			checkRecord(t, &r)
		}
		if !json.Valid([]byte(line)) || !utf8.ValidString(line) {
			return
		}
		if errors.Is(err, errJSON) && strings.HasPrefix(strings.TrimSpace(line), "{") && strings.Count(line, "{")+strings.Count(line, "[") <= maxDepth {
			t.Errorf("%q is JSON, and is said not to be", line)
		}
		if err != nil {
			return
		}
		// Go through the members one by one, for the last of a name counts, and names
		// are as they are written.
		want := map[string]string{}
		members(t, json.NewDecoder(strings.NewReader(line)), func(name string, value json.RawMessage) {
			var text string
			switch {
			case name == "user_id" && json.Unmarshal(value, &text) == nil:
				want["user"] = text
			case name == "request" && value[0] == '{':
				delete(want, "uri")
				members(t, json.NewDecoder(bytes.NewReader(value)), func(name string, value json.RawMessage) {
					text := ""
					if name == "uri" && json.Unmarshal(value, &text) == nil {
						want["uri"] = text
					}
				})
			}
		})
		for name, got := range map[string][]byte{"user": r.user, "uri": r.path} {
			if w, ok := want[name]; ok && w != string(got) && !isNumber(got) {
				t.Errorf("%s of %q is %q: want %q", name, line, got, w)
			}
		}
	})
}

func members(t *testing.T, d *json.Decoder, member func(string, json.RawMessage)) {
	t.Helper()
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
		member(name.(string), value)
	}
}

// FuzzCSV holds the parser against encoding/csv.
func FuzzCSV(f *testing.F) {
	f.Add("time,ip,user,path", `1431857103,192.0.2.1,"al ""ice""","/a,b"`)
	f.Add("\ufeffts;client", "2015-05-17 10:05:03;h")
	f.Add(`"time","ip"`, `"1431857103","192.0.2.1"x`)
	f.Add("", "")
	f.Fuzz(func(t *testing.T, header, line string) {
		if strings.ContainsAny(header+line, "\r\n") {
			return
		}
		p, err := newCSV([]byte(header), Columns{})
		if err != nil {
			return
		}
		var r record
		err = p.parse([]byte(line), &r)
		if err == nil {
			checkRecord(t, &r)
		}
		std := stdcsv.NewReader(strings.NewReader(line))
		std.Comma = rune(p.comma)
		columns, stdErr := std.Read()
		if stdErr != nil || err != nil {
			return // which of the two is stricter is no matter
		}
		if got, want := string(r.client), strings.TrimSpace(columns[p.at[1]]); got != want {
			t.Errorf("the client of %q is %q: want %q", line, got, want)
		}
	})
}

// strictTime is RFC 3339; package time also reads some that are near it.
var strictTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

func FuzzReadTime(f *testing.F) {
	for _, text := range []string{"1431857103.5", "2015-05-17T10:05:03.5+02:00", "17/May/2015:10:05:03 +0000", "1e9", "-", "99999999999999"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := readTime([]byte(text), &commonClock{})
		if err == nil && (got < minTime || got >= maxTime) {
			t.Errorf("%q is %d", text, got)
		}
		if want, stdErr := time.Parse(time.RFC3339Nano, text); stdErr == nil && want.Year() >= 1971 && want.Year() < 2199 &&
			strictTime.MatchString(text) && (err != nil || got != want.UnixNano()) {
			t.Errorf("%q is %v, %v: want %v", text, time.Unix(0, got).UTC(), err, want.UTC())
		}
	})
}

// FuzzRun holds that no log, of whatever bytes, makes a run fail in another way
// than by an error of one line.
func FuzzRun(f *testing.F) {
	f.Add([]byte(logLine(0, "192.0.2.1", "/")+"x\n"), "auto")
	f.Add([]byte("time,ip\n1431857103,192.0.2.1\n"), "csv")
	f.Add([]byte("\x1f\x8b\x08"), "caddy")
	f.Fuzz(func(t *testing.T, log []byte, format string) {
		r, err := Run(t.Context(), Config{Limits: parsePolicies(t, "ip 1/min", "user 2/day"), Format: format, MaxKeys: 100}, Source{"log", bytes.NewReader(log)})
		if err != nil {
			return
		}
		if r.Lines.Requests+r.Lines.Bad+r.Lines.Other != r.Lines.All {
			t.Errorf("%+v do not add up", r.Lines)
		}
		var out strings.Builder
		if err := r.WriteText(&out); err != nil {
			t.Error(err)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Error(err)
		}
	})
}

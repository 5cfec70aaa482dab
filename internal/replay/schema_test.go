package replay

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// Each field of the JSON is in schema.md, and no list is null.
func TestSchemaSaysAll(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("schema.md")
	if err != nil {
		t.Fatal(err)
	}
	log := "bad\n" + strings.Repeat(logLine(0, "192.0.2.1", "/"), 3)
	full := replayText(t, Config{Limits: parsePolicies(t, "ip 1/min"), Candidate: parsePolicies(t, "ip 2/min"), ShowClients: true}, log)
	empty := replayText(t, Config{Limits: parsePolicies(t, "ip 1/min")}, "")
	seen := map[string]bool{}
	for _, r := range []*Result{full, empty} {
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var tree any
		if err := json.Unmarshal(data, &tree); err != nil {
			t.Fatal(err)
		}
		var walk func(name string, v any)
		walk = func(name string, v any) {
			switch v := v.(type) {
			case map[string]any:
				for name, member := range v {
					seen[name] = true
					walk(name, member)
				}
			case []any:
				for _, member := range v {
					walk(name, member)
				}
			case nil:
				switch name {
				case "from", "to", "first_denied", "last_denied", "candidate", "difference":
				default:
					t.Errorf("%s is null", name)
				}
			}
		}
		walk("", tree)
	}
	for name := range seen {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("schema.md says nothing of %s", name)
		}
	}
	if len(seen) < 40 {
		t.Errorf("%d fields: want all of them", len(seen))
	}
}

// What is written for a person has what they want to know, in lines that do
// nothing to a terminal.
func TestWriteText(t *testing.T) {
	t.Parallel()
	log := "b\x1b[2Jad\n" + strings.Repeat(logLine(0, "192.0.2.1", "/"), 3) + logLine(0, "a\x1bb", "/")
	r := replayText(t, Config{Limits: parsePolicies(t, "ip 1/min", "user 2/day"), Candidate: parsePolicies(t, "ip 2/min"), ShowClients: true}, log)
	var out strings.Builder
	if err := r.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"4 requests of 2015-05-17 10:00:00 to 2015-05-17 10:00:00 UTC, log0\n",
		"  log0, line 1: it is not like: ", `: b\x1b[2Jad` + "\n",
		"ip 1/min\n  2 of 4 requests would be denied (50 %), of 1 of 2 keys\n",
		"all together\n  2 of 4 requests would be denied (50 %)\n  1 client hurt, first 2015-05-17 10:00:00, last 2015-05-17 10:00:00\n",
		"  most in the second from 2015-05-17 10:00:00: 2\n",
		"Candidate\nip 2/min\n  1 of 4 requests would be denied (25 %), of 1 of 2 keys\n",
		"  against the limits above: 0 requests more denied, 1 fewer; 0 clients newly hurt, 0 spared\n",
		"Denied most by ip 1/min\n  192.0.2.1  2 times  from 2015-05-17 10:00:00  to 2015-05-17 10:00:00\n",
		"  50 % of 2     --limit 'ip 1/min'  ip 1/min\n",
		"  99.9 % of 2   --limit 'ip 3/min'  ip 1/min burst 3\n",
		"  in the configuration file, for 99.9 %:\n    policies:\n      - ip 3/min\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") || strings.Contains(out.String(), "--show-clients") {
		t.Errorf("%q", out.String())
	}
}

func TestShare(t *testing.T) {
	t.Parallel()
	for want, of := range map[string][2]int64{
		"0 %": {0, 9}, "100 %": {9, 9}, "less than 0.01 %": {1, 1_000_000}, "1.2 %": {123, 10_000}, "33.3 %": {1, 3},
	} {
		if got := Share(of[0], of[1]); got != want {
			t.Errorf("%v is %q: want %q", of, got, want)
		}
	}
	if got := number(-1_234_567); got != "-1,234,567" {
		t.Errorf("%q", got)
	}
}

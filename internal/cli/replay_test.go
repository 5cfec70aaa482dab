package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/cli"
	"github.com/seed-0c889b51/weir/internal/replay"
)

func replayCommand(t *testing.T, terminal bool, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = cli.Run(t.Context(), cli.World{
		Args: append([]string{"replay"}, args...), Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Terminal: terminal, Force: context.Background(),
	})
	return code, out.String(), errs.String()
}

// accessLog is a log of three clients, of which one makes twelve requests at once.
func accessLog() string {
	var log strings.Builder
	for i := range 14 {
		fmt.Fprintf(&log, "192.0.2.%d - - [17/May/2015:10:05:03 +0000] \"GET /a HTTP/1.1\" 200 12 \"-\" \"-\"\n", max(i, 11)-10)
	}
	return log.String()
}

func TestReplayMistakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(dir, "access.log")
	if err := os.WriteFile(log, []byte(accessLog()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 2, `no log: want weir replay FILE..., such as access.log, or - for standard input`},
		{[]string{"--limits", "ip 1/s", log}, 2, `unknown flag "--limits"; did you mean "--limit"?`},
		{[]string{log, "--limit", "ipp 1/s"}, 3, `--limit "ipp 1/s": key "ipp": ` + wantKey + `; did you mean "ip"?`},
		{[]string{log, "--candidate", "cookie:c 1/s"}, 3, `--candidate "cookie:c 1/s": key "cookie:c" is not in an access log: want ip, ip/BITS, user, basic, path, global, or several joined by '+'`},
		{[]string{log, "--format", "ngnix"}, 3, `--format "ngnix": want auto, combined, caddy or csv`},
		{[]string{log, "--columns", "time"}, 3, `--columns "time": "time": want WHAT=COLUMN, such as time=ts`},
		{[]string{log, "--columns", "tme=a"}, 3, `--columns "tme=a": "tme": want time, client, user or path; did you mean "time"?`},
		{[]string{log, "--columns", "time=a,time=b"}, 3, `--columns "time=a,time=b": time is there twice: want it once`},
		{[]string{log, "--ipv6-prefix", "129"}, 3, `--ipv6-prefix "129": want a whole number from 32 to 128`},
		{[]string{log, "--max-keys", "1"}, 3, `--max-keys "1": want a whole number from 100 to 100000000`},
		{[]string{log, "--reorder", "25h"}, 3, `--reorder "25h": it is out of range: want 1ms to 24h0m0s`},
		{[]string{log, "--report", filepath.Join(dir, "no", "a.html")}, 3, `--report "` + filepath.Join(dir, "no", "a.html") + `": no such file or directory`},
		{[]string{filepath.Join(dir, "none")}, 1, `"` + filepath.Join(dir, "none") + `": no such file or directory`},
		{[]string{dir}, 1, `"` + dir + `": it is a directory: want a file`},
		{[]string{log, "--format", "csv"}, 1, log + `: the header has no column that is called like one of the time (time, timestamp, ts and others)`},
	} {
		code, stdout, stderr := replayCommand(t, false, "", tt.args...)
		if code != tt.code || stdout != "" || stderr != "weir: "+tt.want+"\n" {
			t.Errorf("%q: exit %d, %q\n got %swant weir: %s", tt.args, code, stdout, stderr, tt.want)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%d files: want none but the log", len(left))
	}
}

// A whole run: the text, the page, progress for a terminal and for no other.
func TestReplay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log, html := filepath.Join(dir, "access.log"), filepath.Join(dir, "r.html")
	if err := os.WriteFile(log, []byte(accessLog()), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := replayCommand(t, false, "", log, "--limit", "ip 10/min", "--candidate", "ip 5/min", "--report", html)
	if code != 0 || strings.Contains(stderr, "\x1b") {
		t.Fatalf("exit %d: %q", code, stderr)
	}
	for _, want := range []string{"2 of 14 requests would be denied (14.3 %), of 1 of 3 keys", "5 requests more denied, 0 fewer", "--limit 'ip 12/min'"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout, "192.0.2.") {
		t.Errorf("an address is in\n%s", stdout)
	}
	if !strings.Contains(stderr, "weir: the page is in "+html+"\nweir: 14 lines in ") || !strings.HasSuffix(stderr, " a second\n") {
		t.Errorf("%q: want where the page is, and the rate", stderr)
	}
	page, err := os.ReadFile(html)
	if err != nil || !strings.Contains(string(page), "<svg") || !strings.HasSuffix(string(page), "</html>\n") {
		t.Errorf("the page: %v, %d bytes", err, len(page))
	}

	code, stdout, stderr = replayCommand(t, true, accessLog(), "-", "--json", "--show-clients")
	var r replay.Result
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 0 || r.Lines.Requests != 14 || len(r.Present.Limits) != 2 ||
		r.Present.Limits[0].Limit != "ip 100/min" || r.Present.Limits[1].Limit != "user 1000/day" || r.Files[0] != "standard input" {
		t.Errorf("exit %d, %v, %+v: want the default limits", code, err, r)
	}
	if !strings.Contains(stderr, "\r\x1b[K14 lines in ") {
		t.Errorf("no progress for a terminal in %q", stderr)
	}

	yaml := filepath.Join(dir, "weir.yaml")
	if err := os.WriteFile(yaml, []byte(r.Present.Limits[0].Fits[3].YAML), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run("validate", yaml); code != 0 {
		t.Errorf("the configuration that is to be pasted: exit %d, %s", code, stderr)
	}

	code, stdout, stderr = replayCommand(t, false, "when,who\n1431857103,h1\n1431857103,h1\n", "-", "--columns", "time=when,client=who", "--limit", "ip 1/min", "--show-clients")
	if code != 0 || !strings.Contains(stdout, "  h1  1 time ") {
		t.Errorf("exit %d, %s, %s: want that h1 is denied once", code, stdout, stderr)
	}
}

// A log of which nothing can be read is a failure, and a run that is stopped
// leaves nothing behind.
func TestReplayFails(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := replayCommand(t, false, "x\ny\n", "-", "--format", "combined")
	if code != 1 || !strings.Contains(stdout, "2 lines that could not be read") || !strings.Contains(stderr, "weir: no line could be read, the first since it is not like: 192.0.2.1 - - ") {
		t.Errorf("exit %d, %s, %s", code, stdout, stderr)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	html := filepath.Join(t.TempDir(), "r.html")
	var out, errs strings.Builder
	code = cli.Run(ctx, cli.World{
		Args: []string{"replay", "-", "--report", html}, Stdin: strings.NewReader(strings.Repeat(accessLog(), 5000)), Stdout: &out, Stderr: &errs, Force: t.Context(),
	})
	if _, err := os.Stat(html); code != 1 || out.Len() > 0 || !strings.Contains(errs.String(), "stopped before it was done: nothing is written") || err == nil {
		t.Errorf("exit %d, %q, %q, %v", code, out.String(), errs.String(), err)
	}
}

package cli_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/cli"
	"github.com/seed-0c889b51/weir/internal/measure"
)

// bench runs weir bench with a context that lasts.
func bench(t *testing.T, terminal bool, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err strings.Builder
	code = cli.Run(t.Context(), cli.World{
		Args: append([]string{"bench"}, args...), Stdout: &out, Stderr: &err, Terminal: terminal, Force: t.Context(),
	})
	return code, out.String(), err.String()
}

// Each mistake is one line, before anything is measured.
func TestBenchMistakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := filepath.Join(dir, "old.json")
	if err := os.WriteFile(old, []byte(`{"schema":9}`), 0o600); err != nil {
		t.Fatal(err)
	}
	const workloads = "want hot, 1k, zipf100k, 1m, miss"
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"quick"}, 2, `unexpected argument "quick": weir bench takes flags only`},
		{[]string{"--qick"}, 2, `unknown flag "--qick"; did you mean "--quick"?`},
		{[]string{"--quick=often"}, 2, `--quick "often": want true or false`},
		{[]string{"--expect"}, 2, `--expect has no value: want --expect EXPECTATION`},
		{[]string{"--rounds", "1", "--rounds", "2"}, 2, `--rounds "2": it is given twice, before as "1": want it once`},
		{[]string{"memory", "weir"}, 2, `1 arguments: want a subject and a number of keys`},

		{[]string{"--workload", "ht"}, 3, `--workload "ht": ` + workloads + `; did you mean "hot"?`},
		{[]string{"--workload", ""}, 3, `--workload "": ` + workloads},
		{[]string{"--workload", "hot", "--workload", "hot"}, 3, `--workload "hot": it is given twice: want it once`},
		{[]string{"--rounds", "0"}, 3, `--rounds "0": want a whole number from 1 to 1000`},
		{[]string{"--rounds", "many"}, 3, `--rounds "many": want a whole number from 1 to 1000`},
		{[]string{"--window", "1"}, 3, `--window "1": want a duration from 1ms to 1m`},
		{[]string{"--window", "2m"}, 3, `--window "2m": want a duration from 1ms to 1m`},
		{[]string{"--expect", "hot.p99"}, 3, `--expect "hot.p99": want [SUBJECT/]WORKLOAD`},
		{[]string{"--expect", "hot.p99<1"}, 3, `--expect "hot.p99<1": value "1" of p99: want a duration such as 250ns, 1us or 3ms`},
		{[]string{"--report", ""}, 3, `--report "": want the path of a file`},
		{[]string{"--report", filepath.Join(dir, "no", "x.html")}, 3, `no such file or directory`},
		{[]string{"--report", dir}, 3, `is a directory`},
		{[]string{"--json", ""}, 3, `--json "": want the path of a file`},
		{[]string{"--json", filepath.Join(dir, "x"), "--report", filepath.Join(dir, "x")}, 3, `the page is written to that file: want another`},
		{[]string{"--peers", dir}, 3, `there is no go.mod: want the directory bench/peers of the repository`},
		{[]string{"--compare", filepath.Join(dir, "none")}, 3, `no such file or directory`},
		{[]string{"--compare", old}, 3, `a report of schema 9: want 1: want a file that weir bench --json wrote`},
		{[]string{"memory", "weir", "-1"}, 2, `unknown flag "-1"`},
		{[]string{"memory", "weir", "none"}, 3, `keys "none": want a number from 1`},
		{[]string{"memory", "nobody", "1"}, 1, `memory of "nobody": want one of weir, `},
	} {
		args := tt.args
		if !strings.Contains(strings.Join(args, " "), "--report") && args[0] != "memory" {
			args = append([]string{"--report", "none"}, args...)
		}
		code, stdout, stderr := bench(t, false, args...)
		if code != tt.code || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 || stdout != "" {
			t.Errorf("%q: exit %d, %q, %q: want %d, one line with %q", tt.args, code, stdout, stderr, tt.code, tt.want)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%d files: want none but the one that was there", len(left))
	}
}

// A whole run: tables, the page, JSON, a comparison with itself, expectations
// that are met and one that is not, which is the exit code.
func TestBench(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	html, first, second := filepath.Join(dir, "b.html"), filepath.Join(dir, "1.json"), filepath.Join(dir, "2.json")
	few := []string{"--quick", "--workload", "hot", "--rounds", "1", "--window", "1ms"}
	code, stdout, stderr := bench(t, false, append(few, "--report", html, "--json", first, "--expect", "hot.allocs<=1000", "--expect", "hot.p99<1h")...)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for _, want := range []string{"Allowed, ns", "weir-two", "rate.Limiter-map", "Latency, back to back", "during flood", "Memory"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
	}
	for _, want := range []string{"met:     hot.allocs<=1000: it is ", "met:     hot.p99<1h: it is ", "weir: the page is in " + html, "weir:   0 %  hot, "} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is not in\n%s", want, stderr)
		}
	}
	if strings.Contains(stderr, "\x1b") || strings.Contains(stderr, "\r") {
		t.Errorf("escape sequences where there is no terminal: %q", stderr)
	}
	page, err := os.ReadFile(html)
	if err != nil || !strings.Contains(string(page), "<svg") || !strings.HasSuffix(string(page), "</html>\n") {
		t.Errorf("the page: %v, %d bytes", err, len(page))
	}

	code, stdout, stderr = bench(t, true, append(few, "--report", "none", "--json", second, "--compare", first, "--expect", "hot.ns<0ns")...)
	if code != 4 || !strings.Contains(stderr, "NOT MET: hot.ns<0ns: it is ") || !strings.HasSuffix(stderr, "weir: 1 of 1 expectations not met\n") {
		t.Errorf("exit %d, %s: want 4, and what is not met", code, stderr)
	}
	if !strings.Contains(stderr, "\r\x1b[K  0 %  hot, ") {
		t.Errorf("no progress for a terminal in %q", stderr)
	}
	if !strings.Contains(stdout, "A decision, ns") || !strings.Contains(stdout, "no difference is more than chance") {
		t.Errorf("no comparison in\n%s", stdout)
	}
	text, err := os.ReadFile(second)
	var r measure.Report
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil || r.Schema != measure.Schema || len(r.Cells) == 0 || len(r.Memory) == 0 {
		t.Errorf("the JSON: %v, %+v", err, r)
	}
	if left, _ := os.ReadDir(dir); len(left) != 3 {
		t.Errorf("%d files: want the page and two of JSON, and nothing half-written", len(left))
	}
}

// With --json - standard output is JSON and nothing else.
func TestBenchJSONOnStandardOutput(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	code, stdout, stderr := bench(t, false, "--quick", "--workload", "hot", "--rounds", "1", "--window", "1ms", "--report", "none", "--json", "-",
		"--expect", "1m.ns<1us")
	if code != 3 || !strings.Contains(stderr, `--expect "1m.ns<1us": nothing of that kind was measured`) {
		t.Errorf("exit %d, %s: want 3, since that was not measured", code, stderr)
	}
	if r, err := measure.Read(strings.NewReader(stdout)); err != nil || len(r.Cells) == 0 {
		t.Errorf("%v in %q", err, stdout)
	}
}

// A run that is stopped leaves nothing behind.
func TestBenchIsStopped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var out, errs strings.Builder
	code := cli.Run(ctx, cli.World{
		Args:   []string{"bench", "--quick", "--report", filepath.Join(dir, "x.html"), "--json", filepath.Join(dir, "x.json")},
		Stdout: &out, Stderr: &errs, Force: t.Context(),
	})
	left, _ := os.ReadDir(dir)
	if code != 1 || !strings.Contains(errs.String(), "stopped before it was done: nothing is written") || out.Len() > 0 || len(left) > 0 {
		t.Errorf("exit %d, %q, %q, %d files: want 1, nothing", code, out.String(), errs.String(), len(left))
	}
}

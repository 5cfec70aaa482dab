package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/internal/cli"
	"github.com/seed-0c889b51/weir/persist"
)

// weir state verify and weir bench run their own program again, which here is the
// test binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 4 && os.Args[4] == deadly {
		panic("a file that no reader survives")
	}
	if len(os.Args) > 1 && (os.Args[1] == "state" || os.Args[1] == "bench") {
		os.Exit(cli.Run(context.Background(), cli.World{Args: os.Args[1:], Stdout: os.Stdout, Stderr: os.Stderr, Force: context.Background()}))
	}
	os.Exit(m.Run())
}

// deadly is a file whose check ends the process.
const deadly = "deadly.db"

// state runs weir state with a context that lasts.
func state(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return stateWith(t, "", args...)
}

// stateWith is state with an input.
func stateWith(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err strings.Builder
	code = cli.Run(t.Context(), cli.World{
		Args: append([]string{"state"}, args...), Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &err, Force: t.Context(),
	})
	return code, out.String(), err.String()
}

// stateFile makes a file with debts of two policies.
func stateFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "weir.db")
	f, err := persist.Open(path, persist.Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Save(persist.Snapshot{Final: true, Sections: []persist.Section{oneSection("ip"), oneSection("user")}})
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// oneSection has two debts.
func oneSection(name string) persist.Section {
	return persist.Section{Policy: name, Limit: bucket.PerDay(1000), Records: func(yield func(uint64, time.Duration) bool) {
		_ = yield(1, time.Hour) && yield(2, 2*time.Hour)
	}}
}

func TestStateMistakes(t *testing.T) {
	t.Parallel()
	const want = "want the path of a state file, such as weir.db"
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"inf"}, 2, `unknown command "inf": want compact, export, import, info, purge, verify; did you mean "info"?`},
		{[]string{"info", "weir.db"}, 2, `unexpected argument "weir.db": weir state info takes flags only`},
		{[]string{"info", "--stat", "x"}, 2, `unknown flag "--stat"; did you mean "--state"?`},
		{[]string{"info", "--state"}, 2, `--state has no value: want --state FILE`},
		{[]string{"info", "--state", "a", "--state", "b"}, 2, `--state "b": it is given twice, before as "a": want it once`},
		{[]string{"info", "--json=maybe"}, 2, `--json "maybe": want true or false`},
		{[]string{"export", "--json"}, 2, `unknown flag "--json": see weir state export --help`},
		{[]string{"import", "a", "b"}, 2, `unexpected argument "b": weir state import takes one file, or none for standard input`},
		{[]string{"purge"}, 2, `purge forgets everything, and there is no terminal to ask on: want --yes`},
		{[]string{"info", "--limit", "ipp 1/s"}, 3, `--limit "ipp 1/s": key "ipp": ` + wantKey + `; did you mean "ip"?`},
		{[]string{"info", "--state", ""}, 3, `--state "": it is empty: ` + want},
		{[]string{"verify", "--state", "none"}, 3, `--state "none": then there is no file: ` + want + ` (./none is a file of that name)`},
		{[]string{"compact", "--state", "a\x00b"}, 3, `--state "a\x00b": it has a NUL byte: ` + want},
		{[]string{"purge", "--yes", "--state", ""}, 3, `--state "": it is empty: ` + want},
		{[]string{"export", "--state", ""}, 3, `--state "": it is empty: ` + want},
		{[]string{"import", "--state", "", "x"}, 3, `--state "": it is empty: ` + want},
		{[]string{"check", "--state", ""}, 3, `--state "": it is empty: ` + want},
	} {
		code, stdout, stderr := state(t, tt.args...)
		if stderr != "weir: "+tt.want+"\n" || code != tt.code || stdout != "" {
			t.Errorf("weir state %q: code %d, want %d\n got %swant weir: %s\nstdout %q", tt.args, code, tt.code, stderr, tt.want, stdout)
		}
	}
}

// Without a file none of them does anything but say so.
func TestStateWithoutAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	input := filepath.Join(t.TempDir(), "in")
	good := stateFile(t)
	_, text, _ := state(t, "export", "--state", good)
	if err := os.WriteFile(input, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "a\nb")
	for _, args := range [][]string{
		{"info"}, {"verify"}, {"compact"}, {"purge", "--yes"}, {"export"}, {"import", input}, {"import", filepath.Join(dir, "none")},
	} {
		code, stdout, stderr := state(t, append(args, "--state", path)...)
		if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "weir: ") || strings.Contains(stderr, "persist") ||
			len(args) == 1 && !strings.Contains(stderr, ": name the file with --state FILE") {
			t.Errorf("weir state %q: code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("%v was made, %v", entries, err)
	}
}

func TestStateInfo(t *testing.T) {
	t.Parallel()
	path := stateFile(t)
	code, stdout, stderr := state(t, "info", "--state", path, "--limit", "ip 5/s")
	for _, want := range []string{"file      " + path, "ended     clean\n", "policy    ip 1000/day: 2 live records, the longest debt is ", "policy    user 1000/day: 2 live records", "; unwanted: it stays until"} {
		if code != 0 || stderr != "" || !strings.Contains(stdout, want) {
			t.Errorf("code %d, stderr %q, and it lacks %q:\n%s", code, stderr, want, stdout)
		}
	}
	_, stdout, _ = state(t, "info", "--state", path, "--json")
	var got struct {
		Path     string
		Live     int
		Policies []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || got.Path != path || got.Live != 4 || len(got.Policies) != 2 || strings.Contains(stdout, "unwanted") {
		t.Errorf("%+v, %v: %s", got, err, stdout)
	}
}

func TestStateVerify(t *testing.T) {
	t.Parallel()
	path := stateFile(t)
	code, stdout, stderr := state(t, "verify", "--state", path)
	if code != 0 || stderr != "" || !strings.HasPrefix(stdout, "ok: "+path+" is sound: ") || !strings.Contains(stdout, " 1 segments, 2 chunks, 4 records\n") {
		t.Errorf("code %d, stderr %q, stdout %q", code, stderr, stdout)
	}
	if code, stdout, _ := state(t, "verify", "--state", path, "--json"); code != 0 || !strings.HasPrefix(stdout, `{"ok":true,`) {
		t.Errorf("code %d, stdout %q", code, stdout)
	}
	if err := os.Remove(path + ".key"); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := state(t, "verify", "--state", path); code != 0 || !strings.HasPrefix(stderr, "weir: note: ") || !strings.Contains(stderr, "weir.db.key is missing") {
		t.Errorf("without its secret: code %d, stderr %q", code, stderr)
	}
	if err := os.Truncate(path, int64(3*os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = state(t, "verify", "--state", path)
	if code != 1 || stdout != "" || !strings.HasPrefix(stderr, "weir: "+path+": state file is damaged: ") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("damaged: code %d, stderr %q, stdout %q", code, stderr, stdout)
	}
	if code, stdout, stderr := state(t, "verify", "--state", path, "--json"); code != 1 || !strings.HasPrefix(stdout, `{"ok":false,"problem":"`) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("damaged: code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

// Whatever a file does to the process that reads it, it is not this one.
func TestStateVerifyReadsElsewhere(t *testing.T) {
	t.Parallel()
	const want = deadly + " cannot be checked: the process that read it died (exit status 2): panic: a file that no reader survives"
	code, stdout, stderr := state(t, "verify", "--state", deadly)
	if code != 1 || stdout != "" || stderr != "weir: "+want+"\n" {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if code, stdout, _ := state(t, "verify", "--json", "--state", deadly); code != 1 || !strings.HasPrefix(stdout, `{"ok":false,"problem":"`+want+`"`) {
		t.Errorf("code %d, stdout %q", code, stdout)
	}
}

func TestStateCompact(t *testing.T) {
	t.Parallel()
	path := stateFile(t)
	if code, stdout, stderr := state(t, "compact", "--state", path); code != 0 || stderr != "" || !strings.HasPrefix(stdout, path+": ") || !strings.Contains(stdout, " bytes before, ") {
		t.Errorf("code %d, stderr %q, stdout %q", code, stderr, stdout)
	}
	if code, stdout, _ := state(t, "compact", "--state", path, "--json"); code != 0 || !strings.HasPrefix(stdout, `{"before":`) {
		t.Errorf("code %d, stdout %q", code, stdout)
	}
}

func TestStatePurge(t *testing.T) {
	t.Parallel()
	path := stateFile(t)
	aside := path + ".corrupt-20300102T030405Z"
	if err := os.WriteFile(aside, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := state(t, "purge", "--yes", "--state", path)
	if want := "removed      " + path + "\nremoved      " + path + ".key\nstill there  " + aside + " (--aside removes it)\n"; code != 0 || stdout != want ||
		!strings.Contains(stderr, "flash, file systems that copy on write") {
		t.Errorf("code %d, stderr %q, stdout\n%swant\n%s", code, stderr, stdout, want)
	}
	code, stdout, _ = state(t, "purge", "--yes", "--aside", "--json", "--state", path)
	var got struct{ Removed, Aside []string }
	if err := json.Unmarshal([]byte(stdout), &got); code != 0 || err != nil || len(got.Removed) != 3 || got.Aside == nil || len(got.Aside) != 0 {
		t.Errorf("code %d, %+v, %v", code, got, err)
	}
	if code, stdout, _ := state(t, "info", "--state", path); code != 0 || !strings.Contains(stdout, "0 records, of which 0 live") || !strings.Contains(stdout, "ended     clean") {
		t.Errorf("code %d, stdout\n%s", code, stdout)
	}
}

func TestStateExportAndImport(t *testing.T) {
	t.Parallel()
	path := stateFile(t)
	code, text, stderr := state(t, "export", "--state", path)
	if code != 0 || stderr != "" || strings.Count(text, "\n") != 5 {
		t.Fatalf("code %d, stderr %q, stdout\n%s", code, stderr, text)
	}
	dir := t.TempDir()
	input, to := filepath.Join(dir, "in.jsonl"), filepath.Join(dir, "weir.db")
	key, err := os.ReadFile(path + ".key")
	if err = errors.Join(err, os.WriteFile(to+".key", key, 0o600), os.WriteFile(input, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := state(t, "import", "--state", to, input)
	if code != 0 || stderr != "" || !strings.HasPrefix(stdout, to+": 4 records read, 4 of them stored, 0 were over; ") {
		t.Errorf("code %d, stderr %q, stdout %q", code, stderr, stdout)
	}
	if code, stdout, _ := state(t, "import", "--state", to, "--json", input); code != 0 || !strings.HasPrefix(stdout, `{"records":4,"policies":2,"over":0,"raised":0,"credit_ns":`) {
		t.Errorf("code %d, stdout %q", code, stdout)
	}
	for _, args := range [][]string{{"import"}, {"import", "-"}} {
		if code, stdout, stderr := stateWith(t, text, append(args, "--state", to)...); code != 0 || !strings.HasPrefix(stdout, to+": 4 records read, ") {
			t.Errorf("weir state %q: code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
	if err := os.WriteFile(input, []byte(text[:len(text)-10]), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := state(t, "import", "--state", to, input); code != 1 || stdout != "" || stderr != "weir: line 5: it ends before its JSON does\n" {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
	if code, _, stderr := state(t, "import", "--state", stateFile(t), input); code != 1 || !strings.HasPrefix(stderr, "weir: line 1: it was exported under secret ") {
		t.Errorf("another secret: code %d, stderr %q", code, stderr)
	}
	// Whatever is printed, the secret is not.
	for _, args := range [][]string{{"info"}, {"info", "--json"}, {"verify"}, {"verify", "--json"}, {"export"}, {"compact"}} {
		if _, stdout, stderr := state(t, append(args, "--state", path)...); strings.Contains(stdout+stderr, string(key)) || strings.Contains(stdout+stderr, hexOf(key)) {
			t.Errorf("weir state %q prints the secret", args)
		}
	}
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

func TestStateSaysWhenItCannotPrint(t *testing.T) {
	t.Parallel()
	path := stateFile(t)
	for _, args := range [][]string{{"info"}, {"info", "--json"}, {"verify"}, {"verify", "--json"}, {"compact"}, {"compact", "--json"}, {"export"}, {"check"}, {"purge", "--yes"}} {
		var stderr strings.Builder
		args = append(append([]string{"state"}, args...), "--state", path)
		code := cli.Run(t.Context(), cli.World{Args: args, Stdout: full{}, Stderr: &stderr, Force: t.Context()})
		if code != 1 || !strings.Contains(stderr.String(), "no room") {
			t.Errorf("weir %q: code %d, stderr %q", args, code, stderr.String())
		}
	}
	for _, args := range [][]string{nil, {"--help"}, {"state"}, {"state", "info", "--help"}, {"help", "serve"}, {"version"}, {"completion", "bash"}} {
		var stderr strings.Builder
		code := cli.Run(t.Context(), cli.World{Args: args, Stdout: full{}, Stderr: &stderr, Force: t.Context()})
		if code != 1 || !strings.Contains(stderr.String(), "no room") || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("weir %q: code %d, stderr %q", args, code, stderr.String())
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no room") }

func TestStateHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"--help"}} {
		code, stdout, stderr := state(t, args...)
		if code != 0 || stderr != "" || !strings.HasPrefix(stdout, "Examples:\n  weir state ") || strings.Contains(stdout, "\n  check") {
			t.Errorf("weir state %q: code %d, stderr %q\n%s", args, code, stderr, stdout)
		}
	}
	if _, stdout, _ := state(t, "purge", "--help"); !strings.Contains(stdout, "flash\nmemory") || !strings.Contains(stdout, "snapshots and backups may keep old blocks") {
		t.Errorf("purge does not say how far it goes:\n%s", stdout)
	}
}

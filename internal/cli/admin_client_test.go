package cli_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/internal/adminapi"
	"github.com/seed-0c889b51/weir/internal/adminfake"
	"github.com/seed-0c889b51/weir/internal/cli"
)

const adminToken = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

// owned is a server that is asked by its owner, and the flags that lead there.
func owned(t *testing.T) (s *adminfake.Server, flags []string) {
	t.Helper()
	s = &adminfake.Server{Token: adminToken, Whoami: adminapi.Whoami{Peer: "127.0.0.1", Client: "203.0.113.7", Why: "a proxy says so", Policies: []adminapi.Keying{
		{Policy: "ip", Limit: "100/min", Applies: true, Key: "203.0.113.7", Why: "the limit is by ip"}}}}
	started := time.Now()
	s.Status = func(n int) adminapi.Status {
		return adminapi.Status{Version: "v1.2.3", Started: started, UptimeMs: 60_000 + int64(n)*1000, Listen: "http://127.0.0.1:8080", Upstreams: []string{},
			Policies: []adminapi.Policy{{Name: "ip", Limit: "100/min", Key: "ip", Asked: 10, Allowed: 7 + uint64(n), Denied: 3, PeakUse: 1}},
			Warnings: []adminapi.Warning{}, Health: []adminapi.Health{}}
	}
	s.SetKeys(adminapi.Key{Key: "203.0.113.7", Policy: "ip", Burst: 100, RetryAfterMs: 41_000, ResetAfterMs: 101_000},
		adminapi.Key{Key: "203.0.113.7", Policy: "ip+path", Remaining: 2, Burst: 5, ResetAfterMs: 3000},
		adminapi.Key{Key: "<b>\x1b[2J", Policy: "ip", Remaining: 50, Burst: 100, ResetAfterMs: 3000},
		adminapi.Key{Key: "192.0.2.1", Policy: "ip", Remaining: 100, Burst: 100})
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(adminToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return s, []string{"--admin", server.URL, "--token-file", file}
}

// asks runs a command line that asks a server.
func asks(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err strings.Builder
	code = cli.Run(t.Context(), cli.World{Args: args, Stdout: &out, Stderr: &err, Force: context.Background()})
	return code, out.String(), err.String()
}

func TestOwnersCommands(t *testing.T) {
	t.Parallel()
	s, flags := owned(t)
	for _, tt := range []struct{ args, want string }{
		{"status", "weir       v1.2.3, up for 1 min\nlistening  http://127.0.0.1:8080\nupstream   built in\nstate      none: limits are forgotten on exit\n" +
			"limit      ip 100/min\n           consulted 10, denied 3 (30 %), peak use of the burst 100 %: it bites\n           keys in memory 0, evicted 0\nhealth     all is well: no warning since the start\n"},
		{"whoami", "connected  127.0.0.1\nclient     203.0.113.7: a proxy says so\nlimit      ip 100/min: 203.0.113.7: the limit is by ip\n"},
		{"keys list", "KEY          LIMIT    LEFT        WHEN\n203.0.113.7  ip       0 of 100    free again in 41 s\n203.0.113.7  ip+path  2 of 5      free, full in 3 s\n" +
			"<b>\\x1b[2J   ip       50 of 100   free, full in 3 s\n192.0.2.1    ip       100 of 100  free\n"},
		{"keys list --policy ip+path", "KEY          LIMIT    LEFT    WHEN\n203.0.113.7  ip+path  2 of 5  free, full in 3 s\n"},
		{"keys list --number 1", "KEY          LIMIT  LEFT      WHEN\n203.0.113.7  ip     0 of 100  free again in 41 s\n"},
		{"keys show 203.0.113.7", "KEY          LIMIT    LEFT      WHEN\n203.0.113.7  ip       0 of 100  free again in 41 s\n203.0.113.7  ip+path  2 of 5    free, full in 3 s\n"},
		{"keys reset 203.0.113.7 --policy ip+path", "203.0.113.7 has all of ip+path again\n"},
	} {
		code, stdout, stderr := asks(t, append(strings.Fields(tt.args), flags...)...)
		want := tt.want
		if code != 0 || stdout != want || stderr != "" {
			t.Errorf("weir %s: code %d\n got %s\nwant %s\nstderr %q", tt.args, code, stdout, want, stderr)
		}
	}
	if got := s.Resets(); len(got) != 1 || got[0] != (adminapi.Reset{Policy: "ip+path", Key: "203.0.113.7"}) {
		t.Errorf("resets: %q", got)
	}
	code, _, stderr := asks(t, append([]string{"whoami", "--peer", "10.0.0.5", "--method", "POST", "--path", "/login", "--header", "x-forwarded-for: 203.0.113.7", "--header", "X-Api-Key:secret"}, flags...)...)
	if code != 0 || len(s.Questions()) != 1 {
		t.Fatalf("code %d, %q, questions %+v", code, stderr, s.Questions())
	}
	q := s.Questions()[0]
	if q.Peer != "10.0.0.5" || q.Method != "POST" || q.Path != "/login" || q.Header["X-Forwarded-For"][0] != "203.0.113.7" || q.Header["X-Api-Key"][0] != "secret" {
		t.Errorf("it asks %+v", q)
	}
}

// With --json each prints what the server says, as one value.
func TestOwnersCommandsAsJSON(t *testing.T) {
	t.Parallel()
	_, flags := owned(t)
	for args, want := range map[string]string{
		"status":                             `"policies":[{"name":"ip"`,
		"whoami":                             `"client":"203.0.113.7"`,
		"keys list":                          `[{"key":"203.0.113.7","policy":"ip"`,
		"keys show 203.0.113.7":              `[{"key":"203.0.113.7","policy":"ip"`,
		"keys reset 192.0.2.1 --policy ip":   `{"policy":"ip","key":"192.0.2.1"}`,
		"top":                                `{"status":{"version":"v1.2.3"`,
		"keys list --policy none-of-that-by": `[]`,
	} {
		code, stdout, stderr := asks(t, append(append(strings.Fields(args), "--json"), flags...)...)
		var v any
		if err := json.Unmarshal([]byte(stdout), &v); err != nil || code != 0 || stderr != "" {
			t.Errorf("weir %s --json: code %d, %v, stderr %q\n%s", args, code, err, stderr, stdout)
		}
		var flat strings.Builder
		for line := range strings.Lines(stdout) {
			flat.WriteString(strings.ReplaceAll(strings.TrimSpace(line), `": `, `":`))
		}
		if !strings.Contains(flat.String(), want) {
			t.Errorf("weir %s --json: there is no %s in\n%s", args, want, flat.String())
		}
	}
}

// Not on a terminal, top is one plain look.
func TestTopOnNoTerminal(t *testing.T) {
	t.Parallel()
	_, flags := owned(t)
	code, stdout, stderr := asks(t, append([]string{"top"}, flags...)...)
	if code != 0 || stderr != "" || strings.Contains(stdout, "\x1b") {
		t.Errorf("code %d, stderr %q, stdout %q", code, stderr, stdout)
	}
	for _, want := range []string{"weir v1.2.3  up 1 min  http://127.0.0.1:8080 to built in\n", "all is well", "ip 100/min", "203.0.113.7 ip      ----", "free again in 41 s\n", `<b>\x1b[2J`} {
		if !strings.Contains(stdout, want) {
			t.Errorf("there is no %q in\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout, "192.0.2.1") {
		t.Errorf("a key that has all is shown:\n%s", stdout)
	}
	// The token is not needed for the rest.
	code, stdout, _ = asks(t, "top", flags[0], flags[1])
	if code != 0 || !strings.Contains(stdout, "ip 100/min") || !strings.Contains(stdout, "KEYS  want the token: --token-file") {
		t.Errorf("without the token: code %d\n%s", code, stdout)
	}
}

// What leads to the server may be in the environment, as that of the server.
func TestOwnersEnvironment(t *testing.T) {
	t.Parallel()
	_, flags := owned(t)
	state := filepath.Join(t.TempDir(), "weir.db")
	if err := os.WriteFile(state+".token", []byte(adminToken), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		why     string
		environ []string
		args    []string
		code    int
		want    string
	}{
		{"the file is named", []string{"WEIR_ADMIN=" + flags[1], "WEIR_ADMIN_TOKEN=" + flags[3]}, []string{"keys", "list"}, 0, ""},
		{"the file is beside the state", []string{"WEIR_ADMIN=" + flags[1], "WEIR_STATE=" + state}, []string{"keys", "list"}, 0, ""},
		{"a flag counts for more", []string{"WEIR_ADMIN=nonsense", "WEIR_ADMIN_TOKEN=/no"}, append([]string{"keys", "list"}, flags...), 0, ""},
		{"what is wrong in the environment is named so", []string{"WEIR_ADMIN=nonsense"}, []string{"status"}, 3, `weir: WEIR_ADMIN "nonsense": want HOST:PORT`},
		{"and so is its file", []string{"WEIR_ADMIN_TOKEN=/no/such"}, []string{"keys", "list"}, 1, `weir: WEIR_ADMIN_TOKEN "/no/such": `},
		{"there is none", []string{"WEIR_STATE=/no/such"}, []string{"keys", "list"}, 1, `weir: there is no token: want --token-file with the file of the server's --admin-token, which is "/no/such.token" beside its state`},
	} {
		var out, err strings.Builder
		code := cli.Run(t.Context(), cli.World{Args: tt.args, Environ: tt.environ, Stdout: &out, Stderr: &err, Force: context.Background()})
		if code != tt.code || !strings.HasPrefix(err.String(), tt.want) || tt.code == 0 && err.String() != "" {
			t.Errorf("%s: code %d, want %d: %s", tt.why, code, tt.code, err.String())
		}
	}
}

func TestMistakesOfTheOwner(t *testing.T) {
	t.Parallel()
	_, flags := owned(t)
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte(strings.Repeat("ab", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	const address = ": want HOST:PORT such as 127.0.0.1:9429, a URL such as https://weir.example:9429, or unix:PATH"
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"status", "--admin", ""}, 3, `--admin ""` + address},
		{[]string{"status", "--admin", "9429"}, 3, `--admin "9429"` + address},
		{[]string{"status", "--admin", "unix:"}, 3, `--admin "unix:": it has no path: want unix:PATH, such as unix:/run/weir/admin.sock`},
		{[]string{"status", "--admin", "http://me:secret@a"}, 3, `--admin (not shown)` + address},
		{[]string{"keys", "list", "--admin", "192.0.2.1:9429", "--token-file", flags[3]}, 3, `--admin "192.0.2.1:9429": the token would go to 192.0.2.1:9429 for everybody on the way to read: want https://, or an address of this machine`},
		{[]string{"status", "--token-file", ""}, 3, `--token-file "": it is empty: want the name of a file that holds the token`},
		{[]string{"status", "--token-file", "a\x00"}, 3, `--token-file "a\x00": it has a NUL byte: want the name of a file that holds the token`},
		{[]string{"status", "x"}, 2, `unexpected argument "x": weir status takes flags only`},
		{[]string{"keys", "lst"}, 2, `unknown command "lst": want list, reset, show; did you mean "list"?`},
		{append([]string{"keys", "list", "--number", "0"}, flags...), 3, `--number "0": want a whole number from 1 to 1000`},
		{append([]string{"keys", "show"}, flags...), 2, `0 arguments: weir keys show wants one KEY, as weir keys list says it`},
		{append([]string{"keys", "reset", "a", "b"}, flags...), 2, `2 arguments: weir keys reset wants one KEY, as weir keys list says it`},
		{append([]string{"keys", "reset", "a"}, flags...), 2, `there is no --policy: want the name of the limit, as weir status says it`},
		{append([]string{"keys", "show", "\x1b"}, flags...), 1, `key "\x1b": it is not among the 1000 with least left: it has used nothing of late, or is spelled in another way (see weir keys list)`},
		{append([]string{"keys", "reset", "a", "--policy", "ip"}, flags...), 1, flags[1] + `: no such key is in memory under ip`},
		{[]string{"keys", "list", "--admin", flags[1], "--token-file", other}, 1, flags[1] + `: the token is wanted, and this is not it: want --token-file with the file of the server's --admin-token`},
		{[]string{"top", "--every", "1"}, 3, `--every "1": want a duration from 100ms to 1h, such as 2s`},
		{[]string{"whoami", "--peer", "localhost"}, 3, `--peer "localhost": want an address, such as 203.0.113.7`},
		{[]string{"whoami", "--method", "GE T"}, 3, `--method "GE T": want one such as POST`},
		{[]string{"whoami", "--path", "login"}, 3, `--path "login": want one that begins with /, such as /login`},
		{[]string{"whoami", "--header", "X-Api-Key"}, 3, `--header "X-Api-Key": want 'NAME: VALUE', such as 'X-Api-Key: secret'`},
		{[]string{"whoami", "--header", "a b: secret"}, 3, `--header "a b": want 'NAME: VALUE', such as 'X-Api-Key: secret'`},
	} {
		code, stdout, stderr := asks(t, tt.args...)
		if want := "weir: " + tt.want + "\n"; stderr != want || code != tt.code || stdout != "" {
			t.Errorf("weir %q: code %d, want %d\n got %s\nwant %s\nstdout %q", tt.args, code, tt.code, stderr, want, stdout)
		}
	}
	if code, _, stderr := run(append([]string{"status"}, flags...)...); code != 1 || stderr != "weir: stopped before the server has answered\n" {
		t.Errorf("interrupted: code %d: %s", code, stderr)
	}
	for _, args := range [][]string{{"status"}, {"top"}, {"whoami"}} {
		code, _, stderr := asks(t, append(args, "--admin", "127.0.0.1:1")...)
		if code != 1 || !strings.Contains(stderr, "127.0.0.1:1: no answer: ") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("weir %s with no server: code %d: %s", args, code, stderr)
		}
	}
}

// In a real terminal: top draws, follows a new size, goes on without news, and
// leaves the terminal as it was.
func TestTopInATerminal(t *testing.T) {
	t.Parallel()
	tmux, err := exec.LookPath("tmux")
	if err != nil || runtime.GOOS == "windows" {
		t.Skip("skipped: there is no tmux here (Debian: apt-get install tmux)")
	}
	if testing.Short() {
		t.Skip("skipped: -short, and this builds weir")
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "weir")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/seed-0c889b51/weir/cmd/weir").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, flags := owned(t)
	socket := filepath.Join(dir, "tmux")
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(tmux, append([]string{"-S", socket, "-f", "/dev/null"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("tmux %q: %v: %s", args, err, out)
		}
		return string(out)
	}
	command := "echo before; LC_ALL=C.UTF-8 " + binary + " top --every 100ms " + strings.Join(flags, " ") + "; echo ended with $?; cat"
	run("new-session", "-d", "-x", "100", "-y", "20", "env", "-u", "NO_COLOR", "sh", "-c", command)
	t.Cleanup(func() { exec.Command(tmux, "-S", socket, "kill-server").Run() })
	until := func(why string, ok func(screen string) bool, args ...string) {
		t.Helper()
		var screen string
		for begin := time.Now(); time.Since(begin) < 20*time.Second; time.Sleep(50 * time.Millisecond) {
			if screen = run(append([]string{"capture-pane", "-p"}, args...)...); ok(screen) {
				return
			}
		}
		t.Fatalf("%s: it never was so; the screen is\n%s", why, screen)
	}
	until("it draws what a limit allows a second", func(s string) bool {
		return strings.HasPrefix(s, "weir v1.2.3") && strings.Contains(s, "ip 100/min") && strings.Contains(s, "free again in 41 s") && strings.Contains(s, "█")
	})
	until("it has colours", func(s string) bool {
		return strings.Contains(s, "\x1b[1m\x1b[31m") || strings.Contains(s, "\x1b[1;31m")
	}, "-e")
	run("resize-window", "-x", "50", "-y", "8")
	until("it follows the size", func(s string) bool {
		lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
		return len(lines) <= 8 && strings.HasPrefix(lines[0], "weir v1.2.3") && !strings.Contains(s, "consulted") && strings.Contains(s, "203.0.113.7")
	})
	run("send-keys", "x") // is for nothing
	run("send-keys", "q")
	until("it leaves the terminal as it was", func(s string) bool { return strings.HasPrefix(s, "before\nended with 0\n") })
	if at := run("display-message", "-p", "#{cursor_flag} #{wrap_flag}"); strings.TrimSpace(at) != "1 1" {
		t.Errorf("cursor and wrapping are %q", at)
	}
}

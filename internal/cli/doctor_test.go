package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/cli"
	"github.com/seed-0c889b51/weir/internal/doctor"
)

// consult runs weir doctor with a context that lasts.
func consult(t *testing.T, terminal bool, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err strings.Builder
	code = cli.Run(t.Context(), cli.World{
		Args: append([]string{"doctor"}, args...), Stdout: &out, Stderr: &err, Terminal: terminal, Force: t.Context(),
	})
	return code, out.String(), err.String()
}

// limited returns the URL of an API with a limit of five in two seconds, under
// a key.
func limited(t *testing.T, key httpmw.Key) string {
	t.Helper()
	limiter, err := weir.Open("", weir.Policy{Name: "ip", Limit: bucket.Limit{Quota: 5, Window: 2 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	mw, err := httpmw.New(limiter, httpmw.Config{Keys: map[string]httpmw.Key{"ip": key}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(mw.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })))
	t.Cleanup(server.Close)
	return server.URL + "/"
}

// Each mistake is one line, before anything is sent, and shows no secret.
func TestDoctorMistakes(t *testing.T) {
	t.Parallel()
	var asked int
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer server.Close()
	at := server.URL
	const want = "want one such as http://127.0.0.1:8080/"
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{}, 2, "0 arguments: want one URL, such as http://127.0.0.1:8080/"},
		{[]string{at, at}, 2, "2 arguments: want one URL"},
		{[]string{at, "--restat", "x"}, 2, `unknown flag "--restat"; did you mean "--restart"?`},
		{[]string{at, "--json=maybe"}, 2, `--json "maybe": want true or false`},
		{[]string{at, "--timeout", "1m", "--timeout", "2m"}, 2, `--timeout "2m": it is given twice, before as "1m": want it once`},
		{[]string{""}, 3, `URL "": it has no http:// or https://: ` + want},
		{[]string{"localhost:8080"}, 3, `URL "localhost:8080": it has no http:// or https://: ` + want},
		{[]string{"127.0.0.1:8080"}, 3, `URL "127.0.0.1:8080": it has no http:// or https://: ` + want},
		{[]string{"ftp://127.0.0.1"}, 3, `URL "ftp://127.0.0.1": scheme "ftp": want http or https`},
		{[]string{"http://"}, 3, `URL "http://": it has no host: ` + want},
		{[]string{"http://a b/"}, 3, `URL "http://a b/": it cannot be read: ` + want},
		{[]string{"http://me:secret@127.0.0.1/"}, 3, `URL (not shown): it holds a user or password: want them in --identity`},
		{[]string{"http://me:sec%ret@127.0.0.1/"}, 3, `URL (not shown): it cannot be read: ` + want},
		{[]string{"http://127.0.0.1:99999/"}, 3, `URL "http://127.0.0.1:99999/": port "99999": want 1 to 65535`},
		{[]string{"http://0.0.0.0/"}, 3, `URL "http://0.0.0.0/": 0.0.0.0 is no address of a server: want one such as 127.0.0.1`},
		{[]string{"http://203.0.113.7/"}, 3, `URL "http://203.0.113.7/": 203.0.113.7 is not this machine: the doctor uses up a limit and tries to get round it, so want --yes-really if the API is yours`},
		{[]string{at, "--limit", "100"}, 3, `--limit "100": `},
		{[]string{at, "--limit", "0/min"}, 3, `--limit "0/min": `},
		{[]string{at, "--identity", "X-Api-Key: secret"}, 3, `--identity: it is given 1 times: want it twice, for two clients, or not at all`},
		{[]string{at, "--identity", "a: 1", "--identity", "a: 2", "--identity", "a: 3"}, 3, `--identity: it is given 3 times`},
		{[]string{at, "--identity", "secret", "--identity", "secret2"}, 3, `--identity (not shown): it has no ':': want 'NAME: VALUE', such as 'X-Api-Key: one'`},
		{[]string{at, "--identity", "Host: secret", "--identity", "Host: secret2"}, 3, `--identity (not shown): header name "Host" is part of the connection`},
		{[]string{at, "--identity", "A: secret\r\nB: x", "--identity", "A: 1"}, 3, `--identity (A, not shown): its value is empty or has a control character`},
		{[]string{at, "--identity", "A:", "--identity", "A: 1"}, 3, `--identity (A, not shown): its value is empty or has a control character`},
		{[]string{at, "--identity", "A: secret", "--identity", "a:secret "}, 3, `--identity (A, not shown): both are the same: want those of two clients`},
		{[]string{at, "--client-field", "X Y"}, 3, `--client-field "X Y": header name "X Y": want letters`},
		{[]string{at, "--client-field", "X-Real-IP", "--identity", "A: 1", "--identity", "A: 2"}, 3, `--client-field "X-Real-IP": --identity says already who a client is: want one of them`},
		{[]string{at, "--restart", " "}, 3, `--restart " ": want a command for the shell, such as 'systemctl restart api'`},
		{[]string{at, "--max-requests", "1"}, 3, `--max-requests "1": want a whole number from 2 to 1000000`},
		{[]string{at, "--max-requests", "many"}, 3, `--max-requests "many": want a whole number from 2 to 1000000`},
		{[]string{at, "--timeout", "0s"}, 3, `--timeout "0s": it is out of range: want 1s to 24h0m0s`},
		{[]string{at, "--timeout", "soon"}, 3, `--timeout "soon": want a duration from 1s to 24h0m0s`},
	} {
		code, stdout, stderr := consult(t, false, tt.args...)
		if code != tt.code || !strings.HasPrefix(stderr, "weir: "+tt.want) || strings.Count(stderr, "\n") != 1 || stdout != "" {
			t.Errorf("%q: exit %d, %q, %q: want %d, one line with %q", tt.args, code, stdout, stderr, tt.code, tt.want)
		}
		if strings.Contains(stderr, "secret") {
			t.Errorf("%q: %q shows what is secret", tt.args, stderr)
		}
	}
	if asked > 0 {
		t.Errorf("%d requests were sent", asked)
	}
}

// A limit as it should be: exit code 0, a table, and what it costs before.
func TestDoctor(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := consult(t, false, limited(t, httpmw.ByIP()))
	if code != 0 || !strings.HasPrefix(stdout, "pass        limit                ") || !strings.Contains(stdout, " 0 failed, ") {
		t.Errorf("exit %d, %s\n%s", code, stdout, stderr)
	}
	if !strings.HasPrefix(stderr, "weir: RateLimit-Policy says 5 requests in 2s. As ") || !strings.HasSuffix(stderr, "at most 350 requests and 2m0s\n") ||
		strings.ContainsAny(stderr, "\r\x1b") {
		t.Errorf("what it costs is not said: %q", stderr)
	}
}

// Credentials tell clients apart, and are never shown.
func TestDoctorIdentities(t *testing.T) {
	t.Parallel()
	url := limited(t, httpmw.Header("X-Api-Key"))
	code, stdout, stderr := consult(t, true, url, "--json", "--limit", "5/2s", "--identity", "X-Api-Key: secret1", "--identity", "x-api-key:secret2")
	var r doctor.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 0 {
		t.Fatalf("exit %d, %v\n%s\n%s", code, err, stdout, stderr)
	}
	if r.Schema != 1 || r.URL != url || r.Limit < 5 || r.Said != 5 || r.Window != 2 || r.Failed != 0 || len(r.Checks) != 17 {
		t.Errorf("%+v", r)
	}
	if c := r.Checks[6]; c.Name != "isolation" || c.Outcome != doctor.Pass || c.Reason != "identity 2 is served while identity 1 is refused" {
		t.Errorf("%+v", c)
	}
	if strings.Contains(stdout+stderr, "secret") {
		t.Errorf("a credential is shown:\n%s\n%s", stdout, stderr)
	}
	if !strings.HasSuffix(stderr, "\r\x1b[K16/17 restart\r\x1b[K") || !strings.Contains(stderr, "\r\x1b[K15/17 retry, which waits for 1s\r") {
		t.Errorf("no progress for a terminal in %q", stderr)
	}
}

// What is wrong is exit code 4, and in both forms of the report.
func TestDoctorFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	code, stdout, stderr := consult(t, false, server.URL)
	if code != 4 || !strings.HasSuffix(stderr, "weir: 1 of 17 checks failed at "+server.URL+"\n") {
		t.Errorf("exit %d, %q: want 4", code, stderr)
	}
	for _, want := range []string{"FAIL        limit                1000 requests in a row pass, and no answer tells of a limit\n", "cure: put a limiter there: weir serve --to " + server.URL + ";",
		"not tested  restart              no request is refused\n", "\n0 passed, 1 failed, 16 not tested; 1000 requests in "} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
	}
	code, stdout, _ = consult(t, false, server.URL, "--json", "--limit", "10/min")
	var r doctor.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 4 || r.Failed != 1 || r.Untested != 16 || r.Checks[0].Outcome != doctor.Fail {
		t.Errorf("exit %d, %v, %+v", code, err, r)
	}
}

// An API that does not answer, and one that says nothing, are no proof of
// anything.
func TestDoctorWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	l.Close()
	code, stdout, stderr := consult(t, false, "http://"+free)
	if code != 1 || stdout != "" || !strings.Contains(stderr, "connect") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit %d, %q, %q: want 1 and why", code, stdout, stderr)
	}
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }))
	defer broken.Close()
	code, stdout, stderr = consult(t, false, broken.URL)
	if code != 1 || stdout != "" || !strings.Contains(stderr, "nothing can be said about the limit: the first request is answered with status 502") {
		t.Errorf("exit %d, %q, %q: want 1 and why", code, stdout, stderr)
	}
	ctx, stop := context.WithCancel(t.Context())
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { stop(); <-r.Context().Done() }))
	defer slow.Close()
	var out, errs strings.Builder
	code = cli.Run(ctx, cli.World{Args: []string{"doctor", slow.URL}, Stdout: &out, Stderr: &errs, Force: t.Context()})
	if code != 1 || out.Len() > 0 || errs.String() != "weir: stopped before it was done\n" {
		t.Errorf("exit %d, %q, %q", code, &out, &errs)
	}
}

// The command of --restart is run by the shell; what it prints is shown if it
// fails, and whoever it starts may outlive it.
func TestDoctorRestart(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the commands are for sh")
	}
	dir := t.TempDir()
	for name, tt := range map[string]struct{ command, want string }{
		"fails":         {"echo no such unit; exit 5", "the command failed: exit status 5 no such unit"},
		"kills nothing": {"touch " + filepath.Join(dir, "run"), "a connection from before the command is still open"},
		"starts something": {"(sleep 60; echo) & echo $! > " + filepath.Join(dir, "pid"),
			"a connection from before the command is still open"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			code, stdout, stderr := consult(t, false, limited(t, httpmw.ByIP()), "--json", "--restart", tt.command)
			var r doctor.Report
			if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 0 {
				t.Fatalf("exit %d, %v\n%s\n%s", code, err, stdout, stderr)
			}
			last := r.Checks[len(r.Checks)-1]
			if last.Name != "restart" || last.Outcome != doctor.NotTested || !strings.HasPrefix(last.Reason, tt.want) {
				t.Errorf("%+v: want %q", last, tt.want)
			}
			if time.Since(start) > 45*time.Second {
				t.Error("it waits for what the command has started")
			}
		})
	}
	t.Cleanup(func() {
		if _, err := os.Stat(filepath.Join(dir, "run")); err != nil {
			t.Error("the command was not run")
		}
		if pid, err := os.ReadFile(filepath.Join(dir, "pid")); err == nil {
			kill(t, strings.TrimSpace(string(pid)))
		}
	})
}

// kill ends what a test has left to run.
func kill(t *testing.T, pid string) {
	t.Helper()
	var n int
	if _, err := fmt.Sscan(pid, &n); err != nil || n < 2 {
		t.Fatalf("process %q", pid)
	}
	if p, err := os.FindProcess(n); err == nil {
		p.Kill()
	}
}

// The help says what the JSON is.
func TestDoctorHelp(t *testing.T) {
	t.Parallel()
	_, help, _ := run("doctor", "--help")
	text, err := json.Marshal(doctor.Report{Checks: []doctor.Check{{Cure: "x"}}})
	if err != nil {
		t.Fatal(err)
	}
	var r map[string]any
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	said := strings.NewReplacer(",", " ").Replace(help[strings.Index(help, "--json prints"):])
	for key := range r {
		if !strings.Contains(said, " "+key+" ") {
			t.Errorf("the help does not say what %q is", key)
		}
	}
	for key := range r["checks"].([]any)[0].(map[string]any) {
		if !strings.Contains(said, "    "+key+" ") {
			t.Errorf("the help does not say what %q of a check is", key)
		}
	}
}

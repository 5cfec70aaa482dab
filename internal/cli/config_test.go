package cli_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/cli"
)

// runIn runs a command line with variables and something to read.
func runIn(environ []string, stdin string, args ...string) (code int, stdout, stderr string) {
	var out, err strings.Builder
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	code = cli.Run(ended, cli.World{
		Args: args, Environ: environ, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &err, Force: context.Background(),
	})
	return code, out.String(), err.String()
}

// write writes a file of a test.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What is wrong with a file is told with its lines, by each command that reads
// one, with code 3; and what is not there.
func TestConfigMistakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad := write(t, dir, "bad.yaml", "listn: a:1\npolicies:\n  - ip 100/mn\n")
	want := "weir: " + bad + `:1:1: unknown key "listn"; did you mean "listen"?
    1 | listn: a:1
      | ^
weir: ` + bad + `:3:5: policies[0]: "ip 100/mn": limit "100/mn": window "mn": want s, min, h, day, week, or a duration such as 500ms or 1h30m
    3 |   - ip 100/mn
      |     ^
`
	for _, args := range [][]string{{"serve", "--config", bad}, {"config", "show", "--config", bad}, {"validate", bad}} {
		if code, stdout, stderr := runIn(nil, "", args...); code != 3 || stdout != "" || stderr != want {
			t.Errorf("weir %q: code %d, stdout %q\n%s\nwant\n%s", args, code, stdout, stderr, want)
		}
		if code, _, stderr := runIn([]string{"WEIR_CONFIG=" + bad}, "", slices.DeleteFunc(args, func(s string) bool {
			return s == bad || s == "--config"
		})...); code != 3 || stderr != want {
			t.Errorf("weir %q by WEIR_CONFIG: code %d\n%s", args, code, stderr)
		}
	}
	none := filepath.Join(dir, "none.yaml")
	for _, tt := range []struct {
		environ []string
		args    []string
		code    int
		want    string
	}{
		{nil, []string{"serve", "--config", none}, 3, "none.yaml\": it does not exist: want the name of a file in YAML\n"},
		{[]string{"WEIR_CONFIG=" + none}, []string{"serve"}, 3, "none.yaml\": it does not exist: want the name of a file in YAML\n"},
		{nil, []string{"validate", dir}, 3, "\": it is a directory: want the name of a file in YAML\n"},
		{nil, []string{"serve", "--config", ""}, 3, "weir: --config \"\": it is empty: want the name of a file in YAML\n"},
		{nil, []string{"serve", "--config", "a", "--config", "b"}, 2, "weir: --config \"b\": it is given twice, before as \"a\": want it once\n"},
		{nil, []string{"validate"}, 2, "weir: there is no file: want weir validate FILE, or its name in WEIR_CONFIG\n"},
		{nil, []string{"validate", "a", "b"}, 2, "weir: 2 arguments: want one FILE\n"},
		{nil, []string{"validate", "--to", "a"}, 2, "weir: unknown flag \"--to\": see weir validate --help\n"},
		{nil, []string{"config", "shw"}, 2, "weir: unknown command \"shw\": want hash, schema, show; did you mean \"show\"?\n"},
		{nil, []string{"config", "show", "x"}, 2, "weir: unexpected argument \"x\": weir config show takes flags only\n"},
		{nil, []string{"config", "show", "--orign"}, 2, "weir: unknown flag \"--orign\"; did you mean \"--origin\"?\n"},
		{nil, []string{"config", "show", "--listen", "8080"}, 3, "; did you mean \"127.0.0.1:8080\"?\n"},
		{nil, []string{"config", "hash"}, 2, "weir: 0 arguments: want the KEY of a policy, such as header:X-Api-Key\n"},
		{nil, []string{"config", "hash", "ip"}, 3, "weir: key \"ip\" has no credential: want header:NAME, cookie:NAME, bearer or basic\n"},
		{nil, []string{"config", "hash", "header"}, 3, "weir: key \"header\" has no name: want header:NAME, such as header:X-Api-Key\n"},
		{[]string{"WEIR_JITTER=maybe"}, []string{"config", "show"}, 3, "weir: WEIR_JITTER \"maybe\": want true or false\n"},
	} {
		if code, stdout, stderr := runIn(tt.environ, "", tt.args...); code != tt.code || stdout != "" || !strings.HasSuffix(stderr, tt.want) {
			t.Errorf("weir %q: code %d, want %d; stdout %q\n got %s\nwant %s", tt.args, code, tt.code, stdout, stderr, tt.want)
		}
	}
}

// validate says so, and touches nothing: neither the state nor the address.
func TestValidate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	state, secret := filepath.Join(dir, "weir.db"), filepath.Join(dir, "no secret")
	good := write(t, dir, "good.yaml", "listen: 203.0.113.7:1\nstate: "+state+"\nstate-key: "+secret+"\ntls-cert: no\ntls-key: no\nadmin: unix:"+dir+"/no/a\n")
	code, stdout, stderr := runIn([]string{"WEIR_LISTN=x"}, "", "validate", good)
	if code != 0 || stdout != good+": valid\n" || stderr != "weir: variable \"WEIR_LISTN\" is no setting; did you mean \"WEIR_LISTEN\"?\n" {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("it left %v, %v", files, err)
	}
}

// A server is configured by its file, but for what a flag says.
func TestServeByAFile(t *testing.T) {
	t.Parallel()
	file := write(t, t.TempDir(), "weir.yaml", "listen: 203.0.113.7:1\nstate: none\nadmin: none\npolicies: [ip 7/min, {key: user, limit: 9/min}]\n")
	code, _, stderr := runIn([]string{"WEIR_CONFIG=" + file, "WEIR_FROBNICATE=1"}, "", "serve", "--listen", "127.0.0.1:0")
	for _, want := range []string{"limit      ip 7/min: ", "limit      user 9/min: ", "state      none", "listening  http://127.0.0.1:", `variable \"WEIR_FROBNICATE\" is no setting`} {
		if code != 0 || !strings.Contains(stderr, want) {
			t.Errorf("code %d, and it does not say %q:\n%s", code, want, stderr)
		}
	}
	if strings.Contains(stderr, "the default") {
		t.Errorf("it says that nobody chose the limits:\n%s", stderr)
	}
}

// What is in force is shown with where it is from.
func TestConfigShow(t *testing.T) {
	t.Parallel()
	file := write(t, t.TempDir(), "weir.yaml", "state: a.db\ncrash: charge\npolicies: [ip 7/min]\n")
	code, stdout, stderr := runIn([]string{"WEIR_STATE=b.db"}, "", "config", "show", "--origin", "--config", file, "--jitter=false", "--trust", "10.0.0.1", "--trust", "10.0.0.2")
	for _, want := range []string{
		"state: b.db  # WEIR_STATE\n", "crash: charge  # " + file + ":2:8\n", "jitter: false  # --jitter\n", "edge: false  # default\n",
		"  - ip 7/min  # " + file + ":3:12\n", "trust:  # --trust\n  - 10.0.0.1  # --trust\n  - 10.0.0.2  # --trust\n",
	} {
		if code != 0 || stderr != "" || !strings.Contains(stdout, want) {
			t.Errorf("code %d, stderr %q, and %q is not in\n%s", code, stderr, want, stdout)
		}
	}
	if _, stdout, _ := runIn(nil, "", "config", "show"); strings.Contains(stdout, "#") || !strings.Contains(stdout, "listen: 127.0.0.1:8080\n") {
		t.Errorf("without --origin:\n%s", stdout)
	}
}

func TestConfigSchema(t *testing.T) {
	t.Parallel()
	if code, stdout, _ := runIn(nil, "", "config", "schema"); code != 0 || !strings.Contains(stdout, `"policies": {`) {
		t.Errorf("code %d\n%s", code, stdout)
	}
}

// A credential is read from standard input, and never shown.
func TestConfigHash(t *testing.T) {
	t.Parallel()
	_, plain, _ := runIn(nil, "k1", "config", "hash", "header:X-Api-Key")
	if !strings.HasPrefix(plain, "sha256:") || len(plain) != len("sha256:")+32+1 {
		t.Fatalf("it is %q", plain)
	}
	for stdin, same := range map[string]bool{"k1\n": true, "k1\r\n": true, " k1 ": true, "k2": false} {
		if code, stdout, stderr := runIn(nil, stdin, "config", "hash", "header:x-api-key"); code != 0 || (stdout == plain) != same || stderr != "" {
			t.Errorf("%q: code %d, %q, %q, want the same as %q: %v", stdin, code, stdout, stderr, plain, same)
		}
	}
	if _, other, _ := runIn(nil, "k1", "config", "hash", "bearer"); other == plain {
		t.Error("a token is the same as a key")
	}
	for stdin, want := range map[string]string{
		"":                         "weir: the credential: no request has that value: want it as it is in a request, and not empty\n",
		"k1\nk2":                   "weir: there is more than one line: want one credential\n",
		strings.Repeat("k", 65537): "weir: the credential is longer than 65536 bytes: want one\n",
	} {
		if code, stdout, stderr := runIn(nil, stdin, "config", "hash", "header:A"); code == 0 || stdout != "" || stderr != want {
			t.Errorf("%.20q: code %d, %q, %q, want %q", stdin, code, stdout, stderr, want)
		}
	}
}

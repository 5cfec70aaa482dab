package cli_test

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/persist"
)

// keyFile writes a file for --state-key.
func keyFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const aSecret = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

// Each mistake is one line, and none of them shows a secret.
func TestStateKeyMistakes(t *testing.T) {
	t.Parallel()
	const want = "want 32 random bytes as 64 hexadecimal digits or 44 characters of base64, and nothing after them but one line break"
	const wantName = "want the name of a file that holds the secret"
	bad, none := keyFile(t, aSecret+"!"), filepath.Join(t.TempDir(), "none")
	for _, tt := range []struct {
		key  string
		code int
		want string
	}{
		{"", 3, `--state-key "": it is empty: ` + wantName},
		{"a\x00b", 3, `--state-key "a\x00b": it has a NUL byte: ` + wantName},
		{aSecret, 3, `--state-key (not shown): it is a secret itself, which others can see on a command line: ` + wantName},
		{bad, 1, `--state-key "` + bad + `": it does not hold a secret: ` + want},
	} {
		for _, args := range [][]string{{"serve", "--listen", "127.0.0.1:0"}, {"state", "info"}, {"state", "verify"}, {"state", "check"}, {"state", "purge", "--yes"}, {"state", "import"}} {
			path := stateFile(t)
			before := contents(t, filepath.Dir(path))
			code, stdout, stderr := run(append(args, "--state", path, "--state-key", tt.key)...)
			if stderr != "weir: "+tt.want+"\n" || code != tt.code || stdout != "" {
				t.Errorf("weir %q --state-key %q: code %d, want %d\n got %swant weir: %s\nstdout %q", args, tt.key, code, tt.code, stderr, tt.want, stdout)
			}
			if after := contents(t, filepath.Dir(path)); after != before {
				t.Errorf("weir %q --state-key %q has changed something", args, tt.key)
			}
		}
	}
	if code, _, stderr := run("serve", "--state-key", none); code != 1 || !strings.HasPrefix(stderr, "weir: --state-key \""+none+"\": ") {
		t.Errorf("no such file: code %d, %s", code, stderr)
	}
	if code, _, stderr := run("serve", "--state", "none", "--state-key", bad); code != 3 ||
		stderr != "weir: --state-key: with --state none there is no file that needs it: want one of them\n" {
		t.Errorf("no state: code %d, %s", code, stderr)
	}
	// What is given twice may be a secret, or hold a password.
	for _, args := range [][]string{{"--state-key", aSecret, "--state-key", aSecret}, {"--listen", "http://me:" + aSecret + "@a", "--listen", "http://me:" + aSecret + "@b"}} {
		if code, _, stderr := run(append([]string{"serve"}, args...)...); code != 2 || strings.Contains(stderr, aSecret) || !strings.Contains(stderr, "it is given twice, before as (not shown): want it once") {
			t.Errorf("weir serve %q: code %d, %s", args, code, stderr)
		}
	}
	// Those that need no secret take none.
	for _, verb := range []string{"export", "compact"} {
		if code, _, stderr := state(t, verb, "--state-key", bad); code != 2 || !strings.HasPrefix(stderr, `weir: unknown flag "--state-key"`) {
			t.Errorf("weir state %s: code %d, %s", verb, code, stderr)
		}
	}
}

// contents lists the files of a directory and what is in them.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		b, readErr := os.ReadFile(filepath.Join(dir, e.Name()))
		err = errors.Join(err, readErr)
		all.WriteString(e.Name() + " " + string(b) + "\n")
	}
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// With the secret in a file of its own there is none beside the state, and each
// command that needs it takes it.
func TestStateWithAKey(t *testing.T) {
	t.Parallel()
	raw, err := hex.DecodeString(aSecret)
	if err != nil {
		t.Fatal(err)
	}
	key := keyFile(t, aSecret+"\n")
	path := filepath.Join(t.TempDir(), "weir.db")
	names := func() []string {
		entries, err := os.ReadDir(filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	only := func(after string) {
		t.Helper()
		if got := names(); !slices.Equal(got, []string{"weir.db"}) {
			t.Errorf("after %s there are %q: want the state alone", after, got)
		}
	}
	serving := func(key string) string {
		t.Helper()
		code, _, stderr := run("serve", "--listen", "127.0.0.1:0", "--state", path, "--state-key", key)
		if code != 0 || strings.Contains(stderr, aSecret) || strings.Contains(stderr, string(raw)) {
			t.Errorf("serve: code %d\n%s", code, stderr)
		}
		return stderr
	}
	if banner := serving(key); !strings.Contains(banner, path+", snapshot every 10s: new\n") {
		t.Errorf("the first start says\n%s", banner)
	}
	only("serve")
	// The same secret in another writing.
	if banner := serving(keyFile(t, base64.StdEncoding.EncodeToString(raw))); !strings.Contains(banner, "0 debts restored") {
		t.Errorf("the second start says\n%s", banner)
	}
	// A state that was exported under it can be imported under it, file or not.
	from := filepath.Join(t.TempDir(), "weir.db")
	f, err := persist.Open(from, persist.Config{Secret: raw})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Save(persist.Snapshot{Final: true, Sections: []persist.Section{oneSection("ip")}})
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	code, text, stderr := state(t, "export", "--state", from)
	if code != 0 {
		t.Fatalf("export: code %d, %s", code, stderr)
	}
	for _, fresh := range []bool{false, true} {
		if fresh {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		if code, stdout, stderr := stateWith(t, text, "import", "--state", path, "--state-key", key); code != 0 || !strings.Contains(stdout, "2 records read, 2 of them stored") {
			t.Errorf("import: code %d, %s%s", code, stdout, stderr)
		}
		only("import")
	}
	if code, _, stderr := stateWith(t, text, "import", "--state", path); code != 1 || !strings.Contains(stderr, "weir.db.key is missing") {
		t.Errorf("import without its secret: code %d, %s", code, stderr)
	}
	if code, stdout, stderr := state(t, "info", "--state", path, "--state-key", key); code != 0 || !strings.Contains(stdout, ", it is there\n") {
		t.Errorf("info: code %d, %s%s", code, stdout, stderr)
	}
	if code, stdout, stderr := state(t, "verify", "--state", path, "--state-key", key); code != 0 || stderr != "" {
		t.Errorf("verify: code %d, %s%s", code, stdout, stderr)
	}
	// Without it, or with another, they say so.
	for _, args := range [][]string{nil, {"--state-key", keyFile(t, strings.Repeat("42", 32))}} {
		says := "weir.db.key is missing: "
		if args != nil {
			says = "the secret given is not the one that it was written with"
		}
		for _, verb := range []string{"info", "verify"} {
			code, stdout, stderr := state(t, append([]string{verb, "--state", path}, args...)...)
			if code != 0 || !strings.Contains(stdout+stderr, says) || !strings.Contains(stdout+stderr, "; weir serve could not use the file like this: see --state-key\n") {
				t.Errorf("%s %q: code %d, %s%s", verb, args, code, stdout, stderr)
			}
		}
	}
	// A purge leaves the file of the secret alone, and makes none.
	if code, stdout, stderr := state(t, "purge", "--yes", "--state", path, "--state-key", key); code != 0 || stdout != "removed      "+path+"\n" {
		t.Errorf("purge: code %d, %s%s", code, stdout, stderr)
	}
	only("purge")
	if b, err := os.ReadFile(key); err != nil || string(b) != aSecret+"\n" {
		t.Errorf("the file of the secret holds %q now, %v", b, err)
	}
	if banner := serving(key); !strings.Contains(banner, ": new\n") {
		t.Errorf("after a purge the start says\n%s", banner)
	}
	// Another secret: what is there is moved aside, and that is said.
	banner := serving(keyFile(t, strings.Repeat("42", 32)))
	for _, want := range []string{
		"begun afresh\n",
		"the file that was there was not used: the secret given is not the one that it was written with; it is kept as " + path + ".unreadable-",
		"it takes the secret that it was written with: stop weir, move it back to " + path + ", and start weir with that secret\n",
	} {
		if !strings.Contains(banner, want) {
			t.Errorf("with another secret the start lacks %q:\n%s", want, banner)
		}
	}
	if got := names(); len(got) != 2 || got[0] != "weir.db" || !strings.HasPrefix(got[1], "weir.db.unreadable-") {
		t.Errorf("there are %q", got)
	}
}

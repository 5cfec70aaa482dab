package persist

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

func TestImportRefusesInput(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := newState(t, c, true, section("a", daily, debts{1: time.Second, 2: time.Second}))
	header, records, _ := strings.Cut(exported(t, path, c), "\n")
	first, second, _ := strings.Cut(records, "\n")
	header1 := strings.Replace(header, `"records":2`, `"records":1`, 1)
	edit := func(text, old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("%q is not in %q", old, text)
		}
		return strings.Replace(text, old, new, 1)
	}
	lines := func(l ...string) string { return strings.Join(l, "\n") + "\n" }
	for _, tt := range []struct{ why, in, want string }{
		{"nothing", "", "line 1: the input is empty: want what weir state export writes"},
		{"an empty line", "\n", `line 1: it is not the header of an export: want one that begins {"format":"weir-state"`},
		{"garbage", "\x00\xff\x00", "line 1: it is not the header of an export"},
		{"some other JSON", `{"a":1}`, "line 1: it is not the header of an export"},
		{"records without their header", lines(first), "line 1: it is not the header of an export"},
		{"a newer version", edit(header, `"version":1`, `"version":2,"more":[]`), "line 1: version 2: want 1; if that is newer, update"},
		{"a field that nobody knows", edit(header, `"records"`, `"secret":"x","records"`), `line 1: json: unknown field "secret"`},
		{"a secret id that is none", edit(header, `"secret_id":"`, `"secret_id":"x`), "line 1: secret_id"},
		{"a boot id that is none", edit(header, `"boot_id":"01`, `"boot_id":"0`), "line 1: boot_id"},
		{"a time before all", edit(header, `"exported_at":"2024`, `"exported_at":"1024`), "line 1: exported_at 1024-10-04 00:00:00 +0000 UTC: want a year from 1970 to 2261"},
		{"a time that is none", edit(header, `"exported_at":"2024`, `"exported_at":"soon`), "line 1: "},
		{"a boot before it began", edit(header, `"boot_ns":`, `"boot_ns":-`), "line 1: boot_ns -3600000000000 is out of range: want at least 0"},
		{"fewer than no records", edit(header, `"records":2`, `"records":-2`), "line 1: records -2 is out of range: want at least 0"},
		{"a limit that is none", edit(header, `1000/day`, `1000/dya`), `line 1: limit "1000/dya": window "dya"`},
		{"no limit", edit(header, `,"limit":"1000/day"`, ``), `line 1: policy "a" has no limit`},
		{"a policy twice", edit(header, `"policies":[`, `"policies":[{"name":"a","limit":"1/s"},`), `line 1: policy "a" is there twice`},
		{"a policy without a name", edit(header, `"name":"a"`, `"name":""`), `line 1: policy "" has a name of 0 bytes: want 1 to 1024`},
		{"a name too long", edit(header, `"name":"a"`, `"name":"`+strings.Repeat("a", 1025)+`"`), "has a name of 1025 bytes: want 1 to 1024"},
		{"policies that are none", edit(header, `"policies":[`, `"policies":7,"x":[`), "line 1: policies is a number: want a list"},
		{"an empty line between", lines(header, first, "", second), "line 3: it is empty: want a JSON object"},
		{"half a line", lines(header, first, second[:20]), "line 3: it ends before its JSON does"},
		{"two on a line", lines(header, first+first), "line 2: there is more after its JSON object: want one object a line"},
		{"no JSON", lines(header, first, "x"), "line 3: it is not JSON: at byte 1: invalid character 'x'"},
		{"a list", lines(header, "[1]"), "line 2: json: cannot unmarshal array"},
		{"a field that nobody knows, in a record", lines(header, edit(first, `"hash"`, `"key":"1.2.3.4","hash"`)), `line 2: json: unknown field "key"`},
		{"a policy of which the header knows nothing", lines(header, edit(first, `"a"`, `"b"`)), `line 2: policy "b" is not one of the header's`},
		{"no policy", lines(header, edit(first, `"policy":"a",`, ``)), `line 2: policy "" is not one of the header's`},
		{"no hash", lines(header, edit(first, `"hash":"0000000000000001",`, ``)), `line 2: hash is missing`},
		{"a short hash", lines(header, edit(first, `0000000000000001`, `1`)), `line 2: hash "1": want 16 hexadecimal digits`},
		{"a hash that is none", lines(header, edit(first, `0000000000000001`, `000000000000000g`)), `line 2: hash "000000000000000g": want 16 hexadecimal digits`},
		{"a hash as a number, which would be rounded", lines(header, edit(first, `"0000000000000001"`, `1`)), `line 2: hash is a number: want a text`},
		{"no debt", lines(header, edit(first, `,"full_in_ns":1000000000`, ``)), "line 2: full_in_ns is missing"},
		{"a debt below 0", lines(header, edit(first, `:1000000000`, `:-1`)), "line 2: full_in_ns -1 is out of range: want at least 0"},
		{"half a nanosecond", lines(header, edit(first, `:1000000000`, `:0.5`)), "line 2: full_in_ns is a number 0.5: want a whole number up to 2^63-1"},
		{"a debt beyond 64 bits", lines(header, edit(first, `:1000000000`, `:9223372036854775808`)), "line 2: full_in_ns is a number 9223372036854775808: want a whole number"},
		{"a debt as a text", lines(header, edit(first, `:1000000000`, `:"1h"`)), "line 2: full_in_ns is a string: want a whole number"},
		{"too few records: it is cut off", lines(header, first), "line 2: the input ends after 1 records: the header says that there are 2"},
		{"too many", lines(header1, first, second), "line 3: the header says that there are 1 records: this is one more"},
		{"a line without end", lines(header, strings.Repeat("x", maxLine+1)), "line 2 is longer than 16777216 bytes"},
		{"another secret", lines(edit(header, `"secret_id":"`+fmt.Sprintf("%x", secretID(readFile(t, path+".key"))), `"secret_id":"`+strings.Repeat("ab", 16)), first, second),
			"line 1: it was exported under secret abababababababababababababababab, and that of "},
	} {
		before := contentsOf(t, filepath.Dir(path))
		_, err := Import(path, Config{}, strings.NewReader(tt.in))
		if err == nil || !strings.HasPrefix(err.Error(), "persist: ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v\nwant %s", tt.why, err, tt.want)
		}
		if err != nil && (strings.Contains(err.Error(), "\n") || len(err.Error()) > 500) {
			t.Errorf("%s: the error is not one line: %q", tt.why, err)
		}
		if contentsOf(t, filepath.Dir(path)) != before {
			t.Errorf("%s: what is there was changed", tt.why)
		}
	}
	if _, err := Import(path, Config{}, failing{strings.NewReader(header + "\n")}); !errors.Is(err, errNoRoom) || !strings.Contains(err.Error(), "line 2: ") {
		t.Errorf("an input that breaks off: %v", err)
	}
}

// failing is an input that ends with an error.
type failing struct{ r *strings.Reader }

func (f failing) Read(p []byte) (int, error) {
	if f.r.Len() == 0 {
		return 0, errNoRoom
	}
	return f.r.Read(p)
}

func TestImportRefusesFiles(t *testing.T) {
	t.Parallel()
	cases := append(blocked[:len(blocked):len(blocked)], []struct {
		why  string
		edit func(t *testing.T, path string) string
		want string
		is   error
	}{
		{"the secret is gone", func(t *testing.T, path string) string {
			if err := os.Remove(path + ".key"); err != nil {
				t.Fatal(err)
			}
			return path
		}, "state.key is missing: without it no key can be recognized", nil},
		{"the secret is another", func(t *testing.T, path string) string {
			writeFile(t, path+".key", bytes.Repeat([]byte{7}, 32))
			return path
		}, "state.key is not the secret that it was written with", nil},
		{"there is neither a file nor a secret", func(_ *testing.T, path string) string { return path + "x" },
			"statex.key is missing: put the one of the exported file there, or the hashes mean nothing", nil},
		{"there is only another secret", func(t *testing.T, path string) string {
			writeFile(t, path+"x.key", bytes.Repeat([]byte{7}, 32))
			return path + "x"
		}, "line 1: it was exported under secret ", nil},
		{"the secret is no secret", func(t *testing.T, path string) string {
			writeFile(t, path+"x.key", []byte("short"))
			return path + "x"
		}, "statex.key has 5 bytes: want 32", nil},
	}...)
	for _, tt := range cases {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			path := newState(t, c, true, section("a", daily, debts{1: time.Hour}))
			text := exported(t, path, c)
			path = tt.edit(t, path)
			before := contentsOf(t, filepath.Dir(path))
			in := &linewise{text: text}
			_, err := Import(path, Config{LockTimeout: 10 * time.Millisecond}, in)
			if err == nil || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("Import: %v: want %s", err, tt.want)
			}
			if contentsOf(t, filepath.Dir(path)) != before {
				t.Error("what is there was changed")
			}
			if in.reads > 1 {
				t.Error("more than the header was read to find out")
			}
		})
	}
}

// A linewise reads a line at a time, and calls then before the second.
type linewise struct {
	text  string
	reads int
	then  func()
}

func (l *linewise) Read(p []byte) (int, error) {
	if l.text == "" {
		return 0, io.EOF
	}
	if l.reads++; l.reads == 2 && l.then != nil {
		l.then()
	}
	line, _, _ := strings.Cut(l.text, "\n")
	n := copy(p, l.text[:min(len(l.text), len(line)+1)])
	l.text = l.text[n:]
	return n, nil
}

// A file that is damaged while the input is read is not moved aside either: who
// imports is told, and decides.
func TestImportIntoAFileThatIsDamagedMeanwhile(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := newState(t, c, true, section("a", daily, debts{1: time.Hour}))
	var damaged string
	in := &linewise{text: exported(t, path, c), then: func() {
		writeFile(t, path, nil)
		damaged = contentsOf(t, filepath.Dir(path))
	}}
	if _, err := Import(path, Config{}, in); !errors.Is(err, ErrDamaged) {
		t.Errorf("Import: %v: want ErrDamaged", err)
	}
	if damaged == "" || contentsOf(t, filepath.Dir(path)) != damaged {
		t.Error("what is there was changed")
	}
}

// Nor is the secret taken for granted that it had before.
func TestImportIntoAFileWhoseSecretChangesMeanwhile(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := newState(t, c, true, section("a", daily, debts{1: time.Hour}))
	in := &linewise{text: exported(t, path, c), then: func() {
		if _, err := purgeFree(path); err != nil {
			t.Error(err)
		}
	}}
	if _, err := Import(path, Config{}, in); err == nil || !strings.Contains(err.Error(), "its secret has changed meanwhile") {
		t.Errorf("Import: %v", err)
	}
	if got := copied(mustRead(t, path, c)); len(got) != 0 {
		t.Errorf("it holds %v", got)
	}
}

// purgeFree is Purge as another process would run it.
func purgeFree(path string) (Purged, error) {
	cfg, err := Config{}.withDefaults()
	if err != nil {
		return Purged{}, err
	}
	return (&File{path: path, cfg: cfg, clocks: readClocks}).purge(false)
}

func TestImportUnderASecretGiven(t *testing.T) {
	t.Parallel()
	c := newClock()
	cfg := Config{Secret: bytes.Repeat([]byte{7}, 32)}
	path := filepath.Join(t.TempDir(), "state")
	f := mustOpen(t, path, cfg, c)
	mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{1: time.Hour})}})
	mustClose(t, f)
	to := filepath.Join(t.TempDir(), "state")
	if _, err := importInto(to, cfg, strings.NewReader(exported(t, path, c)), c.read); err != nil {
		t.Fatal(err)
	}
	got, _ := loadAll(mustOpen(t, to, cfg, c))
	same(t, got["a"], debts{1: time.Hour}, 2*fine)
}

// A write that fails after all was read leaves the file as it was, or with some
// of the debts besides, but usable.
func TestImportIntoAFullFile(t *testing.T) {
	t.Parallel()
	c := newClock()
	from := newState(t, c, true, section("a", daily, many(200_000, 2*time.Hour)))
	to := withKeyOf(t, from)
	f := mustOpen(t, to, Config{}, c)
	d := maps.Clone(many(10, time.Hour))
	mustSave(t, f, Snapshot{Final: true, Sections: []Section{section("a", daily, d)}})
	mustClose(t, f)
	_, err := importInto(to, Config{MaxSize: minMaxSize}, strings.NewReader(exported(t, from, c)), c.read)
	if err == nil {
		t.Fatal("2.4 MB went into 1 MiB")
	}
	if got := copied(mustRead(t, to, c))["a"]; len(got) < len(d) {
		t.Errorf("%d records are left: want the %d that were there", len(got), len(d))
	}
	tamper(t, to, func(*bolt.Tx) error { return nil }) // it is free again
}

func FuzzImport(f *testing.F) {
	header := `{"format":"weir-state","version":1,"exported_at":"2024-10-04T00:00:01Z","synchronised":true,"boot_id":"01000000000000000000000000000000","boot_ns":5,"secret_id":"0123456789abcdef0123456789abcdef","policies":[{"name":"a","limit":"1/s"}],"records":1}`
	f.Add(header + "\n" + `{"policy":"a","hash":"0123456789abcdef","full_in_ns":59000000000}` + "\n")
	f.Add(header + "\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		lines := bufio.NewScanner(strings.NewReader(text))
		in, err := readHeader(lines)
		if err == nil {
			err = in.readRecords(lines)
		}
		if err != nil {
			if !strings.HasPrefix(err.Error(), "line ") {
				t.Errorf("the error names no line: %v", err)
			}
			return
		}
		n := 0
		for policy, d := range in.debts {
			if _, err := in.limits[policy].Normalize(); err != nil {
				t.Errorf("policy %q: %v", policy, err)
			}
			for _, debt := range d {
				n++
				if debt < 0 {
					t.Errorf("a debt of %v", debt)
				}
			}
		}
		if n > in.records || in.records != in.header.Records || len(in.secretID) != secretIDSize {
			t.Errorf("%d debts of %d records, %d by the header", n, in.records, in.header.Records)
		}
	})
}

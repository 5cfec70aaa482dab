package state

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/persist"
)

// The test binary is its own child, as the command is.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "child" {
		os.Exit(childOf(os.Args[2], os.Args[3:]))
	}
	os.Exit(m.Run())
}

// childOf does what a child may do.
func childOf(what string, args []string) int {
	switch what {
	case "check":
		if err := Check(os.Stdout, args[0], persist.Config{}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	case "panic":
		panic("the file is at fault\nand more")
	case "overflow":
		return overflow(0)
	case "exit":
		return 3
	case "silence":
	case "both":
		fmt.Println(`{"ok":true,"problem":"which?"}`)
	case "half":
		fmt.Print(`{"ok":tr`)
	case "flood":
		for range 100 {
			os.Stdout.Write(bytes.Repeat([]byte("x"), 1<<16))
		}
	case "hang":
		time.Sleep(time.Hour)
	}
	return 0
}

func overflow(n int) int {
	if n < 0 {
		return 0
	}
	return overflow(n+1) + 1
}

func command(t *testing.T, args ...string) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{self, "child"}, args...)
}

// hash is the first of those in a new file.
const hash = 0xfeedface00000000

// newFile makes a state file with n records.
func newFile(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state")
	f, err := persist.Open(path, persist.Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Save(persist.Snapshot{Final: true, Sections: []persist.Section{{
		Policy: "a", Limit: bucket.PerDay(1000),
		Records: func(yield func(uint64, time.Duration) bool) {
			for i := range n {
				if !yield(hash+uint64(i), time.Hour) {
					return
				}
			}
		},
	}}})
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestVerify(t *testing.T) {
	t.Parallel()
	path := newFile(t, 5000)
	v, err := Verify(t.Context(), "a.db", command(t, "check", path)...)
	if err != nil || !v.OK || v.Problem != "" || v.InUse || len(v.Notes) != 0 || v.Records != 5000 || v.Chunks != 2 || v.Segments != 1 || v.Pages == 0 {
		t.Errorf("Verdict = %+v, %v", v, err)
	}
	f, err := persist.Open(path, persist.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := Verify(t.Context(), "a.db", command(t, "check", path)...); err != nil || !v.OK || !v.InUse {
		t.Errorf("in use: %+v, %v", v, err)
	}
	if err := errors.Join(f.Close(), os.Remove(path+".key")); err != nil {
		t.Fatal(err)
	}
	if v, err := Verify(t.Context(), "a.db", command(t, "check", path)...); err != nil || !v.OK || len(v.Notes) != 1 || !strings.Contains(v.Notes[0], "state.key is missing") {
		t.Errorf("without its secret: %+v, %v", v, err)
	}
}

func TestVerifySaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why  string
		edit func(b []byte) []byte
		want string
	}{
		{"cut off", func(b []byte) []byte { return b[:3*os.Getpagesize()] }, "state file is damaged: "},
		{"a bit in a chunk", func(b []byte) []byte {
			b[bytes.Index(b, binary.LittleEndian.AppendUint64(nil, hash+7))] ^= 1
			return b
		}, "chunk 0000: chunk with checksum "},
		{"nothing", func([]byte) []byte { return nil }, "state file is damaged: both meta pages are damaged"},
		{"something else", func([]byte) []byte { return []byte("hello") }, "not a state file"},
	} {
		path := newFile(t, 100)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b = tt.edit(b)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := Verify(t.Context(), "a.db", command(t, "check", path)...)
		if err != nil || v.OK || !strings.Contains(v.Problem, tt.want) || strings.HasPrefix(v.Problem, "persist: ") {
			t.Errorf("%s: %+v, %v: want %s", tt.why, v, err, tt.want)
		}
	}
}

// Whatever becomes of the child, its parent lives and says so.
func TestVerifySurvivesItsChild(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ what, want string }{
		{"panic", "a.db cannot be checked: the process that read it died (exit status 2): panic: the file is at fault"},
		{"overflow", "a.db cannot be checked: the process that read it died (exit status 2): runtime: goroutine stack exceeds "},
		{"exit", "a.db cannot be checked: the process that read it died (exit status 3): it said nothing"},
		{"silence", "a.db cannot be checked: the process that read it did not finish what it had to say"},
		{"half", "a.db cannot be checked: the process that read it did not finish what it had to say"},
		{"both", "a.db cannot be checked: the process that read it did not finish what it had to say"},
		{"flood", "a.db cannot be checked: the process that read it did not finish what it had to say"},
	} {
		v, err := Verify(t.Context(), "a.db", command(t, tt.what)...)
		if err != nil || v.OK || !strings.HasPrefix(v.Problem, tt.want) || strings.Contains(v.Problem, "\n") {
			t.Errorf("%s: %+v, %v: want %s", tt.what, v, err, tt.want)
		}
	}
	v, err := verify(t.Context(), 200*time.Millisecond, "a.db", command(t, "hang"))
	if err != nil || v.OK || v.Problem != "a.db cannot be checked: the process that read it hung for 200ms" {
		t.Errorf("hang: %+v, %v", v, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	if v, err := Verify(ctx, "a.db", command(t, "hang")...); !errors.Is(err, context.Canceled) || v.OK {
		t.Errorf("stopped: %+v, %v", v, err)
	}
	if v, err := Verify(t.Context(), "a.db", filepath.Join(t.TempDir(), "none")); err == nil || v.OK || !strings.HasPrefix(err.Error(), "no process to check it in: ") {
		t.Errorf("no program: %+v, %v", v, err)
	}
}

func TestHeadIsBounded(t *testing.T) {
	t.Parallel()
	h := &head{most: 3}
	for _, text := range []string{"ab", "cdef", "g", ""} {
		if n, err := h.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("Write(%q) = %d, %v: want all of it taken", text, n, err)
		}
	}
	if string(h.bytes) != "abc" {
		t.Errorf("it keeps %q: want abc", h.bytes)
	}
}

func TestProblem(t *testing.T) {
	t.Parallel()
	full := errors.New("a\nb: no room")
	for _, tt := range []struct {
		why  string
		err  error
		want string
	}{
		{"an error of another's", full, "a\nb: no room"},
		{"without the name of the package", fmt.Errorf("persist: %w", full), "a\nb: no room"},
		{"two errors, and a line break in a name", fmt.Errorf("persist: %w", errors.Join(full, errors.New("making c: no room"))), "a\nb: no room; making c: no room"},
		{"two errors in one text", fmt.Errorf("persist: c: %w: %w", persist.ErrDamaged, full), "c: state file is damaged: a\nb: no room"},
		{"the way out", fmt.Errorf("persist: c: %w", fs.ErrNotExist), "c: file does not exist: name the file with --state FILE"},
		{"a file that ends too soon is there", fmt.Errorf("persist: %w: %w", persist.ErrDamaged, fs.ErrNotExist), "state file is damaged: file does not exist"},
	} {
		if got := Problem(tt.err); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.why, got, tt.want)
		}
	}
}

func ExampleCheck() {
	dir, err := os.MkdirTemp("", "weir")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "state")
	f, err := persist.Open(path, persist.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	f.Close()
	var b strings.Builder
	if err := Check(&b, path, persist.Config{}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.HasPrefix(b.String(), `{"ok":true,`))
	// Output: true
}

package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func init() { jobs["files"] = filesJob }

// Every system call of Compact, Purge and Import ends the process or fails, one
// at a time. The old file is then there or the new one, whole; the next try
// works, and nothing is left lying about.
func TestFaultAtEachSystemCallOnFiles(t *testing.T) {
	t.Parallel()
	strace := needStrace(t)
	calls := []string{
		"openat", "pwrite64", "write", "fdatasync", "fsync", "ftruncate", "linkat", "unlinkat", "renameat",
		"flock", "newfstatat", "getdents64",
	}
	faults := []string{"signal=SIGKILL", "error=EIO", "error=ENOSPC"}
	checks := map[string]func(t *testing.T, at *struck) string{"compact": compacted, "purge": purged, "import": imported}
	for op, check := range checks {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			hits := map[string]int{}
			for i, call := range calls {
				for j, fault := range faults {
					if testing.Short() && (i+j)%3 != 0 {
						continue
					}
					for k := 1; ; k++ {
						at := strikeAt(t, strace, op, call+":"+fault+":when="+strconv.Itoa(k))
						if at == nil {
							break
						}
						hits[call]++
						hits[check(t, at)]++
						if testing.Short() {
							k += 2
						} else if k >= 12 {
							k += 6 // what the runtime does, too, or the same again
						}
					}
				}
			}
			if hits["openat"] == 0 || hits["pwrite64"] == 0 || hits["before"] == 0 || hits["after"] == 0 {
				t.Errorf("hits are %v: want some of each of the main calls, and both outcomes", hits)
			}
			t.Logf("hits: %v", hits)
		})
	}
}

// struck is what a process has left that was hit by a fault.
type struck struct {
	fault  string
	dir    string
	path   string
	clock  *fakeClock
	secret []byte
	links  []string // the old file and secret, by other names
	killed bool
	out    []byte
}

// strikeAt runs a child with a fault. It returns nil if there was no call to
// hit.
func strikeAt(t *testing.T, strace, op, fault string) *struck {
	t.Helper()
	dir := t.TempDir()
	at := &struck{fault: fault, dir: dir, path: filepath.Join(dir, "state"), clock: newClock()}
	f := mustOpen(t, at.path, Config{}, at.clock)
	f.db.NoSync = true
	mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, many(9000, time.Hour))}})
	mustSave(t, f, Snapshot{Full: true, Sections: []Section{section("a", daily, injectOld)}})
	mustClose(t, f)
	at.secret = bytes.Clone(f.Secret())
	if op == "purge" {
		at.links = watched(t, at.path, at.path+".key")
	}
	hit, killed, out := strike(t, strace, fault, child(t, "files", op+":"+at.path))
	if !hit {
		return nil
	}
	at.killed, at.out = killed, out
	return at
}

// tidy fails unless nothing but the file and its secret is left.
func (at *struck) tidy(t *testing.T) {
	t.Helper()
	if names := list(t, at.dir); !slices.Equal(names, []string{"state", "state.key"}) {
		t.Fatalf("%s: %q are left\n%s", at.fault, names, at.out)
	}
}

// compacted checks what Compact has left: all that was there.
func compacted(t *testing.T, at *struck) string {
	t.Helper()
	found := "after"
	if info, err := os.Stat(at.path); err != nil {
		t.Fatalf("%s: %v", at.fault, err)
	} else if info.Size() > 64<<10 {
		found = "before"
	}
	if !at.killed && found == "before" {
		t.Fatalf("%s: the second try has not made it smaller\n%s", at.fault, at.out)
	}
	same(t, copied(mustRead(t, at.path, at.clock))["a"], injectOld, fine)
	if _, after, err := Compact(at.path, Config{}); err != nil || after > 64<<10 {
		t.Fatalf("%s: then Compact: %d bytes, %v", at.fault, after, err)
	}
	at.tidy(t)
	f := mustOpen(t, at.path, Config{}, at.clock)
	defer mustClose(t, f)
	got, res := loadAll(f)
	same(t, got["a"], injectOld, fine)
	if res.MovedTo != "" || res.FellBack || !bytes.Equal(f.Secret(), at.secret) {
		t.Fatalf("%s: %+v\n%s", at.fault, res, at.out)
	}
	return found
}

// purged checks what Purge has left: all that was there, or nothing that can be
// read. A file without its secret is no more than that.
func purged(t *testing.T, at *struck) string {
	t.Helper()
	found := "after"
	// What if a limiter comes first?
	dir := t.TempDir()
	for _, name := range list(t, at.dir) {
		writeFile(t, filepath.Join(dir, name), readFile(t, filepath.Join(at.dir, name)))
	}
	f := mustOpen(t, filepath.Join(dir, "state"), Config{}, at.clock)
	got, res := loadAll(f)
	mustClose(t, f)
	switch {
	case len(got) == 0 && (res.MovedTo == "" || strings.Contains(res.MovedTo, ".unreadable-")):
		if !at.killed && bytes.Equal(f.Secret(), at.secret) {
			t.Fatalf("%s: the secret is still the same\n%s", at.fault, at.out)
		}
	case at.killed && near(got["a"], injectOld):
		found = "before"
	default:
		t.Fatalf("%s: %d records came back, %+v\n%s", at.fault, len(got["a"]), res, at.out)
	}
	if _, err := Purge(at.path, Config{}, false); err != nil {
		if names := list(t, at.dir); !errors.Is(err, fs.ErrNotExist) || len(names) > 0 {
			t.Fatalf("%s: then Purge: %v, there are %q", at.fault, err, names)
		}
	} else {
		at.tidy(t)
	}
	allZeros(t, at.links)
	return found
}

// imported checks what Import has left: all that was there, or that and more.
func imported(t *testing.T, at *struck) string {
	t.Helper()
	f := mustOpen(t, at.path, Config{}, at.clock)
	defer mustClose(t, f)
	got, res := loadAll(f)
	more := maps.Clone(injectOld)
	maps.Copy(more, injectNew)
	found := "after"
	if at.killed && near(got["a"], injectOld) {
		found = "before"
	} else if !near(got["a"], more) {
		t.Fatalf("%s: %d records came back, %+v\n%s", at.fault, len(got["a"]), res, at.out)
	}
	if res.MovedTo != "" || res.FellBack || !bytes.Equal(f.Secret(), at.secret) {
		t.Fatalf("%s: %+v\n%s", at.fault, res, at.out)
	}
	at.tidy(t)
	return found
}

// filesJob does one thing to a file, again until it works.
func filesJob(args string) int {
	runtime.LockOSThread() // strace counts the calls of each thread
	op, path, _ := strings.Cut(args, ":")
	c := newClock()
	for try := 0; ; try++ {
		var err error
		switch op {
		case "compact":
			_, _, err = Compact(path, Config{})
		case "purge":
			if _, err = Purge(path, Config{}, false); try > 0 && errors.Is(err, fs.ErrNotExist) {
				err = nil // the first has purged all there was
			}
		case "import":
			var export bytes.Buffer
			if err = exportOf(&export, path, c); err == nil {
				_, err = importInto(path, Config{}, &export, c.read)
			}
		}
		if err == nil {
			return 0
		}
		fmt.Println(err)
		if try == 2 {
			return 1
		}
	}
}

// exportOf writes an export of injectNew, as if it came from the file at path.
func exportOf(w *bytes.Buffer, path string, c *fakeClock) error {
	held, err := read(path, Config{}, c.read)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, `{"format":%q,"version":%d,"exported_at":%q,"boot_id":"%x","boot_ns":%d,"secret_id":"%x","policies":[{"name":"a","limit":"%s"}],"records":%d}`+"\n",
		exportFormat, exportVersion, time.Unix(0, c.wall).UTC().Format(time.RFC3339Nano), c.bootID, c.boot, held.Info().SecretID, daily, len(injectNew))
	for hash, debt := range injectNew {
		fmt.Fprintf(w, `{"policy":"a","hash":"%016x","full_in_ns":%d}`+"\n", hash, debt)
	}
	return nil
}

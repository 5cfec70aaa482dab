package persist

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func init() { jobs["inject"] = injectJob }

// needStrace returns where strace is. It skips the test where there is none, or
// where it may not trace.
func needStrace(t *testing.T) string {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skipf("there is no strace to make system calls fail with: %v", err)
	}
	out, err := exec.Command(strace, "-f", "-qq", "-o", os.DevNull, "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=1", os.Args[0], "-test.run=^$").CombinedOutput()
	if err != nil {
		t.Skipf("strace cannot be used here: %v: %s", err, out)
	}
	return strace
}

var (
	injectOld = many(500, time.Hour)
	injectNew = injectDebts()
)

// injectDebts are some that are new and some that override older ones.
func injectDebts() debts {
	d := many(1000, 2*time.Hour)
	for hash := range many(300, 0) {
		delete(d, hash)
	}
	return d
}

// injectSteps are what the child does after it has opened the file.
var injectSteps = map[string]Snapshot{
	"delta": {Sections: []Section{section("a", daily, injectNew)}},
	"full":  {Full: true, Sections: []Section{section("a", daily, injectNew)}},
	// After an error the owner hands over everything.
	"final": {Final: true, Full: true, Sections: []Section{section("a", daily, injectNew)}},
}

// Every system call of a save, and of opening and making a file, ends the
// process or fails, one at a time. A file is then found as it was before the
// save or after it, whole; after an error the next try works, and all is there.
func TestFaultAtEachSystemCall(t *testing.T) {
	t.Parallel()
	strace := needStrace(t)
	calls := []string{"openat", "pwrite64", "write", "fdatasync", "fsync", "ftruncate", "linkat", "unlinkat", "renameat"}
	faults := []string{"signal=SIGKILL", "error=EIO", "error=ENOSPC"}
	for _, start := range []string{"new", "old"} {
		for _, step := range []string{"delta", "full", "final"} {
			if start == "new" && step != "delta" {
				continue
			}
			t.Run(start+" "+step, func(t *testing.T) {
				t.Parallel()
				hits := map[string]int{}
				for i, call := range calls {
					for j, fault := range faults {
						if testing.Short() && (i+j)%3 != 0 {
							continue
						}
						for k := 1; ; k++ {
							found := inject(t, strace, start, step, call+":"+fault+":when="+strconv.Itoa(k))
							if found == "" {
								break
							}
							hits[call]++
							hits[found]++
							if testing.Short() && call != "fdatasync" {
								k += 2
							}
						}
					}
				}
				if hits["fdatasync"] == 0 || hits["pwrite64"] == 0 || hits["openat"] == 0 || hits["before"] == 0 || hits["after"] == 0 {
					t.Errorf("hits are %v: want some of each of the main calls, and both outcomes", hits)
				}
				t.Logf("hits: %v", hits)
			})
		}
	}
}

// inject runs the child with a fault and checks what it leaves: the file as it
// was before or after the save. It returns "" if there was no call to hit.
func inject(t *testing.T, strace, start, step, fault string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	c := newClock()
	if start == "old" {
		f := mustOpen(t, path, Config{}, c)
		mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, injectOld)}})
		mustClose(t, f)
	}
	hit, killed, out := strike(t, strace, fault, child(t, "inject", start+":"+step+":"+path))
	if !hit {
		return ""
	}
	for _, name := range list(t, dir) {
		if strings.Contains(name, ".corrupt-") || strings.Contains(name, ".unreadable-") {
			t.Fatalf("%s: the file was moved aside to %s\n%s", fault, name, out)
		}
	}
	f := mustOpen(t, path, Config{}, c)
	defer mustClose(t, f)
	got, res := loadAll(f)
	before := debts{}
	if start == "old" {
		before = injectOld
	}
	found := "after"
	if killed && near(got["a"], before) {
		found = "before"
	} else if !near(got["a"], after(start, step)) {
		t.Fatalf("%s: %d records came back, %+v\n%s", fault, len(got["a"]), res, out)
	}
	if res.MovedTo != "" || res.FellBack {
		t.Fatalf("%s: %+v", fault, res)
	}
	mustSave(t, f, Snapshot{Sections: []Section{section("b", daily, injectOld)}})
	if names := list(t, dir); !slices.Equal(names, []string{"state", "state.key"}) {
		t.Fatalf("%s: %q are left", fault, names)
	}
	return found
}

// strike runs a child with a fault, and tells whether there was a call to hit
// and whether that killed it. If it did not, the child must have come through.
func strike(t *testing.T, strace, fault string, job *exec.Cmd) (hit, killed bool, out []byte) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	call, _, _ := strings.Cut(fault, ":")
	cmd := exec.CommandContext(t.Context(), strace, "-f", "-qq", "-o", log, "-e", "trace="+call, "-e", "inject="+fault, job.Path)
	cmd.Env = job.Env
	out, err := cmd.CombinedOutput()
	traced := readFile(t, log)
	killed = bytes.Contains(traced, []byte("+++ killed by SIGKILL"))
	hit = killed || bytes.Contains(traced, []byte("INJECTED"))
	if err != nil && !killed {
		t.Fatalf("%s, hit: %v: child: %v\n%s", fault, hit, err, out)
	}
	return hit, killed, out
}

// after is what the file holds after a step.
func after(start, step string) debts {
	d := debts{}
	if start == "old" && step == "delta" {
		maps.Copy(d, injectOld)
	}
	maps.Copy(d, injectNew)
	return d
}

func near(got, want debts) bool {
	if len(got) != len(want) {
		return false
	}
	for hash, w := range want {
		if g := got[hash]; g < w || g > w+fine {
			return false
		}
	}
	return true
}

// injectJob opens a file and saves, each again until it works.
func injectJob(args string) int {
	runtime.LockOSThread() // strace counts the calls of each thread
	start, args, _ := strings.Cut(args, ":")
	step, path, _ := strings.Cut(args, ":")
	c := newClock()
	var f *File
	for try := 0; f == nil; try++ {
		var err error
		if f, err = open(path, Config{}, c.read); err != nil {
			fmt.Println(err)
			if try == 2 {
				return 1
			}
		}
	}
	s := injectSteps[step]
	for try := 0; ; try++ {
		_, err := f.Save(s)
		if err == nil {
			break
		}
		fmt.Println(err)
		if try == 2 {
			return 1
		}
		s.Full, s.Sections = true, []Section{section("a", daily, after(start, step))}
	}
	if err := f.Close(); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

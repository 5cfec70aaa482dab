package persist

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func init() { jobs["replay"] = replayJob }

// The system calls of a process that makes files are recorded and replayed on a
// model of a disk, which is cut off after each of them. Of what has not been
// synced any part may be missing: pages of a file, and what became of a name,
// in any order. What is there after that is opened.
//
// The twins leave out syncs: each must leave something wrong, or the syncs are of
// no use, or this test is of none.
func TestReplayedPowerCut(t *testing.T) {
	t.Parallel()
	strace := needStrace(t)
	for op, check := range map[string]func(*replay, string, int) error{
		"create": wholeCreation, "adopt": wholeAdoption, "revive": wholeRevival, "compact": wholeCompaction, "purge": wholePurge,
	} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			calls, secret, before := recordCalls(t, strace, op)
			for _, tt := range []struct {
				why  string
				lost func(c call, n *node) bool // syncs that do nothing
				ok   bool
			}{
				{"all syncs", func(call, *node) bool { return false }, true},
				{"without those of directories", func(_ call, n *node) bool { return n.isDir }, false},
				{"without those of the database", func(c call, _ *node) bool { return c.name == "fdatasync" }, false},
				{"without those of new files", func(c call, n *node) bool { return !n.isDir && c.name == "fsync" && before[n.path] == nil }, op == "adopt" || op == "revive"},
				{"without those of old files", func(c call, n *node) bool { return !n.isDir && c.name == "fsync" && before[n.path] != nil }, op != "purge"},
			} {
				r := &replay{secret: secret, clock: newClock(), tries: 16, rand: rand.New(rand.NewPCG(15, 16)), seen: map[uint64]bool{}}
				r.unnamed, r.size = op == "adopt", int64(len(before["state"]))
				if testing.Short() {
					r.tries = 2
				}
				err := r.run(t, before, calls, tt.lost, check)
				if tt.ok && err != nil {
					t.Errorf("%s: %v", tt.why, err)
				}
				if !tt.ok && err == nil {
					t.Errorf("%s: nothing is wrong in any of %d states", tt.why, len(r.seen))
				}
				t.Logf("%s: %d calls, %d states: %v", tt.why, len(calls), len(r.seen), err)
			}
		})
	}
}

// replayJob does something and says so, each time on a line of its own.
func replayJob(args string) int {
	op, path, _ := strings.Cut(args, ":")
	c := newClock()
	save := func(s Snapshot) error {
		f, err := open(path, Config{}, c.read)
		if err == nil {
			_, err = f.Save(s)
		}
		return err
	}
	var steps []func() error
	switch op {
	case "create":
		steps = append(steps, func() error {
			return save(Snapshot{Sections: []Section{section("a", daily, injectNew)}})
		})
	case "adopt":
		steps = append(steps, func() error {
			return save(Snapshot{Sections: []Section{section("b", daily, injectNew)}})
		})
	case "revive":
		steps = append(steps, func() error {
			f, err := open(path, Config{}, c.read)
			if err == nil {
				err = os.Remove(path)
			}
			if err == nil {
				_, err = f.Save(Snapshot{Full: true, Sections: []Section{section("a", daily, injectOld), section("b", daily, injectNew)}})
			}
			return err
		})
	case "compact":
		steps = append(steps, func() error {
			_, _, err := Compact(path, Config{})
			return err
		}, func() error {
			return save(Snapshot{Sections: []Section{section("b", daily, injectNew)}})
		})
	case "purge":
		steps = append(steps, func() error {
			_, err := Purge(path, Config{}, false)
			return err
		})
	}
	for _, step := range steps {
		if err := step(); err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println("done")
	}
	return 0
}

// wholeCreation: what was acknowledged is there, and until then it or nothing.
func wholeCreation(r *replay, path string, done int) error {
	got, res, err := r.load(path)
	if err != nil || res.MovedTo != "" || res.FellBack {
		return fmt.Errorf("%v, %+v", err, res)
	}
	if !near(got["a"], injectNew) && (done > 0 || len(got["a"]) > 0) {
		return fmt.Errorf("%d records are there", len(got["a"]))
	}
	return nil
}

// wholeAdoption: what was acknowledged is there, even though the process that
// made the file was killed before its name was on disk.
func wholeAdoption(r *replay, path string, done int) error {
	if done == 0 {
		return nil
	}
	return wholeCompaction(r, path, 2)
}

// wholeRevival: what was acknowledged is there, though the file was removed
// before.
func wholeRevival(r *replay, path string, done int) error { return wholeAdoption(r, path, done) }

// wholeCompaction: what was there always is, and what was saved after it.
func wholeCompaction(r *replay, path string, done int) error {
	got, res, err := r.load(path)
	if err != nil || res.MovedTo != "" || res.FellBack {
		return fmt.Errorf("%v, %+v", err, res)
	}
	if info, err := os.Stat(path); done == 1 && (err != nil || info.Size() >= r.size) {
		return fmt.Errorf("the old file is there, %v", err)
	}
	if !near(got["a"], injectOld) || !near(got["b"], injectNew) && (done > 1 || len(got["b"]) > 0) {
		return fmt.Errorf("%d and %d records are there", len(got["a"]), len(got["b"]))
	}
	return nil
}

// wholePurge: there is what was there, or nothing of it; in the end not even on
// the disk, where files without a name still are.
func wholePurge(r *replay, path string, done int) error {
	if done > 0 {
		hash := binary.LittleEndian.AppendUint64(nil, 0x9e3779b97f4a7c15)
		for _, n := range r.nodes {
			for _, b := range [][]byte{n.synced, n.content(func() bool { return true })} {
				if bytes.Contains(b, r.secret) || bytes.Contains(b, hash) {
					return fmt.Errorf("something of %s is still on the disk", n.path)
				}
			}
		}
	}
	got, res, err := r.load(path)
	switch {
	case err != nil:
		return err
	case done > 0 && (len(got) > 0 || res.MovedTo != "" || !res.Clean):
		return fmt.Errorf("%d policies are there, %+v", len(got), res)
	case res.MovedTo != "" && !strings.Contains(res.MovedTo, ".unreadable-"):
		return fmt.Errorf("%+v", res)
	case len(got) > 0 && !near(got["a"], injectOld):
		return fmt.Errorf("%d records are there", len(got["a"]))
	}
	return nil
}

// A call is a system call.
type call struct {
	name     string
	fd       int // that it is on, or returns
	path, to string
	data     []byte
	at       int64
	creates  bool
}

// recordCalls runs the job and returns its calls, with paths below the directory
// that it was in, the secret, and what was there before.
func recordCalls(t *testing.T, strace, op string) (calls []call, secret []byte, before map[string][]byte) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	before = map[string][]byte{}
	if op == "create" {
		path = filepath.Join(dir, "new", "dir", "state")
	} else {
		c := newClock()
		f := mustOpen(t, path, Config{}, c)
		f.db.NoSync = true
		mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, many(9000, time.Hour))}})
		mustSave(t, f, Snapshot{Full: true, Sections: []Section{section("a", daily, injectOld)}})
		mustClose(t, f)
		secret = f.Secret()
		for _, name := range list(t, dir) {
			before[name] = readFile(t, filepath.Join(dir, name))
		}
	}
	log := filepath.Join(t.TempDir(), "log")
	job := child(t, "replay", op+":"+path)
	cmd := exec.CommandContext(t.Context(), strace, "-f", "-qq", "-xx", "-s", "4194304", "-o", log, "-e",
		"trace=openat,pwrite64,write,fsync,fdatasync,ftruncate,linkat,unlinkat,renameat,mkdirat,close", job.Path)
	cmd.Env = job.Env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("child: %v\n%s", err, out)
	}
	begun := map[string]string{} // calls of threads that another interrupts in the log
	for line := range strings.Lines(string(readFile(t, log))) {
		thread, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		text = strings.TrimSpace(text)
		if first, ok := strings.CutSuffix(text, " <unfinished ...>"); ok {
			begun[thread] = first
			continue
		}
		if _, rest, ok := strings.Cut(text, " resumed>"); ok && strings.HasPrefix(text, "<... ") {
			text = begun[thread] + rest
		}
		if c, ok := parseCall(t, text, dir); ok {
			calls = append(calls, c)
		}
	}
	return calls, secret, before
}

var (
	callForm   = regexp.MustCompile(`^(\w+)\((.*)\)\s+= (\d+)$`)
	stringForm = regexp.MustCompile(`"[^"]*"`)
)

// parseCall reads a line of the log. It is not of interest if the call failed.
func parseCall(t *testing.T, text, dir string) (call, bool) {
	t.Helper()
	m := callForm.FindStringSubmatch(text)
	if m == nil {
		return call{}, false
	}
	var texts []string
	args := strings.Split(stringForm.ReplaceAllStringFunc(m[2], func(s string) string {
		plain, err := strconv.Unquote(s)
		if err != nil {
			t.Fatalf("log has %.80s: %v", s, err)
		}
		texts = append(texts, plain)
		return ""
	}), ", ")
	number := func(i int) int64 {
		n, err := strconv.ParseInt(args[i], 0, 64)
		if err != nil {
			t.Fatalf("log has %.80q: %v", text, err)
		}
		return n
	}
	inside := func(i int) string {
		if texts[i] == dir {
			return "."
		}
		rest, ok := strings.CutPrefix(texts[i], dir+"/")
		if !ok {
			return ""
		}
		return rest
	}
	c := call{name: m[1]}
	switch c.name {
	case "openat":
		c.fd, _ = strconv.Atoi(m[3])
		c.path, c.creates = inside(0), strings.Contains(args[2], "O_CREAT")
	case "mkdirat", "unlinkat":
		c.path = inside(0)
	case "linkat", "renameat":
		c.path, c.to = inside(0), inside(1)
	case "pwrite64":
		c.fd, c.data, c.at = int(number(0)), []byte(texts[0]), number(3)
	case "write":
		c.fd, c.data = int(number(0)), []byte(texts[0])
	case "ftruncate":
		c.fd, c.at = int(number(0)), number(1)
	case "fsync", "fdatasync", "close":
		c.fd = int(number(0))
	default:
		return call{}, false
	}
	return c, true
}

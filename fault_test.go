//go:build unix

package weir_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/persist"
)

func init() {
	jobs["full"] = fullJob
	jobs["fsize"] = fsizeJob
	jobs["errors"] = errorsJob
	jobs["slow"] = slowJob
	jobs["hold"] = holdJob
}

// A pair is a limiter with a file and one without, which are asked the same.
type pair struct {
	path         string
	saved, plain *weir.Limiter
	asked        int // requests of each
}

// faulty is a limit of which next to nothing is refilled during a test.
var faulty = weir.Policy{Name: "ip", Limit: bucket.PerDay(5)}

func newPair(path string) (*pair, error) {
	// No snapshot but those that the test takes.
	saved, err := weir.New(weir.Config{Path: path, Interval: 24 * time.Hour, Policies: []weir.Policy{faulty}})
	if err != nil {
		return nil, err
	}
	saved.OnlyOnTime()
	plain, err := weir.Open("", faulty)
	return &pair{path: path, saved: saved, plain: plain}, err
}

// ask asks both the same n times: half of it is of newcomers.
func (p *pair) ask(n int) error {
	for range n {
		key := "client " + strconv.Itoa(p.asked)
		if p.asked++; p.asked%2 == 0 {
			key = "client " + strconv.Itoa(p.asked%50)
		}
		got, want := p.saved.Take(1, key), p.plain.Take(1, key)
		if got.Allowed != want.Allowed || got.Remaining != want.Remaining {
			return fmt.Errorf("request %d: %+v: the limiter without a file says %+v", p.asked, got, want)
		}
	}
	return nil
}

// broken asks while the file cannot be written, and checks that this is told.
func (p *pair) broken(n int, why string) error {
	if err := p.ask(n); err != nil {
		return err
	}
	for range 2 {
		errors := p.saved.Stats().SaveErrors
		err := p.saved.Sync()
		st := p.saved.Stats()
		if err == nil || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), p.path) {
			return fmt.Errorf("Sync: %v: want an error that names %s and says %q", err, p.path, why)
		}
		if st.SaveError == nil || st.SaveErrors != errors+1 {
			return fmt.Errorf("Stats after an error: %+v", st)
		}
		if err := p.ask(n); err != nil {
			return err
		}
	}
	return nil
}

// healed checks that the next snapshot has everything.
func (p *pair) healed() error {
	if err := p.saved.Sync(); err != nil {
		return fmt.Errorf("once it is well again: %w", err)
	}
	if err := p.saved.Stats().SaveError; err != nil {
		return fmt.Errorf("once it is well again, Stats say %w", err)
	}
	if err := p.ask(100); err != nil {
		return err
	}
	if err := p.saved.Close(); err != nil {
		return err
	}
	again, err := weir.Open(p.path, faulty)
	if err != nil {
		return err
	}
	defer again.Close()
	if res := again.Restored(); res.Damage != "" || res.New || !res.Clean {
		return fmt.Errorf("restored %+v", res)
	}
	for i := range p.asked {
		key := "client " + strconv.Itoa(i)
		if got, want := again.Peek(1, key), p.plain.Peek(1, key); got.Allowed != want.Allowed || got.Remaining != want.Remaining {
			return fmt.Errorf("%s after a restart: %+v, want %+v", key, got, want)
		}
	}
	return nil
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a child to its end.
func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("child: %v\n%s", err, out)
	}
}

// Invariant 7, on a file system of a megabyte that others fill.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	const mount = `mount -t tmpfs -o size=1m weir "$1" && exec "$2"`
	dir := t.TempDir()
	var tried []string
	for _, own := range []string{"-m", "-Urm"} { // as root, or as whom it makes root of its own
		by := []string{"unshare", own, "sh", "-c", mount, "sh", dir}
		if out, err := exec.Command(by[0], append(by[1:], "true")...).CombinedOutput(); err != nil {
			tried = append(tried, fmt.Sprintf("unshare %s: %v: %s", own, err, out))
			continue
		}
		run(t, child(t, by, "full", filepath.Join(dir, "weir.db")))
		return
	}
	t.Skipf("no file system can be mounted here: %q", tried)
}

func fullJob(args []string) error {
	p, err := newPair(args[0])
	if err != nil {
		return err
	}
	if err := errors.Join(p.ask(1000), p.saved.Sync()); err != nil {
		return err
	}
	filler := filepath.Join(filepath.Dir(args[0]), "filler")
	file, err := os.Create(filler)
	if err != nil {
		return err
	}
	for err == nil {
		_, err = file.Write(make([]byte, 1<<12))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("filling the disk: %w", err)
	}
	if err := p.broken(5000, "no space left on device"); err != nil {
		return err
	}
	if err := errors.Join(file.Close(), os.Remove(filler)); err != nil {
		return err
	}
	return p.healed()
}

// The same where a file may not be as long as it is.
func TestFileTooLong(t *testing.T) {
	t.Parallel()
	run(t, child(t, nil, "fsize", filepath.Join(t.TempDir(), "weir.db")))
}

func fsizeJob(args []string) error {
	p, err := newPair(args[0])
	if err != nil {
		return err
	}
	if err := errors.Join(p.ask(1000), p.saved.Sync()); err != nil {
		return err
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	well := limit
	limit.Cur = uint64(2 * os.Getpagesize()) // the roots, and nothing else
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	if err := p.broken(1000, "too large"); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &well); err != nil {
		return err
	}
	return p.healed()
}

// A directory that is removed takes the file with it, and comes back empty: a
// snapshot that went into the file would be lost with it.
func TestDirectoryRemoved(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	p, err := newPair(filepath.Join(dir, "weir.db"))
	check(t, err)
	check(t, p.ask(1000))
	check(t, p.saved.Sync())
	check(t, os.RemoveAll(dir))
	check(t, p.broken(1000, "no such file or directory"))
	check(t, os.Mkdir(dir, 0o700))
	check(t, p.healed())
}

// One that is moved and comes back as it was costs nothing.
func TestDirectoryMovedAndBack(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	p, err := newPair(filepath.Join(dir, "weir.db"))
	check(t, err)
	check(t, p.ask(1000))
	check(t, p.saved.Sync())
	check(t, os.Rename(dir, dir+".moved"))
	check(t, p.ask(1000))
	check(t, os.Rename(dir+".moved", dir))
	check(t, p.healed())
}

// Whoever has a file open may write it whatever becomes of its mode.
func TestFileMadeReadOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	p, err := newPair(filepath.Join(dir, "weir.db"))
	check(t, err)
	check(t, p.ask(1000))
	check(t, os.Chmod(p.path, 0o400))
	check(t, os.Chmod(dir, 0o500))
	check(t, p.ask(1000))
	check(t, p.saved.Sync())
	check(t, os.Chmod(dir, 0o700))
	check(t, os.Chmod(p.path, 0o600))
	check(t, p.healed())
}

// needStrace returns the start of a command that makes system calls fail. It
// skips the test where there is none, or where it may not trace.
func needStrace(t *testing.T, inject string) []string {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skipf("there is no strace to make system calls fail with: %v", err)
	}
	call, _, _ := strings.Cut(inject, ":")
	by := []string{strace, "-f", "-qq", "-o", filepath.Join(t.TempDir(), "log"), "-e", "trace=" + call, "-e", "inject=" + inject}
	if out, err := exec.Command(by[0], append(by[1:], os.Args[0], "-test.run=^$")...).CombinedOutput(); err != nil {
		t.Skipf("strace cannot be used here: %v: %s", err, out)
	}
	return by
}

// A file system that fails for a while: it turned read-only, its device is
// broken, or the server that it is on is away.
func TestFailingWrites(t *testing.T) {
	t.Parallel()
	tests := []struct {
		inject string
		why    string
	}{
		{"pwrite64:error=EROFS:when=20..27", "read-only file system"},
		{"pwrite64:error=EIO:when=20..27", "input/output error"},
		{"fdatasync:error=EIO:when=8..13", "input/output error"},
		{"fdatasync:error=ESTALE:when=8..13", "stale"},
	}
	for _, tt := range tests {
		t.Run(tt.inject, func(t *testing.T) {
			t.Parallel()
			run(t, child(t, needStrace(t, tt.inject), "errors", filepath.Join(t.TempDir(), "weir.db"), tt.why))
		})
	}
}

func errorsJob(args []string) error {
	runtime.LockOSThread() // strace counts the calls of each thread
	p, err := newPair(args[0])
	if err != nil {
		return err
	}
	failed := 0
	for wellAgain := false; !wellAgain; {
		if err := p.ask(500); err != nil {
			return err
		}
		switch err := p.saved.Sync(); {
		case err == nil:
			wellAgain = failed > 0
		case !strings.Contains(err.Error(), args[1]):
			return fmt.Errorf("Sync: %w: want %q", err, args[1])
		default:
			failed++
		}
		if p.asked > 100_000 {
			return fmt.Errorf("%d snapshots failed: want some, and then one that does not", failed)
		}
	}
	return p.healed()
}

// While a disk takes five seconds for a sync, decisions go on as without one.
func TestSlowSync(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "weir.db")
	l, err := weir.Open(path, faulty)
	check(t, err)
	check(t, l.Close())
	wait := 5 * time.Second
	if testing.Short() {
		wait = time.Second
	}
	// Opening the file syncs twice, on the same thread.
	inject := fmt.Sprintf("fdatasync:delay_enter=%d:when=3", wait.Microseconds())
	run(t, child(t, needStrace(t, inject), "slow", path, wait.String()))
}

func slowJob(args []string) error {
	runtime.LockOSThread()
	wait, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	p, err := newPair(args[0])
	if err != nil {
		return err
	}
	if err := p.ask(1000); err != nil {
		return err
	}
	type answer struct {
		err      error
		finished time.Time
	}
	answers, begun := make(chan answer, 1), make(chan bool)
	go func() {
		<-begun
		err := p.ask(20_000)
		p.saved.Stats()
		answers <- answer{err, time.Now()}
	}()
	close(begun)
	start := time.Now()
	err = p.saved.Sync() // here, on the thread whose calls are slow
	finished := time.Now()
	if err != nil || finished.Sub(start) < wait {
		return fmt.Errorf("Sync: %w after %v: want it to take %v", err, finished.Sub(start), wait)
	}
	a := <-answers
	if a.err != nil {
		return a.err
	}
	if a.finished.After(finished) {
		return fmt.Errorf("20,000 decisions took until %v after the sync: want none to wait for it", a.finished.Sub(finished))
	}
	return p.healed()
}

// A file that another process has is not for us, and left alone. Once that
// process is gone, however it went, the file is there with all it knew.
func TestFileOfAnotherProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "weir.db")
	holder := child(t, nil, "hold", path)
	out, err := holder.StdoutPipe()
	check(t, err)
	check(t, holder.Start())
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("the holder says %q, %v", line, err)
	}
	_, err = weir.Open(path, faulty)
	if !errors.Is(err, persist.ErrLocked) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "by another process") {
		t.Errorf("while another process has it: %v", err)
	}
	check(t, holder.Process.Kill())
	if err := holder.Wait(); err == nil {
		t.Fatal("the holder ended by itself")
	}
	l, err := weir.Open(path, faulty)
	check(t, err)
	defer l.Close()
	if d := l.Peek(1, "a"); d.Remaining != 2 || l.Restored().Damage != "" {
		t.Errorf("after that: %+v, restored %+v: want what the holder saved", d, l.Restored())
	}
}

func holdJob(args []string) error {
	l, err := weir.Open(args[0], faulty)
	if err != nil {
		return err
	}
	l.Take(3, "a")
	if err := l.Sync(); err != nil {
		return err
	}
	fmt.Println("held")
	select {}
}

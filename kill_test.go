//go:build unix

package weir_test

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
)

// Some faults end a process, or are of a whole process. The test binary runs
// itself with the name of a job in the environment.
const jobVariable = "WEIR_TEST_JOB"

var kills = flag.Int("kills", 200, "how often to kill a limiter under load; with -short at most 20")

// jobs are what a child process can be asked to do.
var jobs = map[string]func(args []string) error{"load": loadJob}

func TestMain(m *testing.M) {
	if job := strings.Split(os.Getenv(jobVariable), "|"); job[0] != "" {
		if err := jobs[job[0]](job[1:]); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child is this test binary as a process that does a job, run by a command
// such as strace if one is given.
func child(t *testing.T, by []string, job ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := append(append([]string(nil), by...), exe)
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env = append(os.Environ(), jobVariable+"="+strings.Join(job, "|"))
	return cmd
}

// loaded is the limit of a client of the limiter that is killed. Its clients
// ask for much more.
var loaded = bucket.Limit{Quota: 500, Window: time.Second, Burst: 100}

const clients = 3

// loadJob is a limiter under load, until it is killed. What it prints has
// happened: "open", what was restored; "take" with the client and the
// monotonic time before and after; "sync" before a snapshot and "synced" after
// it.
func loadJob(args []string) error {
	l, err := weir.New(weir.Config{
		Path: args[0], Interval: 10 * time.Millisecond,
		Policies: []weir.Policy{{Name: "client", Limit: loaded}},
	})
	if err != nil {
		return err
	}
	res := l.Restored()
	fmt.Printf("open %v %v %q\n", res.New, res.FellBack, res.Damage)
	for i := range clients {
		go func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for {
				for range 4 { // others, that make the file larger
					l.Allow("other " + strconv.Itoa(r.IntN(3000)))
				}
				from := monotonic()
				if l.Allow("client " + strconv.Itoa(i)) {
					fmt.Printf("take %d %d %d\n", i, from, monotonic())
				} else {
					time.Sleep(200 * time.Microsecond)
				}
			}
		}()
	}
	for {
		time.Sleep(5 * time.Millisecond)
		fmt.Println("sync")
		if err := l.Sync(); err != nil {
			return err
		}
		fmt.Println("synced")
	}
}

// monotonic is a clock that all processes share.
func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err)
	}
	return ts.Nano()
}

// A ledger is the outside counter: what the clients were told, run by run.
type ledger struct {
	t        *testing.T
	clients  [clients]account
	started  []int // takes of each client that are before the latest "sync" of this run
	unsaved  [clients][]take
	taken    int
	lost     int // forgotten by crashes, at most
	syncs    int
	fellBack int
	damage   string // that the latest run has met with
}

type take struct{ from, to int64 }

// An account holds the takes of one client that must not be forgotten against
// its limit, over every stretch of time at once.
type account struct {
	sum   float64 // taken
	least float64 // of sum before a take, less what is refilled until it
	over  float64 // the most that was taken beyond the limit
	begun bool
}

func (a *account) add(tk take) {
	perNanosecond := loaded.Rate() / 1e9
	if before := a.sum - perNanosecond*float64(tk.from); !a.begun || before < a.least {
		a.begun, a.least = true, before
	}
	a.sum++
	a.over = max(a.over, a.sum-perNanosecond*float64(tk.to)-a.least-float64(loaded.Burst))
}

// run starts a limiter, kills it some time after it has taken so many
// snapshots, or after its start if that is below 0, and notes what it says.
func (l *ledger) run(path string, snapshots int, delay time.Duration) {
	l.t.Helper()
	cmd := child(l.t, nil, "load", path)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	kill := func() { time.AfterFunc(delay, func() { cmd.Process.Kill() }) }
	if snapshots < 0 {
		kill()
	}
	l.started, l.damage = make([]int, clients), ""
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) { // what the kill has cut off was not told
			break
		}
		if err != nil {
			l.t.Fatal(err)
		}
		l.note(line)
		if line == "synced\n" || strings.HasPrefix(line, "open ") {
			if snapshots--; snapshots == -1 {
				kill()
			}
		}
	}
	if err := cmd.Wait(); err == nil || said.Len() > 0 {
		l.t.Fatalf("the child ended by itself: %v\n%s", err, &said)
	}
	for i := range l.unsaved {
		l.lost += len(l.unsaved[i])
		l.unsaved[i] = nil
	}
}

// note notes one line.
func (l *ledger) note(line string) {
	l.t.Helper()
	var client int
	var tk take
	var fresh, fellBack bool
	if n, _ := fmt.Sscanf(line, "take %d %d %d", &client, &tk.from, &tk.to); n == 3 {
		l.unsaved[client] = append(l.unsaved[client], tk)
		l.taken++
		return
	}
	if n, _ := fmt.Sscanf(line, "open %v %v %q", &fresh, &fellBack, &l.damage); n == 3 {
		if fresh && l.syncs > 0 {
			l.t.Error("what was saved is gone")
		}
		if fellBack {
			l.fellBack++
		}
		return
	}
	switch strings.TrimSpace(line) {
	case "sync":
		for i := range l.unsaved {
			l.started[i] = len(l.unsaved[i])
		}
	case "synced": // what was told before this snapshot began is in it
		l.syncs++
		for i, n := range l.started {
			for _, tk := range l.unsaved[i][:n] {
				l.clients[i].add(tk)
			}
			l.unsaved[i] = l.unsaved[i][n:]
		}
	default:
		l.t.Fatalf("the child says %q", line)
	}
}

// over is how many tokens a client got beyond its limit, those left out that
// were spent between the last snapshot of a run and its end.
func (l *ledger) over() float64 {
	most := math.Inf(-1)
	for i := range l.clients {
		most = max(most, l.clients[i].over)
	}
	return most
}

// Invariant 1, across kill -9: for any client and any stretch of time, over all
// the runs, no more is admitted than the limit and what was spent since the
// last snapshot of a run that was killed. An outside process counts.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	n := *kills
	if testing.Short() {
		n = min(n, 20)
	}
	path := filepath.Join(t.TempDir(), "weir.db")
	l := &ledger{t: t}
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	begin := time.Now()
	for i := range n {
		l.run(path, r.IntN(5)-1, time.Duration(r.IntN(9000))*time.Microsecond)
		if l.damage != "" {
			t.Fatalf("run %d: the file was found damaged: %s", i, l.damage)
		}
	}
	if l.over() > 0.01 {
		t.Errorf("a client got %.2f tokens more than its limit and the crashes allow", l.over())
	}
	if l.syncs < n/2 || l.taken < n || l.lost == 0 || l.over() < -float64(loaded.Burst)/2 {
		t.Errorf("%d snapshots, %d taken, %d lost, %.1f of the limit left: want more load, or this shows nothing", l.syncs, l.taken, l.lost, -l.over())
	}
	t.Logf("%d kills in %v: %d snapshots, %d tokens taken, at most %d of them forgotten (%.1f a client and kill), %.2f of a burst of %d never taken; fell back %d times",
		n, time.Since(begin).Round(time.Second), l.syncs, l.taken, l.lost, float64(l.lost)/float64(n*clients), -l.over(), loaded.Burst, l.fellBack)
}

// The twin of TestKilledUnderLoad, on a disk that keeps nothing of what a run
// wrote, or only some pages of it, as if nothing had been synced. The outside
// counter must see what that forgets, or the file say that it is damaged.
func TestKilledUnderLoadWithoutSync(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	tests := []struct {
		why  string
		keep func() bool // of each page
		loud bool        // the file is damaged by it
	}{
		{"nothing reaches the disk", func() bool { return false }, false},
		{"some pages do", func() bool { return r.IntN(2) == 0 }, true},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "weir.db")
			l := &ledger{t: t}
			l.run(path, 2, 0)
			damaged, runs := 0, 0
			for seen := false; !seen && runs < 50; runs++ {
				before, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				l.run(path, 3, 0)
				if l.damage != "" {
					damaged++
				}
				dropWrites(t, path, before, tt.keep)
				seen = tt.loud && damaged > 0 || !tt.loud && l.over() > 1
			}
			if tt.loud && damaged == 0 || !tt.loud && l.over() < 1 {
				t.Errorf("after %d runs: %d found the file damaged, and a client got %.1f beyond its limit: want this to be noticed", runs, damaged, l.over())
			}
			t.Logf("%d runs: %d found the file damaged, a client got %.1f tokens beyond its limit", runs, damaged, l.over())
		})
	}
}

// dropWrites takes back what was written to a file since it was as before, but
// for the pages to keep.
func dropWrites(t *testing.T, path string, before []byte, keep func() bool) {
	t.Helper()
	now, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	for at := 0; at < len(now); at += page {
		if at < len(before) && !bytes.Equal(now[at:at+page], before[at:at+page]) && !keep() {
			copy(now[at:at+page], before[at:])
		}
	}
	if err := os.WriteFile(path, now, 0o600); err != nil {
		t.Fatal(err)
	}
}

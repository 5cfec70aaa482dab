package persist

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/persist/internal/boltfile"
)

// Damage is tried in child processes, since what is feared is that it ends the
// process. The test binary runs itself with the name of a job in the
// environment.
const jobVariable = "WEIR_PERSIST_TEST_JOB"

var kills = flag.Int("kills", 20, "how often to kill a process that saves")

// jobs are what a child process can be asked to do, with its exit code.
var jobs = map[string]func(args string) int{"damage": damageJob, "save": saveJob}

func TestMain(m *testing.M) {
	if job, args, ok := strings.Cut(os.Getenv(jobVariable), ":"); ok {
		os.Exit(jobs[job](args))
	}
	os.Exit(m.Run())
}

// child is this test binary as a process that does a job.
func child(t *testing.T, job, args string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), jobVariable+"="+job+":"+args)
	return cmd
}

// damageSample makes a file that has everything: branches, overflow pages,
// free pages, small and large segments, several policies.
func damageSample(t *testing.T, path string) {
	c := newClock()
	f := mustOpen(t, path, Config{}, c)
	f.db.NoSync = true
	mustSave(t, f, Snapshot{Sections: []Section{section("large", daily, many(maxChunkRecords+100, time.Hour))}})
	mustSave(t, f, Snapshot{Full: true, Sections: []Section{section("large", daily, many(maxChunkRecords, time.Hour))}})
	for i := range 60 {
		mustSave(t, f, Snapshot{Sections: []Section{section("small", daily, many(3+i%40, time.Hour+time.Duration(i)))}})
	}
	mustClose(t, f)
}

// A mutation is one way to damage the sample.
type mutation struct {
	name string
	edit func(b []byte) []byte
}

func mutations(size, page int, short bool) []mutation {
	var all []mutation
	flips := 80
	if short {
		flips = 4
	}
	for at := 0; at < size; at += 512 {
		if short && at%page != 0 {
			continue
		}
		all = append(all, mutation{fmt.Sprintf("cut off at %d", at), func(b []byte) []byte { return b[:at] }})
	}
	r := rand.New(rand.NewPCG(3, 4))
	for from := 0; from < size; from += page {
		for range flips {
			// Half of them in the header and the elements, where they hurt.
			bit := from*8 + r.IntN(8*page)
			if r.IntN(2) == 0 {
				bit = from*8 + r.IntN(8*128)
			}
			all = append(all, mutation{fmt.Sprintf("bit %d flipped", bit), func(b []byte) []byte {
				b[bit/8] ^= 1 << (bit % 8)
				return b
			}})
		}
		for _, fill := range []byte{0, 0xff} {
			all = append(all, mutation{fmt.Sprintf("page at %d filled with %02x", from, fill), func(b []byte) []byte {
				copy(b[from:from+page], bytes.Repeat([]byte{fill}, page))
				return b
			}})
		}
		seed := r.Uint64()
		all = append(all, mutation{fmt.Sprintf("page at %d filled at random", from), func(b []byte) []byte {
			r := rand.New(rand.NewPCG(seed, 1))
			for i := from; i < from+page; i++ {
				b[i] = byte(r.Uint32())
			}
			return b
		}})
		other := r.IntN(size/page) * page
		all = append(all, mutation{fmt.Sprintf("page at %d replaced by the one at %d", from, other), func(b []byte) []byte {
			copy(b[from:from+page], bytes.Clone(b[other:other+page]))
			return b
		}})
	}
	return all
}

const damageWorkers = 2

// A damaged file never ends or hangs the process, and nothing is lost in
// silence: everything comes back, or Restored says that it does not.
func TestDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sample := filepath.Join(dir, "sample")
	damageSample(t, sample)
	// The file is longer than its pages are many: damage those.
	whole := readFile(t, sample)
	meta, err := boltfile.ReadMeta(bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, sample, whole[:int64(meta.High)*meta.PageSize])
	total := len(mutations(int(meta.High)*int(meta.PageSize), os.Getpagesize(), testing.Short()))
	if !testing.Short() && total < 2000 {
		t.Errorf("%d damaged files: want at least 2,000", total)
	}
	for w := range damageWorkers {
		t.Run(fmt.Sprint("worker", w), func(t *testing.T) {
			t.Parallel()
			out, err := child(t, "damage", fmt.Sprintf("%d:%v:%s", w, testing.Short(), sample)).CombinedOutput()
			text := string(out)
			if len(text) > 4000 {
				text = text[:1000] + "\n...\n" + text[len(text)-3000:]
			}
			if err != nil {
				t.Fatalf("child: %v\n%s", err, text)
			}
			t.Logf("of %d files in all: %s", total, strings.TrimSpace(text))
		})
	}
}

// damageJob tries its share of the mutations and prints what came of them.
func damageJob(args string) int {
	worker, args, _ := strings.Cut(args, ":")
	shortText, sample, _ := strings.Cut(args, ":")
	w, _ := strconv.Atoi(worker)
	whole, err := os.ReadFile(sample)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	key, err := os.ReadFile(sample + ".key")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	dir, err := os.MkdirTemp(filepath.Dir(sample), "worker")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	c := newClock()
	load := func(path string) (map[string]debts, Restored, error) {
		f, err := open(path, Config{LockTimeout: time.Second}, c.read)
		if err != nil {
			return nil, Restored{}, err
		}
		defer f.Close()
		got, res := loadAll(f)
		_, err = f.Save(Snapshot{Full: true, Sections: []Section{section("after", daily, debts{1: time.Hour})}})
		return got, res, err
	}
	path := filepath.Join(dir, "state")
	restore := func(b []byte) error {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path+".key", key, 0o600); err != nil {
			return err
		}
		return os.WriteFile(path, b, 0o600)
	}
	if err := restore(whole); err != nil {
		fmt.Println(err)
		return 1
	}
	want, res, err := load(path)
	if err != nil || res.MovedTo != "" || res.FellBack {
		fmt.Println("the sample itself:", err, res)
		return 1
	}
	failures, intact, moved, fell := 0, 0, 0, 0
	for i, m := range mutations(len(whole), os.Getpagesize(), shortText == "true") {
		if i%damageWorkers != w {
			continue
		}
		if err := restore(m.edit(bytes.Clone(whole))); err != nil {
			fmt.Println(err)
			return 1
		}
		// A process that hangs is to end with a trace of where.
		watch := time.AfterFunc(20*time.Second, func() { panic("hangs at: " + m.name) })
		got, res, err := load(path)
		watch.Stop()
		switch {
		case err != nil:
			failures++
			fmt.Printf("%s: %v\n", m.name, err)
		case res.MovedTo != "":
			moved++
		case res.FellBack:
			fell++
		case fmt.Sprint(got) == fmt.Sprint(want):
			intact++
		default:
			failures++
			fmt.Printf("%s: lost in silence: %+v\n", m.name, res)
		}
	}
	fmt.Printf("%d intact, %d moved aside, %d fell back, %d failures\n", intact, moved, fell, failures)
	return min(failures, 1)
}

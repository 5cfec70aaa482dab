// Package suite is what weir bench measures.
package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-0c889b51/weir/internal/measure"
	"github.com/seed-0c889b51/weir/internal/measure/loopback"
	"github.com/seed-0c889b51/weir/internal/measure/subjects"
)

// A Config says what is measured. Use Default or Quick.
type Config struct {
	Settings  measure.Settings // Progress is not looked at
	Workloads []string
	// Latency is for how long the latency of each kind is measured, and Spread the
	// workload whose keys are asked for while something goes on beside.
	Latency time.Duration
	Spread  string
	// Proxy is for how long requests are made to whole servers.
	Proxy time.Duration
	// MemoryKeys is how many keys memory is measured with.
	MemoryKeys int
	// Peers is the directory of the module that measures the field, bench/peers
	// of the repository; "" is none.
	Peers string
	// Progress is told what is done next, and about which part of all is done.
	Progress func(part float64, what string)
	// Log gets what the program of Peers has to say.
	Log io.Writer
}

// Default returns what is measured if nothing is said: some minutes.
func Default() Config {
	return Config{
		Settings:  measure.Settings{Rounds: 5, Window: 100 * time.Millisecond, Procs: procs()},
		Workloads: measure.Workloads(),
		Latency:   2 * time.Second, Spread: "zipf100k", Proxy: 3 * time.Second, MemoryKeys: 1_000_000,
	}
}

// Quick returns what takes about half a minute, to see that all of it works.
func Quick() Config {
	return Config{
		Settings:  measure.Settings{Rounds: 4, Window: 10 * time.Millisecond, Procs: procs()},
		Workloads: []string{"hot", "1k"},
		Latency:   200 * time.Millisecond, Spread: "1k", Proxy: 300 * time.Millisecond, MemoryKeys: 100_000,
	}
}

// procs are 1, 2, 4 and so on, up to all there are.
func procs() (list []int) {
	all := runtime.GOMAXPROCS(0)
	for n := 1; n < all; n *= 2 {
		list = append(list, n)
	}
	return append(list, all)
}

// A run is one in progress.
type run struct {
	*Config
	ctx    context.Context
	report *measure.Report
}

// The parts of all that the steps take, about. The rest is memory.
const (
	decisionPart = 0.55 // what decisions take
	latencyPart  = 0.25
	proxyPart    = 0.12
)

// Run measures. It takes as long as it takes, some minutes with Default, and
// nothing else should run meanwhile.
func Run(ctx context.Context, cfg Config) (*measure.Report, error) {
	if cfg.Progress == nil {
		cfg.Progress = func(float64, string) {}
	}
	cfg.Settings.Progress = nil
	own := append(subjects.Ours(), subjects.Floors()...)
	r := &run{&cfg, ctx, &measure.Report{
		Schema: measure.Schema, Made: time.Now().UTC().Truncate(time.Second), Machine: measure.ThisMachine(),
		Settings: cfg.Settings, Subjects: measure.Info(own),
		Cells: []measure.Cell{}, Latency: []measure.Latency{}, Memory: []measure.Memory{}, Targets: []measure.Target{},
	}}
	steps := []func() error{r.throughput, r.latency, r.proxy, r.memory}
	if cfg.Peers != "" {
		steps[0] = r.field
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	cfg.Progress(1, "done")
	return r.report, nil
}

// throughput measures what decisions take.
func (r *run) throughput() error {
	all := append(subjects.Ours(), subjects.Floors()...)
	count, most := 0, 2*len(r.Workloads)
	if slices.Contains(r.Workloads, "miss") {
		most--
	}
	for _, denied := range []bool{false, true} {
		for _, name := range r.Workloads {
			if name == "miss" && denied {
				continue
			}
			w, err := measure.NewWorkload(name, denied)
			if err != nil {
				return err
			}
			settings := r.Settings
			settings.Progress = func(done, of int, what string) {
				if done < of {
					r.Progress(decisionPart*(float64(count)+float64(done)/float64(of))/float64(most), what)
				}
			}
			cells, err := measure.Throughput(r.ctx, all, []*measure.Workload{w}, settings)
			if err != nil {
				return err
			}
			r.report.Cells = append(r.report.Cells, cells...)
			count++
		}
	}
	return nil
}

// field has the program of the field measure: weir, the floors and the peers
// take turns there.
func (r *run) field() error {
	if _, err := os.Stat(filepath.Join(r.Peers, "go.mod")); err != nil {
		return fmt.Errorf("peers in %s: %w: want the directory bench/peers of the repository", r.Peers, err)
	}
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "field.json")
	var list []string
	for _, p := range r.Settings.Procs {
		list = append(list, strconv.Itoa(p))
	}
	r.Progress(0, "the field, as go run ./cmd/field does in "+r.Peers)
	cmd := exec.CommandContext(r.ctx, "go", "run", "./cmd/field", "-json", file,
		"-rounds", strconv.Itoa(r.Settings.Rounds), "-window", r.Settings.Window.String(), "-procs", strings.Join(list, ","),
		"-workloads", strings.Join(r.Workloads, ","), "-memory", strconv.Itoa(r.MemoryKeys), "-admission=false")
	cmd.Dir = r.Peers
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // go run passes it on
	cmd.WaitDelay = 5 * time.Second
	var problem strings.Builder
	cmd.Stderr = &problem
	if r.Log != nil {
		cmd.Stderr = io.MultiWriter(&problem, r.Log)
	}
	if err := cmd.Run(); err != nil {
		if r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		return fmt.Errorf("peers in %s: %w: %s", r.Peers, err, lastLine(problem.String()))
	}
	text, err := os.Open(file)
	if err != nil {
		return err
	}
	defer text.Close()
	peers, err := measure.Read(text)
	if err != nil {
		return fmt.Errorf("peers in %s: %w", r.Peers, err)
	}
	r.report.Subjects = peers.Subjects
	r.report.Cells, r.report.Memory, r.report.Targets = peers.Cells, peers.Memory, peers.Targets
	return nil
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return strings.TrimSpace(text[strings.LastIndexAny(text, "\r\n")+1:])
}

// latency measures single requests: back to back on all processors, and on a
// schedule while other things go on.
func (r *run) latency() error {
	type job struct {
		subject  measure.Subject
		workload *measure.Workload
		plan     measure.Schedule
	}
	var jobs []job
	all := r.Settings.Procs[len(r.Settings.Procs)-1]
	back := measure.Schedule{Procs: all, Lasting: r.Latency}
	own := slices.DeleteFunc(append(subjects.Ours(), subjects.Floors()...), func(s measure.Subject) bool {
		return !slices.Contains([]string{subjects.Weir, subjects.Noop, subjects.MutexMapName}, s.Name)
	})
	for _, name := range []string{"hot", r.Spread} {
		for _, denied := range []bool{false, true} {
			w, err := measure.NewWorkload(name, denied)
			if err != nil {
				return err
			}
			for _, s := range own {
				if !denied || !s.NeverDenies {
					jobs = append(jobs, job{s, w, back})
				}
			}
		}
	}
	long, err := measure.NewWorkload(r.Spread, false)
	if err != nil {
		return err
	}
	long.Limit = subjects.LongDebts
	// One processor is left for what goes on beside.
	due := measure.Schedule{Procs: max(all-1, 1), Lasting: r.Latency, Every: 10 * time.Microsecond}
	for _, s := range subjects.During() {
		jobs = append(jobs, job{s, long, due})
	}
	names := make([]string, len(jobs))
	for i, j := range jobs {
		names[i] = fmt.Sprintf("latency, %s, %s", j.workload.Title(), beside(j.subject.Name, j.subject.During))
	}
	return r.takeTurns(names, decisionPart, latencyPart, func(i, rounds int) (measure.Latency, error) {
		j := &jobs[i]
		plan := j.plan
		plan.Lasting /= time.Duration(rounds)
		return measure.MeasureLatency(r.ctx, &j.subject, j.workload, plan)
	})
}

// takeTurns measures latencies in rounds, so that what slows the machine for a
// while slows all of them.
func (r *run) takeTurns(names []string, start, part float64, measureOne func(i, rounds int) (measure.Latency, error)) error {
	rounds := r.Settings.Rounds
	all := make([]measure.Latency, len(names))
	for round := range rounds {
		for turn := range names {
			i := (round + turn) % len(names)
			done := float64(round*len(names)+turn) / float64(rounds*len(names))
			r.Progress(start+part*done, fmt.Sprintf("%s, round %d of %d", names[i], round+1, rounds))
			l, err := measureOne(i, rounds)
			if err != nil {
				return err
			}
			if round == 0 {
				all[i] = l
			} else {
				all[i].Add(l)
			}
		}
	}
	r.report.Latency = append(r.report.Latency, all...)
	return nil
}

func beside(name, during string) string {
	if during == "" {
		return name
	}
	return name + " during " + during
}

// proxy measures whole servers.
func (r *run) proxy() error {
	jobs := []struct{ name, during string }{
		{loopback.Bare, ""}, {loopback.Weir, ""}, {loopback.Weir, loopback.Snapshots}, {loopback.Weir, loopback.Flood},
	}
	names := make([]string, len(jobs))
	for i, j := range jobs {
		names[i] = "over loopback, " + beside(j.name, j.during)
	}
	return r.takeTurns(names, decisionPart+latencyPart, proxyPart, func(i, rounds int) (measure.Latency, error) {
		load := loopback.Load{Connections: 8, Every: 4 * time.Millisecond, Lasting: r.Proxy / time.Duration(rounds)}
		return loopback.Measure(r.ctx, jobs[i].name, jobs[i].during, load)
	})
}

// memory measures what keys take, each subject in a process of its own, in
// which nothing was before.
func (r *run) memory() error {
	if len(r.report.Memory) > 0 {
		return nil // the program of the field has
	}
	names := MemorySubjects()
	const start = decisionPart + latencyPart + proxyPart
	for i, name := range names {
		r.Progress(start+(1-start)*float64(i)/float64(len(names)), fmt.Sprintf("memory of %d keys, %s", r.MemoryKeys, name))
		m, err := r.memoryOf(name)
		if err != nil {
			return err
		}
		r.report.Memory = append(r.report.Memory, m)
	}
	return nil
}

// MemorySubjects are the names of those whose memory is measured.
func MemorySubjects() []string {
	return []string{subjects.Weir, subjects.Limiter, subjects.TwoLimits, subjects.MutexMapName}
}

func (r *run) memoryOf(name string) (m measure.Memory, err error) {
	self, err := os.Executable()
	if err != nil {
		return m, fmt.Errorf("no process to measure memory in: %w", err)
	}
	cmd := exec.CommandContext(r.ctx, self, "bench", "memory", name, strconv.Itoa(r.MemoryKeys))
	out, err := cmd.Output()
	if err != nil {
		if r.ctx.Err() != nil {
			return m, r.ctx.Err()
		}
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, lastLine(string(exit.Stderr)))
		}
		return m, fmt.Errorf("memory of %s: %w", name, err)
	}
	if err := json.Unmarshal(out, &m); err != nil {
		return m, fmt.Errorf("memory of %s: %w", name, err)
	}
	return m, nil
}

// Memory measures what the keys of a subject take, and writes that as JSON. It
// is what Run does in a process of its own.
func Memory(ctx context.Context, to io.Writer, name string, keys int) error {
	all := append(subjects.Ours(), subjects.Floors()...)
	i := slices.IndexFunc(all, func(s measure.Subject) bool { return s.Name == name })
	if i < 0 {
		return fmt.Errorf("memory of %q: want one of %s", name, strings.Join(MemorySubjects(), ", "))
	}
	m, err := measure.MeasureMemory(ctx, &all[i], keys)
	if err != nil {
		return err
	}
	return json.NewEncoder(to).Encode(m)
}

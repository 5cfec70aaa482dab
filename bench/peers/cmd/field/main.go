// Command field measures weir beside the rate limiters of the field, on the same
// work and in one run, and prints what came out as tables in Markdown. Flag -help
// tells what can be chosen.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-0c889b51/weir/bench/peers/field"
	"github.com/seed-0c889b51/weir/internal/measure"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "field:", err)
		os.Exit(1)
	}
}

// A report is what the command writes as JSON: that of package measure, with
// what each contender admitted besides.
type report struct {
	measure.Report
	Admission []field.Admission `json:"admission"`
}

// options are what the flags say.
type options struct {
	json      string
	settings  measure.Settings
	workloads string
	subjects  *regexp.Regexp
	speed     bool
	memory    int
	admission bool
	wrappers  int // rounds of the middlewares
	quiet     bool

	memoryOf string // of one subject, in this process
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("field", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.json, "json", "", "also write the report as JSON to a `file`")
	flags.IntVar(&o.settings.Rounds, "rounds", 5, "how many `rounds` of each cell; a round of all is about two minutes")
	flags.DurationVar(&o.settings.Window, "window", 100*time.Millisecond, "how `long` a cell is measured in a round")
	procs := flags.String("procs", defaultProcs(), "`numbers` of processors and goroutines, separated by commas")
	flags.StringVar(&o.workloads, "workloads", strings.Join(measure.Workloads(), ","), "`names` of workloads, separated by commas")
	only := flags.String("subjects", "", "only subjects whose name matches this regular `expression`, and weir")
	flags.BoolVar(&o.speed, "speed", true, "measure what decisions take")
	flags.IntVar(&o.memory, "memory", 1_000_000, "measure what so many `keys` take; 0 does not")
	flags.BoolVar(&o.admission, "admission", true, "compare what is admitted with the exact answers")
	flags.IntVar(&o.wrappers, "middleware", 0, "how many `rounds` of two seconds middlewares are measured for as well")
	flags.BoolVar(&o.quiet, "quiet", false, "tell no progress")
	flags.StringVar(&o.memoryOf, "memory-of", "", "print as JSON what the -memory keys of this `subject` take, and nothing else")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("argument %q: there are only flags", flags.Arg(0))
	}
	for text := range strings.SplitSeq(*procs, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-procs %s: %q is not a number from 1", *procs, text)
		}
		o.settings.Procs = append(o.settings.Procs, n)
	}
	if o.memory < 0 {
		return nil, fmt.Errorf("-memory %d: want 0 or more", o.memory)
	}
	if o.wrappers < 0 {
		return nil, fmt.Errorf("-middleware %d: want 0 or more", o.wrappers)
	}
	var err error
	if o.subjects, err = regexp.Compile(*only); err != nil {
		return nil, fmt.Errorf("-subjects: %w", err)
	}
	return o, nil
}

// defaultProcs are 1, 2 and so on, doubling, up to those that there are.
func defaultProcs() string {
	all := runtime.GOMAXPROCS(0)
	text := "1"
	for n := 2; n < all; n *= 2 {
		text += "," + strconv.Itoa(n)
	}
	if all > 1 {
		text += "," + strconv.Itoa(all)
	}
	return text
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.memoryOf != "" {
		return memoryOf(ctx, o.memoryOf, o.memory, stdout)
	}
	tell := func(string) {}
	if !o.quiet {
		tell = progress(stderr)
	}
	subjects := slices.DeleteFunc(field.Subjects(), func(s measure.Subject) bool {
		return s.Name != field.Weir && !o.subjects.MatchString(s.Name)
	})
	r := report{Report: measure.Report{
		Schema: measure.Schema, Made: time.Now().UTC(), Machine: measure.ThisMachine(),
		Settings: o.settings, Subjects: measure.Info(subjects),
	}}
	if o.speed {
		if r.Cells, err = speed(ctx, o, subjects, tell); err != nil {
			return err
		}
	}
	if o.memory > 0 {
		for _, s := range subjects {
			if s.Keyed && s.Kind != measure.Floor {
				tell("memory of " + s.Name)
				m, err := memoryInChild(ctx, s.Name, o.memory)
				if err != nil {
					return err
				}
				r.Memory = append(r.Memory, m)
			}
		}
	}
	if o.admission {
		contenders := slices.DeleteFunc(field.All(), func(c field.Contender) bool {
			return !c.Keyed || c.Name != field.Weir && !o.subjects.MatchString(c.Name)
		})
		r.Admission, err = field.Admissions(ctx, contenders, 2*time.Second, 300*time.Millisecond, func(what string) {
			tell("admission: " + what)
		})
		if err != nil {
			return err
		}
	}
	var wrappers string
	if o.wrappers > 0 {
		tell("middlewares")
		if wrappers, err = middlewares(ctx, o.wrappers); err != nil {
			return err
		}
	}
	tell("")
	r.Targets = field.Targets(&r.Report)
	if o.json != "" {
		if err := write(o.json, &r); err != nil {
			return err
		}
	}
	_, err = io.WriteString(stdout, markdown(&r, wrappers))
	return err
}

// speed measures the workloads, each allowed and, where that can be, denied.
func speed(ctx context.Context, o *options, subjects []measure.Subject, tell func(string)) ([]measure.Cell, error) {
	settings := o.settings
	var cells []measure.Cell
	for _, denied := range []bool{false, true} {
		for name := range strings.SplitSeq(o.workloads, ",") {
			if name == "miss" && denied {
				continue
			}
			w, err := measure.NewWorkload(name, denied)
			if err != nil {
				return nil, err
			}
			settings.Progress = func(done, all int, what string) {
				if done < all {
					tell(fmt.Sprintf("%d of %d: %s", done+1, all, what))
				}
			}
			more, err := measure.Throughput(ctx, subjects, []*measure.Workload{w}, settings)
			if err != nil {
				return nil, err
			}
			cells = append(cells, more...)
		}
	}
	return cells, nil
}

// memoryInChild measures a subject in a process of its own, so that nobody has
// to look at what others have left.
func memoryInChild(ctx context.Context, name string, keys int) (m measure.Memory, err error) {
	self, err := os.Executable()
	if err != nil {
		return m, err
	}
	cmd := exec.CommandContext(ctx, self, "-memory-of", name, "-memory", strconv.Itoa(keys))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return m, fmt.Errorf("memory of %s: %w", name, err)
	}
	if err := json.Unmarshal(out, &m); err != nil {
		return m, fmt.Errorf("memory of %s: %w", name, err)
	}
	return m, nil
}

func memoryOf(ctx context.Context, name string, keys int, stdout io.Writer) error {
	all := field.Subjects()
	i := slices.IndexFunc(all, func(s measure.Subject) bool { return s.Name == name })
	if i < 0 {
		return fmt.Errorf("-memory-of %q: there is no such subject", name)
	}
	m, err := measure.MeasureMemory(ctx, &all[i], keys)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(m)
}

func write(path string, r *report) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o666)
}

// middlewares has the test that measures them do so, and returns its tables.
func middlewares(ctx context.Context, rounds int) (string, error) {
	dir, err := os.MkdirTemp("", "field-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "tables.md")
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-timeout=1h", "-run=^TestTable$",
		"github.com/seed-0c889b51/weir/bench/peers", "-rounds", strconv.Itoa(rounds), "-markdown", file)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("middlewares: %w\n%s", err, out)
	}
	text, err := os.ReadFile(file)
	return string(text), err
}

// markdown returns the report as the README has it.
func markdown(r *report, wrappers string) string {
	var out strings.Builder
	section := func(title, text string) { fmt.Fprintf(&out, "#### %s\n\n%s\n", title, text) }
	fmt.Fprintf(&out, "%s/%s, %s, %d processors, %s, weir %s; %d rounds of %v each.\n\n", r.Machine.GOOS, r.Machine.GOARCH,
		r.Machine.CPU, r.Machine.Procs, r.Machine.Go, r.Machine.Weir, r.Settings.Rounds, r.Settings.Window)
	if len(r.Cells) > 0 {
		section("Allowed", field.SpeedTable(&r.Report, false))
		section("Denied", field.SpeedTable(&r.Report, true))
		if note := field.ErrorNote(&r.Report); note != "" {
			out.WriteString(note + "\n")
		}
	}
	if len(r.Memory) > 0 {
		section("Memory", field.MemoryTable(&r.Report))
	}
	if len(r.Targets) > 0 {
		section("Targets", field.TargetTable(r.Targets))
	}
	if len(r.Admission) > 0 {
		section("Admitted", field.AdmissionTables(r.Admission))
	}
	if wrappers != "" {
		section("Middlewares", wrappers)
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

// progress tells on one line what is going on, at most some times a second.
func progress(to io.Writer) func(string) {
	start := time.Now()
	var last time.Time
	return func(what string) {
		if what != "" && time.Since(last) < 200*time.Millisecond {
			return
		}
		last = time.Now()
		if what == "" {
			fmt.Fprint(to, "\r\x1b[K")
			return
		}
		fmt.Fprintf(to, "\r\x1b[K%v %s", time.Since(start).Round(time.Second), what)
	}
}

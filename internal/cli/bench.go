package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/seed-0c889b51/weir/internal/measure"
	"github.com/seed-0c889b51/weir/internal/measure/digest"
	"github.com/seed-0c889b51/weir/internal/measure/page"
	"github.com/seed-0c889b51/weir/internal/measure/suite"
	"github.com/seed-0c889b51/weir/internal/nearest"
	"github.com/seed-0c889b51/weir/internal/oneline"
)

// benchFlags are the flags of bench as they were given.
type benchFlags struct {
	quick                                          bool
	rounds, window, report, json, compare, peersIn once
	workloads, expect                              []string
}

func newBench(w World) *cobra.Command {
	flags := &benchFlags{report: once{value: "weir-bench.html"}}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what a decision costs on this machine",
		Long: `Measures what weir costs on this machine: the time of a decision by how many keys
there are and how many goroutines ask, the latency of single decisions and of the
whole proxy with snapshots, evictions and reloads beside, and memory. Beside them
are the parts that a decision is made of. Prints tables, and writes a page with
drawings that needs no network. It takes some minutes, and nothing else should
run meanwhile.

Examples:
  weir bench                                     # and then open weir-bench.html
  weir bench --quick                             # half a minute, to see what there is
  weir bench --peers bench/peers                 # beside other limiters; needs Go and this repository
  weir bench --json new.json --compare old.json  # what has changed
  weir bench --quick --expect 'hot.p99<5us' --expect 'hot.allocs<=0'

An expectation is [SUBJECT/]WORKLOAD[.denied][@PROCS].METRIC, then <, <=, > or >=,
then a value. It fails if one of the cells that it is about is not so. SUBJECT is
weir, or another row of the tables.
  WORKLOAD  hot (one key), 1k, zipf100k, 1m or miss; proxy; memory
  METRIC    ns, allocs or bytes of a decision, ns as a duration such as 100ns;
            p50, p90, p99, p999, p9999 or max of its latency, such as 1us;
            bytes of a key, or gc, such as 100ms, of memory
With .open the latency is that on a schedule, and with .snapshots, .flood or
.reloads that while these went on: 'zipf100k.snapshots.p99<50us'.

Exit codes: 0 done, 1 failed, 2 unknown command, flag or argument, 3 a value that
is not valid, 4 an expectation was not met.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := flags.bench(w)
			if err != nil {
				return valueError{err}
			}
			return b.run(cmd)
		},
	}
	flags.add(cmd)
	cmd.AddCommand(benchMemory(w))
	return cmd
}

func (f *benchFlags) add(cmd *cobra.Command) {
	set := cmd.Flags()
	set.SortFlags = false
	set.BoolVar(&f.quick, "quick", false, "measure little of it for a short time: figures to look at, not to go by")
	set.StringArrayVar(&f.workloads, "workload", nil, "`NAME` of the keys that decisions are measured with, hot, 1k, zipf100k, 1m or miss; may be given several times (default: all)")
	set.Var(&f.rounds, "rounds", "`NUMBER` of rounds in which all take turns, 1 to 1000 (default 5, with --quick 4)")
	set.Var(&f.window, "window", "`TIME` that each is measured for in a round, 1ms to 1m (default 100ms, with --quick 10ms)")
	set.Var(&f.peersIn, "peers", "`DIR` of the module that measures other limiters, bench/peers of the repository: they take turns with weir (default: none)")
	set.Var(&f.report, "report", "`FILE` for the page, or none")
	set.Var(&f.json, "json", "`FILE` for all figures as JSON (bench/schema.md), or - for them on standard output and no tables (default: none)")
	set.Var(&f.compare, "compare", "`FILE` of an earlier --json: print what has changed")
	set.StringArrayVar(&f.expect, "expect", nil, "`EXPECTATION`, such as 'hot.p99<1us'; may be given several times; exit with 4 if one is not met")
}

// A bench is a run of weir bench, all values of which are valid.
type bench struct {
	World
	config       suite.Config
	report, json string // "" is none
	old          *measure.Report
	expect       []digest.Expectation
}

// bench reads the flags.
func (f *benchFlags) bench(w World) (*bench, error) {
	b := &bench{World: w, config: suite.Default(), report: f.report.value, json: f.json.value}
	if f.quick {
		b.config = suite.Quick()
	}
	if f.workloads != nil {
		b.config.Workloads = nil
	}
	for _, name := range f.workloads {
		switch {
		case !slices.Contains(measure.Workloads(), name):
			return nil, fmt.Errorf("--workload %s: want %s%s", quote(name), strings.Join(measure.Workloads(), ", "), nearest.Hint(name, measure.Workloads()))
		case slices.Contains(b.config.Workloads, name):
			return nil, fmt.Errorf("--workload %s: it is given twice: want it once", quote(name))
		}
		b.config.Workloads = append(b.config.Workloads, name)
	}
	if f.rounds.given {
		n, err := strconv.Atoi(f.rounds.value)
		if err != nil || n < 1 || n > 1000 {
			return nil, fmt.Errorf("--rounds %s: want a whole number from 1 to 1000", quote(f.rounds.value))
		}
		b.config.Settings.Rounds = n
	}
	if f.window.given {
		d, err := time.ParseDuration(f.window.value)
		if err != nil || d < time.Millisecond || d > time.Minute {
			return nil, fmt.Errorf("--window %s: want a duration from 1ms to 1m", quote(f.window.value))
		}
		b.config.Settings.Window = d
	}
	for _, text := range f.expect {
		e, err := digest.ParseExpectation(text)
		if err != nil {
			return nil, fmt.Errorf("--expect %s: %w", quote(text), err)
		}
		b.expect = append(b.expect, e)
	}
	if b.report == "none" {
		b.report = ""
	} else if err := writable("--report", b.report); err != nil {
		return nil, err
	}
	if f.json.given && b.json != "-" {
		if err := writable("--json", b.json); err != nil {
			return nil, err
		}
		if b.json == b.report {
			return nil, fmt.Errorf("--json %s: the page is written to that file: want another", quote(b.json))
		}
	}
	if f.peersIn.given {
		b.config.Peers = f.peersIn.value
		if _, err := os.Stat(filepath.Join(b.config.Peers, "go.mod")); err != nil || b.config.Peers == "" {
			return nil, fmt.Errorf("--peers %s: there is no go.mod: want the directory bench/peers of the repository", quote(b.config.Peers))
		}
	}
	if f.compare.given {
		file, err := os.Open(f.compare.value)
		if err != nil {
			return nil, fmt.Errorf("--compare %s: %w", quote(f.compare.value), cause(err))
		}
		defer file.Close()
		if b.old, err = measure.Read(file); err != nil {
			return nil, fmt.Errorf("--compare %s: %w: want a file that weir bench --json wrote", quote(f.compare.value), err)
		}
	}
	return b, nil
}

// writable returns an error if a file can not be written: better now than after
// some minutes. It leaves no file behind.
func writable(flag, path string) error {
	if path == "" || strings.ContainsRune(path, 0) {
		return fmt.Errorf("%s %s: want the path of a file", flag, quote(path))
	}
	_, err := os.Lstat(path)
	isNew := errors.Is(err, os.ErrNotExist)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return fmt.Errorf("%s %s: %w", flag, quote(path), cause(err))
	}
	file.Close()
	if isNew {
		os.Remove(path)
	}
	return nil
}

// cause is an error of a file without the path, which is named already.
func cause(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// run measures, and tells what came out.
func (b *bench) run(cmd *cobra.Command) error {
	bar := &progress{to: b.Stderr, terminal: b.Terminal, start: time.Now()}
	b.config.Progress = bar.tell
	if b.Terminal { // what the program of the field tells is for one
		b.config.Log = b.Stderr
	}
	r, err := suite.Run(cmd.Context(), b.config)
	bar.end()
	if cmd.Context().Err() != nil {
		return runError{errors.New("stopped before it was done: nothing is written")}
	}
	if err != nil {
		return runError{err}
	}
	if err := b.write(r); err != nil {
		return runError{err}
	}
	return b.check(r)
}

// write writes what was measured to all places where it is to be.
func (b *bench) write(r *measure.Report) error {
	if b.json == "-" {
		if err := r.Write(b.Stdout); err != nil {
			return err
		}
	} else if err := digest.Table(b.Stdout, r); err != nil {
		return err
	}
	if b.json != "" && b.json != "-" {
		if err := toFile(b.json, r.Write); err != nil {
			return err
		}
	}
	if b.report != "" {
		if err := toFile(b.report, func(to io.Writer) error { return page.Write(to, r) }); err != nil {
			return err
		}
		fmt.Fprintln(b.Stderr, "weir: the page is in "+oneline.Text(b.report))
	}
	if b.old != nil {
		to := b.Stdout
		if b.json == "-" {
			to = b.Stderr
		}
		fmt.Fprintln(to)
		return digest.Compare(to, b.old, r)
	}
	return nil
}

// toFile writes a file as a whole or not at all.
func toFile(path string, write func(io.Writer) error) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() { // such as /dev/stdout
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(file), file.Close())
	}
	file, err := os.OpenFile(fmt.Sprintf("%s.%d", path, os.Getpid()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	err = errors.Join(write(file), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}

// An unmetError is that expectations were not met.
type unmetError struct{ error }

// check holds the report against the expectations.
func (b *bench) check(r *measure.Report) error {
	unmet := 0
	for _, e := range b.expect {
		f, err := e.Check(r)
		if err != nil {
			return valueError{fmt.Errorf("--expect %s: nothing of that kind was measured", quote(e.String()))}
		}
		word := "met:    "
		if !f.Met {
			word = "NOT MET:"
			unmet++
		}
		fmt.Fprintf(b.Stderr, "weir: %s %s: it is %s (%s)\n", word, oneline.Text(e.String()), f.Got, f.Of)
	}
	if unmet > 0 {
		return unmetError{fmt.Errorf("%d of %d expectations not met", unmet, len(b.expect))}
	}
	return nil
}

// A progress tells what is going on: on a terminal on one line, which is gone
// in the end, and elsewhere a line now and then.
type progress struct {
	to       io.Writer
	terminal bool
	start    time.Time
	last     time.Time
}

func (p *progress) tell(part float64, what string) {
	now := time.Now()
	gap := 10 * time.Second
	if p.terminal {
		gap = 100 * time.Millisecond
	}
	if now.Sub(p.last) < gap {
		return
	}
	p.last = now
	took := now.Sub(p.start)
	text := fmt.Sprintf("%3.0f %%  %s", 100*part, what)
	if part > 0.02 && part < 1 {
		left := time.Duration(float64(took) * (1 - part) / part)
		text = fmt.Sprintf("%3.0f %%, about %v left  %s", 100*part, left.Round(time.Second), what)
	}
	if p.terminal {
		columns := columns(p.to) // a line that wraps could not be taken back
		if runes := []rune(text); len(runes) > columns {
			text = string(runes[:columns-1]) + "…"
		}
		fmt.Fprint(p.to, "\r\x1b[K"+text)
		return
	}
	fmt.Fprintln(p.to, "weir: "+text)
}

// columns returns how many characters fit on a line of a terminal.
func columns(terminal any) int {
	if file, ok := terminal.(*os.File); ok {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 10 {
			return width - 1
		}
	}
	return 79
}

func (p *progress) end() {
	if p.terminal {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}

// benchMemory is what bench runs in a process of its own.
func benchMemory(w World) *cobra.Command {
	return &cobra.Command{
		Use:    "memory",
		Short:  "What bench runs in a process of its own",
		Hidden: true,
		Args:   cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("%d arguments: want a subject and a number of keys", len(args))
			}
			keys, err := strconv.Atoi(args[1])
			if err != nil || keys < 1 {
				return valueError{fmt.Errorf("keys %s: want a number from 1", quote(args[1]))}
			}
			if err := suite.Memory(cmd.Context(), w.Stdout, args[0], keys); err != nil {
				return runError{err}
			}
			return nil
		},
	}
}

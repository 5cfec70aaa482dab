package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/internal/measure"
)

// Memory is measured by the program itself in another process, which here is
// the test binary.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "bench" && os.Args[2] == "memory" {
		keys, _ := strconv.Atoi(os.Args[4])
		if err := Memory(context.Background(), os.Stdout, os.Args[3], keys); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// little measures as little as can be.
func little() Config {
	cfg := Quick()
	cfg.Settings.Rounds, cfg.Settings.Window, cfg.Settings.Procs = 2, time.Millisecond, []int{1, 2}
	cfg.Workloads = []string{"hot"}
	cfg.Latency, cfg.Proxy, cfg.MemoryKeys = 2*time.Millisecond, 20*time.Millisecond, 1000
	return cfg
}

// Everything that a report is about is in it, and progress goes from 0 to 1.
func TestRun(t *testing.T) {
	t.Parallel()
	cfg := little()
	var parts []float64
	cfg.Progress = func(part float64, what string) {
		parts = append(parts, part)
		if what == "" {
			t.Error("progress that says nothing")
		}
	}
	r, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if parts[0] != 0 || parts[len(parts)-1] != 1 || !slices.IsSorted(parts) {
		t.Errorf("progress %v: want 0 to 1", parts)
	}
	for _, l := range r.Latency {
		// 8 connections, and in each of 2 rounds of 10 ms 3 requests of each.
		if l.Workload == "proxy" && l.Count != 8*2*3 {
			t.Errorf("%s during %q: %d requests: want those of both rounds, 48", l.Subject, l.During, l.Count)
		}
	}
	seen := map[string]bool{}
	for _, c := range r.Cells {
		seen[fmt.Sprintf("%s %v p%d", c.Subject, c.Denied, c.Procs)] = true
	}
	for _, l := range r.Latency {
		seen[fmt.Sprintf("%s %s during %q", l.Subject, l.Workload, l.During)] = true
	}
	for _, m := range r.Memory {
		seen["memory "+m.Subject] = true
	}
	for _, want := range []string{
		"weir false p1", "weir false p2", "weir true p2", "weir-two true p1", "rate.Limiter-map true p2", "noop false p1",
		`weir hot during ""`, `weir-limiter 1k during ""`, `weir-limiter 1k during "snapshots"`, `weir-limiter 1k during "flood"`, `weir-limiter 1k during "reloads"`,
		`weir serve proxy during "flood"`, `no limiter proxy during ""`, "memory weir", "memory rate.Limiter-map",
	} {
		if !seen[want] {
			t.Errorf("%s was not measured", want)
		}
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

func TestARunCanBeEnded(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	cfg := little()
	cfg.Progress = func(part float64, _ string) {
		if part > 0.1 {
			stop()
		}
	}
	if _, err := Run(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v: want %v", err, context.Canceled)
	}
}

// The program of the field measures, and what it says about the others and weir
// is what the report has.
func TestPeers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := little()
	cfg.Peers = dir
	if _, err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "want the directory bench/peers") {
		t.Errorf("a directory without a module: error %v", err)
	}
	files := map[string]string{
		"go.mod":            "module peers\n\ngo " + strings.TrimPrefix(strings.Fields(runtime.Version())[0], "go") + "\n",
		"cmd/field/main.go": "package main\n\nimport \"os\"\n\nfunc main() {\n\tos.WriteFile(os.Args[2], report, 0o600)\n}\n",
	}
	write := func(report string) {
		files["cmd/field/report.go"] = "package main\n\nvar report = []byte(`" + report + "`)\n"
		for name, text := range files {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(`{"schema":1,"subjects":[{"name":"weir","kind":"weir"},{"name":"other","kind":"peer"}],
"cells":[{"subject":"other","workload":"hot","procs":1,"nsPerOp":7,"rounds":[7]}],"memory":[{"subject":"other","keys":5}],
"targets":[{"name":"hot","goal":1,"got":2,"unit":"×","reached":false}]}`)
	r, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Cells) != 1 || r.Cells[0].NsPerOp != 7 || len(r.Memory) != 1 || len(r.Targets) != 1 || len(r.Subjects) != 2 || len(r.Latency) == 0 {
		t.Errorf("%+v: want what the program wrote, and latencies", r)
	}
	write(`{"schema":7}`)
	if _, err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "a report of schema 7") {
		t.Errorf("a program that writes something else: error %v", err)
	}
	files["cmd/field/main.go"] = "package main\n\nfunc main() { panic(\"no \" + string(report)) }\n"
	write("idea")
	if _, err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "exit status") {
		t.Errorf("a program that fails: error %v", err)
	}
}

func TestMemoryOfNobody(t *testing.T) {
	t.Parallel()
	if err := Memory(t.Context(), nil, "nobody", 1); err == nil || !strings.Contains(err.Error(), `memory of "nobody": want one of weir,`) {
		t.Errorf("error %v", err)
	}
}

// What weir and the floors are is in the report, also where the field measured.
func TestConfigs(t *testing.T) {
	t.Parallel()
	for _, cfg := range []Config{Default(), Quick()} {
		for _, name := range append(slices.Clone(cfg.Workloads), cfg.Spread) {
			if !slices.Contains(measure.Workloads(), name) {
				t.Errorf("workload %q: there is none", name)
			}
		}
		if p := cfg.Settings.Procs; p[0] != 1 || p[len(p)-1] != runtime.GOMAXPROCS(0) || !slices.IsSorted(p) || len(slices.Compact(slices.Clone(p))) != len(p) {
			t.Errorf("processors %v: want 1 to %d", p, runtime.GOMAXPROCS(0))
		}
	}
}

// The libraries do not link the harness, nor what it is made with.
func TestLibrariesDoNotLinkIt(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", "../../..", "../../../bucket", "../../../registry", "../../../persist", "../../../httpmw", "../../../weirtest").Output()
	if err != nil {
		t.Fatal(err)
	}
	if deps := string(out); !strings.Contains(deps, "weir/bucket") || strings.Contains(deps, "weir/internal/measure") || strings.Contains(deps, "HdrHistogram") {
		t.Errorf("they link %s", deps)
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/bench/peers/field"
	"github.com/seed-0c889b51/weir/internal/measure"
)

// The command measures memory in processes of its own program, which here is
// the test.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-memory-of" {
		main()
		return
	}
	os.Exit(m.Run())
}

// The report that is written is one that others can read, of the subjects that
// were asked for, and the tables on the output say the same.
func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out.json")
	var out, errors bytes.Buffer
	err := run(t.Context(), []string{"-json", file, "-rounds", "2", "-window", "1ms", "-procs", "1", "-workloads", "hot,miss",
		"-memory", "2000", "-admission=false", "-subjects", "go-limiter|^tailscale$|clock$"}, &out, &errors)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	r, err := measure.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	var cells, memory []string
	for _, c := range r.Cells {
		cells = append(cells, c.Subject+" "+c.Workload+map[bool]string{true: " denied"}[c.Denied])
		if len(c.Rounds) != 2 || c.Procs != 1 || c.Ops == 0 || c.Wrong != 0 {
			t.Errorf("a cell of 2 rounds with 1 processor is %+v", c)
		}
	}
	for _, m := range r.Memory {
		memory = append(memory, m.Subject)
		if m.Keys != 2000 || m.BytesPerKey <= 0 {
			t.Errorf("memory of 2000 keys is %+v", m)
		}
	}
	slices.Sort(cells)
	if want := []string{"clock hot", "go-limiter hot", "go-limiter hot denied", "tailscale hot", "tailscale hot denied",
		"tailscale miss", "weir hot", "weir hot denied", "weir miss"}; !slices.Equal(cells, want) {
		t.Errorf("cells are of %q: want %q", cells, want)
	}
	if want := []string{"weir", "go-limiter", "tailscale"}; !slices.Equal(memory, want) {
		t.Errorf("memory is of %q: want %q", memory, want)
	}
	if len(r.Targets) == 0 || r.Machine.Go == "" {
		t.Errorf("targets %v, machine %+v: want some", r.Targets, r.Machine)
	}
	for _, want := range []string{"#### Allowed", "| allowed | hot, 1 | miss, 1 | allocs |", "#### Denied", "#### Memory", "#### Targets", "| go-limiter | 2000 |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
	if !strings.Contains(errors.String(), "hot, weir, round 1 of 2") {
		t.Errorf("progress is %q: want what is measured", &errors)
	}
}

// What is admitted is in the report as well.
func TestRunAdmission(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: traces are played by the clock")
	}
	t.Parallel()
	file := filepath.Join(t.TempDir(), "out.json")
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-json", file, "-speed=false", "-memory", "0", "-quiet", "-subjects", "^go-limiter$"}, &out, &out); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Admission) != 2 || r.Admission[0].Name != field.Weir || r.Admission[1].Name != "go-limiter" || r.Admission[1].Flood != 10 {
		t.Errorf("admissions are %+v", r.Admission)
	}
	if !strings.Contains(out.String(), "#### Admitted\n\n| | edge |") || strings.Contains(out.String(), "Allowed") {
		t.Errorf("the output is\n%s", &out)
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"-procs", "1,x"}, `"x" is not a number from 1`},
		{[]string{"-procs", "0"}, `"0" is not a number from 1`},
		{[]string{"-rounds", "0"}, "rounds 0"},
		{[]string{"-window", "0s"}, "window 0s"},
		{[]string{"-memory", "-1"}, "-memory -1"},
		{[]string{"-middleware", "-1"}, "-middleware -1"},
		{[]string{"-workloads", "cold"}, `"cold"`},
		{[]string{"-subjects", "("}, "-subjects"},
		{[]string{"all"}, `argument "all"`},
		{[]string{"-memory-of", "nobody"}, `"nobody"`},
		{[]string{"-json", "/nowhere/at/all.json", "-speed=false", "-memory=0", "-admission=false"}, "/nowhere/at/all.json"},
	} {
		var out, errors bytes.Buffer
		if err := run(t.Context(), append(row.args, "-quiet"), &out, &errors); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%q: %v: want an error with %q", row.args, err, row.want)
		}
	}
}

package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/config"
)

// A mistake is a file that is wrong, with all that is said of it.
type mistake struct {
	why  string
	file string
	want string // a line for each problem, as LINE:COLUMN: PATH: TEXT
}

// mistakes reads those of a file of testdata: "=== why", the lines of the file,
// "=>", and what is said.
func mistakes(t *testing.T, name string) []mistake {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var list []mistake
	for part := range strings.SplitSeq("\n"+string(data), "\n=== ") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		why, rest, _ := strings.Cut(part, "\n")
		file, want, ok := strings.Cut("\n"+rest, "\n=>\n")
		if !ok {
			t.Fatalf("%s: %q has no =>", name, why)
		}
		if strconv.IntSize == 32 { // of how much memory there can be
			want = strings.NewReplacer("67108864", "2097152", "268435456", "33554432").Replace(want)
		}
		list = append(list, mistake{why, strings.TrimPrefix(file, "\n") + "\n", strings.TrimSpace(want)})
	}
	return list
}

// said returns what is said of a file.
func said(file string) string {
	_, err := config.Load(config.Input{Name: "w", File: []byte(file)})
	var problems config.Problems
	if !errors.As(err, &problems) {
		return fmt.Sprint(err)
	}
	var lines, settings []string
	for _, p := range problems {
		lines = append(lines, strings.TrimPrefix(p.Error(), "w:"))
	}
	for _, s := range config.Settings() {
		settings = append(settings, s.Key)
	}
	return strings.ReplaceAll(strings.Join(lines, "\n"), strings.Join(settings, ", "), "(all settings)")
}

// Each mistake in a file is told with its line, its column, what is wrong and
// what is allowed; and all of them at once.
func TestMistakesInAFile(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/mistakes/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	seen := map[string]string{}
	for _, name := range files {
		for _, m := range mistakes(t, name) {
			n++
			if got := said(m.file); got != m.want {
				t.Errorf("%s: %s\n%s\n got %s\nwant %s", filepath.Base(name), m.why, m.file, got, m.want)
			}
			if before, ok := seen[m.file]; ok {
				t.Errorf("%q and %q are the same file", before, m.why)
			}
			seen[m.file] = m.why
		}
	}
	if n < 400 {
		t.Errorf("there are %d mistakes, want 400 at least", n)
	}
}

package peers

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/bench/peers/field"
)

// The README names each module that is measured, or measured with, with the
// version that is required.
func TestREADMEHasTheVersions(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	readme := readREADME(t)
	required := regexp.MustCompile(`(?m)^\t(\S+) (v\S+)$`).FindAllStringSubmatch(string(mod), -1) // but the indirect
	modules := map[string]bool{}
	for _, match := range required {
		modules[match[1]] = true
		if match[1] != "github.com/seed-0c889b51/weir" && !strings.Contains(readme, match[1]+" "+match[2]) {
			t.Errorf("README.md does not have %q", match[1]+" "+match[2])
		}
	}
	for _, c := range field.All() {
		if !modules[c.Module] {
			t.Errorf("%s is of %s, which go.mod does not require", c.Name, c.Module)
		}
	}
}

// Each contender that has keys is in the README as one that is compared.
func TestREADMEHasTheContenders(t *testing.T) {
	t.Parallel()
	readme := readREADME(t)
	for _, c := range field.All() {
		if c.Keyed && !c.Ours && !strings.Contains(readme, "\n| "+field.Marked(c.Name, c.Bounded)+" | ") {
			t.Errorf("README.md has no row for %s", c.Name)
		}
	}
	for _, tr := range field.Traces() {
		if !strings.Contains(readme, "*"+tr.Name+"*: ") {
			t.Errorf("README.md does not say what trace %s is", tr.Name)
		}
	}
}

func readREADME(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

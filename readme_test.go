package weir_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// blocks returns the fenced blocks of the README in a language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		found = append(found, m[1])
	}
	return found
}

// The first Go block of the README is the Example of this package, which runs
// as a test.
func TestReadmeShowsTheExample(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("bucket_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(blocks(t, "go")[0]) {
		if line != "\n" {
			line = "\t" + line
		}
		lines = append(lines, line)
	}
	if block := strings.Join(lines, ""); !strings.Contains(string(source), "func Example() {\n"+block) {
		t.Errorf("the first Go block of README.md is not how Example begins:\n%s", block)
	}
}

// The two commands that need nothing but Go.
func TestReadmeHasTheTwoCommands(t *testing.T) {
	t.Parallel()
	commands := blocks(t, "sh")
	for _, want := range []string{"go run ./cmd/weir serve\n", "go test ./...\n"} {
		if !slices.Contains(commands, want) {
			t.Errorf("README.md has no block with %q alone", want)
		}
	}
}

// NOTICE names every module that the library or the binary links.
func TestNoticeIsComplete(t *testing.T) {
	t.Parallel()
	notice, err := os.ReadFile("NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	for _, system := range []string{"linux", "windows", "darwin"} {
		list := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "./...")
		list.Env = append(os.Environ(), "GOOS="+system, "GOARCH=amd64")
		out, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, module := range strings.Fields(string(out)) {
			if !strings.Contains(string(notice), module) {
				t.Errorf("NOTICE lacks %s (%s)", module, system)
			}
		}
	}
}

package peers

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The README names each peer with the version that is measured.
func TestREADMEHasTheVersions(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	required := regexp.MustCompile(`(?m)^\t(\S+ v\S+)$`).FindAllStringSubmatch(string(mod), -1) // but the indirect
	peersThere := 0
	for _, match := range required {
		if strings.HasPrefix(match[1], "github.com/seed-0c889b51/weir ") || strings.HasPrefix(match[1], "golang.org/x/time ") {
			continue
		}
		peersThere++
		if !strings.Contains(string(readme), match[1]) {
			t.Errorf("README.md does not have %q", match[1])
		}
	}
	if want := len(peers) - 3; peersThere != want { // but the handler, and weir twice
		t.Errorf("go.mod has %d peers: want %d", peersThere, want)
	}
}

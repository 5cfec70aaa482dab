package admin_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/seed-0c889b51/weir/internal/admin"
)

// Whatever package httpmw warns of has a cure here.
func TestEachWarningHasACure(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join("..", "..", "httpmw", "misuse.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\{slog\.Level\w+, "([a-z-]+)",`).FindAllStringSubmatch(string(source), -1)
	if len(names) < 11 {
		t.Fatalf("%d warnings are found in the source, want the 11 there were or more", len(names))
	}
	for _, name := range names {
		if !admin.HasCure(name[1]) {
			t.Errorf("%s has no cure", name[1])
		}
	}
}

package config_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/seed-0c889b51/weir/internal/config"
)

// Whatever is in a file, it is either a configuration, which is then one that can
// be shown and read again, or there are problems, each at a place that there is.
func FuzzLoad(f *testing.F) {
	sample, err := os.ReadFile("../../examples/weir.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample)
	files, err := filepath.Glob("testdata/mistakes/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for i, part := range strings.Split(string(data), "\n=== ") {
			if _, rest, ok := strings.Cut(part, "\n"); ok && i%5 == 0 {
				file, _, _ := strings.Cut(rest, "\n=>\n")
				f.Add([]byte(file))
			}
		}
	}
	f.Add([]byte("trust: &a [*a, !!x y, ? z"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := config.Load(config.Input{Name: "w", File: data})
		var problems config.Problems
		switch {
		case err == nil:
			var shown, again bytes.Buffer
			if err := cfg.Show(&shown, true); err != nil {
				t.Fatal(err)
			}
			second, err := config.Load(config.Input{Name: "w", File: shown.Bytes()})
			if err != nil {
				t.Fatalf("%q is shown as\n%s\n%v", data, shown.Bytes(), err)
			}
			if err := second.Show(&again, false); err != nil {
				t.Fatal(err)
			}
			if texts(cfg) != texts(second) {
				t.Fatalf("%q is shown as\n%s\nwhich is another", data, shown.Bytes())
			}
		case !errors.As(err, &problems) || len(problems) == 0:
			t.Fatalf("%q: %v", data, err)
		default:
			lines := strings.Count(string(data), "\n") + 1
			for _, p := range problems {
				if p.Text == "" || p.At.From != config.File || p.At.Line > lines || p.At.Line < 0 || p.At.Column < 0 {
					t.Fatalf("%q: %+v", data, p)
				}
			}
			if text := problems.Text("weir: "); !utf8.ValidString(text) || strings.ContainsAny(text, "\x1b\x00\r\x07") {
				t.Fatalf("%q: %q", data, text)
			}
		}
	})
}

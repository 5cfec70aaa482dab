package config_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/internal/config"
)

// Whatever fills a file of a MiB, it is read, or refused, in a time that does not
// grow with its square: with one that does, this runs out of time.
func TestHugeFiles(t *testing.T) {
	t.Parallel()
	numbered := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for why, file := range map[string]string{
		"entries without a value":     "trust:\n" + strings.Repeat("- \n", 340_000),
		"commas":                      "trust: [" + strings.Repeat(",", 1_000_000) + "]",
		"a key many times":            strings.Repeat("a:\n", 5000),
		"many keys":                   numbered("k%d: x\n", 5000),
		"many keys in braces":         "{" + numbered("k%d: x, ", 4999) + "}",
		"keys without a value":        "{" + strings.Repeat("ab, ", 250_000) + "}",
		"a literal":                   "state: |\n" + strings.Repeat("  x\n", 250_000),
		"a folded text":               "state: >\n" + strings.Repeat("  x\n", 250_000),
		"a plain text of many lines":  "state: a\n" + strings.Repeat("  x\n", 250_000),
		"a quoted text of many lines": "state: \"" + strings.Repeat("x\n", 500_000) + "\"",
		"escapes":                     "state: \"" + strings.Repeat("\\u0041", 170_000) + "\"",
		"blanks":                      strings.Repeat(" ", 1<<20),
		"line breaks":                 strings.Repeat("\n", 1<<20),
		"comments":                    strings.Repeat("#\n", 500_000),
		"documents":                   strings.Repeat("---\n", 250_000),
		"bangs":                       strings.Repeat("! ", 500_000),
		"bars":                        strings.Repeat("| ", 500_000),
		"colons":                      strings.Repeat(": ", 500_000),
		"question marks":              strings.Repeat("? ", 500_000),
		"pairs of brackets":           "a: " + strings.Repeat("[]", 500_000),
		"routes, and one that is bad": "exempt-routes:\n" + numbered("  - /a%d/{b}/{c}\n", 300) + "  - x\n",
		"keys of a tier":              "policies:\n- key: user\n  limit: 5/s\n  tiers:\n  - limit: 9/s\n    keys:\n" + numbered("    - u%d\n", 60_000),
	} {
		begin := time.Now()
		_, err := config.Load(config.Input{Name: "w", File: []byte(file)})
		t.Logf("%s: %v, %.90v", why, time.Since(begin).Round(time.Millisecond), err)
	}
}

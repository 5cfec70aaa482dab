package oneline_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/seed-0c889b51/weir/internal/oneline"
)

func TestText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ why, text, want string }{
		{"what is printable stays", `say "äöü" \ 世界`, `say "äöü" \ 世界`},
		{"lines", "a\r\nb\u2028c", `a\r\nb\u2028c`},
		{"a terminal's commands", "\x1b[2J\a\x7f\u009b", `\x1b[2J\a\x7f\u009b`},
		{"the direction of writing", "a\u202eb", `a\u202eb`},
		{"what is not UTF-8", "a\xff\xc3b", `a\xff\xc3b`},
		{"nothing", "", ""},
	} {
		if got := oneline.Text(tt.text); got != tt.want {
			t.Errorf("%s: Text(%q) = %q, want %q", tt.why, tt.text, got, tt.want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\nb\x1b\u202e\xff")
	f.Fuzz(func(t *testing.T, text string) {
		got := oneline.Text(text)
		if strings.ContainsAny(got, "\r\n\x1b\u2028\u2029\u202e") || !utf8.ValidString(got) || oneline.Text(got) != got {
			t.Errorf("Text(%q) = %q", text, got)
		}
	})
}

func ExampleText() {
	fmt.Println(oneline.Text("two\nlines"))
	// Output: two\nlines
}

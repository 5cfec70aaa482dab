package nearest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/nearest"
)

func TestWord(t *testing.T) {
	t.Parallel()
	words := []string{"ip", "user", "header", "cookie", "path", "global"}
	for _, tt := range []struct {
		why, word, want string
	}{
		{"the word itself", "user", "user"},
		{"another case", "USER", "user"},
		{"a letter too many", "ipp", "ip"},
		{"a letter too few", "cokie", "cookie"},
		{"another letter", "uzer", "user"},
		{"two swapped letters are one mistake", "pi", "ip"},
		{"two mistakes", "globbla", "global"},
		{"three mistakes are another word", "gobblla", ""},
		{"two mistakes in two letters fit any", "xy", ""},
		{"one letter fits any", "x", ""},
		{"nothing is near to nothing", "", ""},
		{"a long word is near to none", strings.Repeat("user", 1000), ""},
	} {
		if got := nearest.Word(tt.word, words); got != tt.want {
			t.Errorf("%s: Word(%.20q) = %q, want %q", tt.why, tt.word, got, tt.want)
		}
	}
}

func TestOfTwoTheNearer(t *testing.T) {
	t.Parallel()
	if got := nearest.Word("trust", []string{"first", "trusty"}); got != "trusty" {
		t.Errorf(`Word("trust") = %q, want "trusty": one mistake away, and "first" two`, got)
	}
}

func ExampleHint() {
	fmt.Println("unknown key" + nearest.Hint("usr", []string{"ip", "user"}))
	fmt.Println("unknown key" + nearest.Hint("tenant", []string{"ip", "user"}))
	// Output:
	// unknown key; did you mean "user"?
	// unknown key
}

func ExampleWord() {
	fmt.Println(nearest.Word("srve", []string{"serve", "version"}))
	// Output: serve
}

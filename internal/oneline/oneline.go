// Package oneline makes text safe to print as one line on a terminal.
package oneline

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Text returns s with all that could begin a new line, move the cursor or turn
// the direction of writing escaped, and bytes that are not UTF-8 with it.
// Printable characters of any script stay.
func Text(s string) string {
	clean := func(r rune) bool { return r != utf8.RuneError && strconv.IsPrint(r) }
	if strings.IndexFunc(s, func(r rune) bool { return !clean(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		if clean(r) {
			b.WriteRune(r)
			continue
		}
		_, size := utf8.DecodeRuneInString(s[i:])
		quoted := strconv.QuoteToASCII(s[i : i+size])
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

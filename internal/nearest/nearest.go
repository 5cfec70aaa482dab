// Package nearest finds the word that somebody who misspelt it meant.
package nearest

import "strings"

const maxMistakes = 2

// Hint returns `; did you mean "W"?`, where W is the word among words that is
// nearest to word, for the end of an error message. It is "" if word is not
// near to any.
func Hint(word string, words []string) string {
	if w := Word(word, words); w != "" {
		return `; did you mean "` + w + `"?`
	}
	return ""
}

// Word returns the one among words that is at most two mistakes away from word
// (a letter too many, too few, another one, or two swapped), the first of the
// nearest, or "" if there is none. Case does not count. As many mistakes as
// word has letters would fit anything, and are too many.
func Word(word string, words []string) string {
	best, bestAt := "", min(maxMistakes+1, len(word))
	word = strings.ToLower(word)
	for _, w := range words {
		if d := distance(word, strings.ToLower(w)); d < bestAt {
			best, bestAt = w, d
		}
	}
	return best
}

// distance is the number of mistakes between a and b: the optimal string
// alignment distance, byte by byte.
func distance(a, b string) int {
	var before []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

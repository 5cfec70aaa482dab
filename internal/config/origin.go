package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-0c889b51/weir/internal/oneline"
	"github.com/seed-0c889b51/weir/internal/state"
)

// A From is a place where settings are.
type From uint8

// The places there are. One goes before those above it.
const (
	Default From = iota
	File
	Environment
	Flag
)

// An Origin says where a value is from.
type Origin struct {
	From From
	// Name is that of the file, of the variable, or of the flag with its dashes.
	Name string
	// Line and Column are those in the file, from 1; a column is a character.
	Line, Column int
}

// String says where: "weir.yaml:12:7", "WEIR_LISTEN", "--listen" or "default".
func (o Origin) String() string {
	switch o.From {
	case File:
		return fmt.Sprintf("%s:%d:%d", o.Name, o.Line, o.Column)
	case Environment, Flag:
		return o.Name
	}
	return "default"
}

// A Problem is one thing that is wrong.
type Problem struct {
	At Origin
	// Path says which value of the file it is about, such as
	// "policies[0].limit"; "" is the file as a whole.
	Path string
	// Text says what is wrong with it and what is allowed.
	Text string
	// Excerpt is the line of the file and one with a caret below it, without a
	// line break at the end. It is "" if there is none to show.
	Excerpt string
}

// Error returns it with the place in front, on one line, and without the
// excerpt.
func (p *Problem) Error() string {
	place := p.At.String()
	switch {
	case p.At.From != File:
		return place + p.Text
	case p.At.Line == 0:
		place = p.At.Name
	}
	if p.Path != "" {
		place += ": " + p.Path
	}
	return place + ": " + p.Text
}

// Problems are all that is wrong with a configuration, in the order in which it
// was read.
type Problems []*Problem

// Error returns all of them, each on a line of its own.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// maxProblems is how many are told at once.
const maxProblems = 20

// Text returns them for a terminal: one a line, each with its excerpt below it,
// so many at most.
func (ps Problems) Text(prefix string) string {
	var b strings.Builder
	for i, p := range ps {
		if i == maxProblems {
			fmt.Fprintf(&b, "%sand %d more\n", prefix, len(ps)-i)
			break
		}
		b.WriteString(prefix + oneline.Text(p.Error()) + "\n")
		if p.Excerpt != "" {
			b.WriteString(p.Excerpt + "\n")
		}
	}
	return b.String()
}

// sort brings those of the file into the order of its lines, before the others.
func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b *Problem) int {
		switch {
		case a.At.From != b.At.From:
			return int(a.At.From) - int(b.At.From)
		case a.At.Line != b.At.Line:
			return a.At.Line - b.At.Line
		}
		return a.At.Column - b.At.Column
	})
}

// maxExcerpt is how much of a line is shown, in characters.
const maxExcerpt = 120

// excerpt shows a line of the file with a caret under a column.
func excerpt(line string, number, column int) string {
	runes := []rune(line)
	at := min(max(column-1, 0), len(runes))
	if len(runes) > maxExcerpt {
		// The part that the caret is in.
		begin := max(0, min(at-maxExcerpt/2, len(runes)-maxExcerpt))
		runes, at = runes[begin:begin+maxExcerpt], at-begin
	}
	before := oneline.Text(string(runes[:at]))
	margin := fmt.Sprintf("%5d | ", number)
	return margin + before + oneline.Text(string(runes[at:])) + "\n" +
		strings.Repeat(" ", len(margin)-2) + "| " + strings.Repeat(" ", len([]rune(before))) + "^"
}

// secretive tells whether a line may hold something that is not to be shown: a
// password in a URL, or a secret.
func secretive(line string) bool {
	if strings.Contains(line, "://") && strings.Contains(line, "@") {
		return true
	}
	return slices.ContainsFunc(strings.FieldsFunc(line, func(r rune) bool {
		return strings.ContainsRune(" \t\"',:[]{}#", r)
	}), state.IsSecret)
}

// shown quotes a value for a message, unless it may be a secret.
func shown(text string) string {
	if state.IsSecret(text) || strings.Contains(text, "://") && strings.Contains(text, "@") {
		return "(not shown)"
	}
	return quote(text)
}

// quote quotes a value for a message, cut short.
func quote(s string) string {
	if len(s) > 80 {
		return strconv.QuoteToASCII(s[:80]) + "..."
	}
	return strconv.QuoteToASCII(s)
}

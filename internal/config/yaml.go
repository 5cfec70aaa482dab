package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a file. The parser takes a time that grows with the square of the
// keys, and calls itself for each level.
const (
	MaxSize    = 1 << 20 // bytes
	maxKeys    = 5000
	maxLevels  = 32
	maxAnchors = 1000
	maxValues  = 200_000 // with those of aliases, each time they are used
)

// A document is a file that is being read.
type document struct {
	name     string
	lines    []string
	anchors  map[string]ast.Node
	values   int          // read so far
	hidden   map[int]bool // lines that hold what is not to be shown
	problems Problems
}

// maxNoted is how many problems are noted: of a list with a mistake in each
// place nobody reads more.
const maxNoted = 1000

// note notes that something is wrong.
func (d *document) note(p *Problem) {
	if len(d.problems) < maxNoted {
		d.problems = append(d.problems, p)
	}
}

// fail notes that something is wrong at a place.
func (d *document) fail(line, column int, path, format string, args ...any) {
	d.note(&Problem{
		At: d.origin(place{line, column}), Path: path, Text: fmt.Sprintf(format, args...),
	})
}

// parse returns what is at the top of the file, nil if there is nothing, or if
// it could not be read.
func (d *document) parse(data []byte) ast.Node {
	if len(data) > MaxSize {
		d.fail(0, 0, "", "it is longer than %d bytes: want at most that", MaxSize)
		return nil
	}
	text := strings.ReplaceAll(strings.TrimPrefix(string(data), "\ufeff"), "\r\n", "\n")
	d.lines = strings.Split(text, "\n")
	if !d.printable() {
		return nil
	}
	tokens := lexer.Tokenize(text)
	if !d.bounded(tokens) {
		return nil
	}
	file, err := parseTokens(tokens)
	if err != nil {
		d.failSyntax(err)
		return nil
	}
	var top ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType || doc.Body.Type() == ast.DirectiveType {
			continue
		}
		if top != nil {
			at := position(doc.Body)
			d.fail(at.Line, at.Column, "", "here a second document begins: want one")
			return nil
		}
		top = doc.Body
	}
	if top != nil {
		d.findAnchors(top)
	}
	return top
}

// parseTokens makes a panic of the parser an error: what is in the file is not
// for it to decide.
func parseTokens(tokens token.Tokens) (file *ast.File, err error) {
	defer func() {
		if v := recover(); v != nil {
			file, err = nil, errors.New("the parser panicked")
		}
	}()
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// printable returns whether the file is text.
func (d *document) printable() bool {
	for i, line := range d.lines {
		if !utf8.ValidString(line) {
			d.fail(i+1, 1, "", "the line is not UTF-8: want text in UTF-8")
			return false
		}
		column := 0
		for _, r := range line {
			column++
			if r != '\t' && (unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == '\ufeff') {
				d.fail(i+1, column, "", "there is the control character %U: want text", r)
				return false
			}
		}
	}
	return true
}

// bounded refuses what is not used here, and what would take too long.
func (d *document) bounded(tokens token.Tokens) bool {
	keys, anchors, flow := 0, 0, 0
	var columns []int // where the levels begin, outside of brackets
	open := func(column int) {
		for len(columns) > 0 && columns[len(columns)-1] > column {
			columns = columns[:len(columns)-1]
		}
		if len(columns) == 0 || columns[len(columns)-1] < column {
			columns = append(columns, column)
		}
	}
	var braces []bool // of the brackets that are open: are they braces?
	for _, t := range tokens {
		at := t.Position
		if t.Type == token.CollectEntryType && len(braces) > 0 && braces[len(braces)-1] || valueless(t) {
			keys++ // the parser takes as long for a value that is missing
		}
		refuse := func(format string, args ...any) bool {
			d.fail(at.Line, at.Column, "", format, args...)
			return false
		}
		switch t.Type {
		case token.MappingValueType:
			if keys++; keys > maxKeys {
				return refuse("there are more than %d keys: want at most that", maxKeys)
			}
			if flow == 0 && t.Prev != nil && t.Prev.Position.Line == at.Line {
				open(t.Prev.Position.Column)
			}
		case token.SequenceEntryType:
			if flow == 0 {
				open(at.Column)
			}
		case token.SequenceStartType, token.MappingStartType:
			flow++
			braces = append(braces, t.Type == token.MappingStartType)
		case token.SequenceEndType, token.MappingEndType:
			flow = max(0, flow-1)
			braces = braces[:flow]
		case token.AnchorType, token.AliasType:
			if anchors++; anchors > maxAnchors {
				return refuse("there are more than %d anchors and aliases: want at most that", maxAnchors)
			}
		case token.TagType:
			return refuse("there is the tag %s: want the value without one", quote(t.Value))
		case token.MappingKeyType:
			return refuse("a key begins with '?': want KEY: VALUE")
		case token.MergeKeyType:
			return refuse("there is a merge key, <<: want the keys themselves")
		case token.DirectiveType:
			return refuse("there is a directive, %%: want none")
		}
		if keys > maxKeys {
			return refuse("there are more than %d keys, and entries without a value: want at most that", maxKeys)
		}
		if len(columns)+flow > maxLevels {
			return refuse("there are more than %d levels: want at most that", maxLevels)
		}
	}
	return true
}

// valueless tells whether there is an entry without a value before a token.
func valueless(t *token.Token) bool {
	if t.Prev == nil || t.Type != token.SequenceEntryType && t.Type != token.CollectEntryType {
		return false
	}
	switch t.Prev.Type {
	case token.SequenceEntryType:
		return t.Prev.Position.Line < t.Position.Line
	case token.CollectEntryType, token.SequenceStartType, token.MappingStartType, token.MappingValueType:
		return true
	}
	return false
}

// failSyntax says what the parser does not take.
func (d *document) failSyntax(err error) {
	line, column, text := 0, 0, "it cannot be read"
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) { // of which Error would print the file, in a time that grows with its square
		text, _, _ = strings.Cut(syntax.Message, " option: ") // after which comes what is in the file
		if syntax.Token != nil {
			line, column = syntax.Token.Position.Line, syntax.Token.Position.Column
		}
	}
	line = min(line, len(d.lines))
	for _, above := range d.lines[:line] {
		if strings.Contains(above, "tiers") { // what is a credential cannot be told
			d.hidden[line] = true
		}
	}
	d.fail(line, column, "", "it is not YAML: %s%s", text, d.hint(text, line))
}

// hint says what people who see an error of the parser have mostly done.
func (d *document) hint(text string, line int) string {
	switch {
	case strings.Contains(text, "'\t'") || line > 0 && line <= len(d.lines) && strings.HasPrefix(d.lines[line-1], "\t"):
		return "; want spaces in front, and no tabs"
	case strings.Contains(text, "reserved character"):
		return "; want the value in quotes"
	case strings.Contains(text, "mapping value is not allowed"):
		return "; want keys of one level in one column, and a value with ': ' in it in quotes"
	}
	return ""
}

// findAnchors notes what the anchors are.
func (d *document) findAnchors(top ast.Node) {
	d.anchors = map[string]ast.Node{}
	for _, n := range ast.Filter(ast.AnchorType, top) {
		anchor, ok := n.(*ast.AnchorNode)
		if !ok || anchor.Name == nil {
			continue
		}
		name := anchor.Name.GetToken()
		if _, twice := d.anchors[name.Value]; twice {
			d.fail(name.Position.Line, name.Position.Column, "", "anchor %s is there twice: want different names", quote(name.Value))
		}
		d.anchors[name.Value] = anchor.Value
	}
}

// resolve returns what a node is, behind its anchor or alias. It is false if
// that is nothing, which it has said.
func (d *document) resolve(n ast.Node, path string) (ast.Node, bool) {
	for range maxLevels {
		if n == nil {
			return nil, true
		}
		at := n.GetToken().Position
		if d.values++; d.values > maxValues {
			if d.values == maxValues+1 {
				d.fail(at.Line, at.Column, path, "there are more than %d values, with those of aliases: want at most that", maxValues)
			}
			return nil, false
		}
		switch of := n.(type) {
		case *ast.AnchorNode:
			n = of.Value
		case *ast.AliasNode:
			name := ""
			if of.Value != nil {
				name = of.Value.GetToken().Value
			}
			to, ok := d.anchors[name]
			if !ok {
				d.fail(at.Line, at.Column, path, "there is no anchor &%s: want the value itself", name)
				return nil, false
			}
			n = to
		default:
			return n, true
		}
	}
	at := n.GetToken().Position
	d.fail(at.Line, at.Column, path, "the alias leads to itself: want the value itself")
	return nil, false
}

// finish brings the problems into order, and adds the lines to those that are
// told, where they may be shown.
func (d *document) finish() {
	d.problems.sort()
	for i, p := range d.problems {
		n := p.At.Line
		if p.At.From != File || n < 1 || n > len(d.lines) {
			continue
		}
		line := d.lines[n-1]
		if len(line) < maxTabbed {
			p.At.Column = afterBlanks(line, p.At.Column)
		}
		if i < maxProblems && !d.hidden[n] && !secretive(line) {
			p.Excerpt = excerpt(line, n, p.At.Column)
		}
	}
}

// maxTabbed bounds the lines of which columns are counted anew.
const maxTabbed = 4096

// afterBlanks returns the column of what follows blanks at a column, if there is
// anything: after a tab the parser is one short.
func afterBlanks(line string, column int) int {
	rest := []rune(line)
	at := min(max(column-1, 0), len(rest))
	if strings.Trim(string(rest[:at]), " \t") == "" {
		return column // it is about the blanks in front
	}
	rest = rest[at:]
	for i, r := range rest {
		if r != ' ' && r != '\t' {
			return column + i
		}
	}
	return column
}

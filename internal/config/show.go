package config

import (
	"bufio"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Show writes the configuration as a file that says all of it, with where each
// value is from if that is asked for. Settings that are not set, or have no
// meaning beside the others, are left out.
func (c *Config) Show(w io.Writer, origins bool) error {
	p := &printer{to: bufio.NewWriter(w), origins: origins}
	for _, v := range c.values {
		switch {
		case v.row.name == "socket-mode" && !strings.HasPrefix(c.Serve.Listen, "unix:"):
			continue
		case v.row.name == "snapshot-every" && !v.given():
			v.list = []scalar{{text: c.Serve.SnapshotEvery.String()}}
		}
		p.setting(v)
	}
	return p.to.Flush()
}

type printer struct {
	to      *bufio.Writer
	origins bool
}

// line writes one line, and where what is on it is from.
func (p *printer) line(text string, at Origin) {
	if p.origins {
		text += "  # " + at.String()
	}
	fmt.Fprintln(p.to, text)
}

// setting writes one setting.
func (p *printer) setting(v value) {
	name := v.row.name + ":"
	switch {
	case v.row.kind != list && len(v.list) == 0:
	case v.row.kind != list:
		p.line(name+" "+plain(v.first().text), v.at)
	case len(v.list) == 0:
		p.line(name+" []", v.at)
	default:
		p.line(name, v.at)
		for _, s := range v.list {
			at := s.at
			if at.From != File {
				at = v.at
			}
			if s.of == nil {
				p.line("  - "+plain(s.text), at)
				continue
			}
			for i, text := range mappingLines(reflect.ValueOf(s.of).Elem()) {
				if i == 0 {
					p.line("  - "+text, at)
				} else {
					fmt.Fprintln(p.to, "    "+text)
				}
			}
		}
	}
}

// mappingLines returns the lines of a struct of the file.
func mappingLines(v reflect.Value) []string {
	var lines []string
	indented := func(prefix string, more []string) {
		for i, text := range more {
			if i > 0 {
				prefix = strings.Repeat(" ", len(prefix))
			}
			lines = append(lines, prefix+text)
		}
	}
	for _, f := range fieldsOf(v.Type()) {
		of := v.FieldByIndex(f.Index)
		switch {
		case f.Type == scalarType:
			if s := of.Interface().(scalar); s.given() {
				lines = append(lines, f.name+": "+plain(s.text))
			}
		case f.Type == reflect.SliceOf(scalarType):
			if of.Len() > 0 {
				texts := make([]string, of.Len())
				for i, s := range of.Interface().([]scalar) {
					texts[i] = inBrackets(s.text)
				}
				lines = append(lines, f.name+": ["+strings.Join(texts, ", ")+"]")
			}
		case f.Type.Kind() == reflect.Slice:
			if of.Len() > 0 {
				lines = append(lines, f.name+":")
				for i := range of.Len() {
					indented("  - ", mappingLines(of.Index(i)))
				}
			}
		case !of.IsNil():
			lines = append(lines, f.name+":")
			indented("  ", mappingLines(of.Elem()))
		}
	}
	return lines
}

// plainText matches what needs no quotes outside of brackets.
var plainText = regexp.MustCompile(`^[A-Za-z0-9_./][A-Za-z0-9_./:+=%@-]*( [A-Za-z0-9_./+=%@-]+)*$`)

// plain returns a value as YAML, in quotes if it needs them.
func plain(text string) string {
	if plainText.MatchString(text) && !strings.HasSuffix(text, ":") && !slices.Contains([]string{"null", "Null", "NULL"}, text) {
		return text
	}
	return strconv.Quote(text)
}

// inBrackets is plain for a value in a list in brackets.
func inBrackets(text string) string {
	if strings.Contains(text, ": ") {
		return strconv.Quote(text)
	}
	return plain(text)
}

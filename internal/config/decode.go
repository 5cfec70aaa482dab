package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/seed-0c889b51/weir/internal/nearest"
)

// A scalar is one value as it was given.
type scalar struct {
	text string
	at   Origin
	path string // in the file, such as "policies[0].limit"
	// of is what a value of the file has in place of a text: a pointer to one of
	// the structs of file.go.
	of any
	// broken tells that something below could not be read, and was said.
	broken bool
}

// given tells whether there is a value.
func (s scalar) given() bool { return s.at.From != Default || s.of != nil || s.text != "" }

// A setting of the file, as it was read.
type entry struct {
	at     Origin // of the value
	list   []scalar
	broken bool // some of it could not be read, and was said
}

// read returns the settings of the file by the names of their rows.
func (d *document) read(data []byte) map[string]entry {
	entries := map[string]entry{}
	top := d.parse(data)
	if top == nil {
		return entries
	}
	top, ok := d.resolve(top, "")
	if !ok || top == nil {
		return entries
	}
	pairs, ok := pairsOf(top)
	if !ok {
		at := position(top)
		if top.Type() != ast.NullType { // an empty file is one with nothing in it
			d.fail(at.Line, at.Column, "", "it holds %s: want KEY: VALUE, such as listen: 127.0.0.1:8080", what(top))
		}
		return entries
	}
	d.hide(top, false, maxLevels)
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.name
	}
	for _, p := range d.keys(pairs, "", names) {
		r := rowOf(p.name)
		e := entry{at: d.origin(position(p.value))}
		if r.kind == list {
			e.list, ok = d.list(p.value, p.name, r.item)
		} else {
			var s scalar
			if s, ok = d.scalar(p.value, p.name); ok {
				e.list = []scalar{s}
			}
		}
		e.broken = !ok
		entries[p.name] = e
	}
	return entries
}

// A pair is a key of the file with its value.
type pair struct {
	name  string
	key   ast.Node
	value ast.Node
}

// pairsOf returns those of a mapping. It is false if the node is none.
func pairsOf(n ast.Node) ([]pair, bool) {
	var pairs []pair
	of := func(v *ast.MappingValueNode) {
		p := pair{key: v.Key, value: v.Value, name: v.Key.GetToken().Value}
		if s, ok := v.Key.(*ast.StringNode); ok {
			p.name = s.Value
		}
		pairs = append(pairs, p)
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			of(v)
		}
	case *ast.MappingValueNode:
		of(n)
	default:
		return nil, false
	}
	return pairs, true
}

// keys returns the pairs with a name that is known, once each. The others are
// wrong.
func (d *document) keys(pairs []pair, path string, names []string) []pair {
	var good []pair
	line := map[string]int{}
	for _, p := range pairs {
		at := p.key.GetToken().Position
		known := false
		for _, name := range names {
			known = known || name == p.name
		}
		switch first, twice := line[p.name]; {
		case twice:
			d.fail(at.Line, at.Column, path, "key %s is there twice, before in line %d: want it once", quote(p.name), first)
		case !known:
			d.failUnknown(p, path, names)
			line[p.name] = at.Line
		default:
			line[p.name] = at.Line
			good = append(good, p)
		}
	}
	return good
}

// failUnknown says that a key is none of those there are.
func (d *document) failUnknown(p pair, path string, names []string) {
	at := p.key.GetToken().Position
	if hint := nearest.Hint(p.name, names); hint != "" {
		d.fail(at.Line, at.Column, path, "unknown key %s%s", quote(p.name), hint)
		return
	}
	for i := range rows {
		if path == "" && rows[i].flag == p.name && p.name != "" { // it is called so on the command line
			d.fail(at.Line, at.Column, path, "unknown key %s; did you mean %q?", quote(p.name), rows[i].name)
			return
		}
	}
	name := shown(p.name)
	if strings.Contains(path, ".tiers") {
		name = hidden // who has meant it for one with a limit of its own
	}
	d.fail(at.Line, at.Column, path, "unknown key %s: want %s", name, strings.Join(names, ", "))
}

// hide notes the lines below tiers on which something may be a credential.
func (d *document) hide(n ast.Node, inTiers bool, levels int) {
	if n == nil || levels == 0 {
		return
	}
	switch of := n.(type) {
	case *ast.AnchorNode:
		d.hide(of.Value, inTiers, levels-1)
		return
	case *ast.AliasNode:
		if of.Value != nil && inTiers {
			d.hide(d.anchors[of.Value.GetToken().Value], true, levels-1)
		}
		return
	case *ast.SequenceNode:
		for _, v := range of.Values {
			d.hide(v, inTiers, levels-1)
		}
		return
	}
	pairs, ok := pairsOf(n)
	if !ok && inTiers && !strings.HasPrefix(n.GetToken().Value, sha256Prefix) {
		d.hidden[n.GetToken().Position.Line] = true
	}
	for _, p := range pairs {
		switch {
		case inTiers && (p.name == "limit" || p.name == "plan"):
			continue
		case inTiers && p.name != "keys":
			d.hidden[p.key.GetToken().Position.Line] = true
		}
		d.hide(p.value, inTiers || p.name == "tiers", levels-1)
	}
}

// scalar reads one value.
func (d *document) scalar(n ast.Node, path string) (scalar, bool) {
	at := position(n)
	n, ok := d.resolve(n, path)
	if !ok {
		return scalar{}, false
	}
	s := scalar{at: d.origin(at), path: path}
	switch n := n.(type) {
	case *ast.StringNode:
		s.text = n.Value
	case *ast.LiteralNode:
		s.text = n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		s.text = n.GetToken().Value
	case nil, *ast.NullNode:
		d.fail(at.Line, at.Column, path, "it has no value: want one, or the key left out")
		return scalar{}, false
	default:
		d.fail(at.Line, at.Column, path, "it is %s: want one value", what(n))
		return scalar{}, false
	}
	return s, true
}

// list reads a list, of values or, if there is an item, of such structs.
func (d *document) list(n ast.Node, path string, item reflect.Type) ([]scalar, bool) {
	at := position(n)
	n, ok := d.resolve(n, path)
	if !ok {
		return nil, false
	}
	sequence, ok := n.(*ast.SequenceNode)
	if !ok {
		if n == nil || n.Type() == ast.NullType {
			d.fail(at.Line, at.Column, path, "it has no value: want a list, or the key left out")
		} else {
			d.fail(at.Line, at.Column, path, "it is %s: want a list, with a '-' before each value or in brackets", what(n))
		}
		return nil, false
	}
	good := true
	values := []scalar{}
	for i, v := range sequence.Values {
		s, ok := d.item(v, fmt.Sprintf("%s[%d]", path, i), item)
		if good = good && ok && !s.broken; ok {
			values = append(values, s)
		}
	}
	return values, good
}

// item reads one value of a list: a scalar or, if there is an item, such a
// struct.
func (d *document) item(n ast.Node, path string, item reflect.Type) (scalar, bool) {
	if item == nil {
		return d.scalar(n, path)
	}
	of, ok := d.resolve(n, path)
	if !ok {
		return scalar{}, false
	}
	if _, is := pairsOf(of); !is {
		return d.scalar(n, path)
	}
	into := reflect.New(item)
	s := scalar{at: d.origin(position(n)), path: path, of: into.Interface()}
	s.broken = !d.mapping(of, path, into.Elem())
	into.Elem().FieldByName("At").Set(reflect.ValueOf(s))
	return s, true
}

// A field is one of a struct of file.go.
type field struct {
	reflect.StructField
	name  string
	short bool // has what stands in place of the mapping
}

// fieldsOf returns the fields of a struct of file.go that are in the file.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		if name, ok := f.Tag.Lookup("yaml"); ok {
			fields = append(fields, field{StructField: f, name: name, short: f.Tag.Get("short") != ""})
		}
	}
	return fields
}

// namesOf returns the names of the keys of a struct.
func namesOf(fields []field) []string {
	var names []string
	for _, f := range fields {
		names = append(names, f.name)
	}
	return names
}

var scalarType = reflect.TypeFor[scalar]()

// mapping reads a mapping into a struct.
func (d *document) mapping(n ast.Node, path string, into reflect.Value) bool {
	fields := fieldsOf(into.Type())
	pairs, _ := pairsOf(n)
	good := d.keys(pairs, path, namesOf(fields))
	ok := len(good) == len(pairs)
	for _, p := range good {
		for _, f := range fields {
			if f.name == p.name && !d.field(p.value, path+"."+f.name, into.FieldByIndex(f.Index)) {
				ok = false
			}
		}
	}
	return ok
}

// field reads a value into a field.
func (d *document) field(n ast.Node, path string, into reflect.Value) bool {
	switch t := into.Type(); {
	case t == scalarType:
		s, ok := d.scalar(n, path)
		into.Set(reflect.ValueOf(s))
		return ok
	case t == reflect.SliceOf(scalarType):
		values, ok := d.list(n, path, nil)
		into.Set(reflect.ValueOf(values))
		return ok
	case t.Kind() == reflect.Slice:
		values, ok := d.list(n, path, t.Elem())
		for _, v := range values {
			if v.of == nil {
				d.fail(v.at.Line, v.at.Column, v.path, "it is one value: want %s", strings.Join(namesOf(fieldsOf(t.Elem())), ", "))
				ok = false
				continue
			}
			into.Set(reflect.Append(into, reflect.ValueOf(v.of).Elem()))
		}
		return ok
	default: // a pointer to a struct
		s, ok := d.item(n, path, t.Elem())
		if !ok {
			return false
		}
		if s.of != nil {
			into.Set(reflect.ValueOf(s.of))
			return !s.broken
		}
		fields := fieldsOf(t.Elem())
		for _, f := range fields {
			if f.short {
				into.Set(reflect.New(t.Elem()))
				into.Elem().FieldByIndex(f.Index).Set(reflect.ValueOf(s))
				into.Elem().FieldByName("At").Set(reflect.ValueOf(s))
				return true
			}
		}
		d.fail(s.at.Line, s.at.Column, path, "it is one value: want %s", strings.Join(namesOf(fields), ", "))
		return false
	}
}

// origin returns where in the file something is.
func (d *document) origin(at place) Origin {
	return Origin{From: File, Name: d.name, Line: at.Line, Column: at.Column}
}

// A place is a line and a column of the file.
type place struct{ Line, Column int }

// position returns where a node begins: of a mapping, that is its first key.
func position(n ast.Node) place {
	if n == nil {
		return place{}
	}
	if pairs, ok := pairsOf(n); ok && len(pairs) > 0 && !braced(n) {
		n = pairs[0].key
	}
	at := n.GetToken().Position
	return place{at.Line, at.Column}
}

func braced(n ast.Node) bool {
	m, ok := n.(*ast.MappingNode)
	return ok && m.IsFlowStyle
}

// what names the kind of a node for a message.
func what(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping, with keys of its own"
	case *ast.SequenceNode:
		return "a list"
	case nil, *ast.NullNode:
		return "nothing"
	}
	return "one value"
}

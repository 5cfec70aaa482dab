package config

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// Schema returns the JSON Schema (draft 07) of the file, for editors. It is made
// from the table of settings and the structs of the file; what a text may be it
// says in words, and [Load] knows.
func Schema() []byte {
	properties := map[string]any{}
	for i := range rows {
		properties[rows[i].name] = rows[i].schema()
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(map[string]any{
		"$schema":              "http://json-schema.org/draft-07/schema#",
		"title":                "weir.yaml",
		"description":          "What weir serve is to do: weir serve --config weir.yaml",
		"type":                 "object",
		"additionalProperties": false,
		"properties":           properties,
	}); err != nil {
		panic(err) // of what is made of texts and numbers there is none
	}
	return b.Bytes()
}

// schema returns the schema of a setting.
func (r *row) schema() map[string]any {
	about := r.help
	if r.kind != truth {
		about = r.arg + space(r.help) + r.help
	}
	s := map[string]any{}
	switch r.kind {
	case truth:
		s["type"] = "boolean"
	case number:
		s = r.numberSchema()
	case list:
		s["type"] = "array"
		s["items"] = map[string]any{"type": "string"}
		if r.item != nil {
			s["items"] = map[string]any{"anyOf": []any{map[string]any{"type": "string"}, structSchema(r.item)}}
		}
		if r.name == "policies" {
			s["minItems"] = 1
		}
	case text:
		s["type"] = typeOf("string", r.also)
		if r.words != nil {
			s["enum"] = r.words
		}
	}
	if d := r.presetValue(); d != nil {
		s["default"] = d
	}
	s["description"] = about
	return s
}

// numberSchema returns that of a number, which can be one of some words as well.
func (r *row) numberSchema() map[string]any {
	if r.most == 0 { // it is one of the words
		var numbers []int
		for _, word := range r.words {
			n, _ := strconv.Atoi(word)
			numbers = append(numbers, n)
		}
		return map[string]any{"type": "integer", "enum": numbers}
	}
	s := map[string]any{"type": "integer", "minimum": r.least, "maximum": r.most}
	if r.words != nil {
		return map[string]any{"anyOf": []any{s, map[string]any{"type": "string", "enum": r.words}}}
	}
	return s
}

// presetValue returns the default as JSON has it, nil if there is none.
func (r *row) presetValue() any {
	switch {
	case r.kind == list && r.preset != nil:
		return r.preset
	case len(r.preset) == 0:
		return nil
	case r.kind == truth:
		return r.preset[0] == "true"
	case r.kind == number:
		n, _ := strconv.Atoi(r.preset[0])
		return n
	}
	return r.preset[0]
}

// typeOf returns a type, or two.
func typeOf(name, also string) any {
	if also != "" {
		return []string{name, also}
	}
	return name
}

// structSchema returns the schema of a struct of the file.
func structSchema(t reflect.Type) map[string]any {
	properties := map[string]any{}
	required := []string{}
	for _, f := range fieldsOf(t) {
		properties[f.name] = f.schema()
		if f.Tag.Get("required") != "" {
			required = append(required, f.name)
		}
	}
	s := map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// schema returns the schema of a field.
func (f field) schema() map[string]any {
	var s map[string]any
	switch t := f.Type; {
	case t == scalarType:
		s = f.scalarSchema()
	case t == reflect.SliceOf(scalarType):
		s = map[string]any{"type": "array", "items": f.scalarSchema(), "minItems": 1}
	case t.Kind() == reflect.Slice:
		s = map[string]any{"type": "array", "items": structSchema(t.Elem())}
	default:
		s = structSchema(t.Elem())
		for _, short := range fieldsOf(t.Elem()) {
			if short.short {
				s = map[string]any{"anyOf": []any{short.scalarSchema(), s}}
			}
		}
	}
	s["description"] = f.Tag.Get("help")
	return s
}

// scalarSchema returns the schema of one value of a field.
func (f field) scalarSchema() map[string]any {
	name := f.Tag.Get("type")
	if name == "" {
		name = "string"
	}
	s := map[string]any{"type": typeOf(name, f.Tag.Get("also"))}
	if words := f.Tag.Get("enum"); words != "" {
		s["enum"] = strings.Split(words, ",")
	}
	for tag, key := range map[string]string{"least": "minimum", "most": "maximum"} {
		if n, err := strconv.Atoi(f.Tag.Get(tag)); err == nil {
			s[key] = n
		}
	}
	return s
}

package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/seed-0c889b51/weir/internal/config"
)

// schema returns the schema as any reader of JSON has it.
func schema(t *testing.T) map[string]any {
	t.Helper()
	var s map[string]any
	if err := json.Unmarshal(config.Schema(), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// conforms returns why a value is not as a schema has it, "" if it is. It knows
// the words of JSON Schema that ours has, and fails on others.
func conforms(s map[string]any, v any) string {
	for word := range s {
		if !slices.Contains([]string{"$schema", "title", "description", "default", "type", "additionalProperties", "properties", "items",
			"anyOf", "enum", "minimum", "maximum", "required", "minItems"}, word) {
			return "the schema has the word " + word
		}
	}
	if of, ok := s["anyOf"].([]any); ok {
		why := ""
		for _, s := range of {
			if why = conforms(s.(map[string]any), v); why == "" {
				return ""
			}
		}
		return why
	}
	types, ok := s["type"].([]any)
	if !ok {
		types = []any{s["type"]}
	}
	if is := typeOf(v); !slices.Contains(types, any(is)) && !(is == "integer" && slices.Contains(types, any("number"))) {
		return fmt.Sprintf("%v is %s, not %v", v, is, types)
	}
	if words, ok := s["enum"].([]any); ok && !slices.ContainsFunc(words, func(w any) bool { return fmt.Sprint(w) == fmt.Sprint(v) }) {
		return fmt.Sprintf("%v is none of %v", v, words)
	}
	switch v := v.(type) {
	case []any:
		if least, ok := s["minItems"].(float64); ok && len(v) < int(least) {
			return "it has too few"
		}
		for _, v := range v {
			if why := conforms(s["items"].(map[string]any), v); why != "" {
				return why
			}
		}
	case map[string]any:
		properties := s["properties"].(map[string]any)
		required, _ := s["required"].([]any)
		for _, name := range required {
			if _, ok := v[name.(string)]; !ok {
				return "there is no " + name.(string)
			}
		}
		for name, v := range v {
			of, ok := properties[name].(map[string]any)
			if !ok {
				return "unknown " + name
			}
			if why := conforms(of, v); why != "" {
				return name + ": " + why
			}
		}
	default:
		n, isNumber := number(v)
		if least, ok := s["minimum"].(float64); ok && isNumber && n < least {
			return fmt.Sprintf("%v is below %v", v, least)
		}
		if most, ok := s["maximum"].(float64); ok && isNumber && n > most {
			return fmt.Sprintf("%v is above %v", v, most)
		}
	}
	return ""
}

func typeOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case float32, float64:
		return "number"
	}
	return "integer"
}

func number(v any) (float64, bool) {
	of := reflect.ValueOf(v)
	switch {
	case !of.IsValid():
	case of.CanInt():
		return float64(of.Int()), true
	case of.CanUint():
		return float64(of.Uint()), true
	case of.CanFloat():
		return of.Float(), true
	}
	return 0, false
}

// conformsFile is conforms for a file, as another decoder reads it.
func conformsFile(t *testing.T, file string) string {
	t.Helper()
	var v map[string]any
	if err := yaml.Unmarshal([]byte(file), &v); err != nil {
		return err.Error()
	}
	return conforms(schema(t), v)
}

// The sample is as the schema says, which is the one beside it.
func TestTheSchemaBesideTheSample(t *testing.T) {
	t.Parallel()
	sample, err := os.ReadFile("../../examples/weir.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if why := conformsFile(t, string(sample)); why != "" {
		t.Error(why)
	}
	if first, _, _ := strings.Cut(string(sample), "\n"); first != "# yaml-language-server: $schema=weir.schema.json" {
		t.Errorf("the sample begins with %q", first)
	}
	kept, err := os.ReadFile("../../examples/weir.schema.json")
	if err != nil || string(kept) != string(config.Schema()) {
		t.Errorf("examples/weir.schema.json is another (%v): go run ./cmd/weir config schema > examples/weir.schema.json", err)
	}
}

// The schema has each setting and each key there is, and no other: what it knows
// Load takes for a key, and what it has as words Load takes as such.
func TestTheSchemaIsOfTheStructs(t *testing.T) {
	t.Parallel()
	properties := schema(t)["properties"].(map[string]any)
	for _, s := range config.Settings() {
		of, ok := properties[s.Key].(map[string]any)
		if !ok {
			t.Errorf("the schema has no %s", s.Key)
			continue
		}
		if of["description"] == "" {
			t.Errorf("the schema says nothing of %s", s.Key)
		}
		checkWords(t, of, samples[s.Key].with+"\n"+s.Key+": ", "")
		if s.Default != "" && fmt.Sprint(of["default"]) != s.Default {
			t.Errorf("the schema has %v as the default of %s, not %s", of["default"], s.Key, s.Default)
		}
		if items, ok := of["items"].(map[string]any); ok && items["anyOf"] != nil {
			checkKeys(t, items["anyOf"].([]any)[1].(map[string]any), s.Key+": [{", "}]")
		}
	}
	if len(properties) != len(config.Settings()) {
		t.Errorf("the schema has %d settings, want %d", len(properties), len(config.Settings()))
	}
}

// checkKeys holds that Load knows just the keys of a mapping.
func checkKeys(t *testing.T, of map[string]any, before, after string) {
	t.Helper()
	properties := of["properties"].(map[string]any)
	for name, p := range properties {
		if got := said(before + name + ": x" + after); strings.Contains(got, "unknown key") {
			t.Errorf("the schema has %s in %q: %s", name, before, got)
		}
		p := p.(map[string]any)
		if p["description"] == "" {
			t.Errorf("the schema says nothing of %s in %q", name, before)
		}
		checkWords(t, p, before+name+": ", after)
		if either, ok := p["anyOf"].([]any); ok {
			p = either[1].(map[string]any)
		}
		if items, ok := p["items"].(map[string]any); ok && items["properties"] != nil {
			checkKeys(t, items, before+name+": [{", "}]"+after)
		}
		if p["properties"] != nil {
			checkKeys(t, p, before+name+": {", "}"+after)
		}
	}
	got := said(before + "frobnicate: x" + after)
	_, list, _ := strings.Cut(got, "want ")
	list, _, _ = strings.Cut(list, "\n")
	if names := strings.Split(list, ", "); len(names) != len(properties) {
		t.Errorf("Load knows %q in %q, and the schema has %d", names, before, len(properties))
	}
}

// checkWords holds that what the schema has as words Load takes, and no other.
func checkWords(t *testing.T, of map[string]any, before, after string) {
	t.Helper()
	words, ok := of["enum"].([]any)
	if of["type"] == "boolean" {
		words, ok = []any{true, false}, true
	}
	if !ok {
		return
	}
	for _, word := range words {
		if got := said(before + fmt.Sprint(word) + after); strings.Contains(got, fmt.Sprintf("%q: want", fmt.Sprint(word))) {
			t.Errorf("%s%v%s: %s", before, word, after, got)
		}
	}
	if got := said(before + "frobnicate" + after); !strings.Contains(got, `"frobnicate": want `) {
		t.Errorf("%sfrobnicate%s: %s", before, after, got)
	}
}

// What the schema takes for wrong is wrong; and of the files that are wrong, it
// sees the mistakes in names and in types.
func TestTheSchemaSeesMistakes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"keys", "types"} {
		for _, m := range mistakes(t, "testdata/mistakes/"+name+".txt") {
			if conformsFile(t, m.file) == "" {
				t.Errorf("%s: the schema sees nothing wrong in\n%s", m.why, m.file)
			}
		}
	}
}

// Package config is what weir serve is to do, from its flags, the environment
// and a file in YAML.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/seed-0c889b51/weir/internal/nearest"
	"github.com/seed-0c889b51/weir/internal/serve"
)

// An Input is all that a configuration is made from.
type Input struct {
	// Name is that of the file, for messages; "" is none.
	Name string
	// File is what is in it.
	File []byte
	// Environ are variables as of [os.Environ]. Those that are empty are as if
	// they were not there.
	Environ []string
	// Flags are those that were given, by name without dashes, each with its
	// values.
	Flags map[string][]string
}

// A Config is a configuration in which all is valid.
type Config struct {
	// Serve has no Logger, no Banner and no secrets yet.
	Serve serve.Config
	// LogLevel is what is logged.
	LogLevel slog.Level
	// StateKey and PartitionSecret are files with secrets, "" for none, and where
	// that is said.
	StateKey, PartitionSecret     string
	StateKeyAt, PartitionSecretAt Origin
	// AdminToken is the file of that of the admin listener, "" for the default.
	AdminToken string
	// Warnings are what is not wrong and may be a mistake.
	Warnings []string

	values []value
}

// A value is what a setting is, and from where.
type value struct {
	row    *row
	at     Origin
	list   []scalar
	broken bool
}

// given tells whether it is not the default.
func (v value) given() bool { return v.at.From != Default }

// first returns the value of a setting that is no list.
func (v value) first() scalar {
	if len(v.list) == 0 {
		return scalar{at: v.at, path: v.row.name}
	}
	return v.list[0]
}

// A Source is where a configuration is from, to be read now and again.
type Source struct {
	// Path is that of the file; "" is none.
	Path string
	// Environ and Flags are those of an [Input].
	Environ []string
	Flags   map[string][]string
}

// Load reads the file and makes a configuration: see the function of that name,
// and [ReadFile] for the other errors.
func (s Source) Load() (*Config, error) {
	in := Input{Name: s.Path, Environ: s.Environ, Flags: s.Flags}
	if s.Path != "" {
		var err error
		if in.File, err = ReadFile(s.Path); err != nil {
			return nil, err
		}
	}
	return Load(in)
}

// Load makes a configuration, or says in [Problems] what is wrong: all of it,
// as far as that can be told. A flag goes before a variable, that before the
// file, and that before the default; of a list it is the whole. It reads no file
// and changes nothing, so that it may be called again while a configuration is
// in use.
func Load(in Input) (*Config, error) {
	l := &loader{cfg: &Config{}, values: map[string]value{}}
	l.doc = &document{name: in.Name, hidden: map[int]bool{}}
	var entries map[string]entry
	if in.Name != "" {
		entries = l.doc.read(in.File)
	}
	environ, unknown := environment(in.Environ)
	l.cfg.Warnings = unknown
	for i := range rows {
		r := &rows[i]
		v := value{row: r}
		for _, text := range r.preset {
			v.list = append(v.list, scalar{text: text})
		}
		if e, ok := entries[r.name]; ok {
			v.at, v.list, v.broken = e.at, e.list, e.broken
		}
		if text, ok := environ[r.envName()]; ok {
			v.set(Origin{From: Environment, Name: r.envName()}, split(r, text))
		}
		if texts, ok := in.Flags[r.flagName()]; ok {
			v.set(Origin{From: Flag, Name: "--" + r.flagName()}, texts)
		}
		l.values[r.name] = v
		l.cfg.values = append(l.cfg.values, v)
	}
	l.read()
	l.doc.finish()
	if len(l.doc.problems) > 0 {
		return nil, l.doc.problems
	}
	return l.cfg, nil
}

// set replaces the value by one from elsewhere.
func (v *value) set(at Origin, texts []string) {
	v.at, v.list, v.broken = at, nil, false
	for _, text := range texts {
		v.list = append(v.list, scalar{text: text, at: at})
	}
}

// split returns the values of a variable: of a list they are separated by commas
// or line breaks.
func split(r *row, text string) []string {
	if r.kind != list {
		return []string{text}
	}
	var texts []string
	for _, t := range strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == '\n' }) {
		texts = append(texts, strings.TrimSpace(t))
	}
	return texts
}

// ConfigVariable names the variable for the name of the file.
const ConfigVariable = envPrefix + "CONFIG"

// environment returns the variables that are settings, and says which may have
// been meant to be.
func environment(environ []string) (known map[string]string, unknown []string) {
	known = map[string]string{}
	var names []string
	for i := range rows {
		names = append(names, rows[i].envName())
	}
	names = append(names, ConfigVariable)
	for _, pair := range environ {
		name, text, _ := strings.Cut(pair, "=")
		word, ours := strings.CutPrefix(name, envPrefix)
		if !ours || text == "" {
			continue
		}
		if slices.Contains(names, name) {
			known[name] = text
			continue
		}
		// Those that Kubernetes sets for a service of the name weir.
		if strings.HasPrefix(word, "SERVICE_") || word == "PORT" || strings.HasPrefix(word, "PORT_") {
			continue
		}
		unknown = append(unknown, fmt.Sprintf("variable %s is no setting%s", quote(name), nearest.Hint(name, names)))
	}
	slices.Sort(unknown)
	return known, unknown
}

// Lookup returns a variable from those of [os.Environ], "" if it is not there.
func Lookup(environ []string, name string) string {
	last := ""
	for _, pair := range environ {
		if key, text, _ := strings.Cut(pair, "="); key == name {
			last = text
		}
	}
	return last
}

// ReadFile reads a configuration file, up to a byte beyond [MaxSize]. The error
// names the file and says what to do.
func ReadFile(name string) ([]byte, error) {
	const want = "want the name of a file in YAML"
	if name == "" || strings.ContainsRune(name, 0) {
		return nil, fmt.Errorf("configuration file %s: %s", quote(name), want)
	}
	file, err := os.Open(name)
	if err == nil {
		defer file.Close()
		var info fs.FileInfo
		if info, err = file.Stat(); err == nil && info.IsDir() {
			return nil, fmt.Errorf("configuration file %s: it is a directory: %s", quote(name), want)
		}
	}
	var data []byte
	if err == nil {
		data, err = io.ReadAll(io.LimitReader(file, MaxSize+1))
	}
	var at *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("configuration file %s: it does not exist: %s", quote(name), want)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("configuration file %s: permission denied: want one that this user may read", quote(name))
	case errors.As(err, &at):
		return nil, fmt.Errorf("configuration file %s: %w", quote(name), at.Err)
	case err != nil:
		return nil, fmt.Errorf("configuration file %s: %w", quote(name), err)
	}
	return data, nil
}

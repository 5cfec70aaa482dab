package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/seed-0c889b51/weir/internal/config"
	"github.com/seed-0c889b51/weir/internal/nearest"
	"github.com/seed-0c889b51/weir/internal/state"
)

// serveFlags are the flags of serve as they were given. They are read by
// package config, and not while they are parsed, so that all errors are of one
// form.
type serveFlags struct {
	set    *pflag.FlagSet
	config once
}

// add defines the flags. A word in `backquotes` is what the value is called.
func (f *serveFlags) add(set *pflag.FlagSet) {
	f.set = set
	set.SortFlags = false
	set.Var(&f.config, "config", "`FILE` in YAML with any of what follows, and more; flags go before variables (WEIR_LIMIT for --limit), and these before the file (default: none)")
	for _, s := range config.Settings() {
		switch {
		case s.Bool:
			set.Bool(s.Flag, s.Default == "true", s.Usage)
		case s.List:
			set.StringArray(s.Flag, nil, s.Usage)
		default:
			set.Var(&once{value: s.Default}, s.Flag, s.Usage)
		}
	}
}

// source returns where the configuration is to be read from.
func (f *serveFlags) source(w World) (config.Source, error) {
	source := config.Source{Path: f.config.value, Environ: w.Environ, Flags: map[string][]string{}}
	if !f.config.given {
		source.Path = config.Lookup(w.Environ, config.ConfigVariable)
	} else if source.Path == "" {
		return source, errors.New(`--config "": it is empty: want the name of a file in YAML`)
	}
	settings := map[string]bool{}
	for _, s := range config.Settings() {
		settings[s.Flag] = true
	}
	f.set.Visit(func(flag *pflag.Flag) {
		if !settings[flag.Name] {
			return
		}
		source.Flags[flag.Name] = []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			source.Flags[flag.Name] = list.GetSlice()
		}
	})
	return source, nil
}

// load returns the configuration.
func (f *serveFlags) load(w World) (*config.Config, error) {
	source, err := f.source(w)
	if err != nil {
		return nil, valueError{err}
	}
	cfg, err := source.Load()
	if err != nil {
		return nil, valueError{err}
	}
	return cfg, nil
}

// readSecret reads a file with a secret that a setting names, nil if it is "".
func readSecret(setting config.Origin, name, path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	secret, err := state.ReadSecret(path)
	if err != nil {
		place := setting.String()
		if setting.From == config.File {
			place += ": " + name
		}
		return nil, runError{fmt.Errorf("%s %q: %w", place, path, err)}
	}
	return secret, nil
}

// A once is a string flag that may be given once.
type once struct {
	value string
	given bool
}

func (o *once) String() string { return o.value }
func (o *once) Type() string   { return "string" }

func (o *once) Set(text string) error {
	if o.given {
		return fmt.Errorf("it is given twice, before as %s: want it once", shown(o.value))
	}
	o.value, o.given = text, true
	return nil
}

// parseBits reads the length of an IPv6 network.
func parseBits(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 32 || n > 128 {
		return 0, errors.New("want a whole number from 32 to 128")
	}
	return n, nil
}

// parseTime reads a duration within bounds.
func parseTime(text string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("want a duration from %v to %v, with its unit, such as 500ms, 10s or 1m30s", least, most)
	}
	if d < least || d > most {
		return 0, fmt.Errorf("it is out of range: want %v to %v", least, most)
	}
	return d, nil
}

// checkWord returns an error unless text is one of the words.
func checkWord(text string, words ...string) error {
	if slices.Contains(words, text) {
		return nil
	}
	last := len(words) - 1
	return fmt.Errorf("want %s or %s%s", strings.Join(words[:last], ", "), words[last], nearest.Hint(text, words))
}

// quote quotes a value for an error message, cut short.
func quote(s string) string {
	if len(s) > 80 {
		return strconv.QuoteToASCII(s[:80]) + "..."
	}
	return strconv.QuoteToASCII(s)
}

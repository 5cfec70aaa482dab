package config

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/nearest"
	"github.com/seed-0c889b51/weir/internal/policy"
)

// A loader makes a configuration from values.
type loader struct {
	cfg    *Config
	doc    *document
	values map[string]value
	// What the policies and the limits of requests in flight were read from.
	of, ofInFlight []scalar
}

// fail notes that a value is wrong.
func (l *loader) fail(s scalar, format string, args ...any) {
	l.failAs(s, shown(s.text), format, args...)
}

// failAs is fail for a value that is shown in some way.
func (l *loader) failAs(s scalar, value, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	switch {
	case s.at.From != File:
		text = " " + value + ": " + text
	case s.of == nil && !strings.Contains(text, value):
		text = value + ": " + text
	}
	l.problem(s, text)
	if value == hidden {
		l.doc.hidden[s.at.Line] = true
	}
}

// hidden is shown in place of a value that is not.
const hidden = "(not shown)"

func (l *loader) problem(s scalar, text string) {
	l.doc.note(&Problem{At: s.at, Path: s.path, Text: text})
}

// check notes an error about a value, and tells whether there was none.
func (l *loader) check(s scalar, err error) bool {
	if err != nil {
		l.fail(s, "%s", err.Error())
	}
	return err == nil
}

// called returns what another setting is called where s is from, with a value if
// that is not "".
func called(s scalar, name, value string) string {
	r := rowOf(name)
	switch s.at.From {
	case File, Default:
		if value != "" {
			return r.name + ": " + value
		}
		return r.name
	case Environment:
		if value != "" {
			return r.envName() + "=" + value
		}
		return r.envName()
	}
	if value != "" {
		return "--" + r.flagName() + " " + value
	}
	return "--" + r.flagName()
}

// text reads a setting by a function.
func (l *loader) text(name string, read func(s scalar) error) {
	v := l.values[name]
	if !v.broken && len(v.list) > 0 {
		l.check(v.first(), read(v.first()))
	}
}

// truth reads a setting that is true or false.
func (l *loader) truth(name string) bool {
	v := l.values[name]
	if v.broken {
		return false
	}
	return l.isTrue(v.first())
}

// isTrue reads true or false.
func (l *loader) isTrue(s scalar) bool {
	if !slices.Contains(truths, s.text) {
		l.fail(s, "want true or false")
	}
	return s.text == "true"
}

// word reads a setting that is one of some words.
func (l *loader) word(name string) string {
	word := ""
	l.text(name, func(s scalar) error {
		word = s.text
		return checkWord(s.text, rowOf(name).words...)
	})
	return word
}

// read reads all settings.
func (l *loader) read() {
	cfg := &l.cfg.Serve
	l.listeners()
	l.clients()
	l.upstreams()
	l.text("upstream-timeout", func(s scalar) (err error) {
		cfg.Timeout, err = parseTime(s.text, 0, 24*time.Hour)
		return err
	})
	l.told()
	l.state()
	l.routes()
	l.policies()
	l.inFlight()
	l.admin()
	l.names()
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	l.cfg.LogLevel = levels[l.word("log-level")]
}

// told reads what clients are told.
func (l *loader) told() {
	cfg := &l.cfg.Serve
	l.text("fields", func(s scalar) (err error) {
		cfg.Fields, err = parseFields(s.text)
		return err
	})
	cfg.ExposeFields, cfg.Jitter = l.truth("expose-fields"), l.truth("jitter")
	cfg.NoFieldsOnRedirect = !l.truth("fields-on-redirect")
	cfg.FoldCase, cfg.FailOpen = l.truth("fold-case"), l.truth("fail-open")
	cfg.Preflight = map[string]httpmw.Preflight{
		"apart": httpmw.PreflightApart, "skip": httpmw.PreflightSkip, "charge": httpmw.PreflightCharge,
	}[l.word("preflight")]
	l.text("partition-key", func(s scalar) error {
		if s.text == "none" {
			return nil
		}
		key, err := policy.ParseKey(s.text)
		if err != nil || len(key) != 1 || key[0].Bits != 0 || !slices.Contains([]policy.Kind{policy.IP, policy.User, policy.Header}, key[0].Kind) {
			return errors.New("want ip, user, header:NAME or none")
		}
		if cfg.Fields != 0 && cfg.Fields&httpmw.Draft11 == 0 {
			return fmt.Errorf("only the fields of draft-11 can tell it: want %s, or none", called(s, "fields", "draft-11"))
		}
		cfg.PartitionKey = key[0]
		return l.believed(key, s)
	})
	v := l.values["partition-secret"]
	if s := v.first(); v.given() && !v.broken && l.secretFile(s) {
		l.cfg.PartitionSecret, l.cfg.PartitionSecretAt = s.text, s.at
		if cfg.PartitionKey.Kind == "" && !l.values["partition-key"].broken {
			l.fail(s, "there is no %s that needs it: want both or none", called(s, "partition-key", ""))
		}
	}
}

// secretFile checks the name of a file that holds a secret.
func (l *loader) secretFile(s scalar) bool {
	const want = "want the name of a file that holds the secret"
	switch {
	case s.text == "":
		l.fail(s, "it is empty: %s", want)
	case strings.ContainsRune(s.text, 0):
		l.fail(s, "it has a NUL byte: %s", want)
	case shown(s.text) == hidden:
		where := "which others can see on a command line"
		switch s.at.From {
		case File:
			where = "which has no place in this file"
		case Environment:
			where = "which has no place in a variable"
		}
		l.failAs(s, hidden, "it is a secret itself, %s: %s", where, want)
	default:
		return true
	}
	return false
}

// state reads where the state is.
func (l *loader) state() {
	cfg := &l.cfg.Serve
	l.text("state", func(s scalar) error {
		switch {
		case s.text == "none":
			return nil
		case s.text == "":
			return errors.New("it is empty: want the path of a file, or none")
		case strings.ContainsRune(s.text, 0):
			return errors.New("it has a NUL byte: want the path of a file, or none")
		}
		cfg.State = s.text
		return nil
	})
	v := l.values["state-key"]
	if s := v.first(); v.given() && !v.broken && l.secretFile(s) {
		l.cfg.StateKey, l.cfg.StateKeyAt = s.text, s.at
		if l.values["state"].first().text == "none" {
			text := fmt.Sprintf("with %s there is no file that needs it: want one of them", called(s, "state", "none"))
			if s.at.From != File {
				text = ": " + text
			}
			l.problem(s, text)
		}
	}
	cfg.NeedState = l.word("state-failure") == "refuse"
	cfg.Edge = l.truth("edge")
	l.text("snapshot-every", func(s scalar) (err error) {
		cfg.SnapshotEvery, err = parseTime(s.text, 10*time.Millisecond, 24*time.Hour)
		if cfg.Edge && s.at.From == Default {
			cfg.SnapshotEvery = time.Minute
		}
		return err
	})
	if l.word("crash") == "charge" {
		cfg.Crash = weir.Charge
	}
	if l.word("cold-start") == "empty" {
		cfg.ColdStart = weir.EmptyBuckets
	}
}

// admin reads how the owner can look at the server.
func (l *loader) admin() {
	cfg := &l.cfg.Serve.Admin
	l.text("admin", func(s scalar) error {
		if cfg.Optional = s.at.From == Default; s.text == "none" {
			return nil
		}
		cfg.Listen = s.text
		return checkListen(s.text)
	})
	v := l.values["admin-token"]
	if s := v.first(); v.given() && !v.broken {
		switch {
		case s.text == "":
			l.fail(s, "it is empty: want the path of a file")
		case strings.ContainsRune(s.text, 0):
			l.fail(s, "it has a NUL byte: want the path of a file")
		case shown(s.text) == hidden:
			l.failAs(s, hidden, "it is a token itself: want the path of a file that holds it")
		case l.values["admin"].first().text == "none":
			l.fail(s, "with %s there is nothing that wants it: want one of them", called(s, "admin", "none"))
		}
		l.cfg.AdminToken = s.text
	}
	cfg.Pprof, cfg.NameKeys = l.truth("admin-pprof"), l.truth("log-keys")
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

// parseWhole reads a whole number within bounds.
func parseWhole(text string, least, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("want a whole number from %d to %d", least, most)
	}
	return n, nil
}

// checkWord returns an error unless text is one of the words.
func checkWord(text string, words ...string) error {
	if slices.Contains(words, text) {
		return nil
	}
	last := len(words) - 1
	return fmt.Errorf("want %s or %s%s", strings.Join(words[:last], ", "), words[last], nearest.Hint(text, words))
}

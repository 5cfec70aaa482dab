package replay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"time"

	"github.com/seed-0c889b51/weir/internal/policy"
)

// MaxLimits bounds how many limits there may be, and as many of a candidate.
const MaxLimits = 16

// A Config says what a log is held against.
type Config struct {
	// Limits are what decides: 1 to 16. Those by a header, a cookie or a bearer
	// token are an error, since no log has these.
	Limits []policy.Policy
	// Candidate are other limits that decide on the same requests, beside those:
	// none, or up to 16.
	Candidate []policy.Policy
	// Format is one of Formats, "" is auto.
	Format string
	// Columns are those of CSV.
	Columns Columns
	// IPv6Prefix is the network that IPv6 clients are limited by, in bits, 32 to
	// 128; 0 is 64.
	IPv6Prefix int
	// MaxKeys bounds how many keys are kept of each limit: 100 to 100 million; 0
	// is a million, which takes about 100 MB. Of more, the ones that would make the
	// least difference are put away; see Result.Notes.
	MaxKeys int
	// Reorder is how far back in time, against those before, a line is still put
	// where it belongs; 0 is a minute. At most 8192 lines are held back for that.
	Reorder time.Duration
	// ShowClients has the result name who was denied. Otherwise these are hashes
	// by a secret that is forgotten with the run.
	ShowClients bool
	// Progress is called now and then with the lines and the bytes, as they are
	// in the files, that are done. It may be nil.
	Progress func(lines, bytes int64)

	// decided is told of each request in the order in which they are decided.
	decided func(line int64, at int64, allowed, candidate bool)
}

// check completes a configuration.
func (cfg *Config) check() error {
	if n := len(cfg.Limits); n < 1 || n > MaxLimits {
		return fmt.Errorf("replay: %d limits: want 1 to %d", n, MaxLimits)
	}
	if n := len(cfg.Candidate); n > MaxLimits {
		return fmt.Errorf("replay: %d limits of a candidate: want 0 to %d", n, MaxLimits)
	}
	for _, list := range [][]policy.Policy{cfg.Limits, cfg.Candidate} {
		for _, p := range list {
			if err := CheckKey(p.Key); err != nil {
				return fmt.Errorf("replay: %s: %w", p, err)
			}
		}
	}
	for _, f := range []struct {
		what                string
		value               *int
		or, atLeast, atMost int
	}{
		{"IPv6 prefix", &cfg.IPv6Prefix, 64, 32, 128},
		{"number of keys", &cfg.MaxKeys, 1_000_000, 100, 100_000_000},
	} {
		if *f.value == 0 {
			*f.value = f.or
		}
		if *f.value < f.atLeast || *f.value > f.atMost {
			return fmt.Errorf("replay: %s %d is out of range: want %d to %d", f.what, *f.value, f.atLeast, f.atMost)
		}
	}
	if cfg.Reorder == 0 {
		cfg.Reorder = time.Minute
	}
	if cfg.Reorder < 0 || cfg.Reorder > day {
		return fmt.Errorf("replay: reorder %v is out of range: want more than 0s, at most 24h", cfg.Reorder)
	}
	return nil
}

// A replaying is a run in progress.
type replaying struct {
	Config
	order     *order
	present   *set
	candidate *set
	keyers    []*keyer // in the order of the hashes of a request
	who       *keyer
	record    record // of the line that is being read

	lines           Lines
	bad             []BadLine
	formats         []string
	clock           int64 // time of the last request that was decided
	first           int64
	timeline        timeline
	onlyNow, onlyIf int64 // denied by the limits and not by the candidate, and the other way round
}

// Run reads the sources, one after another, and returns what became of the
// requests in them. The error says which source could not be read, or what is
// wrong with cfg; it is that of ctx if this ends first.
func Run(ctx context.Context, cfg Config, sources ...Source) (*Result, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	r := &replaying{Config: cfg}
	if err := r.prepare(); err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	start := time.Now()
	var bytes int64
	for _, source := range sources {
		m := &meter{r: source.Reader}
		if err := r.source(ctx, source.Name, m, bytes); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, fmt.Errorf("%s: %w", source.Name, err)
		}
		bytes += m.n
	}
	r.order.leave(true, r.decide)
	if cfg.Progress != nil {
		cfg.Progress(r.lines.All, bytes)
	}
	return r.result(sources, time.Since(start)), nil
}

// prepare makes the limits, and one keyer for all with the same key.
func (r *replaying) prepare() (err error) {
	seed := maphash.MakeSeed()
	if r.present, err = newSet(r.Limits, r.MaxKeys, true); err != nil {
		return err
	}
	sets := []*set{r.present}
	if len(r.Candidate) > 0 {
		if r.candidate, err = newSet(r.Candidate, r.MaxKeys, false); err != nil {
			return err
		}
		sets = append(sets, r.candidate)
	}
	at := map[string]int{}
	for _, s := range sets {
		for _, l := range s.limits {
			key := l.policy.Key.String()
			i, known := at[key]
			if !known {
				i = len(r.keyers)
				at[key] = i
				r.keyers = append(r.keyers, &keyer{key: l.policy.Key, bits: r.IPv6Prefix, seed: seed})
			}
			l.at, l.keyer = i, r.keyers[i]
		}
	}
	r.who = &keyer{key: policy.Key{{Kind: policy.IP}}, bits: r.IPv6Prefix, seed: seed}
	r.order = newOrder(r.Reorder, len(r.keyers))
	return nil
}

// source reads one source.
func (r *replaying) source(ctx context.Context, name string, m *meter, before int64) error {
	in, err := open(m)
	if err != nil {
		return err
	}
	number := int64(0) // of the line in the file
	parse, format, err := parserOf(r.Format, r.Columns, in)
	if err != nil {
		if _, empty := in.Peek(1); errors.Is(empty, io.EOF) { // nothing in it, nothing wrong with it
			return nil
		}
		return err
	}
	if format == "csv" {
		number++
	}
	r.formats = append(r.formats, format)
	for {
		if r.order.full() {
			r.order.leave(false, r.decide)
			if err := ctx.Err(); err != nil {
				return err
			}
			if r.Progress != nil {
				r.Progress(r.lines.All, before+m.n)
			}
		}
		done, err := r.line(in, name, parse, &number)
		if done || err != nil {
			return err
		}
	}
}

// line reads one line, and tells whether it was the last.
func (r *replaying) line(in *bufio.Reader, name string, parse parser, number *int64) (done bool, err error) {
	line, err := nextLine(in)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	*number++
	if err != nil && !errors.Is(err, errLong) {
		return false, fmt.Errorf("line %d: %w", *number, err)
	}
	r.lines.All++
	of := &r.record
	if err == nil {
		if len(line) == 0 {
			r.lines.Other++
			return false, nil
		}
		err = parse(line, of)
	}
	switch {
	case errors.Is(err, errNoRequest):
		r.lines.Other++
		return false, nil
	case err != nil:
		r.mistake(name, *number, line, err)
		return false, nil
	}
	r.lines.Requests++
	hashes := r.order.add(of, r.lines.All)
	var who uint64
	whoKnown := false
	for i, k := range r.keyers {
		hashes[i] = k.hash(of.client, of.user, of.path)
		if len(k.key) == 1 && k.key[0] == (policy.Part{Kind: policy.IP}) {
			who, whoKnown = hashes[i], true
		}
	}
	if !whoKnown {
		who = r.who.hash(of.client, nil, nil)
	}
	hashes[len(r.keyers)] = who
	return false, nil
}

// shownBad is how many lines with mistakes a result tells of.
const shownBad = 5

func (r *replaying) mistake(name string, number int64, line []byte, err error) {
	if r.lines.Bad++; len(r.bad) >= shownBad {
		return
	}
	b := BadLine{File: name, Line: number, Problem: err.Error()}
	if r.ShowClients {
		b.Text = string(line[:min(len(line), 200)])
	}
	r.bad = append(r.bad, b)
}

// decide decides about a request whose turn it is.
func (r *replaying) decide(q *request) {
	if r.clock == 0 && r.first == 0 {
		r.clock, r.first = q.at, q.at
	}
	at := q.at
	if at < r.clock { // the clock does not run backwards
		r.lines.Late++
		at = r.clock
	}
	r.clock = at
	bin := r.timeline.at(at)
	bin.requests++
	allowed, candidate := r.present.decide(r.order, q, at), true
	if !allowed {
		bin.denied++
	}
	if r.candidate != nil {
		candidate = r.candidate.decide(r.order, q, at)
		switch {
		case !candidate:
			bin.candidate++
			if allowed {
				r.onlyIf++
			}
		case !allowed:
			r.onlyNow++
		}
	}
	if r.decided != nil {
		r.decided(q.line, at, allowed, candidate)
	}
}

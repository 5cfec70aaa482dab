package replay

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/internal/policy"
)

// Schema is the version of the form of a [Result] as JSON, which schema.md in
// this directory describes.
const Schema = 1

// A Result is what became of the requests of a log.
type Result struct {
	Schema int      `json:"schema"`
	Files  []string `json:"files"`
	// Formats are those of the files.
	Formats []string  `json:"formats"`
	Lines   Lines     `json:"lines"`
	Bad     []BadLine `json:"bad_lines"`
	// From and To are the times of the first and last request, nil if there is
	// none.
	From *time.Time `json:"from"`
	To   *time.Time `json:"to"`
	// Present is what the limits did, Candidate what the candidate did beside.
	Present    Outcome     `json:"present"`
	Candidate  *Outcome    `json:"candidate"`
	Difference *Difference `json:"difference"`
	Timeline   Timeline    `json:"timeline"`
	// Notes are what is to be known about how exact it is.
	Notes          []string `json:"notes"`
	ShowsClients   bool     `json:"shows_clients"`
	Seconds        float64  `json:"seconds"`
	LinesPerSecond float64  `json:"lines_per_second"`
}

// Lines counts the lines of a log.
type Lines struct {
	All      int64 `json:"all"`
	Requests int64 `json:"requests"`
	// Bad are those that could not be read, Other those that are of no request.
	Bad   int64 `json:"bad"`
	Other int64 `json:"other"`
	// OutOfOrder have an earlier time than one before them. Late are those that
	// came too late to be put where they belong: they count as of the time that it
	// was then.
	OutOfOrder int64 `json:"out_of_order"`
	Late       int64 `json:"late"`
}

// A BadLine is one that could not be read.
type BadLine struct {
	File    string `json:"file"`
	Line    int64  `json:"line"`
	Problem string `json:"problem"`
	// Text is its beginning, if clients may be shown.
	Text string `json:"text,omitempty"`
}

// An Outcome is what a number of limits did together.
type Outcome struct {
	Limits []LimitOutcome `json:"limits"`
	// Denied are requests that would not have gone on, ClientsHurt the different
	// addresses that they came from.
	Denied      int64      `json:"denied"`
	ClientsHurt int64      `json:"clients_hurt"`
	First       *time.Time `json:"first_denied"`
	Last        *time.Time `json:"last_denied"`
}

// A LimitOutcome is what one limit did, and what would have fitted.
type LimitOutcome struct {
	// Limit is its text.
	Limit string `json:"limit"`
	Name  string `json:"name"`
	// Keys are how many there were, Denied requests that it would have denied,
	// also as a dry run, and KeysHurt the keys these were of.
	Keys     int64      `json:"keys"`
	Denied   int64      `json:"denied"`
	KeysHurt int64      `json:"keys_hurt"`
	First    *time.Time `json:"first_denied"`
	Last     *time.Time `json:"last_denied"`
	// Top are the keys that were denied most.
	Top []Hurt `json:"top"`
	// Fits are the limits that would have fitted, empty for a candidate.
	Fits []Fit `json:"fits"`
	// Needs says for some quotas, rising, which part of the keys needs no more.
	Needs []Need `json:"needs"`
}

// Hurt is a key that was denied.
type Hurt struct {
	// Key is who it is, or a hash.
	Key    string    `json:"key"`
	Denied int64     `json:"denied"`
	First  time.Time `json:"first_denied"`
	Last   time.Time `json:"last_denied"`
}

// A Fit is the least limit that never denies so many of the keys.
type Fit struct {
	Percent float64 `json:"percent"`
	// Limit has the same window and a burst that is the quota. Burst has the
	// same quota, and the least burst; of a strict limit it is empty.
	Limit string `json:"limit"`
	Burst string `json:"same_quota"`
	// Flag and YAML are Limit as it is given to weir serve.
	Flag string `json:"flag"`
	YAML string `json:"yaml"`
}

// A Need says which part of the keys needs no more than a quota.
type Need struct {
	Quota int     `json:"quota"`
	Part  float64 `json:"part"`
}

// A Difference compares the candidate with the limits.
type Difference struct {
	// Requests that only one of them denies, and that both do.
	OnlyPresent   int64 `json:"only_present"`
	OnlyCandidate int64 `json:"only_candidate"`
	Both          int64 `json:"both"`
	// Clients that only one of them hurts, and that both do.
	ClientsSpared   int64 `json:"clients_spared"`
	ClientsNewlyHit int64 `json:"clients_newly_hurt"`
	ClientsBoth     int64 `json:"clients_both"`
}

// A Timeline counts requests in bins of equal length, of which the first begins
// at From.
type Timeline struct {
	From      *time.Time `json:"from"`
	StepS     float64    `json:"step_s"`
	Requests  []int64    `json:"requests"`
	Denied    []int64    `json:"denied"`
	Candidate []int64    `json:"candidate_denied"`
}

const shownTop = 20

func (r *replaying) result(sources []Source, took time.Duration) *Result {
	r.lines.OutOfOrder = r.order.moved
	out := &Result{
		Schema: Schema, Files: []string{}, Formats: append([]string{}, r.formats...), Lines: r.lines, Bad: append([]BadLine{}, r.bad...), Notes: []string{},
		ShowsClients: r.ShowClients, Seconds: took.Seconds(), LinesPerSecond: float64(r.lines.All) / max(took.Seconds(), 1e-9),
	}
	for _, s := range sources {
		out.Files = append(out.Files, s.Name)
	}
	if r.lines.Requests > 0 {
		out.From, out.To = instantOf(r.first), instantOf(r.clock)
	}
	secret := make([]byte, 32)
	rand.Read(secret) // never fails
	out.Present = r.present.outcome(r.ShowClients, secret)
	if r.candidate != nil {
		o := r.candidate.outcome(r.ShowClients, secret)
		out.Candidate = &o
		out.Difference = r.difference()
	}
	out.Timeline = r.timeline.result(r.candidate != nil)
	out.Notes = append(out.Notes, r.notes()...)
	return out
}

func instantOf(ns int64) *time.Time {
	t := time.Unix(0, ns).UTC()
	return &t
}

func (s *set) outcome(show bool, secret []byte) Outcome {
	o := Outcome{Limits: []LimitOutcome{}, Denied: s.denied, ClientsHurt: int64(len(s.hurt))}
	if s.denied > 0 {
		o.First, o.Last = instantOf(s.first), instantOf(s.last)
	}
	for _, l := range s.limits {
		all := l.table.sum()
		one := LimitOutcome{
			Limit: l.policy.String(), Name: l.policy.Name, Keys: all.keys, Denied: l.denied, KeysHurt: all.hurt,
			Top: []Hurt{}, Fits: []Fit{}, Needs: []Need{},
		}
		if l.denied > 0 {
			one.First, one.Last = instantOf(l.first), instantOf(l.last)
		}
		for _, d := range l.names.top(shownTop) {
			one.Top = append(one.Top, Hurt{Key: shownName(d.name, show, secret), Denied: d.denied, First: *instantOf(d.first), Last: *instantOf(d.last)})
		}
		if s.needs {
			one.Fits = fits(l.policy, all)
			one.Needs = needsOf(all.quotas, all.keys)
		}
		o.Limits = append(o.Limits, one)
	}
	return o
}

// shownName returns a key as it may be shown.
func shownName(name string, show bool, secret []byte) string {
	if show {
		return name
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(name))
	return "#" + hex.EncodeToString(mac.Sum(nil)[:4])
}

// Percents are those of [LimitOutcome.Fits].
var Percents = [...]float64{50, 95, 99, 99.9}

func fits(p policy.Policy, all putAway) []Fit {
	list := []Fit{}
	if all.keys == 0 {
		return list
	}
	for _, percent := range Percents {
		quota := quantile(all.quotas, all.keys, percent)
		like := p
		like.Limit = bucket.Limit{Quota: int(quota), Window: p.Limit.Window, Burst: int(quota)}
		like.DryRun = false
		f := Fit{Percent: percent, Limit: like.String(), Flag: "--limit '" + like.String() + "'", YAML: yaml(like)}
		like.Limit = bucket.Limit{Quota: p.Limit.Quota, Window: p.Limit.Window, Burst: int(quantile(all.bursts, all.keys, percent))}
		if l, err := like.Limit.Normalize(); err == nil && !p.Limit.Strict {
			like.Limit = l
			f.Burst = like.String()
		}
		list = append(list, f)
	}
	return list
}

// quantile returns the least value that so many percent of the keys do not
// exceed.
func quantile(counts map[uint32]int64, keys int64, percent float64) uint32 {
	// In whole hundredths of a percent, so that no rounding makes 99.9 % of 1000
	// more than 999.
	want := (keys*int64(math.Round(percent*100)) + 9999) / 10000
	sum := int64(0)
	values := sortedValues(counts)
	for _, v := range values {
		if sum += counts[v]; sum >= want {
			return v
		}
	}
	return values[len(values)-1]
}

func sortedValues(counts map[uint32]int64) []uint32 {
	values := make([]uint32, 0, len(counts))
	for v := range counts {
		values = append(values, v)
	}
	slices.Sort(values)
	return values
}

// needsOf returns which part of the keys needs no more than some quotas, at most
// 200 of them.
func needsOf(counts map[uint32]int64, keys int64) []Need {
	list := []Need{}
	sum := int64(0)
	values := sortedValues(counts)
	last := 0.0 // logarithm of the one before
	for i, v := range values {
		sum += counts[v]
		at := math.Log10(float64(v))
		if i > 0 && i < len(values)-1 && at < last+0.02 {
			continue
		}
		last = at
		list = append(list, Need{Quota: int(v), Part: float64(sum) / float64(keys)})
	}
	return list
}

func (r *replaying) difference() *Difference {
	d := &Difference{OnlyPresent: r.onlyNow, OnlyCandidate: r.onlyIf, Both: r.present.denied - r.onlyNow}
	for who := range r.present.hurt {
		if _, both := r.candidate.hurt[who]; both {
			d.ClientsBoth++
		}
	}
	d.ClientsSpared = int64(len(r.present.hurt)) - d.ClientsBoth
	d.ClientsNewlyHit = int64(len(r.candidate.hurt)) - d.ClientsBoth
	return d
}

func (t *timeline) result(candidate bool) Timeline {
	out := Timeline{Requests: []int64{}, Denied: []int64{}, Candidate: []int64{}}
	if len(t.bins) == 0 {
		return out
	}
	out.From, out.StepS = instantOf(t.from), time.Duration(steps[t.step]).Seconds()
	for _, b := range t.bins {
		out.Requests = append(out.Requests, b.requests)
		out.Denied = append(out.Denied, b.denied)
		if candidate {
			out.Candidate = append(out.Candidate, b.candidate)
		}
	}
	return out
}

// notes says what is not exact.
func (r *replaying) notes() []string {
	var notes []string
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if n := r.lines.Late; n > 0 {
		note("%s came too late to be put in their place: they count as of the time that it was then (give the oldest file first)", plural(n, "line"))
	}
	sets := []*set{r.present}
	if r.candidate != nil {
		sets = append(sets, r.candidate)
	}
	for i, s := range sets {
		of := ""
		if i > 0 {
			of = "candidate "
		}
		for _, l := range s.limits {
			away := l.table.away
			if away.keys > 0 {
				note("%s%s: there were more than %s keys: %s put away, and counted anew if they came again", of, l.policy, number(int64(l.table.most)), number(away.keys))
			}
			if away.forgiven > 0 {
				note("%s%s: %s of these still owed something, which was forgiven", of, l.policy, number(away.forgiven))
			}
			if s.needs && away.early > 0 {
				note("%s%s: %s of these within one window, so that limits that fit may be said too low", of, l.policy, number(away.early))
			}
		}
		if s.hurtMore {
			note("%smore clients were hurt than there was room to count", of)
		}
	}
	return notes
}

func plural(n int64, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return number(n) + " " + word + "s"
}

// number writes a number with commas between the thousands.
func number(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// Step says in words how long a bin is.
func (t *Timeline) Step() string {
	d := time.Duration(t.StepS * float64(time.Second))
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/day)
	case d == time.Hour, d == day:
		return map[time.Duration]string{time.Hour: "hour", day: "day"}[d]
	case d > time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d == time.Minute:
		return "minute"
	case d > time.Minute:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	case d == time.Second:
		return "second"
	}
	return fmt.Sprintf("%d seconds", d/time.Second)
}

// Busiest returns the bin with the most denials: when it begins and how many.
// It is false if there are none.
func (t *Timeline) Busiest() (from time.Time, denied int64, ok bool) {
	if t.From == nil {
		return time.Time{}, 0, false
	}
	at := slices.IndexFunc(t.Denied, func(n int64) bool { return n == slices.Max(t.Denied) })
	if at < 0 || t.Denied[at] == 0 {
		return time.Time{}, 0, false
	}
	return t.From.Add(time.Duration(at) * time.Duration(t.StepS*float64(time.Second))), t.Denied[at], true
}

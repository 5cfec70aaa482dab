package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/policy"
)

// policies reads the limits.
func (l *loader) policies() {
	cfg := &l.cfg.Serve
	v := l.values["policies"]
	cfg.DefaultPolicies = !v.given()
	if len(v.list) == 0 && !v.broken {
		s := scalar{at: v.at, path: v.row.name}
		text := "there is none: want one or more, such as 'ip 100/min', or the setting left out for the default"
		if s.at.From != File {
			text = ": " + text
		}
		l.problem(s, text)
	}
	for _, s := range l.few(v.list) {
		if p, ok := l.policy(s); ok {
			cfg.Policies, l.of = append(cfg.Policies, p), append(l.of, s)
		}
	}
	if at, err := policy.SetNames(cfg.Policies); err != nil {
		l.fail(l.of[at], "%s", err.Error())
	}
}

// policy reads one. It is false if it cannot be used.
func (l *loader) policy(s scalar) (policy.Policy, bool) {
	file, ok := s.of.(*policyFile)
	if !ok {
		p, err := policy.Parse(s.text)
		p.Name = ""
		return p, l.check(s, err) && l.check(s, l.believed(p.Key, s))
	}
	var p policy.Policy
	var err error
	ok = !s.broken
	if file.Key.given() {
		p.Key, err = policy.ParseKey(file.Key.text)
		ok = l.check(file.Key, err) && l.check(file.Key, l.believed(p.Key, file.Key)) && ok
	} else if !s.broken {
		l.fail(s, `there is no key: want who a request counts for, such as key: ip`)
		ok = false
	}
	if file.Limit.given() {
		p.Limit, err = bucket.ParseLimit(file.Limit.text)
		ok = l.check(file.Limit, err) && ok
	} else if !s.broken {
		l.fail(s, `there is no limit: want how many requests in how long, such as limit: 100/min`)
		ok = false
	}
	p.Name = l.name(file.Name)
	for _, name := range file.PreviousNames {
		p.PreviousNames = append(p.PreviousNames, l.name(name))
	}
	if file.DryRun.given() {
		p.DryRun = l.isTrue(file.DryRun)
	}
	l.terms(file, &p)
	return p, ok
}

// terms reads what a policy asks for beyond its limit.
func (l *loader) terms(file *policyFile, p *policy.Policy) {
	p.Missing = l.missing(file.Missing, p.Key)
	p.Routes = l.patterns(file.Routes)
	if file.Cost != nil {
		p.Cost = l.cost(file.Cost)
	}
	if file.Settle != nil {
		p.Settle = l.settle(file.Settle)
	}
	l.tiers(file.Tiers, p)
	changes := []string{"keep-used", "keep-fraction", "start-over"}
	if l.oneOf(file.Change, changes...) {
		p.Change = bucket.Change(slices.Index(changes, file.Change.text))
	}
	if l.oneOf(file.Crash, "accept", "charge") {
		crash := weir.Accept
		if file.Crash.text == "charge" {
			crash = weir.Charge
		}
		p.Crash = &crash
	}
	if l.oneOf(file.ColdStart, "full", "empty") {
		cold := weir.FullBuckets
		if file.ColdStart.text == "empty" {
			cold = weir.EmptyBuckets
		}
		p.ColdStart = &cold
	}
	p.Size = l.whole(file.Size, 1, maxKeysKept, 0)
	p.Debts = l.whole(file.Debts, 8, maxDebtsKept, 0)
}

// oneOf checks a word that may be left out, and tells whether it is there.
func (l *loader) oneOf(s scalar, words ...string) bool {
	return s.given() && l.check(s, checkWord(s.text, words...))
}

// whole reads a number that may be left out.
func (l *loader) whole(s scalar, least, most, otherwise int) int {
	if !s.given() {
		return otherwise
	}
	n, err := parseWhole(s.text, least, most)
	l.check(s, err)
	return n
}

// name reads the name of a policy, "" if it is left out.
func (l *loader) name(s scalar) string {
	if !s.given() {
		return ""
	}
	_, err := httpmw.New(nominal{name: s.text}, httpmw.Config{Keys: map[string]httpmw.Key{s.text: httpmw.ByIP()}})
	if err != nil {
		l.fail(s, "%s", strings.TrimPrefix(err.Error(), "httpmw: "))
	}
	return s.text
}

// A nominal is a limiter with a policy of a name, and no more: what a middleware
// takes can be asked with it.
type nominal struct {
	httpmw.Limiter
	name string
}

func (n nominal) Names() []string { return []string{n.name} }

// Bounds of what is kept in memory, which are those of registry.Config.
const (
	maxKeysKept  = 1 << (21 + 5*(strconv.IntSize/64))
	maxDebtsKept = 1 << (25 + 3*(strconv.IntSize/64))
)

// believed returns an error if a key is by the header that says who the user is:
// it would believe it of anybody.
func (l *loader) believed(key policy.Key, s scalar) error {
	header := l.cfg.Serve.UserHeader
	if slices.Contains(key, policy.Part{Kind: policy.Header, Name: header}) {
		return fmt.Errorf("%s is the %s, which only trusted proxies are believed about: want key \"user\"", header, called(s, "user-header", ""))
	}
	return nil
}

// missing reads what becomes of requests without the identity.
func (l *loader) missing(s scalar, key policy.Key) policy.Missing {
	if !l.oneOf(s, "ip", "refuse", "shared", "skip") {
		return ""
	}
	if !slices.ContainsFunc(key, func(p policy.Part) bool {
		return p.Kind != policy.IP && p.Kind != policy.Path && p.Kind != policy.Global
	}) && key != nil {
		l.fail(s, "no request is without its %s: want it with user, header, cookie, bearer or basic in the key, or left out", key)
	}
	return policy.Missing(s.text)
}

// patterns reads patterns of routes.
func (l *loader) patterns(list []scalar) []string {
	if len(list) > maxItems {
		l.fail(list[maxItems], "there are more than %d patterns: want at most that", maxItems)
		return nil
	}
	var patterns []string
	for _, s := range list {
		patterns = append(patterns, s.text)
	}
	if len(patterns) == 0 || l.mux(patterns) == nil {
		return patterns
	}
	patterns = nil
	for _, s := range list {
		patterns = append(patterns, s.text)
		if err := l.mux(patterns); err != nil {
			patterns = patterns[:len(patterns)-1]
			text := err.Error()
			if !strings.Contains(text, "want ") { // that of net/http
				text += `: want one such as "POST /login" or "/api/"`
			}
			l.fail(s, "%s", text)
		}
	}
	return patterns
}

// maxItems bounds lists that are held against themselves.
const maxItems = 1000

// few returns a list, or nothing if there is too much in it.
func (l *loader) few(list []scalar) []scalar {
	if len(list) > maxItems {
		l.fail(list[maxItems], "there are more than %d: want at most that", maxItems)
		return nil
	}
	return list
}

// mux returns an error if the patterns are not those of one http.ServeMux.
func (l *loader) mux(patterns []string) error {
	_, err := httpmw.New(nominal{name: "a"}, httpmw.Config{
		Keys:   map[string]httpmw.Key{"a": httpmw.ByIP()},
		Routes: map[string][]string{"a": patterns}, FoldCase: l.cfg.Serve.FoldCase,
	})
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

// routes reads the routes that are exempt.
func (l *loader) routes() {
	l.cfg.Serve.ExemptRoutes = l.patterns(l.values["exempt-routes"].list)
}

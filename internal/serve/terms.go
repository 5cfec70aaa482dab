package serve

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/policy"
)

// limitOf returns the limiter's side of a policy, but for its tiers.
func limitOf(cfg Config, p policy.Policy) weir.Policy {
	of := weir.Policy{
		Name: p.Name, PreviousNames: p.PreviousNames, Limit: p.Limit, DryRun: p.DryRun, Size: p.Size, Debts: p.Debts,
		Change: p.Change, Crash: cfg.Crash, ColdStart: cfg.ColdStart,
	}
	if p.Crash != nil {
		of.Crash = *p.Crash
	}
	if p.ColdStart != nil {
		of.ColdStart = *p.ColdStart
	}
	return of
}

// tiersOf returns what gives identities limits of their own, nil if none has.
func tiersOf(cfg Config, p policy.Policy, client, proxies httpmw.ClientIP) (func(key string) bucket.Limit, error) {
	limits := p.Limits()
	if limits == nil {
		return nil, nil
	}
	f, err := httpmw.Tiers(keyOf(p.Key, userOf(cfg.UserHeader, proxies)), client, limits)
	if err != nil {
		return nil, fmt.Errorf("policy %q: %w", p.Name, err)
	}
	return f, nil
}

// rulesOf returns the middleware's side of a configuration, but for what
// forward-auth wants.
func rulesOf(cfg Config, client, proxies httpmw.ClientIP) (httpmw.Config, error) {
	rules := httpmw.Config{
		IP: client, Exempt: cfg.Exempt, Fields: cfg.Fields, ExposeFields: cfg.ExposeFields, Jitter: cfg.Jitter, Logger: cfg.Logger,
		ExemptRoutes: cfg.ExemptRoutes, FoldCase: cfg.FoldCase, Preflight: cfg.Preflight, FailOpen: cfg.FailOpen,
		NoFieldsOnRedirect: cfg.NoFieldsOnRedirect,
		Keys:               map[string]httpmw.Key{}, Routes: map[string][]string{},
		Costs: map[string]func(*http.Request) int{}, Settle: map[string]func(httpmw.Outcome) int{},
	}
	user := userOf(cfg.UserHeader, proxies)
	for _, p := range cfg.Policies {
		rules.Keys[p.Name] = orElse(keyOf(p.Key, user), p.Missing)
		if len(p.Routes) > 0 {
			rules.Routes[p.Name] = p.Routes
		}
		if p.Cost != nil {
			rules.Costs[p.Name] = costOf(*p.Cost)
		}
		if p.Settle != nil {
			settle, err := settleOf(*p.Settle)
			if err != nil {
				return httpmw.Config{}, fmt.Errorf("policy %q: %w", p.Name, err)
			}
			rules.Settle[p.Name] = settle
		}
	}
	for _, f := range cfg.InFlight {
		rules.InFlight = append(rules.InFlight, httpmw.InFlight{
			Name: f.Name, Key: orElse(keyOf(f.Key, user), f.Missing), Max: f.Max, RetryAfter: f.RetryAfter, Routes: f.Routes,
		})
	}
	var err error
	rules.PartitionKey, err = partitionOf(cfg, client, proxies)
	return rules, err
}

// orElse returns the key with what becomes of requests without the identity.
func orElse(key httpmw.Key, missing policy.Missing) httpmw.Key {
	switch missing {
	case policy.Refuse:
		return key.OrRefuse()
	case policy.Shared:
		return key.OrShared()
	case policy.Skip:
		return key.OrSkip()
	}
	return key
}

// costOf returns what says how many tokens a request takes.
func costOf(c policy.Cost) func(*http.Request) int {
	if c.Header == "" {
		return func(*http.Request) int { return c.Tokens }
	}
	return func(r *http.Request) int {
		lines := r.Header[c.Header]
		if len(lines) == 0 {
			return c.Min
		}
		text := strings.Trim(lines[0], " \t")
		if len(lines) > 1 || text == "" || strings.Trim(text, "0123456789") != "" {
			return c.Max
		}
		n, err := strconv.Atoi(text)
		if err != nil { // it is out of range
			return c.Max
		}
		return min(max(n, c.Min), c.Max)
	}
}

// settleOf returns what says how many tokens a request turned out to cost.
func settleOf(s policy.Settle) (func(httpmw.Outcome) int, error) {
	if len(s.Statuses) == 0 {
		return httpmw.CostFrom(s.Header, s.Max)
	}
	counted := func(status int) bool {
		return slices.ContainsFunc(s.Statuses, func(of policy.Statuses) bool { return of.First <= status && status <= of.Last })
	}
	if s.Header == "" {
		return httpmw.CountStatus(counted), nil
	}
	cost, err := httpmw.CostFrom(s.Header, s.Max)
	if err != nil {
		return nil, err
	}
	return func(o httpmw.Outcome) int {
		if o.Status != 0 && !counted(o.Status) {
			return 0
		}
		return cost(o)
	}, nil
}

// partitionOf returns what tells a client in which quota it is, nil for nothing.
func partitionOf(cfg Config, client, proxies httpmw.ClientIP) (func(*http.Request, string) []byte, error) {
	var value func(*http.Request) string
	switch cfg.PartitionKey.Kind {
	case "":
		return nil, nil
	case policy.User:
		value = userIn(cfg.UserHeader, proxies)
	case policy.Header:
		value = func(r *http.Request) string {
			if lines := r.Header[cfg.PartitionKey.Name]; len(lines) == 1 {
				return lines[0]
			}
			return ""
		}
	default:
		value = func(r *http.Request) string {
			addr, ok := client.Addr(r)
			if !ok {
				return ""
			}
			if network, err := addr.Prefix(cfg.IPv6Prefix); err == nil && addr.Is6() {
				return network.String()
			}
			return addr.String()
		}
	}
	secret := cfg.PartitionSecret
	if secret == nil {
		secret = make([]byte, sha256.Size)
		rand.Read(secret) // never fails
	}
	return httpmw.HashPartition(secret, func(r *http.Request, _ string) string { return value(r) })
}

// CheckTier returns an error if no request can have that identity under a key,
// as a limit of its own would need it. It does not name the identity.
func CheckTier(key policy.Key, identity string) error {
	_, err := httpmw.Tiers(keyOf(key, httpmw.Func(func(*http.Request) string { return "" })), httpmw.ClientIP{},
		map[string]bucket.Limit{identity: bucket.PerSecond(1)})
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}

// Fingerprint returns what a credential under a key is called in a
// configuration, sha256: and digits. The key has one part, which is for
// credentials.
func Fingerprint(key policy.Key, credential string) (string, error) {
	if len(key) != 1 {
		return "", fmt.Errorf("key %q has %d parts: want the one with the credential", key.String(), len(key))
	}
	of := keyOf(key, httpmw.Func(func(*http.Request) string { return "" }))
	text, err := of.Fingerprint(credential)
	if inner := errors.Unwrap(err); inner != nil {
		err = inner
	}
	return text, err
}

// termsNote says what is asked of a policy beyond its limit, for the banner.
func termsNote(p policy.Policy) string {
	var notes []string
	if len(p.Routes) > 0 {
		notes = append(notes, "only for "+strings.Join(p.Routes, ", "))
	}
	switch p.Missing {
	case policy.Refuse:
		notes = append(notes, "without that identity refused with 400")
	case policy.Shared:
		notes = append(notes, "without that identity as one")
	case policy.Skip:
		notes = append(notes, "not without that identity")
	}
	switch {
	case p.Cost == nil:
	case p.Cost.Header != "":
		notes = append(notes, fmt.Sprintf("costs what %s says, %d to %d", p.Cost.Header, p.Cost.Min, p.Cost.Max))
	default:
		notes = append(notes, fmt.Sprintf("costs %d", p.Cost.Tokens))
	}
	if p.Settle != nil {
		notes = append(notes, "settled by the response")
	}
	if n := len(p.Limits()); n > 0 {
		notes = append(notes, fmt.Sprintf("%d with a limit of their own", n))
	}
	if len(notes) == 0 {
		return ""
	}
	return " (" + strings.Join(notes, "; ") + ")"
}

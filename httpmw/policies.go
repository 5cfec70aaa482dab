package httpmw

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// terms are what a policy of the limiter asks for requests.
type terms struct {
	cost   func(*http.Request) int // nil: as Config.Cost says
	settle func(Outcome) int       // nil: what was taken
}

// notAsked is the cost of a request that a policy is not asked about.
const notAsked = -1

// limits fills in what m limits by: the policies of the limiter and, behind
// them, the limits on requests at once. It returns an error that names what is
// wrong with the configuration.
func (m *Middleware) limits(cfg Config) error {
	policies := slices.Clone(m.limiter.Names())
	if err := checkNames(policies); err != nil {
		return err
	}
	m.names = policies
	for _, f := range cfg.InFlight {
		m.names = append(m.names, f.Name)
	}
	if err := checkNames(m.names); err != nil {
		return fmt.Errorf("%w (with those of InFlight)", err)
	}
	var err error
	if m.keys, err = policyKeys(policies, cfg.Keys); err != nil {
		return err
	}
	if err := errors.Join(
		known("Routes", policies, cfg.Routes, "InFlight has its own"),
		known("Costs", policies, cfg.Costs, ""),
		known("Settle", policies, cfg.Settle, ""),
	); err != nil {
		return err
	}
	m.policies = make([]terms, len(policies))
	m.routes = make([]*routeSet, len(m.names))
	for i, name := range policies {
		m.policies[i] = terms{cost: cfg.Costs[name], settle: cfg.Settle[name]}
		if _, ok := cfg.Costs[name]; ok && m.policies[i].cost == nil {
			return fmt.Errorf("httpmw: Costs of policy %q is nil: want a function, or no entry", name)
		}
		if _, ok := cfg.Settle[name]; ok && m.policies[i].settle == nil {
			return fmt.Errorf("httpmw: Settle of policy %q is nil: want a function, or no entry", name)
		}
		if patterns, ok := cfg.Routes[name]; ok {
			if m.routes[i], err = newRouteSet(patterns, cfg.FoldCase); err != nil {
				return fmt.Errorf("httpmw: Routes of policy %q: %w", name, err)
			}
		}
	}
	for i, f := range cfg.InFlight {
		if err := f.check(); err != nil {
			return fmt.Errorf("httpmw: InFlight %q: %w", f.Name, err)
		}
		if f.Routes != nil {
			if m.routes[len(policies)+i], err = newRouteSet(f.Routes, cfg.FoldCase); err != nil {
				return fmt.Errorf("httpmw: Routes of InFlight %q: %w", f.Name, err)
			}
		}
		m.keys = append(m.keys, f.Key)
		m.inFlight = append(m.inFlight, newSlots(f))
	}
	m.counts = make([]counts, len(m.names))
	m.exempt, err = newExemption(cfg.ExemptRoutes, cfg.Exempt, cfg.FoldCase)
	return err
}

// policyKeys returns the keys in the order of the policies.
func policyKeys(names []string, byName map[string]Key) ([]Key, error) {
	if err := known("Keys", names, byName, ""); err != nil {
		return nil, err
	}
	keys := make([]Key, len(names))
	for i, name := range names {
		key, ok := byName[name]
		if !ok {
			return nil, fmt.Errorf("httpmw: Keys has no key for policy %q: want one for each of %s", name, quoteAll(names))
		}
		if err := key.check(); err != nil {
			return nil, fmt.Errorf("httpmw: key of policy %q: %w", name, err)
		}
		keys[i] = key
	}
	return keys, nil
}

// known returns an error if something is configured for a policy that the
// limiter does not have.
func known[V any](field string, names []string, byName map[string]V, hint string) error {
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		if slices.Contains(names, name) {
			continue
		}
		what := "an entry"
		if field == "Keys" {
			what = "a key"
		}
		if hint != "" {
			hint = " (" + hint + ")"
		}
		return fmt.Errorf("httpmw: %s has %s for policy %q, which the limiter does not have: want %s%s",
			field, what, clip(name), quoteAll(names), hint)
	}
	return nil
}

// quoteAll lists names for an error message.
func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(quoted, ", ")
}

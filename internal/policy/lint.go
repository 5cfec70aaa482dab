package policy

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// A Severity says how much a [Finding] matters.
type Severity string

// The severities there are.
const (
	// Warning is of what is hardly meant as it is written.
	Warning Severity = "warning"
	// Note is of what is good to know.
	Note Severity = "note"
)

// A Finding is something about policies that may not be as it was meant. None is
// an error: weir does what is written.
type Finding struct {
	Severity Severity `json:"severity"`
	// Code names the kind: worst-case, no-short-limit, unreachable, identical,
	// global-alone, evadable or dry-run-only.
	Code string `json:"code"`
	// Policies are the texts of those that it is about.
	Policies []string `json:"policies"`
	// Problem says in a sentence what is so, Cure what to write for something
	// else.
	Problem string `json:"problem"`
	Cure    string `json:"cure"`
}

// String returns the finding as a line.
func (f Finding) String() string { return f.Problem + "; " + f.Cure }

// Lint looks for what in policies that act together may not be as it was meant,
// warnings first. Their limits must be normalized.
func Lint(policies []Policy) []Finding {
	var all []Finding
	all = append(all, lintTogether(policies)...)
	for i, p := range policies {
		all = append(all, lintReach(policies, i)...)
		all = append(all, lintDay(policies, p)...)
		all = append(all, lintWorst(p)...)
	}
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Compare(a.Severity, b.Severity) * -1 // "warning" is after "note"
	})
	return all
}

// lintWorst compares the sentence that was written, "100 in a minute", with the
// worst minute.
func lintWorst(p Policy) []Finding {
	l := p.Limit
	worst := WorstIn(l, l.Window)
	const far = 11 // tenths of the quota
	// With a burst of one it takes one at each end of the window.
	if worst*10 <= far*int64(l.Quota) || l.Burst == 1 {
		return nil
	}
	f := Finding{
		Severity: Note, Code: "worst-case", Policies: []string{p.String()},
		Problem: fmt.Sprintf("%s: up to %s pass in the worst %s: %s at once, and the %s that are refilled meanwhile",
			p, number(worst), windowWord(l.Window), number(int64(l.Burst)), number(int64(l.Quota))),
	}
	if l.Burst > l.Quota {
		f.Severity = Warning
	}
	strict := p
	strict.Limit = bucket.Limit{Quota: l.Quota, Window: l.Window, Strict: true}
	if limit, err := strict.Limit.Normalize(); err == nil {
		strict.Limit = limit
		f.Cure = fmt.Sprintf("for never more than %s write '%s' (%s at once)", number(int64(l.Quota)), strict, number(int64(limit.Burst)))
	} else {
		f.Cure = "for less give it a smaller burst"
	}
	return []Finding{f}
}

// long is from which window on a limit that may be used up at once wants a
// shorter one beside it, and short is what is one.
const (
	long  = 6 * time.Hour
	short = time.Hour
)

// lintDay finds a limit of a day or so of which nearly all may come at once.
func lintDay(policies []Policy, p Policy) []Finding {
	const many = 50 // requests that nobody minds at once
	l := p.Limit
	if p.DryRun || l.Window < long || l.Burst <= many || l.Burst < l.Quota/4 {
		return nil
	}
	for _, other := range policies {
		// A request has an address whatever else it is told by, so that a limit by ip
		// bounds what comes from one place.
		if !other.DryRun && other.Limit.Window <= short && other.Limit.Burst < l.Burst && len(other.Routes) == 0 &&
			(reflect.DeepEqual(other.Key, p.Key) || len(other.Key) == 1 && (other.Key[0].Kind == IP || other.Key[0].Kind == Global)) {
			return nil
		}
	}
	beside := p
	beside.Limit = bucket.Limit{Quota: max(1, l.Burst/10), Window: time.Minute, Burst: max(1, l.Burst/10)}
	return []Finding{{
		Severity: Warning, Code: "no-short-limit", Policies: []string{p.String()},
		Problem: fmt.Sprintf("%s: all %s may come within a second, since no limit of an hour or less is beside it", p, number(int64(l.Burst))),
		Cure:    fmt.Sprintf("add one such as '%s', or give it a burst", beside),
	}}
}

// lintReach finds what keeps a policy from ever having a say: another that
// counts all of the same requests, holds no more and is refilled no faster. Then
// it is always empty first. So also where a larger period has a smaller limit.
func lintReach(policies []Policy, i int) []Finding {
	p := policies[i]
	for j, by := range policies {
		if i == j || by.DryRun || !covers(by, p) || !within(by.Limit, p.Limit) {
			continue
		}
		same := within(p.Limit, by.Limit) && covers(p, by) && !p.DryRun
		if same && j > i {
			continue // said of the later one
		}
		f := Finding{
			Severity: Warning, Code: "unreachable", Policies: []string{p.String(), by.String()},
			Problem: fmt.Sprintf("%s never refuses anything: %s counts the same requests, holds no more at once and is refilled no faster", p, by),
			Cure:    "leave it out, or make it the tighter one for a short time",
		}
		switch {
		case same:
			f.Code = "identical"
			f.Problem = fmt.Sprintf("%s is the same as %s", p, by)
			f.Cure = "leave one of them out"
		case by.Limit.Window > p.Limit.Window && by.Limit.Quota <= p.Limit.Quota:
			f.Problem = fmt.Sprintf("%s never refuses anything: %s allows no more in the longer %s", p, by, windowWord(by.Limit.Window))
			f.Cure = "give the longer window the larger quota"
		}
		return []Finding{f}
	}
	return nil
}

// covers tells whether each request that counts for p counts, together with as
// many others or more, for by.
func covers(by, p Policy) bool {
	if len(by.Tiers) > 0 || len(p.Tiers) > 0 || by.Missing == Skip || by.Missing == Refuse && p.Missing != Refuse {
		return false
	}
	if by.Cost != nil || by.Settle != nil || p.Cost != nil || p.Settle != nil {
		return false // which of them costs more cannot be told
	}
	if len(by.Routes) > 0 && !slices.Equal(by.Routes, p.Routes) {
		return false
	}
	if by.Key[0].Kind == Global {
		return true
	}
	return !slices.ContainsFunc(by.Key, func(part Part) bool {
		return !slices.ContainsFunc(p.Key, func(other Part) bool {
			return part == other || part.Kind == IP && other.Kind == IP && part.Bits > 0 && part.Bits <= max(other.Bits, defaultBits(other))
		})
	})
}

// defaultBits is of an address without bits the longest that a network can be
// and still hold what counts as one, whatever --ipv6-prefix says: 32; else 0.
func defaultBits(p Part) int {
	if p.Bits == 0 {
		return minBits
	}
	return 0
}

// within tells whether a bucket under a never holds more than one under b.
func within(a, b bucket.Limit) bool { return a.Burst <= b.Burst && a.Rate() <= b.Rate() }

// lintTogether finds what is so of all of the policies.
func lintTogether(policies []Policy) []Finding {
	var texts []string
	enforced, global, evadable := 0, 0, 0
	for _, p := range policies {
		if p.DryRun {
			continue
		}
		enforced++
		texts = append(texts, p.String())
		if p.Key[0].Kind == Global {
			global++
		}
		if p.Key.Evadable() {
			evadable++
		}
	}
	var all []Finding
	switch {
	case len(policies) > 0 && enforced == 0:
		for _, p := range policies {
			texts = append(texts, p.String())
		}
		all = append(all, Finding{
			Severity: Warning, Code: "dry-run-only", Policies: texts,
			Problem: "all limits are dry runs: nothing is refused", Cure: "take dry-run off one of them when its counts look right",
		})
	case enforced > 0 && global == enforced:
		all = append(all, Finding{
			Severity: Warning, Code: "global-alone", Policies: texts,
			Problem: "all limits are global: one client can use up what there is for everybody", Cure: "add one for each client, such as 'ip 100/min'",
		})
	case enforced > 0 && evadable == enforced:
		all = append(all, Finding{
			Severity: Warning, Code: "evadable", Policies: texts,
			Problem: "no limit is by ip, user or global alone: a client that makes up paths, headers, cookies or credentials is not held",
			Cure:    "add one that it cannot choose, such as 'ip 100/min'",
		})
	}
	return all
}

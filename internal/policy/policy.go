// Package policy reads and writes policies as people type them:
//
//	KEY LIMIT [dry-run]
//
// such as
//
//	ip 100/min
//	user 1000/day burst 50
//	header:X-Api-Key 10/s dry-run
//	ip+path 5/s
//	ip/48 1000/min
//
// KEY says who a request counts for, or several such joined by '+'; LIMIT is
// the text of [bucket.ParseLimit].
package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed-0c889b51/weir/bucket"
)

// maxName bounds the name of a policy, since it goes into header fields (see
// httpmw.New).
const maxName = 64

const dryRun = "dry-run"

// A Policy is a limit, what it counts by, and a name.
type Policy struct {
	// Name tells the policy from others, in header fields and in the state
	// file: "ip", or "ip/s"; see [ParseList].
	Name string
	// Key is who a request counts for.
	Key Key
	// Limit is the limit of each key, normalized.
	Limit bucket.Limit
	// DryRun tells that the limit only counts.
	DryRun bool
	// Terms are what is asked of it beyond that, which has no text.
	Terms
}

// Parse reads one policy. The error says what of the text is wrong and what is
// allowed, without the text itself.
func Parse(text string) (Policy, error) {
	const want = `want KEY LIMIT, such as "ip 100/min"`
	words := strings.Fields(text)
	if len(words) == 0 {
		return Policy{}, errors.New("it is empty: " + want)
	}
	var p Policy
	var err error
	if p.Key, err = keyOf(words, want); err != nil {
		return Policy{}, err
	}
	if p.Name = p.Key.String(); len(p.Name) > maxName {
		return Policy{}, fmt.Errorf("key %s has %d characters: want at most %d", quote(p.Name), len(p.Name), maxName)
	}
	words = words[1:]
	if n := len(words); n > 0 && strings.EqualFold(words[n-1], dryRun) {
		p.DryRun, words = true, words[:n-1]
	}
	limit := strings.Join(words, " ")
	if limit == "" {
		return Policy{}, fmt.Errorf(`there is no limit after key %s: want QUOTA/WINDOW [burst N], such as 100/min`, quote(p.Name))
	}
	if p.Limit, err = bucket.ParseLimit(limit); err != nil {
		if strings.Contains(strings.ToLower(limit), "dry") {
			return Policy{}, fmt.Errorf("%w (a dry run is one %q, at the end)", err, dryRun)
		}
		return Policy{}, err
	}
	return p, nil
}

// ParseList reads policies, and gives each a name of its own as of [SetNames].
// An error begins with the quoted text that is wrong.
func ParseList(texts ...string) ([]Policy, error) {
	policies := make([]Policy, len(texts))
	for i, text := range texts {
		p, err := Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", quote(text), err)
		}
		for j, before := range policies[:i] {
			if before.Name == p.Name && before.Limit.Window == p.Limit.Window {
				return nil, fmt.Errorf("%s: %w", quote(text), sameWindow(texts[j]))
			}
		}
		policies[i] = p
	}
	for i := range policies {
		policies[i].Name = ""
	}
	if at, err := SetNames(policies); err != nil {
		return nil, fmt.Errorf("%s: %w", quote(texts[at]), err)
	}
	return policies, nil
}

// SetNames gives each policy that has none a name: the text of its key, and
// where several of these have one key, that text for the one with the longest
// window and "KEY/WINDOW" for the others. What clients have used is kept under
// the name, so it must not depend on the order of the policies: a limit that
// moved would take over what was used of another. An error is about the policy
// at that index.
func SetNames(policies []Policy) (at int, err error) {
	longest := map[string]int{} // index by key
	for i, p := range policies {
		if p.Name != "" {
			continue
		}
		key := p.Key.String()
		for _, before := range policies[:i] {
			if before.Name == "" && before.Key.String() == key && before.Limit.Window == p.Limit.Window {
				return i, sameWindow(before.String())
			}
		}
		if j, ok := longest[key]; !ok || p.Limit.Window > policies[j].Limit.Window {
			longest[key] = i
		}
	}
	names := make([]string, len(policies))
	for i, p := range policies {
		names[i] = p.Name
		if p.Name != "" {
			continue
		}
		names[i] = p.Key.String()
		if longest[names[i]] == i {
			continue
		}
		if names[i] += "/" + windowName(p.Limit); len(names[i]) > maxName {
			return i, fmt.Errorf("name %s has %d characters: want at most %d for a key that is limited twice, with its window",
				quote(names[i]), len(names[i]), maxName)
		}
	}
	for i := range policies {
		policies[i].Name = names[i]
	}
	return 0, nil
}

func sameWindow(before string) error {
	return fmt.Errorf("%s has the same key and window: want one limit for each window of a key", quote(before))
}

// windowName returns the window as it is in the limit's text, in ASCII.
func windowName(l bucket.Limit) string {
	_, window, _ := strings.Cut(bucket.Limit{Quota: l.Quota, Window: l.Window, Burst: l.Quota}.String(), "/")
	return strings.ReplaceAll(window, "µ", "u")
}

// String returns the policy as [Parse] reads it.
func (p Policy) String() string {
	text := p.Key.String() + " " + p.Limit.String()
	if p.DryRun {
		text += " " + dryRun
	}
	return text
}

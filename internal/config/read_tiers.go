package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/internal/nearest"
	"github.com/seed-0c889b51/weir/internal/policy"
	"github.com/seed-0c889b51/weir/internal/serve"
)

// tiers reads limits of their own.
func (l *loader) tiers(files []tierFile, p *policy.Policy) {
	before := map[string]int{} // the line of a key
	for i := range files {
		file := &files[i]
		t := policy.Tier{Plan: file.Plan.text}
		if file.Limit.given() {
			var err error
			t.Limit, err = bucket.ParseLimit(file.Limit.text)
			l.check(file.Limit, err)
		} else if !file.At.broken {
			l.fail(file.At, "there is no limit: want that of each of its keys, such as limit: 1000/min")
		}
		if len(file.Keys) == 0 && !file.At.broken {
			l.fail(file.At, "there are no keys: want those that the limit is for, such as keys: [alice]")
		}
		for _, s := range file.Keys {
			if p.Key == nil {
				continue
			}
			key, err := tierKey(p.Key, s.text)
			if err != nil {
				value := quote(s.text)
				if !named(p.Key) || p.Key.Has(policy.Basic) { // with a password, say
					value = hidden
				}
				l.failAs(s, value, "%s", err.Error())
				continue
			}
			if line, twice := before[key]; twice {
				value := hidden
				if named(p.Key) || strings.HasPrefix(s.text, sha256Prefix) {
					value = quote(s.text)
				}
				l.failAs(s, value, "it is there twice, before in line %d: want one limit for a key", line)
				continue
			}
			before[key] = s.at.Line
			t.Keys = append(t.Keys, key)
		}
		p.Tiers = append(p.Tiers, t)
	}
}

const sha256Prefix = "sha256:"

// named tells whether a key has a part of which the identities can be written
// down as they are.
func named(key policy.Key) bool {
	return key.Has(policy.IP) || key.Has(policy.User) || key.Has(policy.Path) || len(key) == 1 && key.Has(policy.Basic)
}

// tierKey reads an identity that has a limit of its own.
func tierKey(key policy.Key, text string) (string, error) {
	if text == "" {
		return "", errors.New("it is empty: want who the limit is for")
	}
	if !strings.HasPrefix(text, sha256Prefix) {
		switch {
		case len(key) == 1 && key.Has(policy.Basic):
			fingerprint, err := serve.Fingerprint(key, text)
			if err != nil {
				return "", errors.New("want the name of a user, without a ':' and a password")
			}
			return fingerprint, nil
		case !named(key) && !key.Has(policy.Global):
			for _, part := range key {
				text := part.String()
				return "", fmt.Errorf("under %s keys are credentials, which have no place in this file: want %s..., as weir config hash %s prints it",
					text, sha256Prefix, text)
			}
		}
	}
	err := serve.CheckTier(key, text)
	if err != nil && strings.HasPrefix(text, sha256Prefix) && !key.Has(policy.Global) {
		err = fmt.Errorf("want %s and 32 hexadecimal digits, as weir config hash prints it", sha256Prefix)
	}
	return text, err
}

// Fingerprint returns what a credential is called in a tier of a policy with
// that key, or an error that says which keys have credentials.
func Fingerprint(key, credential string) (string, error) {
	of, err := policy.ParseKey(key)
	if err != nil {
		return "", err
	}
	kinds := []string{string(policy.Header), string(policy.Cookie), string(policy.Bearer), string(policy.Basic)}
	if len(of) != 1 || !slices.Contains(kinds, string(of[0].Kind)) {
		return "", fmt.Errorf("key %s has no credential: want header:NAME, cookie:NAME, bearer or basic%s", quote(key), nearest.Hint(key, kinds))
	}
	return serve.Fingerprint(of, credential)
}

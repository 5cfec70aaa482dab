package policy

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// An InFlight says how many requests may be served at once, of each key.
type InFlight struct {
	// Name tells it from policies and others, in header fields: the text of its
	// key and "/in-flight".
	Name string
	// Key is whose requests are counted together.
	Key Key
	// Max is how many there may be, from 1 to 2³¹−1.
	Max int
	// InFlightTerms are what has no text.
	InFlightTerms
}

const inFlightSuffix = "/in-flight"

// ParseInFlight reads one, such as "ip 10". The error says what of the text is
// wrong and what is allowed, without the text itself.
func ParseInFlight(text string) (InFlight, error) {
	const want = `want KEY N, such as "ip 10"`
	words := strings.Fields(text)
	if len(words) == 0 {
		return InFlight{}, errors.New("it is empty: " + want)
	}
	key, err := keyOf(words, want)
	if err != nil {
		return InFlight{}, err
	}
	f, err := NewInFlight(key, 0)
	if err != nil {
		return InFlight{}, err
	}
	switch {
	case len(words) == 1:
		return InFlight{}, fmt.Errorf("there is no number after key %s: %s", quote(key.String()), want)
	case len(words) == 2 && strings.Contains(words[1], "/"):
		return InFlight{}, fmt.Errorf("%s is a rate: want how many requests there may be at once, such as \"ip 10\"", quote(words[1]))
	case len(words) > 2:
		return InFlight{}, fmt.Errorf("after the number comes %s: %s", quote(strings.Join(words[2:], " ")), want)
	}
	n, err := strconv.ParseInt(words[1], 10, 32)
	if err != nil || n < 1 || strconv.FormatInt(n, 10) != words[1] {
		return InFlight{}, fmt.Errorf("number %s: want a whole number from 1 to %d", quote(words[1]), math.MaxInt32)
	}
	f.Max = int(n)
	return f, nil
}

// ParseInFlightList reads several, each of another key. An error begins with
// the quoted text that is wrong.
func ParseInFlightList(texts ...string) ([]InFlight, error) {
	var list []InFlight
	for i, text := range texts {
		f, err := ParseInFlight(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", quote(text), err)
		}
		for j, before := range list {
			if before.Name == f.Name {
				return nil, fmt.Errorf("%s: %s has the same key: want one number for each key", quote(texts[i]), quote(texts[j]))
			}
		}
		list = append(list, f)
	}
	return list, nil
}

// String returns it as [ParseInFlight] reads it.
func (f InFlight) String() string { return f.Key.String() + " " + strconv.Itoa(f.Max) }

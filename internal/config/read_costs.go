package config

import (
	"errors"
	"net/http"
	"strings"

	"github.com/seed-0c889b51/weir/internal/policy"
)

// header reads the name of a header field.
func (l *loader) header(s scalar) string {
	name, err := policy.HeaderName(s.text)
	l.check(s, err)
	return name
}

// cost reads what a request costs.
func (l *loader) cost(file *costFile) *policy.Cost {
	c := &policy.Cost{Tokens: l.whole(file.Tokens, 0, maxInt32, 0)}
	switch {
	case file.At.broken:
	case file.Tokens.given() == file.Header.given():
		l.fail(file.At, "want a number of tokens, or a header with the most that it can say, such as {header: X-Cost, max: 100}")
	case file.Tokens.given():
		for _, s := range []scalar{file.Min, file.Max} {
			if s.given() {
				l.fail(s, "it is for a header, which is not given: want both or none")
			}
		}
	case !file.Max.given():
		l.fail(file.At, "there is no max: want the most that a request can say it costs, such as max: 100")
	}
	if file.Header.given() {
		c.Header = l.header(file.Header)
		c.Min, c.Max = l.whole(file.Min, 0, maxInt32, 1), l.whole(file.Max, 1, maxInt32, 1)
		if c.Max > 0 && c.Min > c.Max && file.Max.given() {
			l.fail(file.Max, "it is below min, %d: want at least that", c.Min)
		}
	}
	return c
}

// settle reads what a request turns out to have cost.
func (l *loader) settle(file *settleFile) *policy.Settle {
	c := &policy.Settle{Max: l.whole(file.Max, 1, maxInt32, 1)}
	for _, s := range file.Statuses {
		of, err := parseStatuses(s.text)
		if l.check(s, err) {
			c.Statuses = append(c.Statuses, of)
		}
	}
	if file.Header.given() {
		c.Header = l.header(file.Header)
	}
	switch {
	case file.At.broken:
	case len(file.Statuses) == 0 && !file.Header.given():
		l.fail(file.At, "want the statuses that count, such as statuses: [401], or the header that says the cost, such as {header: X-Cost, max: 100}")
	case file.Header.given() && !file.Max.given():
		l.fail(file.At, "there is no max: want the most that the header can say, such as max: 100")
	case !file.Header.given() && file.Max.given():
		l.fail(file.Max, "it is for a header, which is not given: want both or none")
	}
	return c
}

// parseStatuses reads statuses of a response: 401, 5xx or 400-499.
func parseStatuses(text string) (policy.Statuses, error) {
	bad := errors.New("want a status from 100 to 599, such as 401, 5xx or 400-499")
	if class, ok := strings.CutSuffix(strings.ToLower(text), "xx"); ok {
		n, err := parseWhole(class, 1, 5)
		if err != nil || len(class) != 1 {
			return policy.Statuses{}, bad
		}
		return policy.Statuses{First: n * 100, Last: n*100 + 99}, nil
	}
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	first, err := parseWhole(from, http.StatusContinue, 599)
	last, err2 := parseWhole(to, http.StatusContinue, 599)
	if err != nil || err2 != nil || first > last {
		return policy.Statuses{}, bad
	}
	return policy.Statuses{First: first, Last: last}, nil
}

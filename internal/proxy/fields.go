package proxy

import (
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

// The fields of limiters, in the form that keys of http.Header have.
const (
	rateLimit       = "Ratelimit"
	rateLimitPolicy = "Ratelimit-Policy"
	retryAfter      = "Retry-After"
)

// A triple is the fields that tell of one policy, each of which is there once.
type triple struct{ limit, remaining, reset string }

var (
	// draft06 is of limiters that speak the drafts before 07.
	draft06 = triple{"Ratelimit-Limit", "Ratelimit-Remaining", "Ratelimit-Reset"}
	// undrafted is of those from before there was a draft.
	undrafted = triple{"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Reset"}
)

// takeFields takes what is in the header of an answer out of it, to be put in
// again when it is known what the upstream says. Otherwise an interim answer
// (1xx) of the upstream would carry it, and the final one would not. What
// becomes of the connection is not among it: see [exchange.end].
func takeFields(h http.Header) http.Header {
	ours := maps.Clone(h)
	delete(ours, "Connection")
	clear(h)
	return ours
}

// addFields adds what was in the header of an answer before, ours, to what the
// upstream says. An upstream may have a limiter too: its fields are left as they
// are, and ours join them if together they can still be read. Otherwise the
// client gets the upstream's alone, since these are not ours to remove
// (draft-ietf-httpapi-ratelimit-headers-11, 7.2). Of fields that can be there
// only once it gets those with the smaller remaining. A Retry-After of the
// upstream stays alone, without what we would say of a later time (6).
func addFields(h, ours http.Header) {
	if len(ours) == 0 {
		return
	}
	ours = maps.Clone(ours)
	if len(h[retryAfter]) > 0 {
		delete(ours, retryAfter)
		wait := waitOf(h[retryAfter], time.Now())
		if wait < windowOf(ours[rateLimit]) {
			delete(ours, rateLimit)
		}
		if reset, err := strconv.ParseInt(strings.Join(ours[draft06.reset], ","), 10, 64); err == nil && wait < reset {
			draft06.remove(ours)
		}
	}
	settle(h, ours, undrafted)
	dropEmpty(h, rateLimit)
	dropEmpty(h, rateLimitPolicy)
	switch both := draft06.in(ours) && draft06.in(h); {
	case both && len(h[rateLimit]) == 0:
		settle(h, ours, draft06, rateLimitPolicy)
	case both || !joins(h, ours):
		draft06.remove(ours)
		delete(ours, rateLimit)
		delete(ours, rateLimitPolicy)
	}
	for name, values := range ours {
		h[name] = append(values[:len(values):len(values)], h[name]...)
	}
}

// waitOf returns the least number of seconds in lines of Retry-After, 0 if that
// cannot be read.
func waitOf(lines []string, now time.Time) int64 {
	least := int64(math.MaxInt64)
	for _, line := range lines {
		var wait int64
		line = strings.Trim(line, " \t")
		if n, err := strconv.ParseUint(line, 10, 63); err == nil {
			wait = int64(n)
		} else if date, err := http.ParseTime(line); err == nil {
			wait = max(0, int64(date.Sub(now)/time.Second))
		}
		least = min(least, wait)
	}
	return least
}

// windowOf returns the longest effective window, in seconds, that lines of our
// RateLimit tell of: t of the drafts since 8, reset of draft 7.
func windowOf(lines []string) (longest int64) {
	note := func(value any) {
		if t, ok := value.(int64); ok {
			longest = max(longest, t)
		}
	}
	if list, err := httpsfv.UnmarshalList(lines); err == nil {
		for _, member := range list {
			if item, ok := member.(httpsfv.Item); ok {
				t, _ := item.Params.Get("t")
				note(t)
			}
		}
	}
	if dict, err := httpsfv.UnmarshalDictionary(lines); err == nil {
		if reset, ok := dict.Get("reset"); ok {
			if item, ok := reset.(httpsfv.Item); ok {
				note(item.Value)
			}
		}
	}
	return longest
}

// settle removes t, and what goes with it, from one of two headers that both
// have it.
func settle(h, ours http.Header, t triple, with ...string) {
	if !t.in(h) || !t.in(ours) {
		return
	}
	loser := ours
	if up, ok := t.left(h); ok {
		if own, ok := t.left(ours); ok && own < up {
			loser = h
		}
	}
	t.remove(loser)
	for _, name := range with {
		delete(loser, name)
	}
}

// in tells whether one of the fields is in h.
func (t triple) in(h http.Header) bool {
	return len(h[t.limit]) > 0 || len(h[t.remaining]) > 0 || len(h[t.reset]) > 0
}

func (t triple) remove(h http.Header) {
	delete(h, t.limit)
	delete(h, t.remaining)
	delete(h, t.reset)
}

// left returns what remains, false if that cannot be read.
func (t triple) left(h http.Header) (uint64, bool) {
	if len(h[t.remaining]) != 1 {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.Trim(h[t.remaining][0], " \t"), 10, 64)
	return n, err == nil
}

// dropEmpty removes empty lines of a list: they mean nothing, and between
// others would make all of it unreadable.
func dropEmpty(h http.Header, name string) {
	lines := slices.DeleteFunc(slices.Clone(h[name]), func(line string) bool { return strings.Trim(line, " \t") == "" })
	if len(lines) == 0 {
		delete(h, name)
	} else if len(lines) < len(h[name]) {
		h[name] = lines
	}
}

// joins tells whether the lists of two headers can be read together: whatever
// the upstream has of them is valid and has none of our names, and ours are
// valid too.
func joins(h, ours http.Header) bool {
	if len(h[rateLimit])+len(h[rateLimitPolicy]) == 0 {
		return true
	}
	if draft06.in(ours) {
		return false
	}
	names := map[string]bool{}
	for name := range listFields {
		for _, own := range policies(name, ours[name]) {
			names[own] = true
		}
	}
	for name := range listFields {
		if len(h[name]) == 0 {
			continue
		}
		theirs := policies(name, h[name])
		if theirs == nil || slices.ContainsFunc(theirs, func(n string) bool { return names[n] }) ||
			len(ours[name]) > 0 && policies(name, ours[name]) == nil {
			return false
		}
	}
	return true
}

// listFields are the fields that are lists, with the parameters that are
// Integers in them. The first one has to be there.
var listFields = map[string][2]struct {
	key   string
	least int64
}{
	rateLimit:       {{"r", 0}, {"t", 0}},
	rateLimitPolicy: {{"q", 0}, {"w", 1}},
}

// policies returns the names of the policies in a field, nil if it is not as
// the draft wants it (3 and 4). A client ignores such a field as a whole.
func policies(name string, lines []string) []string {
	list, err := httpsfv.UnmarshalList(lines)
	if err != nil {
		return nil
	}
	var names []string
	for _, member := range list {
		item, ok := member.(httpsfv.Item)
		if !ok {
			return nil
		}
		policy, ok := item.Value.(string)
		if !ok {
			return nil
		}
		for i, param := range listFields[name] {
			value, ok := item.Params.Get(param.key)
			if n, isInt := value.(int64); !ok && i == 0 || ok && (!isInt || n < param.least) {
				return nil
			}
		}
		names = append(names, policy)
	}
	return names
}

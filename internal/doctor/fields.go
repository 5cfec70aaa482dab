package doctor

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

// A quota is what an API says of a limit of its own.
type quota struct {
	requests int
	window   time.Duration // 0 if it does not say
	field    string        // that says it
}

// said returns the smallest quota that the fields of an answer tell of, in any
// of the forms that are in use.
func said(h http.Header) (quota, bool) {
	var least quota
	take := func(field string, n int64, window time.Duration) {
		if n > 0 && n < 1<<31 && (least.field == "" || int(n) < least.requests) {
			least = quota{int(n), window, field}
		}
	}
	if list, err := httpsfv.UnmarshalList(h.Values("RateLimit-Policy")); err == nil {
		for _, m := range list {
			item, ok := m.(httpsfv.Item)
			if !ok {
				continue
			}
			n, ok := item.Value.(int64) // before draft 08
			if !ok {
				n, ok = parameter(item, "q")
			}
			if w, _ := parameter(item, "w"); ok {
				take("RateLimit-Policy", n, window(w))
			}
		}
	}
	if least.field != "" {
		return least, true
	}
	if d, err := httpsfv.UnmarshalDictionary(h.Values("RateLimit")); err == nil {
		if n, ok := member(d, "limit"); ok {
			take("RateLimit", n, 0)
		}
	}
	for _, name := range []string{"RateLimit-Limit", "X-RateLimit-Limit"} {
		first, _, _ := strings.Cut(h.Get(name), ",") // "100, 100;w=60"
		if n, err := strconv.ParseInt(strings.TrimSpace(first), 10, 64); err == nil {
			take(name, n, 0)
		}
	}
	return least, least.field != ""
}

// window returns so many seconds, 0 if that is none.
func window(seconds int64) time.Duration {
	if seconds < 1 || seconds > 366*24*3600 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// remaining returns the least that an answer says is left.
func remaining(h http.Header) (int64, bool) {
	var all []int64
	if list, err := httpsfv.UnmarshalList(h.Values("RateLimit")); err == nil {
		for _, m := range list {
			if item, ok := m.(httpsfv.Item); ok {
				if r, ok := parameter(item, "r"); ok {
					all = append(all, r)
				}
			}
		}
	}
	if d, err := httpsfv.UnmarshalDictionary(h.Values("RateLimit")); err == nil {
		if r, ok := member(d, "remaining"); ok {
			all = append(all, r)
		}
	}
	for _, name := range []string{"RateLimit-Remaining", "X-RateLimit-Remaining"} {
		if r, err := strconv.ParseInt(h.Get(name), 10, 64); err == nil {
			all = append(all, r)
		}
	}
	least, ok := int64(0), len(all) > 0
	for i, r := range all {
		if i == 0 || r < least {
			least = r
		}
	}
	return least, ok
}

func parameter(item httpsfv.Item, name string) (int64, bool) {
	v, ok := item.Params.Get(name)
	n, is := v.(int64)
	return n, ok && is
}

func member(d *httpsfv.Dictionary, name string) (int64, bool) {
	m, ok := d.Get(name)
	if !ok {
		return 0, false
	}
	item, ok := m.(httpsfv.Item)
	if !ok {
		return 0, false
	}
	n, ok := item.Value.(int64)
	return n, ok
}

// tells tells whether an answer has a field about its limits.
func tells(h http.Header) bool {
	for name := range h {
		if strings.HasPrefix(strings.TrimPrefix(strings.ToLower(name), "x-"), "ratelimit") {
			return true
		}
	}
	return false
}

// malformed returns what is wrong with the fields about limits in a refusal.
func malformed(h http.Header) []string {
	var wrong []string
	complain := func(name, what string) {
		wrong = append(wrong, fmt.Sprintf("%s: %s %s", name, shorten(strings.Join(h.Values(name), ", ")), what))
	}
	if values := h.Values("RateLimit-Policy"); len(values) > 0 {
		if !validPolicies(values) {
			complain("RateLimit-Policy", `is no list of policies such as "ip";q=100;w=60`)
		}
	}
	if values := h.Values("RateLimit"); len(values) > 0 {
		if !validLimits(values) {
			complain("RateLimit", `is neither a list such as "ip";r=0;t=1 nor limit=100, remaining=0, reset=1`)
		}
	}
	for _, name := range []string{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "X-RateLimit-Limit", "X-RateLimit-Remaining"} {
		values := h.Values(name)
		if len(values) == 0 {
			continue
		}
		first := values[0]
		if name == "RateLimit-Limit" {
			first, _, _ = strings.Cut(first, ",")
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(first), 10, 64); len(values) > 1 || err != nil || n < 0 {
			complain(name, "is not one whole number")
		}
	}
	if r, ok := remaining(h); ok && r > 0 && len(wrong) == 0 {
		wrong = append(wrong, fmt.Sprintf("a refusal says that %d requests are left", r))
	}
	return wrong
}

func validPolicies(values []string) bool {
	list, err := httpsfv.UnmarshalList(values)
	if err != nil || len(list) == 0 {
		return false
	}
	for _, m := range list {
		item, ok := m.(httpsfv.Item)
		if !ok {
			return false
		}
		switch v := item.Value.(type) {
		case int64: // before draft 08
			if v < 0 {
				return false
			}
		case string, httpsfv.Token:
			if q, ok := parameter(item, "q"); !ok || q < 0 {
				return false
			}
		default:
			return false
		}
		if _, there := item.Params.Get("w"); there {
			if w, ok := parameter(item, "w"); !ok || w < 0 {
				return false
			}
		}
	}
	return true
}

func validLimits(values []string) bool {
	if d, err := httpsfv.UnmarshalDictionary(values); err == nil { // draft 07
		if r, ok := member(d, "remaining"); ok {
			return r >= 0
		}
	}
	list, err := httpsfv.UnmarshalList(values)
	if err != nil || len(list) == 0 {
		return false
	}
	for _, m := range list {
		item, ok := m.(httpsfv.Item)
		if !ok {
			return false
		}
		switch item.Value.(type) {
		case string, httpsfv.Token:
		default:
			return false
		}
		if r, ok := parameter(item, "r"); !ok || r < 0 {
			return false
		}
		if _, there := item.Params.Get("t"); there {
			if t, ok := parameter(item, "t"); !ok || t < 0 {
				return false
			}
		}
	}
	return true
}

// shorten quotes what an API has sent, cut short.
func shorten(text string) string {
	if len(text) > 60 {
		return strconv.Quote(text[:60]) + "..."
	}
	return strconv.Quote(text)
}

// retryAfter returns when a client that was refused is to come back, or what is
// wrong with the answer.
func retryAfter(h http.Header) (time.Duration, string) {
	values := h.Values("Retry-After")
	switch {
	case len(values) == 0:
		return 0, "there is no Retry-After, so that clients try again at once or never"
	case len(values) > 1:
		return 0, fmt.Sprintf("there are %d lines of Retry-After", len(values))
	}
	if n, err := strconv.ParseUint(values[0], 10, 31); err == nil && values[0] != "" {
		if n == 0 {
			return 0, "Retry-After is 0, so that clients try again at once, and are refused again"
		}
		return time.Duration(n) * time.Second, ""
	}
	at, err := http.ParseTime(values[0])
	if err != nil {
		return 0, fmt.Sprintf("Retry-After is %s, which is neither whole seconds nor a date as HTTP has it", shorten(values[0]))
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0, "Retry-After is a date, and there is no Date to compare it with"
	}
	if wait := at.Sub(now); wait > 0 {
		return wait, ""
	}
	return 0, fmt.Sprintf("Retry-After is %s, which is not later than the answer's Date", shorten(values[0]))
}

package proxy

import (
	"net/http"

	"github.com/dunglas/httpsfv"
)

// The fields of a limiter, in the form that keys of http.Header have.
var rateFields = [...]string{"Ratelimit", "Ratelimit-Policy"}

// takeFields takes the limiter's fields out of the header of an answer, to be
// put in again when it is known what the upstream says. Otherwise an interim
// answer (1xx) of the upstream would carry them, and the final one would not.
func takeFields(h http.Header) http.Header {
	ours := http.Header{}
	for _, name := range rateFields {
		if values := h[name]; len(values) > 0 {
			ours[name] = values
			delete(h, name)
		}
	}
	return ours
}

// addFields adds the limiter's fields to the header of an answer. An upstream
// may have a limiter too: its fields are left as they are, and ours join them
// if together they can still be read. Otherwise the client gets the upstream's
// alone, since these are not ours to remove (draft-ietf-httpapi-ratelimit-
// headers-11, 7.2).
func addFields(h, ours http.Header) {
	for _, name := range rateFields {
		if len(h[name]) > 0 && !joins(h[name], ours[name]) {
			return
		}
	}
	for name, values := range ours {
		h[name] = append(values[:len(values):len(values)], h[name]...)
	}
}

// joins tells whether two values are lists of strings without one in common.
func joins(a, b []string) bool {
	names := map[string]bool{}
	for _, lines := range [][]string{a, b} {
		list, err := httpsfv.UnmarshalList(lines)
		if err != nil {
			return false
		}
		for _, member := range list {
			item, ok := member.(httpsfv.Item)
			if !ok {
				return false
			}
			name, ok := item.Value.(string)
			if !ok || names[name] {
				return false
			}
			names[name] = true
		}
	}
	return true
}

package serve

import (
	"net/http"

	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/policy"
)

// keyOf returns the middleware's key for one of a policy.
func keyOf(key policy.Key, user httpmw.Key) httpmw.Key {
	parts := make([]httpmw.Key, len(key))
	for i, p := range key {
		switch p.Kind {
		case policy.IP:
			parts[i] = httpmw.ByIP()
			if p.Bits > 0 {
				parts[i] = httpmw.ByNetwork(32, p.Bits)
			}
		case policy.User:
			parts[i] = user
		case policy.Header:
			parts[i] = httpmw.Header(p.Name)
		case policy.Cookie:
			parts[i] = httpmw.Cookie(p.Name)
		case policy.Bearer:
			parts[i] = httpmw.Bearer()
		case policy.Basic:
			parts[i] = httpmw.BasicUser()
		case policy.Path:
			parts[i] = httpmw.Path()
		case policy.Global:
			parts[i] = httpmw.Global()
		}
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return httpmw.Join(parts...)
}

// userOf returns the key of the user: what a trusted peer says in the field,
// said once. Whoever else sends the field has no user.
func userOf(field string, ip httpmw.ClientIP) httpmw.Key {
	return httpmw.Func(userIn(field, ip))
}

// userIn returns what finds the user of a request, "" for none.
func userIn(field string, ip httpmw.ClientIP) func(*http.Request) string {
	return func(r *http.Request) string {
		values := r.Header[field]
		if len(values) != 1 || !ip.TrustsPeer(r) {
			return ""
		}
		return values[0]
	}
}

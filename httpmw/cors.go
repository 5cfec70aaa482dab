package httpmw

import (
	"fmt"
	"net/http"
	"strings"
)

// A Preflight says what becomes of CORS preflights: requests with method
// OPTIONS, an Origin field and an Access-Control-Request-Method field. A
// request that lacks one of them is one like any other.
type Preflight uint8

const (
	// PreflightApart counts them in buckets of their own with the same limits.
	// So they neither eat a client's quota, nor fail for want of it, nor are a
	// way round a limit. A client may thus send up to twice its limit, half of
	// it preflights. It is the zero value.
	PreflightApart Preflight = iota
	// PreflightSkip lets them all pass, and counts none. They must end in a
	// handler that answers them cheaply, since anyone can send them.
	PreflightSkip
	// PreflightCharge counts them as any request. A client that is over its
	// limit then sees its next cross-origin request fail for no reason that a
	// script can read.
	PreflightCharge
)

// check returns an error unless p is one of the constants.
func (p Preflight) check() error {
	if p > PreflightCharge {
		return fmt.Errorf("httpmw: Preflight is %d: want PreflightApart, PreflightSkip or PreflightCharge", p)
	}
	return nil
}

// preflight tells whether r asks what a cross-origin request may do, as the
// Fetch standard defines it.
func preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions &&
		r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

const fieldExpose = "Access-Control-Expose-Headers"

// exposedNames returns the value of Access-Control-Expose-Headers for a
// normalized set.
func (s FieldSet) exposedNames() string {
	names := []string{fieldRetryAfter}
	for _, name := range s.headerNames() {
		names = append(names, strings.Replace(name, "Ratelimit", "RateLimit", 1))
	}
	return strings.Join(names, ", ")
}

// exposeFields lets scripts of other origins read the fields, if the request is
// from one and the configuration has it.
func (m *Middleware) exposeFields(h http.Header, r *http.Request) {
	if m.exposed != "" && len(r.Header["Origin"]) > 0 {
		addField(h, fieldExpose, []string{m.exposed})
	}
}

// withoutFieldsOnRedirect returns a ResponseWriter before w that takes the
// fields out of a response with status 300 to 399.
func (m *Middleware) withoutFieldsOnRedirect(w http.ResponseWriter) http.ResponseWriter {
	if m.fields == nil {
		return w
	}
	rec, wrapped := record(w, nil)
	rec.redirect = func(h http.Header) {
		for _, name := range m.fields.own {
			delete(h, name)
		}
	}
	return wrapped
}

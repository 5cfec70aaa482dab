package httpmw

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// An Outcome is what is known of a request once its handler has returned.
type Outcome struct {
	// Request is the request.
	Request *http.Request
	// Status is the status of the response: 200 if the handler wrote none, 500
	// if it panicked, 101 if it took over the connection without one. It is 0
	// if the handler aborted with [http.ErrAbortHandler] before it wrote one.
	// If the client was gone before the end it is what the handler wrote
	// nevertheless, such as the 502 of a proxy: then nothing is given back.
	Status int
	// Header is that of the response as it is at the end, with what was set too
	// late to be sent. It must not be changed.
	Header http.Header
	// Taken is how many tokens the policy has taken for the request so far.
	Taken int
}

// CountStatus returns a function for Config.Settle: a request with a status for
// which counted is true costs what was taken for it, and any other nothing. One
// that was aborted without a status counts, and so does one whose client was
// gone before the end. To limit failed logins:
//
//	CountStatus(func(status int) bool { return status == http.StatusUnauthorized })
//
// It returns nil, which [New] rejects, if counted is nil.
func CountStatus(counted func(status int) bool) func(Outcome) int {
	if counted == nil {
		return nil
	}
	return func(o Outcome) int {
		if o.Status == 0 || counted(o.Status) {
			return o.Taken
		}
		return 0
	}
}

// CostFrom returns a function for Config.Settle: a request costs what the
// handler says in the response field of that name, in decimal digits. What is
// above most, 1 to 2³¹−1, is taken as most. Without the field, with several of
// them, or with something else in it, the request costs what was taken for it.
// The field goes to the client like any other.
func CostFrom(name string, most int) (func(Outcome) int, error) {
	if !isToken(name) {
		return nil, fmt.Errorf("httpmw: header name %q: want letters, digits and !#$%%&'*+-.^_`|~", clip(name))
	}
	if most < 1 || most > maxCount {
		return nil, fmt.Errorf("httpmw: the most that %s can cost is %d: want 1 to %d", clip(name), most, maxCount)
	}
	name = http.CanonicalHeaderKey(name)
	return func(o Outcome) int {
		lines := o.Header[name]
		if len(lines) != 1 || strings.Trim(lines[0], "0123456789") != "" {
			return o.Taken
		}
		n, err := strconv.ParseInt(lines[0], 10, 64)
		switch {
		case lines[0] == "":
			return o.Taken
		case err != nil || n > int64(most): // out of range is the only error left
			return most
		}
		return int(n)
	}, nil
}

// maxCount bounds what is counted, as package bucket does.
const maxCount = 1<<31 - 1

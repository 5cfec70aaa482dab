// Package hello is an upstream to try a limiter with.
package hello

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
)

const text = `This is weir, a rate limiter for the API that you put behind it. It answers
for itself, since no upstream is given:

  %s %s

Look at the header of this answer (curl -i):

  RateLimit-Policy  the limits: q requests in w seconds
  RateLimit         what you have left: r requests, for the next t seconds
  Retry-After       with status 429: in so many seconds it works again

To put it in front of an API: weir serve --to http://127.0.0.1:3000
`

// Handler returns a handler that answers any request with a short text, which
// says what this is, and with the request's method and path.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := fmt.Sprintf(text, printable(r.Method), printable(r.URL.EscapedPath()))
		h := w.Header()
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Content-Length", strconv.Itoa(len(body)))
		h.Set("X-Content-Type-Options", "nosniff") // whatever the path looks like
		if r.Method != http.MethodHead {
			io.WriteString(w, body)
		}
	})
}

// printable cuts a value and escapes in it what a terminal might act on.
func printable(s string) string {
	if len(s) > 128 {
		s = s[:128] + "..."
	}
	quoted := strconv.QuoteToASCII(s)
	return quoted[1 : len(quoted)-1]
}

package proxy

import (
	"fmt"
	"net/http"
	"strconv"
)

// A trouble is why a request is not answered by its upstream. All of them are
// below and in failure.go, so that nothing that a client reads comes from the
// request or the upstream.
type trouble struct {
	status int
	// reason is the type of the error for programs, of those of RFC 9209 if
	// there is one there.
	reason string
	detail string
}

// What is wrong with a request.
var (
	looped      = trouble{http.StatusLoopDetected, "proxy_loop_detected", "The request has come back to where it was passed on: the upstream leads here."}
	leadsOut    = trouble{http.StatusBadRequest, "path_leads_out", "The path of the request leads out of what is served here."}
	twoReadings = trouble{http.StatusBadRequest, "path_ambiguous", "The path of the request can be read in two ways: want one without //, \\\\, ;, . and .. segments."}
	noRoute     = trouble{http.StatusNotFound, "no_route", "Nothing is served at this path."}
	noTunnel    = trouble{http.StatusNotImplemented, "method_not_supported", "This is not a proxy that tunnels: CONNECT is not supported."}
	noHTTP2     = trouble{http.StatusHTTPVersionNotSupported, "version_not_supported", "HTTP/2 is not spoken on this connection: want HTTP/1.1."}
	badTarget   = trouble{http.StatusBadRequest, "http_request_error", "The target of the request is malformed: want a path, or an http or https URL without a user."}
	badHost     = trouble{http.StatusBadRequest, "http_request_error", "The Host of the request is malformed: want a host and, if needed, a port."}
	badUpgrade  = trouble{http.StatusBadRequest, "http_request_error", "The Upgrade of the request is malformed."}
	badBody     = trouble{http.StatusBadRequest, "http_request_error", "The body of the request could not be read to its end."}
	slowBody    = trouble{http.StatusRequestTimeout, "http_request_error", "The body of the request did not come in time."}
	cancelled   = trouble{http.StatusBadGateway, "cancelled", "The request was cancelled."} // nobody is there to read it
)

// answer answers with a problem document (RFC 9457).
func (t *trouble) answer(w http.ResponseWriter, r *http.Request) {
	body := fmt.Sprintf(`{"type":"about:blank","title":"%s","status":%d,"detail":"%s","reason":"%s"}`,
		http.StatusText(t.status), t.status, t.detail, t.reason)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(t.status)
	if r.Method != http.MethodHead {
		fmt.Fprint(w, body)
	}
}

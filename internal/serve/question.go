package serve

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A Proxy is a kind of reverse proxy that asks about each of its requests
// whether it may go on. "" is none.
type Proxy string

// The proxies that can ask, which differ in how they name the request that
// they ask about, and in what they make of a refusal.
const (
	Nginx   Proxy = "nginx"   // auth_request: X-Original-Method, X-Original-URI
	Caddy   Proxy = "caddy"   // forward_auth: X-Forwarded-Method, -Uri, -Host
	Traefik Proxy = "traefik" // forwardAuth: the same
)

// DenyStatus returns the status of a refusal that the proxy understands: nginx
// makes 500 of any other than 401 and 403.
func (p Proxy) DenyStatus() int {
	if p == Nginx {
		return http.StatusForbidden
	}
	return http.StatusTooManyRequests
}

// asked are the fields in which a proxy names the request that it asks about.
// Only those of one kind of proxy are read: one passes on what its client says
// in those of another.
type asked struct{ method, uri, host string }

func (p Proxy) asked() asked {
	if p == Nginx {
		return asked{method: "X-Original-Method", uri: "X-Original-Uri"}
	}
	return asked{method: "X-Forwarded-Method", uri: "X-Forwarded-Uri", host: "X-Forwarded-Host"}
}

// questions returns a handler that has next decide about the requests that a
// proxy asks about. Of those who are not trusted it is their question itself
// that is decided about, whatever its method.
func questions(next http.Handler, p Proxy, trusts func(*http.Request) bool) http.Handler {
	names := p.asked()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 && r.ProtoMajor == 1 {
			// Else net/http waits for the body, before it sends the answer or after.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now())
		}
		about := *r
		about.Body, about.ContentLength, about.Method = http.NoBody, 0, http.MethodGet
		if trusts(r) && !names.read(&about, r.Header) {
			w.Header().Set("Cache-Control", "no-store")
			http.Error(w, "The fields that say what is asked about ("+names.method+", "+names.uri+") cannot be read: want each once at most.",
				http.StatusBadRequest)
			return
		}
		next.ServeHTTP(w, &about)
	})
}

// read makes about the request that the fields name. It is false if they are
// not readable.
func (a asked) read(about *http.Request, h http.Header) bool {
	if len(h[a.method]) > 1 || len(h[a.uri]) > 1 || len(h[a.host]) > 1 {
		return false
	}
	// A refusal of HEAD would have no body where the question, a GET, wants one.
	// Limits make no difference between the two.
	if method := h.Get(a.method); method != "" && method != http.MethodHead {
		about.Method = method
	}
	if host := h.Get(a.host); a.host != "" && host != "" {
		about.Host = host
	}
	uri := h.Get(a.uri)
	switch {
	case uri == "":
		return true
	case uri == "*":
		about.URL = &url.URL{Path: "*"}
	case !strings.HasPrefix(uri, "/"):
		return false
	default:
		u, err := url.ParseRequestURI(uri)
		if err != nil {
			return false
		}
		about.URL = u
	}
	about.RequestURI = uri
	return true
}

// mayGoOn answers a question about a request that is within its limits.
func mayGoOn(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// denied returns a handler for requests that are over a limit, nil if the
// middleware's own has the right status.
func denied(status int) http.Handler {
	if status == http.StatusTooManyRequests {
		return nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		io.WriteString(w, "Over a limit: see Retry-After.\n")
	})
}

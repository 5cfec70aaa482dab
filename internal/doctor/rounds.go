package doctor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
)

// A way is what a client may change in a request at will.
type way struct {
	what string
	// edit makes the change. It is false if it is none for this request.
	edit func(r *http.Request) bool
	// alike is that it names another resource, which servers may take for the
	// same: it counts if the answer is the same.
	alike bool
	path  bool // that is, and not another part of the request
	alone bool // over a connection of its own
}

// methods are those that change nothing, or that nobody knows.
var methods = []way{
	{what: "HEAD", edit: method("HEAD")},
	{what: "OPTIONS", edit: method("OPTIONS")},
	{what: "TRACE", edit: method("TRACE")},
	{what: "PROPFIND", edit: method("PROPFIND")},
	{what: "get", edit: method("get")},
	{what: "WEIR-DOCTOR", edit: method("WEIR-DOCTOR")},
}

func method(name string) func(*http.Request) bool {
	return func(r *http.Request) bool { r.Method = name; return true }
}

// spellings are those of the URL.
var spellings = []way{
	{what: "a query", edit: func(r *http.Request) bool {
		r.URL.RawQuery = strings.TrimPrefix(r.URL.RawQuery+"&"+fmt.Sprintf("weir-doctor=%08x", rand.Uint32()), "&")
		return true
	}},
	{what: "//x", edit: prefixed("/"), path: true},
	{what: "/./x", edit: prefixed("/."), path: true},
	{what: "/%2e/x", edit: prefixed("/%2e"), path: true},
	{what: "/a/../x", edit: prefixed("/weir-doctor/.."), path: true},
	{what: "/%78 for /x", edit: encoded, path: true},
	{what: "another host", edit: func(r *http.Request) bool { r.Host = "weir-doctor.invalid"; return true }, alike: true},
	{what: "a dot after the host", edit: func(r *http.Request) bool {
		name, port, colon := strings.Cut(r.Host, ":")
		if strings.HasPrefix(r.Host, "[") {
			return false
		}
		r.Host = name + "."
		if colon {
			r.Host += ":" + port
		}
		return true
	}},
	{what: "/x.", edit: suffixed("."), path: true, alike: true},
	{what: "/x/", edit: suffixed("/"), path: true, alike: true},
	{what: "/x/.", edit: suffixed("/."), path: true, alike: true},
	{what: "/x;a=b", edit: suffixed(";weir=doctor"), path: true, alike: true},
	{what: "/x%20", edit: suffixed("%20"), path: true, alike: true},
	{what: "/X", alike: true, path: true, edit: func(r *http.Request) bool {
		p := path(r.URL)
		up := strings.ToUpper(p)
		if up == p {
			up = strings.ToLower(p)
		}
		return up != p && setPath(r, (&url.URL{Path: up}).EscapedPath())
	}},
}

// setPath sets the path as it is to be sent.
func setPath(r *http.Request, escaped string) bool {
	decoded, err := url.PathUnescape(escaped)
	if err != nil {
		return false
	}
	r.URL.Path, r.URL.RawPath = decoded, escaped
	return true
}

// rawPath returns the path as it is sent.
func rawPath(r *http.Request) string {
	if p := r.URL.EscapedPath(); p != "" {
		return p
	}
	return "/"
}

func prefixed(with string) func(*http.Request) bool {
	return func(r *http.Request) bool { return setPath(r, with+rawPath(r)) }
}

func suffixed(with string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		p, end := rawPath(r), with
		if p == "/" {
			end = strings.TrimPrefix(end, "/")
		}
		return end != "" && setPath(r, p+end)
	}
}

// encoded encodes the last letter of the path.
func encoded(r *http.Request) bool {
	p := path(r.URL)
	if r.URL.RawPath != "" {
		return false // it is encoded in a way of its own
	}
	for i := len(p) - 1; i >= 0; i-- {
		if c := p[i]; 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
			head, tail := (&url.URL{Path: p[:i]}).EscapedPath(), (&url.URL{Path: p[i+1:]}).EscapedPath()
			return setPath(r, fmt.Sprintf("%s%%%02X%s", head, c, tail))
		}
	}
	return false
}

// headers are what else may be changed.
var headers = []way{
	{what: "another connection", edit: func(*http.Request) bool { return true }, alone: true},
	{what: "another User-Agent", edit: field("User-Agent", func() string { return fmt.Sprintf("weir-doctor/%d", rand.Uint32()) })},
	{what: "the User-Agent of a health check", edit: field("User-Agent", func() string { return "kube-probe/1.30" })},
	{what: "another Accept-Language", edit: field("Accept-Language", func() string { return "tlh" })},
	{what: "another Referer", edit: field("Referer", func() string { return "http://weir-doctor.invalid/" })},
	{what: "another cookie", edit: field("Cookie", func() string { return fmt.Sprintf("weir-doctor=%d", rand.Uint32()) })},
	{what: "an Authorization", edit: field("Authorization", func() string { return fmt.Sprintf("Bearer weir-doctor-%d", rand.Uint32()) })},
	{what: "an API key", edit: field("X-Api-Key", func() string { return fmt.Sprintf("weir-doctor-%d", rand.Uint32()) })},
	{what: "another method in X-HTTP-Method-Override", edit: field("X-Http-Method-Override", func() string { return "HEAD" })},
	{what: "an Upgrade", edit: func(r *http.Request) bool {
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "websocket")
		return true
	}, alone: true},
}

// field changes a field, unless the client has it for its identity.
func field(name string, value func() string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		if name != "User-Agent" && len(r.Header.Values(name)) > 0 {
			return false
		}
		r.Header.Set(name, value())
		return true
	}
}

func (e *exam) methods(ctx context.Context) (Check, error) {
	found, tried, err := e.round(ctx, methods)
	if err != nil || len(found) > 0 {
		return failed("count all methods: put the limiter in front of whatever tells them apart", "a client that is over its limit is served with %s",
			strings.Join(found, ", ")), err
	}
	return passed("not %s; POST, PUT, PATCH and DELETE are not sent, since they might change something", strings.Join(tried, ", ")), nil
}

func (e *exam) spellings(ctx context.Context) (Check, error) {
	found, tried, err := e.round(ctx, spellings)
	if err != nil || len(found) > 0 {
		return failed("count a client's requests whatever the path, or compare paths in one canonical form", "a client that is over its limit is served with %s",
			strings.Join(found, ", ")), err
	}
	return passed("not %s", strings.Join(tried, ", ")), nil
}

func (e *exam) headers(ctx context.Context) (Check, error) {
	found, tried, err := e.round(ctx, headers)
	if err != nil || len(found) > 0 {
		return failed("let nothing into the key that a client can choose: an address without its port, or a credential that has been checked", "a client that is over its limit is served with %s",
			strings.Join(found, ", ")), err
	}
	return passed("not %s", strings.Join(tried, ", ")), nil
}

// round returns which of the ways let a client through that has nothing left,
// and which were tried.
func (e *exam) round(ctx context.Context, ways []way) (found, tried []string, err error) {
	for _, w := range ways {
		done := true
		probe := e.edited(ctx, e.patient, w.alone, func(r *http.Request) { done = w.edit(r) })
		got, err := e.passes(ctx, e.patient, func() (answer, bool, error) {
			a, through, err := probe()
			return a, through && done && e.same(w, a), err
		})
		if err != nil {
			return nil, nil, err
		}
		if done {
			tried = append(tried, w.what)
		}
		if got {
			found = append(found, w.what)
		}
	}
	return found, tried, nil
}

// same tells whether an answer to a request that was changed is that of what
// was asked for first. If it is not found, and neither was that, nobody knows.
func (e *exam) same(w way, a answer) bool {
	switch stable := e.second.status == e.first.status && e.second.body == e.first.body; {
	case w.path && a.status == http.StatusNotFound:
		return false
	case w.alike:
		return stable && a.status == e.first.status && a.body == e.first.body
	}
	return true
}

// paths proves that another path is no limit more. One that leads nowhere may
// have none.
func (e *exam) paths(ctx context.Context) (Check, error) {
	elsewhere := fmt.Sprintf("/weir-doctor-%08x", rand.Uint32())
	send := func() (answer, error) {
		return e.send(ctx, e.patient, func(r *http.Request) { setPath(r, strings.TrimSuffix(rawPath(r), "/")+elsewhere) })
	}
	free, err := e.passes(ctx, e.patient, func() (answer, bool, error) {
		got, err := send()
		return got, err == nil && !e.refused(got), err
	})
	if err != nil {
		return Check{}, err
	}
	if !free {
		return passed("a path that nobody has asked for is refused, too"), nil
	}
	const cure = "leave the path out of the key, or add a limit without it, unless each path is meant to have a limit of its own"
	var got answer
	for range e.n + e.n/10 + 5 {
		if got, err = send(); err != nil {
			return Check{}, err
		}
		if e.refused(got) {
			return failed(cure, "a client that is over its limit has another one for %s", elsewhere), nil
		}
	}
	if e.same(way{alike: true, path: true}, got) {
		return failed("limit all paths", "a client that is over its limit is served the same at %s, without a limit", elsewhere), nil
	}
	return untested("%s, which nobody has asked for and which is answered with %d, has no limit: it seems to be for some paths only", elsewhere, got.status), nil
}

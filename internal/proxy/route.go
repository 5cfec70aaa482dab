package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
)

// A Route is an upstream for a part of the paths.
type Route struct {
	// Path is what the paths of its requests begin with, in whole segments:
	// "/api" is for /api and /api/users, not for /apiary. "/" is for all. It
	// is spelled without escapes, and upper and lower case differ.
	Path string
	// To is the upstream, from [ParseTarget].
	To *url.URL
	// Strip removes Path from what the upstream is asked for, and tells it in
	// X-Forwarded-Prefix. What the upstream answers, such as a Location, is
	// left as it is.
	Strip bool
}

// ParseRoute reads a route: the URL of an upstream as of [ParseTarget], if
// needed with a path and an equals sign before it, and the word strip after it.
//
//	http://127.0.0.1:4000
//	/api=http://127.0.0.1:3000
//	/api=http://127.0.0.1:3000 strip
//
// Without a path the route is for all, "/". Like that of ParseTarget, the error
// says what is wrong without the URL.
func ParseRoute(text string) (Route, error) {
	route := Route{Path: "/"}
	target := text
	if strings.HasPrefix(text, "/") {
		path, after, ok := strings.Cut(text, "=")
		if !ok {
			return Route{}, errors.New("it begins with '/' and has no '=': want a path and a URL, such as /api=http://127.0.0.1:3000")
		}
		route.Path, target = path, after
	}
	target, word, ok := strings.Cut(target, " ")
	if ok && word != "strip" {
		return Route{}, fmt.Errorf("after the URL comes %.20q: want strip or nothing", word)
	}
	route.Strip = ok
	var err error
	if route.To, err = ParseTarget(target); err != nil {
		return Route{}, err
	}
	if err := route.Check(); err != nil {
		return Route{}, err
	}
	return route, nil
}

// Check returns an error if the route is none.
func (r Route) Check() error {
	const want = "want one such as /api"
	if r.To == nil {
		return fmt.Errorf("path %.80q: To is nil: want the URL of the upstream", r.Path)
	}
	if !strings.HasPrefix(r.Path, "/") {
		return fmt.Errorf("path %.80q does not begin with '/': %s", r.Path, want)
	}
	if strings.ContainsAny(r.Path, `%?#\;`) || strings.ContainsFunc(r.Path, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '\uFFFD' }) {
		return fmt.Errorf(`path %.80q: want none of %%, ?, #, \, ;, spaces and control characters in it`, r.Path)
	}
	if r.Path != "/" {
		for segment := range strings.SplitSeq(strings.TrimSuffix(r.Path[1:], "/"), "/") {
			if segment == "" || segment == "." || segment == ".." {
				return fmt.Errorf("path %.80q has an empty segment, . or ..: %s", r.Path, want)
			}
		}
	} else if r.Strip {
		return fmt.Errorf("path %q: there is nothing to strip: want a longer path, or none", r.Path)
	}
	return nil
}

// An upstream is where the requests of a route go.
type upstream struct {
	Route
	segments []string    // of Path, without escapes
	down     atomic.Bool // the last request did not reach it
}

func newUpstream(r Route) *upstream {
	return &upstream{Route: r, segments: segmentsOf(strings.TrimSuffix(r.Path, "/"))}
}

// newUpstreams returns those of a configuration, the longest paths first.
func newUpstreams(cfg Config) ([]*upstream, error) {
	routes := slices.Clone(cfg.Routes)
	if cfg.To != nil {
		routes = append(routes, Route{Path: "/", To: cfg.To})
	}
	if len(routes) == 0 {
		return nil, errors.New("proxy: To is nil: want the URL of the upstream, or Routes")
	}
	ups := make([]*upstream, len(routes))
	for i, r := range routes {
		if err := r.Check(); err != nil {
			return nil, fmt.Errorf("proxy: Routes[%d]: %w", i, err)
		}
		ups[i] = newUpstream(r)
		for _, other := range ups[:i] {
			if slices.Equal(other.segments, ups[i].segments) {
				return nil, fmt.Errorf("proxy: two upstreams for path %q: want one", r.Path)
			}
		}
	}
	slices.SortStableFunc(ups, func(a, b *upstream) int { return len(b.segments) - len(a.segments) })
	return ups, nil
}

// find returns the upstream for a path in segments, nil if there is none.
func (p *Proxy) find(path []string) *upstream {
	for _, u := range p.upstreams {
		if n := len(u.segments); n <= len(path) && slices.Equal(u.segments, path[:n]) {
			return u
		}
	}
	return nil
}

// route returns the upstream for a request, or the problem that there is none.
func (p *Proxy) route(r *http.Request) (*upstream, *trouble) {
	if r.URL.Path == "*" { // about the server as a whole
		if u := p.find(nil); u != nil {
			return u, nil
		}
		return nil, &noRoute
	}
	sent := segmentsOf(r.URL.EscapedPath())
	u := p.find(sent)
	if len(p.upstreams) > 1 || len(p.upstreams[0].segments) > 0 {
		// One that an upstream might read as a path of another route is nobody's.
		if walked, ok := walk(r.URL.Path); !ok || p.find(walked) != u {
			return nil, &twoReadings
		}
	}
	if u == nil {
		return nil, &noRoute
	}
	if u.confined() {
		if _, ok := walk(strings.Join(sent[len(u.segments):], "/")); !ok {
			return nil, &leadsOut
		}
	}
	return u, nil
}

// confined tells whether the upstream is a part of a server, that below a path.
func (u *upstream) confined() bool {
	return len(u.segments) > 0 || strings.Trim(u.To.Path, "/") != ""
}

// segmentsOf returns the segments of an escaped path, each without its escapes.
func segmentsOf(escaped string) []string {
	escaped = strings.TrimPrefix(escaped, "/")
	if escaped == "" {
		return nil
	}
	segments := strings.Split(escaped, "/")
	for i, s := range segments {
		if plain, err := url.PathUnescape(s); err == nil {
			segments[i] = plain
		}
	}
	return segments
}

// walk goes along a path without escapes and returns the segments that it leads
// to. It is false if it leads above where it starts for any server: some take
// '\\' for '/', several '/' for one, or pass over what follows a ';'.
func walk(path string) ([]string, bool) {
	var at []string
	for segment := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == '\\' }) {
		switch name, _, _ := strings.Cut(segment, ";"); name {
		case "", ".":
		case "..":
			if len(at) == 0 {
				return nil, false
			}
			at = at[:len(at)-1]
		default:
			at = append(at, name)
		}
	}
	return at, true
}

// strip removes the path of the route from u, which is that of a request.
func (u *upstream) strip(of *url.URL) {
	escaped := strings.TrimPrefix(of.EscapedPath(), "/")
	for range u.segments {
		_, escaped, _ = strings.Cut(escaped, "/")
	}
	escaped = "/" + escaped
	if plain, err := url.PathUnescape(escaped); err == nil {
		of.Path, of.RawPath = plain, escaped
	}
}

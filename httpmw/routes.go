package httpmw

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// A routeSet tells whether a request is for one of some routes.
type routeSet struct {
	mux *http.ServeMux
	// other is the pattern of the requests for none of them. With a pattern for
	// all of those, a ServeMux need not look for what methods are allowed.
	other string
	// first has the first segments of all patterns, nil if one begins with a
	// wildcard: most requests are for none of them, and need no ServeMux.
	first map[string]bool
}

// A member is the handler of each pattern: what a ServeMux has another one for
// it would redirect.
type member struct{}

func (member) ServeHTTP(http.ResponseWriter, *http.Request) {}

// newRouteSet returns the set of the routes that match one of the patterns of
// [http.ServeMux], or an error that names the one that it does not take.
func newRouteSet(patterns []string, fold bool) (*routeSet, error) {
	if len(patterns) == 0 {
		return nil, errors.New(`no pattern: want one or more such as "POST /login" or "/api/", or no entry, which is all requests`)
	}
	set := &routeSet{mux: http.NewServeMux(), first: map[string]bool{}}
	for _, pattern := range patterns {
		folded := foldPattern(pattern, fold)
		if err := set.add(folded); err != nil {
			return nil, fmt.Errorf("pattern %q: %w", clip(pattern), err)
		}
		segment := firstSegment(folded[strings.IndexByte(folded, '/'):])
		if literal, err := url.PathUnescape(segment); err == nil && segment != "" && segment[0] != '{' && set.first != nil {
			set.first[literal] = true
		} else {
			set.first = nil
		}
	}
	if set.add("/") == nil { // else one of the patterns is for all requests
		set.other = "/"
	}
	return set, nil
}

// add adds a pattern.
func (set *routeSet) add(pattern string) (err error) {
	if pattern == "" {
		return errors.New(`it is empty: want one such as "POST /login" or "/api/"`)
	}
	defer func() {
		// ServeMux panics: with a pattern that is none, and with one that
		// conflicts with another, where it tells of source files.
		if v := recover(); v != nil {
			failure, _ := v.(error)
			if err = errors.Unwrap(failure); err == nil {
				err = errors.New("it is there twice, or overlaps with another so that neither is the more specific; " +
					"want patterns that one http.ServeMux takes")
			}
		}
	}()
	set.mux.Handle(pattern, member{})
	return nil
}

// has tells whether a request is in the set in any of its forms: how the next
// server reads a path that is not canonical is not known, so that a limit that
// holds for one of the readings must hold for the request.
func (set *routeSet) has(f *forms) bool {
	for i := range f.n {
		if in, _ := set.hasForm(f, i, f.method); in {
			return true
		}
		if f.upper == f.method {
			continue
		}
		if in, _ := set.hasForm(f, i, f.upper); in {
			return true
		}
	}
	return false
}

// hasExactly tells whether a request is in the set just as it is: not "/static"
// in a set of "/static/", to which a ServeMux would redirect it.
func (set *routeSet) hasExactly(f *forms) bool {
	in, exactly := set.hasForm(f, 0, f.method)
	return in && exactly
}

// hasForm tells whether the i-th form of a request, with that method, is in the
// set, and whether it is without a redirect.
func (set *routeSet) hasForm(f *forms, i int, method string) (in, exactly bool) {
	r := &f.requests[i]
	if set.first != nil && f.clean[i] && !set.first[firstSegment(r.URL.Path)] {
		return false, false
	}
	r.Method = method
	h, pattern := set.mux.Handler(r)
	_, exactly = h.(member)
	return pattern != "" && pattern != set.other, exactly
}

// firstSegment returns the first segment of a path.
func firstSegment(path string) string {
	segment, _, _ := strings.Cut(path[1:], "/")
	return segment
}

// foldPattern brings the host of a pattern to lower case and, with fold, the
// path too, except for the names of wildcards.
func foldPattern(pattern string, fold bool) string {
	begin := strings.LastIndexAny(pattern[:max(0, strings.IndexByte(pattern, '/'))], " \t") + 1
	slash := strings.IndexByte(pattern, '/')
	if slash < 0 {
		return pattern // which no ServeMux takes
	}
	method, host, rest := pattern[:begin], pattern[begin:slash], pattern[slash:]
	if !fold {
		return method + strings.ToLower(host) + rest
	}
	b := []byte(method + strings.ToLower(host))
	for rest != "" {
		literal, wildcard := rest, ""
		if brace := strings.IndexByte(rest, '{'); brace >= 0 {
			literal, wildcard = rest[:brace], rest[brace:]
		}
		b = append(b, strings.ToLower(literal)...)
		end := strings.IndexByte(wildcard, '}') + 1
		if end == 0 {
			end = len(wildcard)
		}
		b = append(b, wildcard[:end]...)
		rest = wildcard[end:]
	}
	return string(b)
}

// forms are the ways in which the servers behind may read what a request is
// for. Each is a request with a method, a host and a path, and nothing else.
type forms struct {
	n        int
	method   string // as it is
	upper    string // in upper case, as some servers have it
	requests [3]http.Request
	urls     [3]url.URL
	clean    [3]bool // a ServeMux has nothing to decode or to clean in its path
	plain    bool    // all servers read it in the same way
}

// read finds the forms of r: as it is; in its canonical form, decoded once and
// without empty, "." and ".." segments and without a slash at the end; and, if
// there is any of it, without what follows a ';' in a segment and with '\' as
// '/', as some servers have it. The host is in lower case and without a dot at
// the end, and with fold so is the path.
func (f *forms) read(r *http.Request, fold bool) {
	given, raw := rooted(r.URL.Path), r.URL.RawPath
	if len(given) != len(r.URL.Path) {
		raw = ""
	}
	cleaned := path.Clean(given)
	odd := strings.ContainsAny(given, oddities)
	same := given == cleaned && raw == ""
	clean := same || raw == "" && len(given) == len(cleaned)+1 && strings.HasPrefix(given, cleaned) && given[len(cleaned)] == '/'
	f.plain = clean && !odd && !strings.Contains(given, "%")
	f.n = 0
	f.method, f.upper = r.Method, strings.ToUpper(r.Method)
	host := canonicalHost(r.Host)
	f.add(host, given, raw, clean, fold)
	if !same {
		f.add(host, cleaned, "", true, fold)
	}
	if odd {
		f.add(host, canonicalPath(given), "", true, fold)
	}
}

func (f *forms) add(host, path, raw string, clean, fold bool) {
	if fold {
		path, raw = strings.ToLower(path), strings.ToLower(raw)
	}
	u, r := &f.urls[f.n], &f.requests[f.n]
	u.Path, u.RawPath = path, raw
	r.Host, r.URL = host, u
	f.clean[f.n] = clean
	f.n++
}

// forget lets go of the request.
func (f *forms) forget() { *f = forms{} }

// rooted returns a path with a slash in front: it is "*" or, of CONNECT, nothing
// otherwise.
func rooted(p string) string {
	if p == "" || p[0] != '/' {
		return "/" + p
	}
	return p
}

// canonicalPath returns the one form that all the spellings of a rooted path
// have, whichever server is to read it. The server here has decoded it once.
func canonicalPath(p string) string {
	if strings.ContainsAny(p, oddities) {
		p = withoutParams(p)
	}
	return path.Clean(p)
}

// oddities are the characters that only some servers read as what they are not.
const oddities = `;\`

// withoutParams returns a path with '\' as '/', and without what follows a ';'
// in a segment.
func withoutParams(p string) string {
	segments := strings.Split(strings.ReplaceAll(p, `\`, "/"), "/")
	for i, segment := range segments {
		segments[i], _, _ = strings.Cut(segment, ";")
	}
	return strings.Join(segments, "/")
}

// canonicalHost returns a host without its port, in lower case and without the
// dot of the root at the end.
func canonicalHost(host string) string {
	if strings.IndexByte(host, ':') >= 0 {
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

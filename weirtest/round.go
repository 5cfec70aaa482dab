package weirtest

import (
	"fmt"
	"net/http"
	"strings"
)

// rounds are what a client may change in a request at will, and what it would
// be another client by if the key had it in it. Each changes nothing in a
// request that has it already: Want.Request may need it as it is.
var rounds = []struct {
	what string
	edit func(*http.Request)
}{
	{"another User-Agent", unlessSet("User-Agent", "weirtest")},
	{"another Accept-Language", unlessSet("Accept-Language", "tlh")},
	{"another Accept", unlessSet("Accept", "text/x-weirtest, */*;q=0.1")},
	{"another Accept-Encoding", unlessSet("Accept-Encoding", "weirtest")},
	{"another Referer", unlessSet("Referer", "http://weirtest.example/")},
	{"another Origin", unlessSet("Origin", "http://weirtest.example")},
	{"another X-Request-Id", unlessSet("X-Request-Id", "weirtest")},
	{"another cookie", unlessSet("Cookie", "weirtest=1")},
	{"a made up Authorization", unlessSet("Authorization", "Bearer weirtest")},
	{"a made up X-Api-Key", unlessSet("X-Api-Key", "weirtest")},
	{"a made up Api-Key", unlessSet("Api-Key", "weirtest")},
	{"a made up X-Auth-Token", unlessSet("X-Auth-Token", "weirtest")},
	{"a made up X-User", unlessSet("X-User", "weirtest")},
	{"another Host", func(r *http.Request) { r.Host = "weirtest.example" }},
	{"HTTP/1.0", func(r *http.Request) {
		if r.ProtoMajor == 1 {
			r.Proto, r.ProtoMinor = "HTTP/1.0", 0
		}
	}},
	{"a path with an empty segment", spelled("/%s")},
	{"a path with a dot in it", spelled("/.%s")},
	{"a path with an encoded letter", func(r *http.Request) {
		if path := r.URL.Path; r.URL.RawPath == "" && len(path) > 1 && 'a' <= path[1] && path[1] <= 'z' {
			r.URL.RawPath = fmt.Sprintf("/%%%X%s", path[1], path[2:])
			r.RequestURI = r.URL.RequestURI()
		}
	}},
	{"another query", func(r *http.Request) {
		if r.URL.RawQuery == "" {
			r.URL.RawQuery = "weirtest=1"
			r.RequestURI = r.URL.RequestURI()
		}
	}},
	{"an Upgrade", func(r *http.Request) {
		unlessSet("Connection", "Upgrade")(r)
		unlessSet("Upgrade", "websocket")(r)
	}},
	{"HEAD in place of GET", func(r *http.Request) {
		if r.Method == http.MethodGet || r.Method == "" {
			r.Method = http.MethodHead
		}
	}},
}

// spelled returns an edit that spells the path in another way.
func spelled(format string) func(*http.Request) {
	return func(r *http.Request) {
		if path := r.URL.Path; strings.HasPrefix(path, "/") {
			r.URL.Path, r.URL.RawPath = fmt.Sprintf(format, path), ""
			r.RequestURI = r.URL.RequestURI()
		}
	}
}

// unlessSet returns an edit that sets a field that is not there.
func unlessSet(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		if len(r.Header.Values(name)) == 0 {
			r.Header.Set(name, value)
		}
	}
}

// round reports by what other changes a client that is over its limit passes.
// One that is answered otherwise than the first request has not got to what is
// limited: a router may know no HEAD.
func (c *check) round() {
	var found []string
	for _, way := range rounds {
		before := c.admitted
		for range c.patience() {
			if got := c.send(0, way.edit); got.status != c.first.status {
				break
			}
			if c.admitted++; c.admitted > c.allowance(c.start) {
				found = append(found, way.what)
				c.admitted = before // it was in another bucket, or in none
				break
			}
		}
	}
	if len(found) > 0 {
		c.problem("a client that is over its limit passes with %s: whoever sends that is a new client, or not limited. "+
			"Take what a client chooses out of the key, and limit each request, whatever it asks for", strings.Join(found, ", "))
	}
}

package serve_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// Requests go to the upstream of the longest path, whatever the order, and all
// of them count.
func TestUpstreamsByPath(t *testing.T) {
	t.Parallel()
	var texts []string
	for _, u := range []struct{ path, word string }{{"", ""}, {"/api=", ""}, {"/api/v2=", " strip"}} {
		name := u.path
		server := to(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, name+" "+r.RequestURI) })
		texts = append(texts, u.path+server[0].To.String()+u.word)
	}
	cfg := config(t, "ip 6/day")
	var err error
	if cfg.Routes, err = routes(texts...); err != nil {
		t.Fatal(err)
	}
	s := start(t, cfg)
	for path, want := range map[string]string{
		"/":             " /",
		"/apiary":       " /apiary", // whole segments count
		"/api":          "/api= /api",
		"/api/v1?q":     "/api= /api/v1?q",
		"/api/v2":       "/api/v2= /",
		"/api/v2/users": "/api/v2= /users",
	} {
		if res, got := question(t, s, "GET", path); res.StatusCode != 200 || got != want {
			t.Errorf("%s: %d, %q, want %q", path, res.StatusCode, got, want)
		}
	}
	if res, _ := question(t, s, "GET", "/api"); res.StatusCode != 429 {
		t.Errorf("the 7th request: %d, want 429: all paths count together", res.StatusCode)
	}
	for _, want := range []string{
		"upstream   all else to " + texts[0] + "\n",
		"upstream   /api to " + strings.TrimPrefix(texts[1], "/api=") + "\n",
		"upstream   /api/v2 to " + strings.TrimSuffix(strings.TrimPrefix(texts[2], "/api/v2="), " strip") + ", which is asked for what follows /api/v2\n",
	} {
		if !strings.Contains(s.banner.String(), want) {
			t.Errorf("the banner lacks %q:\n%s", want, s.banner)
		}
	}
}

// What no upstream is for is answered with 404, and the banner says so.
func TestPathsWithoutAnUpstream(t *testing.T) {
	t.Parallel()
	cfg := config(t, "ip 2/day")
	cfg.Routes = to(t, func(http.ResponseWriter, *http.Request) {})
	cfg.Routes[0].Path = "/api"
	s := start(t, cfg)
	for i, want := range []int{404, 404, 429} {
		if got := status(t, s.url+"/other"); got != want {
			t.Errorf("request %d: %d, want %d", i+1, got, want)
		}
	}
	if want := "upstream   none for all else: it is answered with 404\n"; !strings.Contains(s.banner.String(), want) {
		t.Errorf("the banner lacks %q:\n%s", want, s.banner)
	}
}

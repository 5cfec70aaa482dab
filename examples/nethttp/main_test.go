package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/weirtest"
)

// open returns the service with its state in a file, until the test is over.
func open(t *testing.T, path string) (http.Handler, *weir.Limiter) {
	t.Helper()
	limiter, err := weir.Open(path,
		weir.Policy{Name: "ip", Limit: bucket.PerMinute(100)},
		weir.Policy{Name: "user", Limit: bucket.PerDay(1000)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { limiter.Close() })
	h, err := newHandler(limiter)
	if err != nil {
		t.Fatal(err)
	}
	return h, limiter
}

func TestLimited(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "weir.db")
	synctest.Test(t, func(t *testing.T) {
		h, _ := open(t, path)
		weirtest.AssertLimited(t, h, weirtest.Want{Limit: bucket.PerMinute(100)})
	})
}

// get has a user send a request from some address, and returns the status and
// what is said of the limits.
func get(h http.Handler, token string, network int) (status int, limits string) {
	r := httptest.NewRequest("GET", "/hello/alice", nil)
	r.RemoteAddr = fmt.Sprintf("198.51.100.%d:4711", network)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Header().Get("RateLimit")
}

// A user has one quota from everywhere, also after a restart. A token that is
// made up is nobody's, so it is no way round the limit of an address.
func TestUserAndRestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "weir.db")
	synctest.Test(t, func(t *testing.T) {
		h, limiter := open(t, path)
		for i := range 1000 {
			if status, _ := get(h, "token-of-alice", i/100); status != 200 {
				t.Fatalf("request %d of alice: status %d", i+1, status)
			}
		}
		if err := limiter.Close(); err != nil {
			t.Fatal(err)
		}
		h, _ = open(t, path)
		if status, _ := get(h, "token-of-alice", 200); status != 429 {
			t.Errorf("request 1001 of alice, after a restart: status %d", status)
		}
		if status, _ := get(h, "token-of-bob", 200); status != 200 {
			t.Errorf("request of bob: status %d", status)
		}
		for i := range 100 {
			const left = `"user";r=%d;`
			status, limits := get(h, fmt.Sprint("made up ", i), 201)
			if want := fmt.Sprintf(left, 999-i); status != 200 || !strings.Contains(limits, want) {
				t.Errorf("request %d with a made up token: status %d, %s, want 200 and %s", i+1, status, limits, want)
			}
		}
		if status, _ := get(h, "made up", 201); status != 429 {
			t.Errorf("request 101 with a made up token: status %d", status)
		}
	})
}

// The README shows how this program makes its middleware.
func TestReadmeShowsThis(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	statement := regexp.MustCompile(`(?ms)^mw, err := httpmw\.New\(.*?^\}\}\)$`).FindString(string(readme))
	if statement == "" {
		t.Fatal("README.md makes no middleware")
	}
	if want := "\t" + strings.ReplaceAll(statement, "\n", "\n\t") + "\n"; !strings.Contains(string(program), want) {
		t.Errorf("README.md makes its middleware otherwise:\n%s", statement)
	}
}

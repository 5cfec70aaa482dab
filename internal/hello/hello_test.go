package hello_test

import (
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/hello"
)

func TestHandler(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ why, method, target, want string }{
		{"it says what was asked", "POST", "/orders", "POST /orders\n"},
		{"not the query, which may hold a secret", "GET", "/a?token=k", "GET /a\n"},
		{"nothing that a terminal acts on", "GET", "/%1b%5b2J%0a", "GET /%1b%5b2J%0a\n"},
		{"not all of a long path", "GET", "/" + strings.Repeat("a", 500), "GET /" + strings.Repeat("a", 127) + "...\n"},
	} {
		w := httptest.NewRecorder()
		hello.Handler().ServeHTTP(w, httptest.NewRequest(tt.method, tt.target, nil))
		if w.Code != 200 || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s: %d, and %q is not in\n%s", tt.why, w.Code, tt.want, w.Body)
		}
		if strings.Contains(w.Body.String(), "token") {
			t.Errorf("%s: the query is in the answer", tt.why)
		}
		if got := w.Header().Get("Content-Length"); got != strconv.Itoa(w.Body.Len()) {
			t.Errorf("%s: Content-Length %s, want %d", tt.why, got, w.Body.Len())
		}
	}
}

func TestHead(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	hello.Handler().ServeHTTP(w, httptest.NewRequest("HEAD", "/", nil))
	if w.Body.Len() != 0 || w.Header().Get("Content-Length") == "" {
		t.Errorf("HEAD: %d bytes with the header %v", w.Body.Len(), w.Header())
	}
}

func ExampleHandler() {
	w := httptest.NewRecorder()
	hello.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/hello", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	// Output: 200 text/plain; charset=utf-8
}

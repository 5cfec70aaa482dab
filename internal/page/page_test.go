package page_test

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/page"
)

func ExampleHandler() {
	server := httptest.NewServer(page.Handler())
	defer server.Close()
	response, err := http.Get(server.URL)
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	fmt.Println(response.Status, response.Header.Get("Content-Type"))
	// Output: 200 OK text/html; charset=utf-8
}

// sources returns the files of the page by name.
func sources(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	list, err := filepath.Glob("files/*")
	if err != nil || len(list) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, path := range list {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found[filepath.Base(path)] = string(text)
	}
	return found
}

// All of it is small, of its own origin, and nothing in it is HTML made of text.
func TestSources(t *testing.T) {
	t.Parallel()
	const most = 150_000
	bytes := 0
	for name, text := range sources(t) {
		bytes += len(text)
		if lines := strings.Count(text, "\n"); lines > 400 {
			t.Errorf("%s has %d lines", name, lines)
		}
		for _, never := range []string{
			`innerHTML`, `outerHTML`, `insertAdjacentHTML`, `document\.write`, `createContextualFragment`, `setHTML`, `DOMParser`, `\beval\(`, `new Function`, // text as HTML or code
			`localStorage`, `document\.cookie`, `indexedDB`, // the token outlives the tab
			`(?i)\son[a-z]+=`, `(?i)\sstyle=`, `(?i)<style`, `(?i)<script(?: type="module")?>`, `javascript:`, // what the policy stops
			`@import`, `(?i)url\(`, `sourceMappingURL`, // files that there are not
		} {
			if at := regexp.MustCompile(never).FindString(text); at != "" {
				t.Errorf("%s has %q", name, at)
			}
		}
		for _, url := range regexp.MustCompile(`(?:https?:)?//[a-z0-9.-]+\.[a-z]+[^\s'"]*`).FindAllString(text, -1) {
			if url != "http://www.w3.org/2000/svg" { // a name, which is not fetched
				t.Errorf("%s names another origin: %s", name, url)
			}
		}
	}
	if bytes > most {
		t.Errorf("%d bytes, want at most %d", bytes, most)
	}
}

// What a script, a label or a link names is there.
func TestNamesAreThere(t *testing.T) {
	t.Parallel()
	files := sources(t)
	html := files["index.html"]
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(`\sid="([^"]+)"`).FindAllStringSubmatch(html, -1) {
		if ids[m[1]] {
			t.Errorf("the id %s is there twice", m[1])
		}
		ids[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`\s(?:for|aria-labelledby|aria-describedby)="([^"]+)"|href="#([^"]+)"`).FindAllStringSubmatch(html, -1) {
		for _, name := range strings.Fields(m[1] + m[2]) {
			if !ids[name] {
				t.Errorf("index.html names %s, which is not there", name)
			}
		}
	}
	for name, text := range files {
		for _, m := range regexp.MustCompile(`\bid\('([^']+)'\)`).FindAllStringSubmatch(text, -1) {
			if !ids[m[1]] {
				t.Errorf("%s asks for %s, which is not there", name, m[1])
			}
		}
		for _, m := range regexp.MustCompile(`from '\./([^']+)'`).FindAllStringSubmatch(text, -1) {
			if files[m[1]] == "" {
				t.Errorf("%s imports %s, which is not there", name, m[1])
			}
		}
	}
}

// Text can be read on what is behind it, in the light and in the dark: 4.5 to 1 as
// WCAG 2.2 wants it (1.4.3), and 3 to 1 of what is no text (1.4.11).
func TestContrast(t *testing.T) {
	t.Parallel()
	schemes := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllStringSubmatch(sources(t)["page.css"], -1)
	if len(schemes) != 2 {
		t.Fatalf("%d schemes of colours, want 2", len(schemes))
	}
	for i, scheme := range schemes {
		colour := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6})`).FindAllStringSubmatch(scheme[1], -1) {
			colour[m[1]] = luminance(t, m[2])
		}
		for _, tt := range []struct {
			front, back string
			least       float64
		}{
			{"ink", "panel", 4.5}, {"ink", "ground", 4.5}, {"soft", "panel", 4.5}, {"soft", "ground", 4.5}, {"allowed", "panel", 4.5}, {"allowed", "ground", 4.5}, {"denied", "panel", 4.5},
			{"good", "panel", 4.5}, {"warn", "panel", 4.5}, {"on-press", "press", 4.5}, {"panel", "denied", 4.5}, {"ink", "allowed-area", 4.5}, {"soft", "allowed-area", 4.5}, {"denied", "ground", 4.5},
			{"field", "panel", 3}, {"focus", "panel", 3}, {"focus", "ground", 3}, {"allowed", "rule", 3}, {"denied", "rule", 3},
		} {
			front, back := colour[tt.front], colour[tt.back]
			if front == 0 && back == 0 {
				t.Fatalf("there is no --%s or --%s", tt.front, tt.back)
			}
			if got := (max(front, back) + 0.05) / (min(front, back) + 0.05); got < tt.least {
				t.Errorf("scheme %d: %s on %s has a contrast of %.2f, want %v", i, tt.front, tt.back, got, tt.least)
			}
		}
	}
}

// luminance is the relative luminance of a colour: WCAG 2.2.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	linear := func(v uint64) float64 {
		c := float64(v&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(n>>16) + 0.7152*linear(n>>8) + 0.0722*linear(n)
}

func TestHandler(t *testing.T) {
	t.Parallel()
	h := page.Handler()
	ask := func(method, path, match string) *http.Response {
		r := httptest.NewRequest(method, path, nil)
		if match != "" {
			r.Header.Set("If-None-Match", match)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result()
	}
	for _, tt := range []struct {
		method, path string
		status       int
		kind         string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8"},
		{"HEAD", "/", 200, "text/html; charset=utf-8"},
		{"GET", "/page.js", 200, "text/javascript; charset=utf-8"},
		{"GET", "/page.css", 200, "text/css; charset=utf-8"},
		{"GET", "/icon.svg", 200, "image/svg+xml"},
		{"POST", "/", 405, "text/plain; charset=utf-8"},
		{"GET", "/index.html", 404, "text/plain; charset=utf-8"},
		{"GET", "/files/page.js", 404, "text/plain; charset=utf-8"},
		{"GET", "/../page.go", 404, "text/plain; charset=utf-8"},
		{"GET", "/page.go", 404, "text/plain; charset=utf-8"},
		{"GET", "//", 404, "text/plain; charset=utf-8"},
	} {
		got := ask(tt.method, tt.path, "")
		if got.StatusCode != tt.status || got.Header.Get("Content-Type") != tt.kind {
			t.Errorf("%s %s: %s %s, want %d %s", tt.method, tt.path, got.Status, got.Header.Get("Content-Type"), tt.status, tt.kind)
		}
		if got.Header.Get("Content-Security-Policy") != page.Policy || got.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: fields %v", tt.method, tt.path, got.Header)
		}
		body, err := io.ReadAll(got.Body)
		if err != nil || (tt.method == "HEAD") != (len(body) == 0) {
			t.Errorf("%s %s: %d bytes, %v", tt.method, tt.path, len(body), err)
		}
		if tt.status == 200 {
			if again := ask(tt.method, tt.path, got.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
				t.Errorf("%s %s again: %s", tt.method, tt.path, again.Status)
			}
		}
	}
	if strings.Contains(page.Policy, "unsafe") || !strings.HasPrefix(page.Policy, "default-src 'none'; ") {
		t.Errorf("the policy is %s", page.Policy)
	}
}

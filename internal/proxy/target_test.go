package proxy_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/proxy"
)

const want = "want a URL such as http://127.0.0.1:3000"

func TestParseTarget(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"http://127.0.0.1:3000", "https://api.example.com", "http://[::1]:80/base/", "HTTP://localhost", "http://a:65535/x%20y",
	} {
		if u, err := proxy.ParseTarget(text); err != nil || u.Host == "" {
			t.Errorf("ParseTarget(%q) = %v, %v", text, u, err)
		}
	}
	for text, message := range map[string]string{
		"":                        "it is empty: " + want,
		"127.0.0.1:3000":          "it has no scheme: " + want + `; did you mean "http://127.0.0.1:3000"?`,
		"localhost":               "it has no scheme: " + want + `; did you mean "http://localhost"?`,
		"a b":                     "it has no scheme: " + want,
		"user:secret@host":        "it has no scheme: " + want,
		"/tmp/app.sock":           "it has no scheme: " + want,
		"ftp://a":                 `scheme "ftp": want http or https, such as http://127.0.0.1:3000`,
		"unix:///tmp/app.sock":    `scheme "unix": want http or https, such as http://127.0.0.1:3000`,
		"http://":                 "it has no host: " + want,
		"http:///path":            "it has no host: " + want,
		"http://:3000":            "it has no host: " + want,
		"http://user:secret@host": "it holds a user or password, which would not be sent: " + want,
		"http://a?b=c":            "it has a query or a fragment: want at most a path, such as http://127.0.0.1:3000/api",
		"http://a?":               "it has a query or a fragment: want at most a path, such as http://127.0.0.1:3000/api",
		"http://a#b":              "it has a query or a fragment: want at most a path, such as http://127.0.0.1:3000/api",
		"http://[::%25\xc7]":      "the host is not ASCII (xn-- spells other names): " + want,
		"http://bücher.example":   "the host is not ASCII (xn-- spells other names): " + want,
		"http://a:0":              `port "0": want 1 to 65535`,
		"http://a:65536":          `port "65536": want 1 to 65535`,
		"http://a:":               `port "": want 1 to 65535, or no colon`,
		"http://a:x":              `it is not a URL (invalid port ":x" after host): ` + want,
		"http://a\r\nb":           "it is not a URL (net/url: invalid control character in URL): " + want,
		"http://[::1":             "it is not a URL (missing ']' in host): " + want,
		"http://a/%zz":            `it is not a URL (invalid URL escape "%zz"): ` + want,
		"://a":                    "it is not a URL (missing protocol scheme): " + want,
	} {
		if u, err := proxy.ParseTarget(text); err == nil || err.Error() != message {
			t.Errorf("ParseTarget(%q) = %v, %v\nwant %s", text, u, err, message)
		}
	}
}

// FuzzParseTarget holds that what is taken can be proxied to, and that an error
// is one line.
func FuzzParseTarget(f *testing.F) {
	for _, text := range []string{"http://127.0.0.1:3000", "https://a/b", "http://[::1%25eth0]:1/", "http://a:x", "localhost:1", "http://u:p@h"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := proxy.ParseTarget(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("the error is not one line: %q", err)
			}
			return
		}
		if _, err := http.NewRequest("GET", u.String(), nil); err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" {
			t.Errorf("ParseTarget(%q) = %v (%#v), %v", text, u, u, err)
		}
	})
}

func ExampleParseTarget() {
	_, err := proxy.ParseTarget("localhost:3000")
	fmt.Println(err)
	// Output: it has no scheme: want a URL such as http://127.0.0.1:3000; did you mean "http://localhost:3000"?
}

func ExampleNew() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.URL.Path, r.Host, r.Header.Get("X-Forwarded-For"))
	}))
	defer api.Close()
	to, err := proxy.ParseTarget(api.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := proxy.New(proxy.Config{To: to})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.CloseIdle()
	p.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "http://shop.example/cart", nil))
	// Output: /cart shop.example 192.0.2.1
}

package httpmw_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

const (
	jsonType  = "application/problem+json"
	htmlType  = "text/html; charset=utf-8"
	plainType = "text/plain; charset=utf-8"
)

// A refusal has the form that the client prefers.
func TestAccept(t *testing.T) {
	t.Parallel()
	s := exhausted(t, httpmw.Config{})
	for _, row := range []struct {
		why    string
		accept []string
		form   string
	}{
		{"none", nil, jsonType},
		{"empty", []string{""}, jsonType},
		{"anything", []string{"*/*"}, jsonType},
		{"problem documents", []string{"application/problem+json"}, jsonType},
		{"JSON is as good", []string{"application/json"}, jsonType},
		{"JSON first, and text at a lower quality", []string{"application/json, text/plain;q=0.9, */*;q=0.1"}, jsonType},
		{"as good as each other", []string{"text/plain, text/html, application/json"}, jsonType},
		{"axios", []string{"application/json, text/plain, */*"}, jsonType},
		{"Chrome", []string{"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"}, htmlType},
		{"Firefox", []string{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, htmlType},
		{"HTML", []string{"text/html"}, htmlType},
		{"in any case", []string{"Text/HTML"}, htmlType},
		{"plain text", []string{"text/plain"}, plainType},
		{"any text", []string{"text/*"}, htmlType},
		{"text before JSON by quality", []string{"application/json;q=0.5, text/plain;q=0.51"}, plainType},
		{"three decimals", []string{"application/json;q=0.998, text/plain;q=0.999"}, plainType},
		{"Q in upper case", []string{"application/json;Q=0.5, text/plain"}, plainType},
		{"spaces", []string{" application/json ; q=0.5 ,\ttext/plain ; q=0.6 "}, plainType},
		{"other parameters", []string{"text/html;level=1;q=0.4, text/plain;q=0.5"}, plainType},
		{"the more specific range counts: not HTML", []string{"text/html;q=0, text/*, */*;q=0.1"}, plainType},
		{"the more specific range counts: not JSON", []string{"*/*, application/json;q=0.1, text/html;q=0.2"}, plainType},
		{"and in any order", []string{"text/*;q=0.3, */*;q=0.1, text/html;q=0"}, plainType},
		{"several lines are one list", []string{"application/json;q=0.1", "text/html"}, htmlType},
		{"none of them", []string{"image/png"}, jsonType},
		{"nothing at all", []string{"*/*;q=0"}, jsonType},
		{"0 is not wanted", []string{"text/html;q=0"}, jsonType},
		{"0.000 is not wanted", []string{"text/html;q=0.000"}, jsonType},
		{"1. is 1", []string{"text/html;q=1., */*;q=0.9"}, htmlType},
		{"a quality above 1 is none", []string{"text/html;q=1.1"}, jsonType},
		{"a quality of 2 is none", []string{"text/html;q=2"}, jsonType},
		{"a negative quality is none", []string{"text/html;q=-1"}, jsonType},
		{"an empty quality is none", []string{"text/html;q="}, jsonType},
		{"too many decimals are none", []string{"text/html;q=0.9999"}, jsonType},
		{"nor is what comes after 9", []string{"text/html;q=0.:"}, jsonType},
		{"letters are no decimals", []string{"text/html;q=0.9e1"}, jsonType},
		{"a comma too many", []string{",,text/html,"}, htmlType},
		{"half a type", []string{"text, html, /"}, jsonType},
		{"the 32nd range counts", []string{strings.Repeat("image/png,", 31) + "text/html"}, htmlType},
		{"the 33rd does not", []string{strings.Repeat("image/png,", 32) + "text/html"}, jsonType},
		{"the first KiB of a line counts", []string{"text/html" + strings.Repeat(" ", 2000)}, htmlType},
		{"and no more", []string{strings.Repeat(" ", 1024) + "text/html"}, jsonType},
	} {
		w := get(t, s, func(r *http.Request) {
			if row.accept != nil {
				r.Header["Accept"] = row.accept
			}
		})
		if want(t, w, 429, "Content-Type", row.form, "X-Content-Type-Options", "nosniff", "Cache-Control", "no-store",
			"Content-Length", strconv.Itoa(w.Body.Len())); t.Failed() {
			t.Fatalf("%s: %q", row.why, row.accept)
		}
	}
}

// Each form says what happened, for how long and to which limit; none says who
// asked.
func TestAccept_bodies(t *testing.T) {
	t.Parallel()
	const waits, never, shared = "The quota is used up. Try again in 1800 seconds.",
		"This request asks for more than the quota ever has. It will not be served later either.",
		"The server has reached a limit that all clients share. Try again in 1800 seconds."
	for _, row := range []struct {
		retry  time.Duration
		key    httpmw.Key
		status int
		accept string
		body   string
	}{
		{1800 * second, httpmw.ByIP(), 429, "text/plain", "Quota Exceeded.\n" + waits + "\nLimit: a&b\n"},
		{bucket.Never, httpmw.ByIP(), 429, "text/plain", "Quota Exceeded.\n" + never + "\nLimit: a&b\n"},
		{1800 * second, httpmw.Global(), 503, "text/plain", "Temporary Reduced Capacity.\n" + shared + "\nLimit: a&b\n"},
		{second, httpmw.ByIP(), 429, "text/plain", "Quota Exceeded.\nThe quota is used up. Try again in 1 second.\nLimit: a&b\n"},
		{1800 * second, httpmw.ByIP(), 429, "text/html", `<!doctype html><html lang="en"><meta charset="utf-8"><title>Quota Exceeded</title>` +
			"<h1>Quota Exceeded</h1><p>" + waits + "</p><p>Limit: a&amp;b</p></html>\n"},
		{1800 * second, httpmw.ByIP(), 429, "", `{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded",` +
			`"title":"Quota Exceeded","status":429,"detail":"` + waits + `","violated-policies":["a&b"]}`},
	} {
		l := scripted{names: []string{"a&b"}, decisions: []bucket.Decision{{Limit: bucket.PerHour(2), RetryAfter: row.retry}}}
		s := limit(t, l, httpmw.Config{Keys: map[string]httpmw.Key{"a&b": row.key}})
		w := get(t, s, field("Accept", row.accept))
		if w.Code != row.status || w.Body.String() != row.body {
			t.Errorf("%d %s\nwant %d %s", w.Code, w.Body, row.status, row.body)
		}
		head := get(t, s, field("Accept", row.accept), func(r *http.Request) { r.Method = http.MethodHead })
		if fmt.Sprint(head.Header()) != fmt.Sprint(w.Header()) || head.Body.Len() != 0 {
			t.Errorf("HEAD: %v with %d bytes\nGET: %v", head.Header(), head.Body.Len(), w.Header())
		}
	}

	// What could not be counted is told in the same forms.
	s := limit(t, defaultLimiter(), httpmw.Config{Cost: func(*http.Request) int { panic("x") }})
	for accept, form := range map[string]string{"": jsonType, "text/html": htmlType, "text/plain": plainType} {
		w := get(t, s, field("Accept", accept))
		want(t, w, 503, "Content-Type", form, "Content-Length", strconv.Itoa(w.Body.Len()))
		if !strings.Contains(w.Body.String(), "The server cannot count this request against its quota.") {
			t.Errorf("%q: %s", accept, w.Body)
		}
	}
}

// However many policies with however long names refuse, the body is short, and
// whole.
func TestCheck_31_bodies_are_short(t *testing.T) {
	t.Parallel()
	for _, length := range []int{1, 8, 63, 64} {
		l := scripted{}
		for i := range 40 {
			name := fmt.Sprintf("p%02d&", i) + strings.Repeat("&", 64)
			l.names = append(l.names, name[:max(length, 3)])
			l.decisions = append(l.decisions, bucket.Decision{Limit: bucket.PerDay(1), RetryAfter: 1<<63 - 2})
		}
		keys := byIP(l)
		global := map[string]httpmw.Key{}
		for name := range keys {
			global[name] = httpmw.Global()
		}
		for _, keys := range []map[string]httpmw.Key{keys, global} {
			s := limit(t, l, httpmw.Config{Keys: keys})
			for _, accept := range []string{"", "text/html", "text/plain"} {
				w := get(t, s, field("Accept", accept))
				body := w.Body.String()
				if len(body) > 512 || !utf8.ValidString(body) || strings.Contains(body, "p00") != strings.Contains(body, "Limit: ") && accept != "" {
					t.Errorf("%q, names of %d: %d bytes: %s", accept, length, len(body), body)
				}
				switch accept {
				case "text/html":
					if !strings.HasSuffix(body, "</p></html>\n") {
						t.Errorf("body %s", body)
					}
				case "":
					names := decode(t, w.Body.Bytes()).Violated
					if len(names) == 0 || !slices.Equal(names, l.names[:len(names)]) {
						t.Errorf("policies %q, want the first of %q", names, l.names)
					}
				}
			}
		}
	}
}

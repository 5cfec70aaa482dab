package httpmw_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/httpmw"
)

// FuzzKeys holds keys against a description of the identity: the same key if
// and only if the same description.
func FuzzKeys(f *testing.F) {
	f.Add(byte(4), "a", "bc", byte(4), "ab", "c")
	f.Add(byte(0), "1.2.3.4", "", byte(1), "1.2.3.4", "")
	f.Add(byte(1), "", "", byte(2), "", "")
	f.Add(byte(5), "Bearer a", "x", byte(5), "bearer a", "x")
	f.Add(byte(3), "/a/", "", byte(3), "/a", "")
	f.Add(byte(7), strings.Repeat("x", 64), "", byte(7), strings.Repeat("x", 65), "")
	f.Add(byte(8), "f\x01a", "b", byte(8), "f", "\x01ab")
	user := httpmw.Func(func(r *http.Request) string { return r.Header.Get("F1") })
	group := httpmw.Func(func(r *http.Request) string { return r.Header.Get("F2") })
	header, auth := httpmw.Header("F1"), httpmw.Header("Authorization")
	const missing = "missing, of 192.0.2.1"
	or := func(kind, v string) string {
		if v == "" {
			return missing
		}
		return kind + " " + v
	}
	kinds := []struct {
		key httpmw.Key
		say func(a, b string) []string
	}{
		{user, func(a, _ string) []string { return []string{or("func", a)} }},
		{header, func(a, _ string) []string { return []string{or("header", strings.Trim(a, " \t\r\n"))} }},
		{httpmw.ByIP(), func(_, _ string) []string { return []string{"192.0.2.1"} }},
		{httpmw.Path(), func(a, _ string) []string { return []string{"path " + canonical(a)} }},
		{httpmw.Join(user, group), func(a, b string) []string { return []string{"join", or("func", a), or("func", b)} }},
		{httpmw.Join(auth, group), func(a, b string) []string {
			a = strings.Trim(a, " \t\r\n")
			if scheme, rest, ok := strings.Cut(a, " "); ok {
				a = lower(scheme) + " " + strings.TrimLeft(rest, " ")
			}
			return []string{"join", or("auth", a), or("func", b)}
		}},
		{httpmw.Global(), func(_, _ string) []string { return []string{"global"} }},
		{group, func(_, b string) []string { return []string{or("func", b)} }},
		{httpmw.Join(httpmw.Path(), httpmw.Global(), user, header), func(a, _ string) []string {
			return []string{"join", "path " + canonical(a), "global", or("func", a), or("header", strings.Trim(a, " \t\r\n"))}
		}},
	}
	f.Fuzz(func(t *testing.T, kind1 byte, a1, b1 string, kind2 byte, a2, b2 string) {
		of := func(kind byte, a, b string) (key, description string) {
			k := kinds[int(kind)%len(kinds)]
			key = encoded(t, k.key, func(r *http.Request) {
				r.Header["F1"], r.Header["F2"], r.Header["Authorization"] = []string{a}, []string{b}, []string{a}
				r.URL.Path = a
			})
			return key, fmt.Sprintf("%q", k.say(a, b))
		}
		key1, is1 := of(kind1, a1, b1)
		key2, is2 := of(kind2, a2, b2)
		if (key1 == key2) != (is1 == is2) {
			t.Errorf("%s has key %q\n%s has key %q", is1, key1, is2, key2)
		}
	})
}

// lower is ASCII lower case, of any bytes.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

// canonical is the path of the segments that count.
func canonical(p string) string {
	var out []string
	for _, segment := range strings.Split(p, "/") {
		switch segment {
		case "", ".":
		case "..":
			out = out[:max(0, len(out)-1)]
		default:
			out = append(out, segment)
		}
	}
	return "/" + strings.Join(out, "/")
}

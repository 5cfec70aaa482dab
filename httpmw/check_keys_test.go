package httpmw_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// apiKey is the key of an X-Api-Key header.
var apiKey = httpmw.Header("x-api-key")

// encoded returns the key of a request as the limiter is given it.
func encoded(t testing.TB, k httpmw.Key, edit ...func(*http.Request)) string {
	t.Helper()
	l := defaultLimiter()
	get(t, limit(t, l, httpmw.Config{Keys: map[string]httpmw.Key{"default": k}}), edit...)
	return l.lastKey()
}

func cookies(line string) func(*http.Request) { return field("Cookie", line) }

func path(p string) func(*http.Request) {
	return func(r *http.Request) {
		u, err := url.ParseRequestURI(p)
		if err != nil {
			panic(err)
		}
		r.URL = u
	}
}

// always returns a function that says the same of each request.
func always(v string) httpmw.Key {
	return httpmw.Func(func(*http.Request) string { return v })
}

func TestCheck_keys(t *testing.T) {
	t.Parallel()

	t.Run("64_a_credential_is_nowhere", func(t *testing.T) {
		t.Parallel()
		const secret = "sk_live_abc"
		l := newPerKey(policy{name: "a", limit: bucket.PerDay(1)}, policy{name: "b", limit: bucket.PerDay(1)})
		s := limit(t, l, httpmw.Config{Keys: map[string]httpmw.Key{
			"a": apiKey, "b": httpmw.Join(httpmw.Cookie("sid"), httpmw.Header("Authorization")),
		}})
		var out strings.Builder
		for range 2 {
			w := get(t, s, field("X-Api-Key", secret), cookies("sid="+secret), field("Authorization", "Bearer "+secret))
			fmt.Fprint(&out, w.Code, w.Header(), w.Body)
		}
		fmt.Fprintf(&out, "%+v %q %s", s.Middleware, l.seen, s.log.text())
		if !strings.Contains(out.String(), "429") || strings.Contains(out.String(), secret) {
			t.Errorf("the credential is in %s", out.String())
		}
		// A hash with nothing secret in it must be of all the credential, and of
		// nothing that a process makes up, or limits would not outlive a restart.
		sum := sha256.New()
		sum.Write([]byte("h\x00X-Api-Key\x00"))
		binary.Write(sum, binary.BigEndian, uint64(len(secret)))
		sum.Write([]byte(secret))
		if got, want := l.seen[0][0], "h"+string(sum.Sum(nil)[:16]); got != want {
			t.Errorf("key %x, want %x", got, want)
		}
	})

	t.Run("65_different_identities_have_different_keys", func(t *testing.T) {
		t.Parallel()
		long := strings.Repeat("x", 65)
		ip := from("1.2.3.4:1")
		seen := map[string]string{}
		for _, row := range []struct {
			why  string
			key  httpmw.Key
			edit []func(*http.Request)
		}{
			{"a, bc", httpmw.Join(always("a"), always("bc")), nil},
			{"ab, c", httpmw.Join(always("ab"), always("c")), nil},
			{"abc", always("abc"), nil},
			{"join of abc", httpmw.Join(always("abc")), nil},
			{"bc, a", httpmw.Join(always("bc"), always("a")), nil},
			{"header a, func bc", httpmw.Join(apiKey, always("bc")), []func(*http.Request){field("X-Api-Key", "a")}},
			{"address", httpmw.ByIP(), []func(*http.Request){ip}},
			{"func of an address", always("1.2.3.4"), nil},
			{"func of an encoded address", always("4\x01\x02\x03\x04"), nil},
			{"header of an address", apiKey, []func(*http.Request){field("X-Api-Key", "1.2.3.4")}},
			{"other header of an address", httpmw.Header("X-Other"), []func(*http.Request){field("X-Other", "1.2.3.4")}},
			{"cookie of an address", httpmw.Cookie("X-Api-Key"), []func(*http.Request){cookies("X-Api-Key=1.2.3.4")}},
			{"cookie, in another case", httpmw.Cookie("x-api-key"), []func(*http.Request){cookies("x-api-key=1.2.3.4")}},
			{"no header", apiKey, []func(*http.Request){ip}},
			{"path of an address", httpmw.Path(), []func(*http.Request){path("/1.2.3.4")}},
			{"func of that path", always("/1.2.3.4"), nil},
			{"global", httpmw.Global(), nil},
			{"func of the tag of global", always("g"), nil},
			{"no peer", httpmw.ByIP(), []func(*http.Request){from("@")}},
			{"no header, no peer", apiKey, []func(*http.Request){from("@")}},
			{"long func", always(long), nil},
			{"other long func", always(long + "x"), nil},
			{"long path", httpmw.Path(), []func(*http.Request){path("/" + long)}},
			{"func of that long path", always("/" + long), nil},
			{"header with a long value", apiKey, []func(*http.Request){field("X-Api-Key", long)}},
		} {
			k := encoded(t, row.key, row.edit...)
			if k == "" {
				t.Errorf("%s has an empty key", row.why)
			}
			if other, ok := seen[k]; ok {
				t.Errorf("%s and %s have the same key %q", other, row.why, k)
			}
			seen[k] = row.why
		}
	})

	t.Run("66_long_values", func(t *testing.T) {
		t.Parallel()
		long := strings.Repeat("k", 60_000)
		for _, row := range []struct {
			why  string
			key  httpmw.Key
			edit func(string) func(*http.Request)
		}{
			{"header", apiKey, func(v string) func(*http.Request) { return field("X-Api-Key", v) }},
			{"authorization", httpmw.Header("Authorization"), func(v string) func(*http.Request) { return field("Authorization", "Bearer "+v) }},
			{"cookie", httpmw.Cookie("sid"), func(v string) func(*http.Request) { return cookies("sid=" + v) }},
			{"path", httpmw.Path(), func(v string) func(*http.Request) { return path("/" + v) }},
			{"func", httpmw.Func(func(r *http.Request) string { return r.Header.Get("X-User") }),
				func(v string) func(*http.Request) { return field("X-User", v) }},
		} {
			a, b := encoded(t, row.key, row.edit(long+"a")), encoded(t, row.key, row.edit(long+"b"))
			if a == b || len(a) != 17 || len(b) != 17 {
				t.Errorf("%s: keys %x and %x, want two of 17 bytes", row.why, a, b)
			}
		}
		if k := encoded(t, always(long[:64])); k != "f\x40"+long[:64] {
			t.Errorf("64 bytes have key %q, want them as they are", k)
		}
	})

	t.Run("67_missing_is_limited_by_address", func(t *testing.T) {
		t.Parallel()
		user := httpmw.Func(func(r *http.Request) string { return r.Header.Get("X-User") })
		for _, row := range []struct {
			why  string
			key  httpmw.Key
			edit func(*http.Request)
		}{
			{"no header", apiKey, func(*http.Request) {}},
			{"no lines of a header", apiKey, field("X-Api-Key")},
			{"empty header", apiKey, field("X-Api-Key", "")},
			{"blank header", apiKey, field("X-Api-Key", " \t ")},
			{"header twice", apiKey, field("X-Api-Key", "a", "b")},
			{"no cookie", httpmw.Cookie("sid"), cookies("other=1")},
			{"empty cookie", httpmw.Cookie("sid"), cookies("sid=")},
			{"quoted empty cookie in escapes", httpmw.Cookie("sid"), cookies("sid=%22%22")},
			{"quoted empty cookie", httpmw.Cookie("sid"), cookies(`sid=""`)},
			{"cookie without a value", httpmw.Cookie("sid"), cookies("sid")},
			{"cookie of bytes that none may have", httpmw.Cookie("sid"), cookies("sid=\x01")},
			{"cookie twice", httpmw.Cookie("sid"), cookies("sid=a; sid=b")},
			{"cookie among too many", httpmw.Cookie("sid"), cookies("sid=a;" + strings.Repeat("x=y;", 5000))},
			{"func of nothing", user, func(*http.Request) {}},
			{"blank authorization", httpmw.Header("Authorization"), field("Authorization", " ")},
		} {
			t.Run(row.why, func(t *testing.T) {
				t.Parallel()
				a1, a2 := encoded(t, row.key, row.edit, from("192.0.2.1:1")), encoded(t, row.key, row.edit, from("192.0.2.1:2"))
				b := encoded(t, row.key, row.edit, from("192.0.2.2:1"))
				if a1 != a2 || a1 == b {
					t.Errorf("keys %q, %q and %q, want one for each address", a1, a2, b)
				}
				joined := httpmw.Join(httpmw.Path(), row.key)
				a, b := encoded(t, joined, row.edit, from("192.0.2.1:1")), encoded(t, joined, row.edit, from("192.0.2.2:1"))
				other := encoded(t, joined, row.edit, from("192.0.2.1:1"), path("/other"))
				if a == b || a == other {
					t.Errorf("keys %q, %q and %q, want one for each address and path", a, b, other)
				}
			})
		}
	})
}

// Spellings of one identity are one identity: otherwise each is a fresh bucket.
func TestSpellings(t *testing.T) {
	t.Parallel()
	auth := httpmw.Header("authorization")
	for _, row := range []struct {
		why  string
		key  httpmw.Key
		one  func(*http.Request)
		same []func(*http.Request)
		not  []func(*http.Request)
	}{
		{
			"authorization", auth, field("Authorization", "Bearer aB"),
			[]func(*http.Request){field("Authorization", "bearer aB"), field("Authorization", "BEARER   aB"), field("Authorization", " Bearer aB "),
				field("Authorization", "Bearer\taB"), field("Authorization", "Bearer \taB"), field("Authorization", "Bearer\t \t aB\t")},
			[]func(*http.Request){field("Authorization", "Bearer ab"), field("Authorization", "Basic aB"),
				field("Authorization", "aB"), field("Authorization", "BeareraB")},
		},
		{
			"authorization of several words", auth, field("Authorization", "Token k=a, x=B"),
			[]func(*http.Request){field("Authorization", "token\tk=a,\t x=B"), field("Authorization", "Token k=a,  x=B")},
			[]func(*http.Request){field("Authorization", "Token k=a,x=B"), field("Authorization", "Token k=a, x=b"), field("Authorization", "Token k=a,")},
		},
		{
			"bearer", httpmw.Bearer(), field("Authorization", "Bearer aB"),
			[]func(*http.Request){field("Authorization", "Bearer\taB"), field("Authorization", "bearer \t aB")},
			[]func(*http.Request){field("Authorization", "Bearer ab")},
		},
		{
			"cookie with escapes", httpmw.Cookie("sid"), cookies("sid=abc"),
			[]func(*http.Request){cookies("sid=%61bc"), cookies("sid=a%62%63"), cookies(`sid="a%62c"`), cookies("sid=%22abc%22")},
			[]func(*http.Request){cookies("sid=%2561bc"), cookies("sid=%zzabc"), cookies("sid=abc%")},
		},
		{
			"cookie that does not decode", httpmw.Cookie("sid"), cookies("sid=100%"),
			[]func(*http.Request){cookies(`sid="100%"`)},
			[]func(*http.Request){cookies("sid=100"), cookies("sid=%3100%")},
		},
		{
			"other headers are taken as they are", apiKey, field("X-Api-Key", "Bearer aB"),
			[]func(*http.Request){field("X-Api-Key", "Bearer aB "), field("X-Api-Key", "\t Bearer aB \t")},
			[]func(*http.Request){field("X-Api-Key", "bearer aB"), field("X-Api-Key", "Bearer  aB")},
		},
		{
			"cookie", httpmw.Cookie("sid"), cookies("sid=abc"),
			[]func(*http.Request){cookies(`sid="abc"`), cookies("a=b; sid=abc"), cookies(" sid=abc ;x"), field("Cookie", "a=b", "sid=abc")},
			[]func(*http.Request){cookies("sid=abd"), cookies("SID=abc"), cookies("sid=ABC")},
		},
		{
			"path", httpmw.Path(), path("/a/login"),
			[]func(*http.Request){path("/a/login/"), path("/a//login"), path("//a/login"), path("/a/./login"), path("/a/b/../login"),
				path("/a/%6cogin"), path("/a%2flogin"), path("/a%2Flogin"), path("/../a/login"), path("/a/login/."),
				path("/a/login?x=y"), path("/a/login?"), path("/%61/l%6Fgin//"), path("/a/login/x/.."), path("http://h/a/login"),
				path("/a/login;1"), path("/a/login;2"), path("/a;x/login;/"), path("/a/login%3b1"), path(`/a\login`), path(`/a/0\..\login`),
				path("/a/0%5c..%5clogin"), path("/a/x/..;y/login")},
			[]func(*http.Request){path("/a/Login"), path("/a/login/x"), path("/login"), path("/a%252flogin")},
		},
		{
			"root", httpmw.Path(), path("/"),
			[]func(*http.Request){path("//"), path("/."), path("/.."), path("http://host"), func(r *http.Request) { r.URL.Path = "" }},
			[]func(*http.Request){path("/a")},
		},
		{
			"a join that is nested is flat", httpmw.Join(httpmw.Join(httpmw.Path(), apiKey), httpmw.ByIP()), field("X-Api-Key", "a"),
			[]func(*http.Request){field("x-api-key", "a")},
			[]func(*http.Request){field("X-Api-Key", "b"), from("192.0.2.9:1")},
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			one := encoded(t, row.key, row.one)
			for i, edit := range row.same {
				if got := encoded(t, row.key, edit); got != one {
					t.Errorf("same %d: key %q, want %q", i, got, one)
				}
			}
			for i, edit := range row.not {
				if got := encoded(t, row.key, edit); got == one {
					t.Errorf("not %d: the same key %q", i, got)
				}
			}
		})
	}
}

// A limiter keeps keys: they must not change when the next request comes.
func TestKeysAreNotReused(t *testing.T) {
	t.Parallel()
	l := defaultLimiter()
	s := limit(t, l, httpmw.Config{Keys: map[string]httpmw.Key{"default": httpmw.Path()}})
	for i := range 100 {
		get(t, s, path(fmt.Sprintf("/%02d", i)))
	}
	for i, keys := range l.seen {
		if want := fmt.Sprintf("p\x03/%02d", i); keys[0] != want {
			t.Errorf("key %d is %q, want %q", i, keys[0], want)
		}
	}
}

func TestNew_errors(t *testing.T) {
	t.Parallel()
	l := newPerKey(policy{name: "ip", limit: bucket.PerSecond(1)}, policy{name: "user", limit: bucket.PerSecond(1)})
	keys := func(user httpmw.Key) map[string]httpmw.Key {
		return map[string]httpmw.Key{"ip": httpmw.ByIP(), "user": user}
	}
	many := make([]httpmw.Key, 17)
	for i := range many {
		many[i] = httpmw.ByIP()
	}
	for _, row := range []struct {
		why  string
		l    httpmw.Limiter
		keys map[string]httpmw.Key
		text []string // in the error; none for no error
	}{
		{"good", l, keys(httpmw.Global()), nil},
		{"no limiter", nil, nil, []string{"limiter is nil"}},
		{"no keys", l, nil, []string{`no key for policy "ip"`, `"ip", "user"`}},
		{"one missing", l, map[string]httpmw.Key{"ip": httpmw.ByIP()}, []string{`no key for policy "user"`, `"ip", "user"`}},
		{"one unknown", l, map[string]httpmw.Key{"ip": httpmw.ByIP(), "usr": httpmw.ByIP()}, []string{`"usr"`, `"ip", "user"`}},
		{"zero", l, keys(httpmw.Key{}), []string{`policy "user"`, "zero Key", "ByIP"}},
		{"header without a name", l, keys(httpmw.Header("")), []string{`policy "user"`, `header name ""`}},
		{"header that is none", l, keys(httpmw.Header("a b\n")), []string{`policy "user"`, `header name "a b\n"`}},
		{"host", l, keys(httpmw.Header("host")), []string{`"Host"`, "Func"}},
		{"cookie that is none", l, keys(httpmw.Cookie("a=b")), []string{`cookie name "a=b"`}},
		{"no func", l, keys(httpmw.Func(nil)), []string{"nil"}},
		{"empty join", l, keys(httpmw.Join()), []string{"Join of 0 keys: want 1 to 16"}},
		{"empty join in a join", l, keys(httpmw.Join(httpmw.ByIP(), httpmw.Join())), []string{"part 2 of Join", "Join of 0 keys"}},
		{"16 parts", l, keys(httpmw.Join(many[:16]...)), nil},
		{"17 parts", l, keys(httpmw.Join(many...)), []string{"Join of 17 keys: want 1 to 16"}},
		{"17 parts in joins", l, keys(httpmw.Join(httpmw.Join(many[:9]...), httpmw.Join(many[9:]...))), []string{"Join of 17 keys"}},
		{"bad part", l, keys(httpmw.Join(httpmw.ByIP(), httpmw.Func(nil))), []string{"part 2 of Join", "nil"}},
		{"a long name is cut", l, keys(httpmw.Header(strings.Repeat("ä", 1000))), []string{"…"}},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			_, err := httpmw.New(row.l, httpmw.Config{Keys: row.keys})
			if len(row.text) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			for _, text := range row.text {
				if !strings.Contains(err.Error(), text) || len(err.Error()) > 400 {
					t.Errorf("error %q, want %q in it", err, text)
				}
			}
		})
	}
}

func TestHandler_nil(t *testing.T) {
	t.Parallel()
	s := limit(t, defaultLimiter(), httpmw.Config{})
	defer func() {
		if recover() == nil {
			t.Error("no panic: the mistake would show with the first request only")
		}
	}()
	s.Middleware.Handler(nil)
}

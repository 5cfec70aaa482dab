package replay

import (
	"hash/maphash"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/policy"
)

// keys is a limiter that keeps the keys that it is asked about.
type keys struct{ last string }

func (k *keys) Names() []string { return []string{"k"} }

func (k *keys) DecideEach(_ []bucket.Decision, _ []int, keys ...string) bool {
	k.last = keys[0]
	return true
}

func (k *keys) PeekEach([]bucket.Decision, []int, ...string) bool { return true }

func (k *keys) Settle([]int, ...string) {}

// Two clients, or two paths, have one key here just if they have one in the
// middleware.
func TestKeysAreThoseOfTheMiddleware(t *testing.T) {
	t.Parallel()
	clients := []string{
		"192.0.2.1", "192.0.2.2", "::ffff:192.0.2.1", "[::ffff:192.0.2.1]", "192.0.2.1:5000",
		"2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "[2001:db8::1]:5000", "2001:db8::1%eth0", "2001:db8:1::1",
		"2002:c000:201:1::1", "2002:c000:201:2::1", "2002:c000:202::1", "::1", "127.0.0.1",
	}
	paths := []string{
		"/", "/a", "/a/", "//a", "/a?x", "/a?y/z", "/./a", "/b/../a", "/%61", "/a;v=1", "/A", "/a/b", `/a\b`, "/a%2fb", "/..a", "/a..", "/a.b", "/.a", "/a/b/",
		"http://example.org/a", "http://example.org", "/a%", "/%zz",
	}
	asked := &keys{}
	build := func(key httpmw.Key) http.Handler {
		m, err := httpmw.New(asked, httpmw.Config{Keys: map[string]httpmw.Key{"k": key}})
		if err != nil {
			t.Fatal(err)
		}
		return m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	}
	seed := maphash.MakeSeed()
	for _, tt := range []struct {
		key       string
		handler   http.Handler
		of        []string
		byAddress bool
	}{
		{"ip", build(httpmw.ByIP()), clients, true},
		{"ip/48", build(httpmw.ByNetwork(32, 48)), clients, true},
		{"user", build(httpmw.Func(func(*http.Request) string { return "" })), clients, true},
		{"path", build(httpmw.Path()), paths, false},
		{"ip+path", build(httpmw.Join(httpmw.ByIP(), httpmw.Path())), paths, false},
	} {
		p, err := policy.Parse(tt.key + " 1/s")
		if err != nil {
			t.Fatal(err)
		}
		k := &keyer{key: p.Key, bits: 64, seed: seed}
		theirs, ours := map[string]int{}, map[uint64]int{} // the first with each key
		for i, text := range tt.of {
			r := httptest.NewRequest("GET", "/", nil)
			client, target := "192.0.2.9", "/"
			if tt.byAddress {
				r.RemoteAddr, client = text, text
			} else {
				target = text
				u, err := url.ParseRequestURI(text)
				if err != nil {
					continue // which a server refuses
				}
				r.URL = u
			}
			tt.handler.ServeHTTP(httptest.NewRecorder(), r)
			hash := k.hash([]byte(client), nil, []byte(target))
			their, known := theirs[asked.last]
			our, ourKnown := ours[hash]
			if known != ourKnown || known && their != our {
				t.Errorf("%s: %q has the key of number %d (%v), in the middleware of number %d (%v)", tt.key, text, our, ourKnown, their, known)
			}
			if !known {
				theirs[asked.last] = i
			}
			if !ourKnown {
				ours[hash] = i
			}
		}
		if len(ours) < 4 {
			t.Errorf("%s: %d different keys: want more", tt.key, len(ours))
		}
	}
}

// A user counts as such, and is not an address of that spelling. Parts of keys
// do not run together.
func TestKeysOfUsers(t *testing.T) {
	t.Parallel()
	seed := maphash.MakeSeed()
	hash := func(key, client, user, path string) uint64 {
		p, err := policy.Parse(key + " 1/s")
		if err != nil {
			t.Fatal(err)
		}
		k := &keyer{key: p.Key, bits: 64, seed: seed}
		return k.hash([]byte(client), []byte(user), []byte(path))
	}
	for _, tt := range []struct {
		why        string
		key        string
		a, b       [3]string // client, user, path
		oneAndSame bool
	}{
		{"one user from two addresses", "user", [3]string{"192.0.2.1", "a", ""}, [3]string{"192.0.2.2", "a", ""}, true},
		{"two users from one address", "user", [3]string{"192.0.2.1", "a", ""}, [3]string{"192.0.2.1", "b", ""}, false},
		{"no user: by address", "user", [3]string{"192.0.2.1", "", ""}, [3]string{"192.0.2.2", "", ""}, false},
		{"a user that is called like an address", "user", [3]string{"x", "192.0.2.1", ""}, [3]string{"192.0.2.1", "", ""}, false},
		{"user and path run together", "user+path", [3]string{"x", "a", "/b/c"}, [3]string{"x", "a\x04/b", "/c"}, false},
		{"all", "global", [3]string{"x", "a", "/b"}, [3]string{"y", "b", "/c"}, true},
	} {
		got := hash(tt.key, tt.a[0], tt.a[1], tt.a[2]) == hash(tt.key, tt.b[0], tt.b[1], tt.b[2])
		if got != tt.oneAndSame {
			t.Errorf("%s: one key is %v", tt.why, got)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ key, client, user, path, want string }{
		{"ip", "192.0.2.1:80", "a", "/b", "192.0.2.1"},
		{"ip", "2001:db8::1", "", "", "2001:db8::/64"},
		{"ip/48", "2001:db8::1", "", "", "2001:db8::/48"},
		{"ip", "h-17", "", "", "h-17"},
		{"user", "192.0.2.1", "a", "", "a"},
		{"basic", "192.0.2.1", "", "", "192.0.2.1"},
		{"ip+path", "192.0.2.1", "", "/b//c?d", "192.0.2.1 + /b/c"},
		{"global", "x", "", "", "all"},
	} {
		p, err := policy.Parse(tt.key + " 1/s")
		if err != nil {
			t.Fatal(err)
		}
		k := &keyer{key: p.Key, bits: 64}
		if got := k.name([]byte(tt.client), []byte(tt.user), []byte(tt.path)); got != tt.want {
			t.Errorf("%s of %s: %q: want %q", tt.key, tt.client, got, tt.want)
		}
	}
}

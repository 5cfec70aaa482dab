package httpmw_test

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// textOf returns the text of the key of a request.
func textOf(t testing.TB, k httpmw.Key, ip httpmw.ClientIP, edit ...func(*http.Request)) string {
	t.Helper()
	l := defaultLimiter()
	s := limit(t, l, httpmw.Config{Keys: map[string]httpmw.Key{"default": k}, IP: ip, Preflight: httpmw.PreflightApart})
	get(t, s.Handler, edit...)
	return s.Middleware.KeyText(l.lastKey())
}

func TestKeyText(t *testing.T) {
	t.Parallel()
	wide, err := httpmw.NewClientIP(48)
	if err != nil {
		t.Fatal(err)
	}
	single, err := httpmw.NewClientIP(128)
	if err != nil {
		t.Fatal(err)
	}
	user := httpmw.Func(func(r *http.Request) string { return r.Header.Get("X-User") })
	for _, row := range []struct {
		why  string
		key  httpmw.Key
		ip   httpmw.ClientIP
		edit []func(*http.Request)
		want string
	}{
		{"IPv4", httpmw.ByIP(), httpmw.ClientIP{}, []func(*http.Request){from("203.0.113.7")}, "203.0.113.7"},
		{"IPv4 in IPv6 notation", httpmw.ByIP(), httpmw.ClientIP{}, []func(*http.Request){from("::ffff:203.0.113.7")}, "203.0.113.7"},
		{"IPv6, its network", httpmw.ByIP(), httpmw.ClientIP{}, []func(*http.Request){from("2001:db8:1:2:3::4")}, "2001:db8:1:2::/64"},
		{"IPv6, a wider network", httpmw.ByIP(), wide, []func(*http.Request){from("2001:db8:1:2:3::4")}, "2001:db8:1::/48"},
		{"IPv6, address by address", httpmw.ByIP(), single, []func(*http.Request){from("2001:db8:1:2:3::4")}, "2001:db8:1:2:3::4"},
		{"6to4 is a /48 at most", httpmw.ByIP(), httpmw.ClientIP{}, []func(*http.Request){from("2002:cb00:7107:5::1")}, "2002:cb00:7107::/48"},
		{"a network of IPv4", httpmw.ByNetwork(24, 48), httpmw.ClientIP{}, []func(*http.Request){from("203.0.113.7")}, "203.0.113.0/24"},
		{"a network of IPv6", httpmw.ByNetwork(24, 48), httpmw.ClientIP{}, []func(*http.Request){from("2001:db8:1:2::1")}, "2001:db8:1::/48"},
		{"no address", httpmw.ByIP(), httpmw.ClientIP{}, []func(*http.Request){func(r *http.Request) { r.RemoteAddr = "@" }}, "no address"},
		{"a value", user, httpmw.ClientIP{}, []func(*http.Request){field("X-User", "alice")}, `"alice"`},
		{"a value that a terminal would act on", user, httpmw.ClientIP{}, []func(*http.Request){field("X-User", "a\x1b[2J\u202e\"")}, `"a\x1b[2J\u202e\""`},
		{"no value", user, httpmw.ClientIP{}, []func(*http.Request){from("203.0.113.7")}, "none, from 203.0.113.7"},
		{"no value, shared", user.OrShared(), httpmw.ClientIP{}, nil, "none"},
		{"a path", httpmw.Path(), httpmw.ClientIP{}, []func(*http.Request){func(r *http.Request) { r.URL.Path = "/a b/" }}, `path "/a b"`},
		{"everybody", httpmw.Global(), httpmw.ClientIP{}, nil, "everybody"},
		{"several", httpmw.Join(httpmw.ByIP(), httpmw.Path(), user), httpmw.ClientIP{},
			[]func(*http.Request){from("2001:db8::1"), field("X-User", "j+ \" + ")}, `2001:db8::/64 + path "/" + "j+ \" + "`},
		{"a preflight", user, httpmw.ClientIP{}, []func(*http.Request){from("203.0.113.7"), func(r *http.Request) {
			r.Method = "OPTIONS"
			r.Header.Set("Origin", "https://a.example")
			r.Header.Set("Access-Control-Request-Method", "PUT")
		}}, "preflight of none, from 203.0.113.7"},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			if got := textOf(t, row.key, row.ip, row.edit...); got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
}

// Of a credential there is its kind and the beginning of a hash, the same for the
// same credential.
func TestKeyText_of_credentials(t *testing.T) {
	t.Parallel()
	for kind, key := range map[string]struct {
		key   httpmw.Key
		name  string
		value string
	}{
		"header": {httpmw.Header("X-Api-Key"), "X-Api-Key", "%s"},
		"cookie": {httpmw.Cookie("session"), "Cookie", "session=%s"},
		"bearer": {httpmw.Bearer(), "Authorization", "Bearer %s"},
	} {
		texts := map[string]string{}
		for _, credential := range []string{"hunter2", "hunter3", strings.Repeat("s3cret", 50)} {
			got := textOf(t, key.key, httpmw.ClientIP{}, field(key.name, fmt.Sprintf(key.value, credential)))
			digits, ok := strings.CutPrefix(got, kind+" ")
			if raw, err := hex.DecodeString(digits); !ok || err != nil || len(raw) != 8 {
				t.Errorf("%s: %q, want %s and 16 hexadecimal digits", kind, got, kind)
			}
			if other, taken := texts[got]; taken {
				t.Errorf("%s: %q and %q are both %s", kind, credential, other, got)
			}
			texts[got] = credential
			if fingerprint, err := key.key.Fingerprint(credential); err != nil || !strings.HasPrefix(fingerprint, "sha256:"+digits) {
				t.Errorf("%s: text %s, fingerprint %s, %v", kind, got, fingerprint, err)
			}
		}
	}
	long := httpmw.Func(func(r *http.Request) string { return strings.Repeat("x", 65) })
	if got := textOf(t, long, httpmw.ClientIP{}); !strings.HasPrefix(got, "long value ") {
		t.Errorf("a long value: %q", got)
	}
	path := func(r *http.Request) { r.URL.Path = "/" + strings.Repeat("x", 64) }
	if got := textOf(t, httpmw.Path(), httpmw.ClientIP{}, path); !strings.HasPrefix(got, "long path ") {
		t.Errorf("a long path: %q", got)
	}
}

// A weir.Limiter has a hash in place of a long key.
func TestKeyText_of_a_limiter(t *testing.T) {
	t.Parallel()
	l, err := weir.Open("", weir.Policy{Name: "default", Limit: bucket.PerMinute(5)})
	if err != nil {
		t.Fatal(err)
	}
	user := httpmw.Func(func(r *http.Request) string { return r.Header.Get("X-User") })
	s := limit(t, l, httpmw.Config{Keys: map[string]httpmw.Key{"default": httpmw.Join(user, httpmw.ByIP())}})
	get(t, s.Handler, field("X-User", strings.Repeat("x", 64)))
	keys, err := l.Keys("default")
	if err != nil {
		t.Fatal(err)
	}
	for key := range keys {
		if got := s.Middleware.KeyText(key); !strings.HasPrefix(got, "long ") || len(got) != len("long ")+16 {
			t.Errorf("%q", got)
		}
	}
}

// What a text says is what the request had: it can be read back.
func FuzzKeyText(f *testing.F) {
	f.Add([]byte{203, 0, 113, 7}, "alice", "4abcd")
	f.Add([]byte{0x20, 1, 13, 184, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, "a\x00\" + \xff\n", "jmm")
	f.Add([]byte{0x20, 2, 203, 0, 113, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, "", "long\x00")
	f.Add([]byte{1}, strings.Repeat("ü", 32), "om\xff")
	f.Fuzz(func(t *testing.T, address []byte, value, anything string) {
		user := httpmw.Func(func(*http.Request) string { return value })
		if addr, ok := netip.AddrFromSlice(address); ok {
			text := textOf(t, httpmw.ByIP(), httpmw.ClientIP{}, from(addr.String()))
			if p, err := netip.ParsePrefix(text); err == nil {
				if !p.Contains(addr) || p.Bits() != 64 && !strings.HasPrefix(text, "2002:") {
					t.Errorf("%v has the text %s", addr, text)
				}
			} else if text != addr.Unmap().String() {
				t.Errorf("%v has the text %s", addr, text)
			}
		}
		if text := textOf(t, user, httpmw.ClientIP{}); value != "" && len(value) <= 64 {
			if got, err := strconv.Unquote(text); err != nil || got != value {
				t.Errorf("%q has the text %s, which reads %q, %v", value, text, got, err)
			}
		}
		s := limit(t, defaultLimiter(), httpmw.Config{})
		text := s.Middleware.KeyText(anything)
		for i := range len(text) {
			if text[i] < ' ' || text[i] > '~' {
				t.Fatalf("the text of %q is %q", anything, text)
			}
		}
		if text == "" {
			t.Errorf("%q has no text", anything)
		}
	})
}

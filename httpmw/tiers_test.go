package httpmw_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

func fingerprint(t *testing.T, k httpmw.Key, value string) string {
	t.Helper()
	text, err := k.Fingerprint(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// quotaOf returns the quota of a request under a key with tiers, of which all
// others have 1.
func quotaOf(t *testing.T, k httpmw.Key, ip httpmw.ClientIP, limits map[string]bucket.Limit, r *http.Request) int {
	t.Helper()
	tiers, err := httpmw.Tiers(k, ip, limits)
	if err != nil {
		t.Fatal(err)
	}
	l, err := weir.Open("", weir.Policy{Name: "p", Limit: bucket.PerDay(1), LimitFor: tiers})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	mw, err := httpmw.New(l, httpmw.Config{Keys: map[string]httpmw.Key{"p": k}, IP: ip})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	mw.Handler(http.NotFoundHandler()).ServeHTTP(w, r)
	quota := 0
	if _, err := fmt.Sscanf(w.Header().Get("RateLimit"), `"p";r=%d`, &quota); err != nil {
		t.Fatalf("%v: %v", w.Header(), err)
	}
	return quota + 1
}

func asking(addr string, fields ...string) *http.Request {
	r := httptest.NewRequest("GET", "/a/b", nil)
	r.RemoteAddr = addr
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	return r
}

// An identity has the limit of its tier however a request spells it, and no
// other has.
func TestTiersByIdentity(t *testing.T) {
	t.Parallel()
	user := httpmw.Func(func(r *http.Request) string { return r.Header.Get("X-User") })
	apiKey := httpmw.Header("X-Api-Key")
	const v4, v6 = "203.0.113.7:1", "[2001:db8:1:2:3::4]:1"
	for _, tt := range []struct {
		why      string
		key      httpmw.Key
		identity string
		request  *http.Request
		in       bool
	}{
		{"an address", httpmw.ByIP(), "203.0.113.7", asking(v4), true},
		{"IPv4 in IPv6 notation", httpmw.ByIP(), "::ffff:203.0.113.7", asking(v4), true},
		{"another address", httpmw.ByIP(), "203.0.113.8", asking(v4), false},
		{"an IPv6 address, for its network", httpmw.ByIP(), "2001:db8:1:2::", asking(v6), true},
		{"one of another network", httpmw.ByIP(), "2001:db8:1:3::", asking(v6), false},
		{"a network", httpmw.ByNetwork(24, 48), "203.0.113.0", asking(v4), true},
		{"an IPv6 network", httpmw.ByNetwork(24, 48), "2001:db8:1:ffff::", asking(v6), true},
		{"a user", user, "alice", asking(v4, "X-User", "alice"), true},
		{"a long user", user, strings.Repeat("a", 65), asking(v4, "X-User", strings.Repeat("a", 65)), true},
		{"another user", user, "alice", asking(v4, "X-User", "bob"), false},
		{"nobody", user, "alice", asking(v4), false},
		{"a header field", apiKey, fingerprint(t, apiKey, "k1"), asking(v4, "X-Api-Key", "k1"), true},
		{"the same with blanks", apiKey, fingerprint(t, apiKey, " k1 "), asking(v4, "X-Api-Key", "k1"), true},
		{"another value", apiKey, fingerprint(t, apiKey, "k1"), asking(v4, "X-Api-Key", "k2"), false},
		{"the value in another field", apiKey, fingerprint(t, httpmw.Header("X-Other"), "k1"), asking(v4, "X-Api-Key", "k1"), false},
		{"a cookie", httpmw.Cookie("s"), fingerprint(t, httpmw.Cookie("s"), "a%20b"), asking(v4, "Cookie", "s=a%20b"), true},
		{"a token", httpmw.Bearer(), fingerprint(t, httpmw.Bearer(), "tok"), asking(v4, "Authorization", "bearer  tok"), true},
		{"a user of Basic", httpmw.BasicUser(), fingerprint(t, httpmw.BasicUser(), "me"), asking(v4, "Authorization", "Basic bWU6c2VjcmV0"), true},
		{"a field with credentials", httpmw.Header("Authorization"), fingerprint(t, httpmw.Header("Authorization"), "Token x"), asking(v4, "Authorization", "token\tx"), true},
		{"a path", httpmw.Path(), "/a//b/", asking(v4), true},
		{"another path", httpmw.Path(), "/a", asking(v4), false},
		{"a part of a join", httpmw.Join(httpmw.ByIP(), apiKey), fingerprint(t, apiKey, "k1"), asking(v6, "X-Api-Key", "k1"), true},
		{"the other part of it", httpmw.Join(httpmw.ByIP(), apiKey), "203.0.113.7", asking(v4, "X-Api-Key", "k1"), true},
		{"the other part, and none of the first", httpmw.Join(apiKey, httpmw.ByIP()), "203.0.113.7", asking(v4), true},
		{"not an address in place of a key", httpmw.Join(apiKey, user), "alice", asking(v4, "X-Api-Key", "alice"), false},
		{"a user after a key", httpmw.Join(apiKey, user), "alice", asking(v4, "X-Api-Key", "k", "X-User", "alice"), true},
		{"a user after what is missing", httpmw.Join(apiKey, user), "alice", asking(v6, "X-User", "alice"), true},
		{"a user after what is shared", httpmw.Join(apiKey.OrShared(), user), "alice", asking(v6, "X-User", "alice"), true},
		{"a user with a network", httpmw.Join(httpmw.ByNetwork(24, 48), user), "alice", asking(v6, "X-User", "alice"), true},
		{"a user who calls himself what another has hashed", httpmw.Join(apiKey, user), fingerprint(t, apiKey, "k1"),
			asking(v4, "X-User", fingerprint(t, apiKey, "k1")), true}, // as any function of the owner's may name one
	} {
		want := 1
		if tt.in {
			want = 9
		}
		if got := quotaOf(t, tt.key, httpmw.ClientIP{}, map[string]bucket.Limit{tt.identity: bucket.PerDay(9)}, tt.request); got != want {
			t.Errorf("%s: a quota of %d, want %d", tt.why, got, want)
		}
	}
}

// A preflight has the limit of its client's tier, in a bucket of its own.
func TestTiersOfPreflights(t *testing.T) {
	t.Parallel()
	r := asking("203.0.113.7:1", "Origin", "https://a", "Access-Control-Request-Method", "PUT")
	r.Method = "OPTIONS"
	if got := quotaOf(t, httpmw.ByIP(), httpmw.ClientIP{}, map[string]bucket.Limit{"203.0.113.7": bucket.PerDay(9)}, r); got != 9 {
		t.Errorf("a quota of %d, want 9", got)
	}
}

// What can have no tier is an error, which does not name it.
func TestTiersThatCannotBe(t *testing.T) {
	t.Parallel()
	user := httpmw.Func(func(*http.Request) string { return "" })
	apiKey := httpmw.Header("X-Api-Key")
	for _, tt := range []struct {
		key            httpmw.Key
		identity, want string
	}{
		{httpmw.Key{}, "x", "httpmw: key of Tiers: it is the zero Key"},
		{httpmw.Global(), "x", "it is under Global, which all requests have in common"},
		{httpmw.ByIP(), "10.0.0.0/8", "it is no address: want one such as 203.0.113.7 or 2001:db8::1"},
		{httpmw.ByIP(), "fe80::1%eth0", "it is no address"},
		{user, "", "it is empty"},
		{user, strings.Repeat("a", 62), "its key can have 65 bytes, with what else is in it: want at most 64"},
		{httpmw.Join(user, httpmw.Path()), "alice", "want at most 64"},
		{apiKey, "sk_live", "it is a credential, of which keys have only a hash: want its Fingerprint, sha256: and 32 hexadecimal digits"},
		{apiKey, "sha256:00", "want its Fingerprint"},
		{apiKey, "sha256:" + strings.Repeat("0", 64), "want its Fingerprint"},
		{httpmw.BasicUser(), "me", "want its Fingerprint"},
	} {
		_, err := httpmw.Tiers(tt.key, httpmw.ClientIP{}, map[string]bucket.Limit{tt.identity: bucket.PerDay(9)})
		if err == nil || !strings.Contains(err.Error(), tt.want) || len(tt.identity) > 5 && strings.Contains(err.Error(), tt.identity) {
			t.Errorf("%.20q: %v, want %s", tt.identity, err, tt.want)
		}
	}
	two := map[string]bucket.Limit{"203.0.113.7": bucket.PerDay(1), "::ffff:203.0.113.7": bucket.PerDay(2)}
	if _, err := httpmw.Tiers(httpmw.ByIP(), httpmw.ClientIP{}, two); err == nil || !strings.Contains(err.Error(), "two limits for one identity") {
		t.Errorf("two limits for an address: %v", err)
	}
	for _, tt := range []struct {
		key         httpmw.Key
		value, want string
	}{
		{httpmw.ByIP(), "203.0.113.7", "no hash of a credential in it"},
		{user, "alice", "no hash of a credential in it"},
		{httpmw.Key{}, "x", "it is the zero Key"},
		{apiKey, "", "no request has that value"},
		{httpmw.Bearer(), "two words", "no request has that value"},
		{httpmw.BasicUser(), "me:secret", "no request has that value"},
		{httpmw.Cookie("s"), "a;b=c", ""}, // up to the ';' it is one
		{httpmw.ClientCert(), "", "no request has that value"},
	} {
		if _, err := tt.key.Fingerprint(tt.value); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %s", tt.value, err, tt.want)
		}
	}
}

// Any text may be asked about: keys of other kinds and long ones are hashed in a
// limiter, and have no tier.
func FuzzTiers(f *testing.F) {
	f.Add("oj4\x01\x02\x03\x04f\x05alice")
	f.Add("mm")
	f.Add("f\xff")
	f.Fuzz(func(t *testing.T, key string) {
		tiers, err := httpmw.Tiers(httpmw.Func(func(*http.Request) string { return "" }), httpmw.ClientIP{}, map[string]bucket.Limit{"alice": bucket.PerDay(9)})
		if err != nil {
			t.Fatal(err)
		}
		if got := tiers(key); got != (bucket.Limit{}) && !strings.Contains(key, "f\x05alice") {
			t.Errorf("%q has %v", key, got)
		}
	})
}

func ExampleTiers() {
	apiKey := httpmw.Header("X-Api-Key")
	gold, err := apiKey.Fingerprint("an API key")
	if err != nil {
		panic(err)
	}
	tiers, err := httpmw.Tiers(apiKey, httpmw.ClientIP{}, map[string]bucket.Limit{gold: bucket.PerMinute(1000)})
	if err != nil {
		panic(err)
	}
	limiter, err := weir.Open("", weir.Policy{Name: "key", Limit: bucket.PerMinute(10), LimitFor: tiers})
	if err != nil {
		panic(err)
	}
	defer limiter.Close()
	mw, err := httpmw.New(limiter, httpmw.Config{Keys: map[string]httpmw.Key{"key": apiKey}})
	if err != nil {
		panic(err)
	}
	for _, key := range []string{"an API key", "another"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-Api-Key", key)
		w := httptest.NewRecorder()
		mw.Handler(http.NotFoundHandler()).ServeHTTP(w, r)
		fmt.Println(w.Header().Get("RateLimit"))
	}
	// Output:
	// "key";r=999;t=60
	// "key";r=9;t=54
}

package httpmw_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// missed returns how many requests lacked the identity of each policy.
func missed(s *limited) []uint64 {
	var n []uint64
	for _, p := range s.Stats().Policies {
		n = append(n, p.Missing)
	}
	return n
}

func TestCheck_67_missing_identity(t *testing.T) {
	t.Parallel()
	two := func() *perKey {
		return newPerKey(policy{name: "ip", limit: bucket.PerHour(100)}, policy{name: "user", limit: bucket.PerHour(2)})
	}
	by := func(user httpmw.Key) httpmw.Config {
		return httpmw.Config{Keys: map[string]httpmw.Key{"ip": httpmw.ByIP(), "user": user}}
	}
	alice := field("X-Api-Key", "alice")

	t.Run("by default each address has a bucket of its own", func(t *testing.T) {
		t.Parallel()
		s := limit(t, two(), by(apiKey))
		for i, code := range []int{200, 200, 429} {
			for _, peer := range []string{"192.0.2.1:1", "192.0.2.2:1"} {
				if w := get(t, s, from(peer)); w.Code != code {
					t.Errorf("request %d of %s: status %d, want %d", i+1, peer, w.Code, code)
				}
			}
		}
		if got := fmt.Sprint(missed(s)); got != "[0 6]" {
			t.Errorf("missing %v, want 0 and 6", got)
		}
	})

	t.Run("OrRefuse", func(t *testing.T) {
		t.Parallel()
		l := two()
		s := limit(t, l, by(apiKey.OrRefuse()))
		for range 10 {
			w := get(t, s, field("Accept", "*/*"))
			want(t, w, 400, "Content-Type", "application/problem+json", "Cache-Control", "no-store", "X-Content-Type-Options", "nosniff",
				"Retry-After", "", "RateLimit", "", "RateLimit-Policy", "", "Content-Length", strconv.Itoa(w.Body.Len()))
			var problem struct {
				Type, Title, Detail string
				Status              int
			}
			if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || problem.Status != 400 || problem.Title != "Bad Request" ||
				problem.Detail == "" || problem.Type != "" {
				t.Errorf("%s: %v, %+v", w.Body, err, problem)
			}
			if strings.Contains(strings.ToLower(w.Body.String()), "x-api-key") {
				t.Errorf("%s tells what to forge", w.Body)
			}
		}
		if len(l.seen) != 0 || s.calls != 0 {
			t.Errorf("%d requests were charged and %d passed", len(l.seen), s.calls)
		}
		want(t, get(t, s, alice), 200)
		want(t, get(t, s, field("X-Api-Key", "a", "b")), 400)
		if got := fmt.Sprint(missed(s)); got != "[0 11]" {
			t.Errorf("missing %v, want 0 and 11", got)
		}
		r, _ := http.NewRequest("HEAD", "/", nil)
		if w := send(t, s, r); w.Code != 400 || w.Body.Len() != 0 || w.Header().Get("Content-Length") == "" {
			t.Errorf("HEAD: status %d, Content-Length %q, %d bytes", w.Code, w.Header().Get("Content-Length"), w.Body.Len())
		}
	})

	t.Run("OrShared", func(t *testing.T) {
		t.Parallel()
		s := limit(t, two(), by(apiKey.OrShared()))
		for i, code := range []int{200, 200, 429, 429} {
			if w := get(t, s, from(fmt.Sprintf("192.0.2.%d:1", i))); w.Code != code {
				t.Errorf("request %d: status %d, want %d", i+1, w.Code, code)
			}
		}
		want(t, get(t, s, alice), 200)
		if got := fmt.Sprint(missed(s)); got != "[0 4]" {
			t.Errorf("missing %v, want 0 and 4", got)
		}
	})

	t.Run("OrSkip", func(t *testing.T) {
		t.Parallel()
		l := two()
		s := limit(t, l, by(apiKey.OrSkip()))
		for i := range 101 {
			w := get(t, s)
			if (w.Code == 429) != (i == 100) || strings.Contains(w.Header().Get("RateLimit"), "user") {
				t.Fatalf("request %d: status %d, RateLimit %q: want the limit of ip alone", i+1, w.Code, w.Header().Get("RateLimit"))
			}
		}
		for i, code := range []int{200, 200, 429} {
			if w := get(t, s, alice, from("192.0.2.9:1")); w.Code != code {
				t.Errorf("request %d with the identity: status %d, want %d", i+1, w.Code, code)
			}
		}
		if got := fmt.Sprint(missed(s)); got != "[0 101]" {
			t.Errorf("missing %v, want 0 and 101", got)
		}
	})

	t.Run("which identity and what becomes of it", func(t *testing.T) {
		t.Parallel()
		other := httpmw.Header("X-Other")
		for _, row := range []struct {
			why  string
			key  httpmw.Key
			edit []func(*http.Request)
			want string // "" is refused, "-" skipped
		}{
			{"the last word counts", apiKey.OrRefuse().OrSkip(), nil, "-"},
			{"the last word counts, again", apiKey.OrSkip().OrShared(), nil, "s"},
			{"it is not missing", apiKey.OrRefuse(), []func(*http.Request){alice}, "h"},
			{"of a join, one part", httpmw.Join(apiKey, other).OrRefuse(), []func(*http.Request){alice}, ""},
			{"of a join, one part, skipped", httpmw.Join(apiKey, other).OrSkip(), []func(*http.Request){alice}, "-"},
			{"of a join, one part, shared", httpmw.Join(httpmw.Global(), other).OrShared(), nil, "jgs"},
			{"a part speaks for itself", httpmw.Join(httpmw.Global(), other.OrShared()).OrRefuse(), nil, "jgs"},
			{"and only for itself", httpmw.Join(apiKey, other.OrShared()).OrRefuse(), nil, ""},
			{"a join in a join", httpmw.Join(httpmw.Global(), httpmw.Join(other, httpmw.Global()).OrShared()), nil, "jgsg"},
			{"a join in a join that says more", httpmw.Join(httpmw.Join(other).OrShared(), apiKey).OrSkip(), nil, "-"},
			{"refuse goes before skip", httpmw.Join(apiKey.OrRefuse(), other.OrSkip()), nil, ""},
			{"in any order", httpmw.Join(other.OrSkip(), apiKey.OrRefuse()), nil, ""},
			{"skip goes before the address", httpmw.Join(apiKey, other.OrSkip()), nil, "-"},
			{"skip goes before shared", httpmw.Join(other.OrSkip(), apiKey.OrShared()), nil, "-"},
			{"an address", httpmw.ByIP().OrRefuse(), nil, "4"},
			{"no address", httpmw.ByIP().OrRefuse(), []func(*http.Request){from("@")}, ""},
			{"no network", httpmw.ByNetwork(24, 48).OrSkip(), []func(*http.Request){from("@")}, "-"},
			{"no address, shared as by default", httpmw.ByIP().OrShared(), []func(*http.Request){from("@")}, "u"},
			{"neither an identity nor an address", apiKey, []func(*http.Request){from("@")}, "mu"},
			{"a function", always("").OrShared(), nil, "s"},
			{"a cookie", httpmw.Cookie("sid").OrRefuse(), nil, ""},
			{"a token", httpmw.Bearer().OrRefuse(), nil, ""},
			{"a user", httpmw.BasicUser().OrSkip(), nil, "-"},
			{"a certificate", httpmw.ClientCert().OrShared(), nil, "s"},

			// A browser sends them without credentials: whoever refuses them, or
			// lets all share a bucket, shuts out every script.
			{"a preflight is not refused", apiKey.OrRefuse(), []func(*http.Request){preflight}, "om4"},
			{"nor shared", apiKey.OrShared(), []func(*http.Request){preflight}, "om4"},
			{"but skipped", apiKey.OrSkip(), []func(*http.Request){preflight}, "-"},
		} {
			l := newPerKey(policy{name: "p", limit: bucket.PerHour(100)})
			s := limit(t, l, httpmw.Config{Keys: map[string]httpmw.Key{"p": row.key}})
			w := get(t, s, row.edit...)
			got := ""
			if w.Code == 200 {
				got = "-"
				if w.Header().Get("RateLimit") != "" {
					got = l.lastKey()
				}
			}
			if w.Code == 400 && len(l.seen) > 0 || !strings.HasPrefix(got, row.want) || (got == "") != (row.want == "") {
				t.Errorf("%s: status %d, key %q, want %q", row.why, w.Code, got, row.want)
			}
		}
	})

	t.Run("67_a_preflight_that_is_charged_as_any_request_is_not_refused_either", func(t *testing.T) {
		t.Parallel()
		cfg := by(apiKey.OrRefuse())
		cfg.Preflight = httpmw.PreflightCharge
		want(t, get(t, limit(t, two(), cfg), preflight), 200)
	})

	t.Run("keys that every request has", func(t *testing.T) {
		t.Parallel()
		for name, key := range map[string]httpmw.Key{
			"Path":                    httpmw.Path().OrSkip(),
			"Global":                  httpmw.Global().OrRefuse(),
			"Join of Path and Global": httpmw.Join(httpmw.Path(), httpmw.Global()).OrShared(),
			"part 2 of Join":          httpmw.Join(apiKey, httpmw.Path().OrSkip()),
		} {
			l := defaultLimiter()
			_, err := httpmw.New(l, httpmw.Config{Keys: map[string]httpmw.Key{"default": key}})
			if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "OrRefuse, OrShared or OrSkip") {
				t.Errorf("%s: error %v", name, err)
			}
		}
	})

	t.Run("the key that it is made of does not change", func(t *testing.T) {
		t.Parallel()
		key := httpmw.Header("X-Api-Key")
		key.OrRefuse()
		httpmw.Join(key).OrRefuse()
		want(t, get(t, limit(t, two(), by(key))), 200)
	})
}

func preflight(r *http.Request) {
	r.Method = http.MethodOptions
	r.Header.Set("Origin", "https://example.org")
	r.Header.Set("Access-Control-Request-Method", "PUT")
}

// Whatever is wrong with an identity, a request has a limit: it is never let
// pass uncounted, and has no bucket that a client can choose.
func TestMalformedIdentities(t *testing.T) {
	t.Parallel()
	user := httpmw.Func(func(r *http.Request) string { return r.Header.Get("X-User") })
	trusting := clientIP(t, "192.0.2.1/32")
	for _, row := range []struct {
		why  string
		key  httpmw.Key
		ip   httpmw.ClientIP
		edit func(i int, r *http.Request) // what differs from request to request
	}{
		{"no header", apiKey, httpmw.ClientIP{}, func(int, *http.Request) {}},
		{"empty header", apiKey, httpmw.ClientIP{}, func(_ int, r *http.Request) { r.Header["X-Api-Key"] = []string{""} }},
		{"blank header", apiKey, httpmw.ClientIP{}, func(i int, r *http.Request) { r.Header["X-Api-Key"] = []string{strings.Repeat(" ", i)} }},
		{"header of no lines", apiKey, httpmw.ClientIP{}, func(_ int, r *http.Request) { r.Header["X-Api-Key"] = []string{} }},
		{"header twice", apiKey, httpmw.ClientIP{}, func(i int, r *http.Request) { r.Header["X-Api-Key"] = []string{"k", fmt.Sprint(i)} }},
		{"header by an alias", apiKey, httpmw.ClientIP{}, func(i int, r *http.Request) { r.Header["X_Api_Key"] = []string{fmt.Sprint(i)} }},
		{"no cookie", httpmw.Cookie("sid"), httpmw.ClientIP{}, func(i int, r *http.Request) { r.Header.Set("Cookie", fmt.Sprint("other=", i)) }},
		{"empty cookie", httpmw.Cookie("sid"), httpmw.ClientIP{}, func(_ int, r *http.Request) { r.Header.Set("Cookie", "sid=") }},
		{"cookie twice", httpmw.Cookie("sid"), httpmw.ClientIP{}, func(i int, r *http.Request) { r.Header.Set("Cookie", fmt.Sprint("sid=a; sid=", i)) }},
		{"cookie in two lines", httpmw.Cookie("sid"), httpmw.ClientIP{}, func(i int, r *http.Request) { r.Header["Cookie"] = []string{"sid=a", fmt.Sprint("sid=", i)} }},
		{"cookie of control characters", httpmw.Cookie("sid"), httpmw.ClientIP{}, func(i int, r *http.Request) { r.Header.Set("Cookie", fmt.Sprint("sid=\x01", i)) }},
		{"no authorization", httpmw.Bearer(), httpmw.ClientIP{}, func(int, *http.Request) {}},
		{"bearer of nothing", httpmw.Bearer(), httpmw.ClientIP{}, func(i int, r *http.Request) { r.Header.Set("Authorization", "Bearer"+strings.Repeat(" ", i)) }},
		{"bearer of two words", httpmw.Bearer(), httpmw.ClientIP{}, func(i int, r *http.Request) { r.Header.Set("Authorization", fmt.Sprint("Bearer a ", i)) }},
		{"another scheme", httpmw.Bearer(), httpmw.ClientIP{}, func(i int, r *http.Request) { r.Header.Set("Authorization", fmt.Sprint("Digest ", i)) }},
		{"scheme that a client makes up", httpmw.Bearer(), httpmw.ClientIP{}, func(i int, r *http.Request) { r.Header.Set("Authorization", fmt.Sprintf("Bearer%d k", i)) }},
		{"bearer twice", httpmw.Bearer(), httpmw.ClientIP{}, func(i int, r *http.Request) {
			r.Header["Authorization"] = []string{"Bearer k", fmt.Sprint("Bearer ", i)}
		}},
		{"basic that is not base64", httpmw.BasicUser(), httpmw.ClientIP{}, func(i int, r *http.Request) { r.Header.Set("Authorization", fmt.Sprint("Basic !", i)) }},
		{"basic without a colon", httpmw.BasicUser(), httpmw.ClientIP{}, func(_ int, r *http.Request) { r.Header.Set("Authorization", "Basic YWxpY2U=") }},
		{"basic without a user", httpmw.BasicUser(), httpmw.ClientIP{}, func(i int, r *http.Request) { r.SetBasicAuth("", fmt.Sprint(i)) }},
		{"basic twice", httpmw.BasicUser(), httpmw.ClientIP{}, func(i int, r *http.Request) {
			r.SetBasicAuth(fmt.Sprint(i), "x")
			r.Header.Add("Authorization", "Basic YTpi")
		}},
		{"no certificate", httpmw.ClientCert(), httpmw.ClientIP{}, func(int, *http.Request) {}},
		{"function of nothing", user, httpmw.ClientIP{}, func(int, *http.Request) {}},
		{"join of what is missing", httpmw.Join(apiKey, httpmw.Cookie("sid"), user), httpmw.ClientIP{}, func(int, *http.Request) {}},
		{"peer without an address", httpmw.ByIP(), httpmw.ClientIP{}, func(_ int, r *http.Request) { r.RemoteAddr = "@" }},
		{"no peer", httpmw.ByIP(), httpmw.ClientIP{}, func(_ int, r *http.Request) { r.RemoteAddr = "" }},
		{"peer of a name", httpmw.ByIP(), httpmw.ClientIP{}, func(i int, r *http.Request) { r.RemoteAddr = fmt.Sprintf("host-%d:80", i) }},
		{"peer with a zone of a client's choice", httpmw.ByIP(), httpmw.ClientIP{}, func(i int, r *http.Request) { r.RemoteAddr = fmt.Sprintf("[fe80::1%%z%d]:80", i) }},
		{"neither identity nor peer", apiKey, httpmw.ClientIP{}, func(i int, r *http.Request) { r.RemoteAddr = fmt.Sprint("pipe-", i) }},
		{"X-Forwarded-For of nobody trusted", httpmw.ByIP(), httpmw.ClientIP{}, func(i int, r *http.Request) { r.Header.Set(xff, fmt.Sprint("203.0.113.", i)) }},
		{"X-Forwarded-For of garbage", httpmw.ByIP(), trusting, func(i int, r *http.Request) { r.Header.Set(xff, fmt.Sprint("garbage-", i)) }},
		{"X-Forwarded-For with ports", httpmw.ByIP(), trusting, func(i int, r *http.Request) { r.Header.Set(xff, fmt.Sprint("203.0.113.7:", i)) }},
		{"X-Forwarded-For with zones", httpmw.ByIP(), trusting, func(i int, r *http.Request) { r.Header.Set(xff, fmt.Sprint("2001:db8::1%z", i)) }},
		{"X-Forwarded-For without end", httpmw.ByIP(), trusting, func(i int, r *http.Request) {
			r.Header.Set(xff, fmt.Sprint("203.0.113.", i, strings.Repeat(",192.0.2.1", 64)))
		}},
		{"network of garbage", httpmw.ByNetwork(24, 48), trusting, func(i int, r *http.Request) { r.Header.Set(xff, strings.Repeat("[", i+1)) }},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			s := limit(t, defaultLimiter(), httpmw.Config{Keys: map[string]httpmw.Key{"default": row.key}, IP: row.ip})
			for i := range 20 {
				w := get(t, s, func(r *http.Request) { row.edit(i, r) })
				if code := 200 + 229*min(1, i/5); w.Code != code {
					t.Fatalf("request %d: status %d, want %d", i+1, w.Code, code)
				}
			}
		})
	}
}

// A freshKeys has two policies: one is honest, by the first key of a request;
// under the other every key is new, and so has a full bucket.
type freshKeys struct{ ip map[string]*bucket.Bucket }

func (freshKeys) Names() []string { return []string{"ip", "key"} }

func (l freshKeys) DecideEach(into []bucket.Decision, costs []int, keys ...string) bool {
	b := l.ip[keys[0]]
	if b == nil {
		b, _ = bucket.New(bucket.PerHour(100))
		l.ip[keys[0]] = b
	}
	into[0] = b.Take(time.Unix(1_700_000_000, 0), costs[0])
	into[1] = bucket.Decision{Allowed: true, Limit: bucket.PerDay(1000), Remaining: 999}
	return into[0].Allowed
}

func (l freshKeys) PeekEach(into []bucket.Decision, costs []int, keys ...string) bool { return true }

func (freshKeys) Settle([]int, ...string) {}

// A million API keys that a client makes up are a million buckets, but it has
// only one by its address.
func TestKeyStuffing(t *testing.T) {
	t.Parallel()
	n := 1_000_000
	if testing.Short() {
		n = 10_000
	}
	l := freshKeys{ip: map[string]*bucket.Bucket{}}
	m, err := httpmw.New(l, httpmw.Config{
		Keys: map[string]httpmw.Key{"ip": httpmw.ByIP(), "key": apiKey}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	h := m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed++ }))
	w := &sink{h: http.Header{}}
	r, _ := http.NewRequest("GET", "/", nil)
	r.RemoteAddr = "192.0.2.1:4711"
	value := []string{""}
	r.Header["X-Api-Key"] = value
	for i := range n {
		clear(w.h)
		value[0] = strconv.FormatUint(uint64(i)*0x9e3779b97f4a7c15, 36)
		h.ServeHTTP(w, r)
	}
	if passed != 100 {
		t.Errorf("%d of %d requests passed, want 100", passed, n)
	}
	if got := m.Stats().Policies; got[0].Denied != uint64(n-100) || got[1].Missing != 0 {
		t.Errorf("%+v", got)
	}
}

package admin_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/adminapi"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// clientAddr returns the address of one of many clients.
func clientAddr(i int) string { return fmt.Sprintf("198.%d.%d.%d:1234", 18+i>>16, i>>8&255, i&255) }

// How a request would be counted is what the middleware does with it.
func TestWhoami(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(_ *weir.Config, rules *httpmw.Config) {
		rules.IP = trusting(t)
		rules.Routes = map[string][]string{"user": {"POST /login"}}
		rules.Exempt = []netip.Prefix{prefix("192.0.2.0/24")}
		rules.ExemptRoutes = []string{"GET /up"}
	})
	base := s.serve(t)
	for _, row := range []struct {
		name, question   string
		client, ip, user string // keys; "" does not apply
		why              string
	}{
		{"nothing said", `{}`, "127.0.0.1", "127.0.0.1", "", "it is who connected"},
		{"a peer", `{"peer":"203.0.113.7"}`, "203.0.113.7", "203.0.113.7", "", "it is who connected"},
		{"a peer of IPv6", `{"peer":"2001:db8::7"}`, "2001:db8::7", "2001:db8::/64", "", "it is who connected"},
		{"a peer that lies", `{"peer":"203.0.113.7","header":{"X-Forwarded-For":["198.51.100.1"]}}`, "203.0.113.7", "203.0.113.7", "", "not believed"},
		{"a proxy", `{"peer":"10.0.0.1","header":{"x-forwarded-for":["198.51.100.1, 10.9.9.9"]}}`, "198.51.100.1", "198.51.100.1", "", "the trusted proxy"},
		{"a proxy that names no client", `{"peer":"10.0.0.1"}`, "10.0.0.1", "10.0.0.1", "", "names no client"},
		{"a proxy that is not understood", `{"peer":"10.0.0.1","header":{"X-Forwarded-For":["unknown"]}}`, "10.0.0.1", "10.0.0.1", "", "cannot be followed"},
		{"a route without the identity", `{"peer":"203.0.113.7","method":"POST","path":"/login"}`, "203.0.113.7", "203.0.113.7", "none, from 203.0.113.7", "it is who connected"},
		{"a route, spelled in another way", `{"peer":"203.0.113.7","method":"POST","path":"//x/../login?a=b"}`, "203.0.113.7", "203.0.113.7", "none, from 203.0.113.7", ""},
		{"a credential", `{"peer":"203.0.113.7","method":"POST","path":"/login","header":{"X-Api-Key":["hunter2"]}}`, "203.0.113.7", "203.0.113.7", "header ", ""},
		{"an exempt address", `{"peer":"192.0.2.7"}`, "192.0.2.7", "", "", ""},
		{"an exempt route", `{"peer":"203.0.113.7","path":"/up"}`, "203.0.113.7", "", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := value[adminapi.Whoami](t, send(t, "POST", base+adminapi.PathWhoami, row.question, owner))
			if got.Client != row.client || !strings.Contains(got.Why, row.why) || len(got.Policies) != 2 {
				t.Fatalf("%+v", got)
			}
			for i, want := range []string{row.ip, row.user} {
				p := got.Policies[i]
				if p.Applies != (want != "") || !strings.HasPrefix(p.Key, want) || p.Applies == (p.Key == "") || p.Why == "" || strings.Contains(p.Key+p.Why, "hunter2") {
					t.Errorf("%+v, want key %q", p, want)
				}
			}
		})
	}
	for _, question := range []string{`{"peer":"localhost"}`, `{"peer":"203.0.113.7:80"}`, `{"path":"login"}`, `{"path":"/%"}`, `{"who":"me"}`} {
		if res := send(t, "POST", base+adminapi.PathWhoami, question, owner); res.StatusCode != 400 {
			t.Errorf("%s: %s", question, res.Status)
		}
	}
	if st := s.limiter.Stats(); st.Policies[0].Allowed != 0 || st.Policies[0].Keys != 0 {
		t.Errorf("questions were counted: %+v", st.Policies[0])
	}
}

// Without a question it is about the request itself, but for the token.
func TestWhoami_of_this_request(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(_ *weir.Config, rules *httpmw.Config) { rules.Keys["user"] = httpmw.Bearer() })
	base := s.serve(t)
	for _, row := range []struct {
		edit func(*http.Request)
		want string
	}{
		{owner, "none, from 127.0.0.1"},
		{field("Authorization", "Bearer of-a-client"), "bearer "},
	} {
		got := get[adminapi.Whoami](t, base+adminapi.PathWhoami, row.edit)
		if got.Peer != "127.0.0.1" || !strings.HasPrefix(got.Policies[1].Key, row.want) {
			t.Errorf("%+v, want %s", got, row.want)
		}
	}
}

// The limit is that of the key, if it has one of its own.
func TestWhoami_of_a_tier(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(limits *weir.Config, rules *httpmw.Config) {
		rules.Keys["user"] = httpmw.Func(func(r *http.Request) string { return r.Header.Get("X-Api-Key") })
		gold, err := httpmw.Tiers(rules.Keys["user"], rules.IP, map[string]bucket.Limit{"gold": bucket.PerSecond(99)})
		if err != nil {
			t.Fatal(err)
		}
		limits.Policies[1].LimitFor = gold
	})
	base := s.serve(t)
	for credential, want := range map[string]string{"gold": "99/s", "silver": "1000/day"} {
		got := value[adminapi.Whoami](t, send(t, "POST", base+adminapi.PathWhoami, `{"header":{"X-Api-Key":["`+credential+`"]}}`, owner))
		if got.Policies[1].Limit != want {
			t.Errorf("%s: %+v, want %s", credential, got.Policies[1], want)
		}
	}
}

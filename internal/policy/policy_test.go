package policy_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/internal/policy"
)

func TestParse(t *testing.T) {
	t.Parallel()
	perMinute := bucket.PerMinute(100)
	for _, tt := range []struct {
		text string
		want policy.Policy
		out  string // as printed; "" is as read
	}{
		{"ip 100/min", policy.Policy{Name: "ip", Key: policy.Key{{Kind: policy.IP}}, Limit: perMinute}, ""},
		{"user 1000/day burst 50", policy.Policy{Name: "user", Key: policy.Key{{Kind: policy.User}},
			Limit: bucket.Limit{Quota: 1000, Window: 24 * time.Hour, Burst: 50}}, ""},
		{"path 100/min dry-run", policy.Policy{Name: "path", Key: policy.Key{{Kind: policy.Path}}, Limit: perMinute, DryRun: true}, ""},
		{"global 100/min", policy.Policy{Name: "global", Key: policy.Key{{Kind: policy.Global}}, Limit: perMinute}, ""},
		{"header:X-Api-Key 100/min", policy.Policy{Name: "header:X-Api-Key", Key: policy.Key{{Kind: policy.Header, Name: "X-Api-Key"}}, Limit: perMinute}, ""},
		{"cookie:Session.id_2 100/min", policy.Policy{Name: "cookie:Session.id_2", Key: policy.Key{{Kind: policy.Cookie, Name: "Session.id_2"}}, Limit: perMinute}, ""},
		{"ip+path 100/min", policy.Policy{Name: "ip+path", Key: policy.Key{{Kind: policy.IP}, {Kind: policy.Path}}, Limit: perMinute}, ""},
		{"user+header:A+header:B 100/min", policy.Policy{Name: "user+header:A+header:B",
			Key: policy.Key{{Kind: policy.User}, {Kind: policy.Header, Name: "A"}, {Kind: policy.Header, Name: "B"}}, Limit: perMinute}, ""},
		{"ip/48 100/min", policy.Policy{Name: "ip/48", Key: policy.Key{{Kind: policy.IP, Bits: 48}}, Limit: perMinute}, ""},
		{"IP/128+path 100/min", policy.Policy{Name: "ip/128+path", Key: policy.Key{{Kind: policy.IP, Bits: 128}, {Kind: policy.Path}}, Limit: perMinute}, "ip/128+path 100/min"},
		{"bearer 100/min", policy.Policy{Name: "bearer", Key: policy.Key{{Kind: policy.Bearer}}, Limit: perMinute}, ""},
		{"basic+ip/32 100/min", policy.Policy{Name: "basic+ip/32", Key: policy.Key{{Kind: policy.Basic}, {Kind: policy.IP, Bits: 32}}, Limit: perMinute}, ""},
		// Case and space count where they tell things apart: in a cookie's name.
		{"  IP \t 100 / Minute  Burst 100  DRY-RUN ", policy.Policy{Name: "ip", Key: policy.Key{{Kind: policy.IP}}, Limit: perMinute, DryRun: true}, "ip 100/min dry-run"},
		{"HEADER:x-API-key 100/min", policy.Policy{Name: "header:X-Api-Key", Key: policy.Key{{Kind: policy.Header, Name: "X-Api-Key"}}, Limit: perMinute}, "header:X-Api-Key 100/min"},
		{"Cookie:SID 100/60s", policy.Policy{Name: "cookie:SID", Key: policy.Key{{Kind: policy.Cookie, Name: "SID"}}, Limit: perMinute}, "cookie:SID 100/min"},
	} {
		got, err := policy.Parse(tt.text)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", tt.text, got, err, tt.want)
		}
		want := tt.out
		if want == "" {
			want = tt.text
		}
		if got.String() != want {
			t.Errorf("Parse(%q).String() = %q, want %q", tt.text, got.String(), want)
		}
	}
}

func TestLongestName(t *testing.T) {
	t.Parallel()
	// The bound is that of a name in a header field, in characters.
	fits := "cookie:" + strings.Repeat("n", 64-len("cookie:"))
	if _, err := policy.Parse(fits + " 1/s"); err != nil {
		t.Errorf("a name of 64 characters: %v", err)
	}
	_, err := policy.Parse(fits + "n 1/s")
	if want := `key "` + fits + `"... has 65 characters: want at most 64`; err == nil || err.Error() != want {
		t.Errorf("a name of 65 characters: %v, want %s", err, want)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	policies, err := policy.ParseList("ip 100/min", "user 1000/day", "ip 10/s burst 20", "ip 5/500us dry-run", "IP 1/1h30m", "ip+path 1/s", "ip 9/7day", "ip/48 1/s", "ip/48 9/min")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range policies {
		names = append(names, p.Name)
	}
	want := []string{"ip/min", "user", "ip/s", "ip/500us", "ip/1h30m", "ip+path", "ip", "ip/48/s", "ip/48"}
	if !reflect.DeepEqual(names, want) {
		t.Errorf("names %q, want %q: the key, with the window where another has a longer one, in ASCII", names, want)
	}
}

// What clients have used is kept under the name, so a limit keeps it wherever
// it stands.
func TestNamesDoNotDependOnTheOrder(t *testing.T) {
	t.Parallel()
	want := map[string]string{"ip 1000/day": "ip", "ip 100/min": "ip/min", "ip 10/s": "ip/s", "user 5/s": "user"}
	for _, tt := range []struct {
		why   string
		texts []string
	}{
		{"the longest first", []string{"ip 1000/day", "ip 100/min", "ip 10/s", "user 5/s"}},
		{"the longest last", []string{"user 5/s", "ip 10/s", "ip 100/min", "ip 1000/day"}},
		{"the longest in between", []string{"ip 10/s", "ip 1000/day", "user 5/s", "ip 100/min"}},
		{"another one in front", []string{"ip 10/s", "ip 100/min", "ip 1000/day"}},
		{"that one removed", []string{"ip 100/min", "ip 1000/day"}},
		{"only the longest left", []string{"ip 1000/day"}},
	} {
		policies, err := policy.ParseList(tt.texts...)
		if err != nil {
			t.Fatalf("%s: %v", tt.why, err)
		}
		for i, p := range policies {
			if p.Name != want[tt.texts[i]] {
				t.Errorf("%s: %q is named %q, want %q", tt.why, tt.texts[i], p.Name, want[tt.texts[i]])
			}
		}
	}
}

func TestListErrors(t *testing.T) {
	t.Parallel()
	long := "cookie:" + strings.Repeat("n", 64-len("cookie:"))
	for _, tt := range []struct {
		why   string
		texts []string
		want  string
	}{
		{"the wrong one is named", []string{"ip 1/s", "ipp 1/s"}, `"ipp 1/s": key "ipp": want ip,`},
		{"networks of one size", []string{"ip 1/s", "ip/48 1/s", "IP/48 2/s"}, `"IP/48 2/s": "ip/48 1/s" has the same key and window`},
		{"twice the same", []string{"ip 1/s", "ip 1/s"}, `"ip 1/s": "ip 1/s" has the same key and window: want one limit for each window of a key`},
		{"another quota under one window", []string{"ip 1/min", "user 1/s", "IP 5/60s"}, `"IP 5/60s": "ip 1/min" has the same key and window`},
		{"not the first of that key", []string{"ip 1/min", "ip 1/s", "ip 2/s dry-run"}, `"ip 2/s dry-run": "ip 1/s" has the same key and window`},
		{"no room for the window", []string{long + " 1/min", long + " 1/s"}, `has 66 characters: want at most 64 for a key that is limited twice, with its window`},
	} {
		got, err := policy.ParseList(tt.texts...)
		if err == nil || !strings.Contains(err.Error(), tt.want) || got != nil {
			t.Errorf("%s: ParseList(%q) = %v, %v, want %q", tt.why, tt.texts, got, err, tt.want)
		}
	}
}

// A client that can make up a part of a key has a fresh bucket at will.
func TestEvadable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"ip": false, "ip/48": false, "user": false, "user+ip": false, "global": false,
		"header:X-Api-Key": true, "cookie:sid": true, "bearer": true, "basic": true, "path": true, "ip+path": true, "user+bearer": true,
	} {
		p, err := policy.Parse(text + " 1/s")
		if err != nil || p.Key.Evadable() != want {
			t.Errorf("%s: Evadable() = %v, %v, want %v", text, p.Key.Evadable(), err, want)
		}
	}
}

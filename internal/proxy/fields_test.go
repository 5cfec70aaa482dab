package proxy_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/seed-0c889b51/weir/internal/proxy"
)

const (
	ourLimit  = `"ip";r=4;t=4`
	ourPolicy = `"ip";q=5;w=5`
)

// frontWithFields is front behind something that sets the limiter's fields.
func frontWithFields(t *testing.T, to string) string {
	t.Helper()
	target, err := proxy.ParseTarget(to)
	if err != nil {
		t.Fatal(err)
	}
	p, err := proxy.New(proxy.Config{To: target})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.CloseIdle)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("RateLimit", ourLimit)
		w.Header().Set("RateLimit-Policy", ourPolicy)
		p.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestCheck70FieldsOfTwoLimiters(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why               string
		limit, policy     string // the upstream's
		wantLim, wantPols string // lines joined
	}{
		{"the upstream has none", "", "", ourLimit, ourPolicy},
		{"both can be read together", `"up";r=1;t=1`, `"up";q=9;w=9`, ourLimit + `, "up";r=1;t=1`, ourPolicy + `, "up";q=9;w=9`},
		{"the upstream has only one of the fields", "", `"up";q=9;w=9`, ourLimit, ourPolicy + `, "up";q=9;w=9`},
		{"draft 7: one broken item would spoil the whole field", "limit=10, remaining=5, reset=3", "10;w=60", "limit=10, remaining=5, reset=3", "10;w=60"},
		{"draft 6 has the same name for the policy", "", "10;w=60", "", "10;w=60"},
		{"two lines of the upstream are one list", "\"up\";r=1\n\"\\\"\";r=2;t=3;x", "", ourLimit + `, "up";r=1, "\"";r=2;t=3;x`, ourPolicy},
		{"the upstream's own business which names it has twice", `"up";r=1, "up";r=2`, "", ourLimit + `, "up";r=1, "up";r=2`, ourPolicy},
		{"an empty field is none", " ", "\t", ourLimit, ourPolicy},
		{"an empty line would spoil the others", "\n\"up\";r=1", "", ourLimit + `, "up";r=1`, ourPolicy},
		{"one field can be read, the other cannot: both of ours go", `"up";r=1`, "10;w=60", `"up";r=1`, "10;w=60"},
		{"one of our names in one field", "", `"ip";q=1`, "", `"ip";q=1`},
		{"our name with an escape", `"i\p";r=1`, "", `"i\p";r=1`, ""},
		{"nothing available is told", `"up";t=1`, "", `"up";t=1`, ""},
		{"no quota is told", "", `"up";w=1`, "", `"up";w=1`},
		{"what is available is no Integer", `"up";r=1.5`, "", `"up";r=1.5`, ""},
		{"less than nothing", `"up";r=-1`, "", `"up";r=-1`, ""},
		{"a window of nothing", "", `"up";q=1;w=0`, "", `"up";q=1;w=0`},
		{"an Integer of 16 digits", `"up";r=1234567890123456`, "", `"up";r=1234567890123456`, ""},
		{"a comma at the end", `"up";r=1,`, "", `"up";r=1,`, ""},
		{"two policies of one name", `"ip";r=1;t=1`, `"ip";q=1;w=1`, `"ip";r=1;t=1`, `"ip";q=1;w=1`},
		{"a token is no string", `up;r=1`, `up;q=1`, `up;r=1`, `up;q=1`},
		{"an inner list is no item", `("up");r=1`, `("up");q=1`, `("up");r=1`, `("up");q=1`},
		{"no field at all", `"up`, `"up`, `"up`, `"up`},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			addr := frontWithFields(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
				if tt.limit != "" {
					w.Header()["RateLimit"] = strings.Split(tt.limit, "\n")
				}
				if tt.policy != "" {
					w.Header()["RateLimit-Policy"] = strings.Split(tt.policy, "\n")
				}
			}))
			res, _ := get(t, addr)
			gotLim, gotPol := strings.Join(res.Header.Values("RateLimit"), ", "), strings.Join(res.Header.Values("RateLimit-Policy"), ", ")
			if gotLim != tt.wantLim || gotPol != tt.wantPols {
				t.Errorf("the client got\n RateLimit: %s\n RateLimit-Policy: %s\nwant\n RateLimit: %s\n RateLimit-Policy: %s",
					gotLim, gotPol, tt.wantLim, tt.wantPols)
			}
			if strings.Contains(gotLim, `"ip";r=4`) {
				if _, err := httpsfv.UnmarshalList(res.Header.Values("RateLimit")); err != nil {
					t.Errorf("our field cannot be read: %v", err)
				}
			}
		})
	}
}

func TestCheck71OtherFieldsOfTheUpstreamPass(t *testing.T) {
	t.Parallel()
	addr := frontWithFields(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.Header().Set("X-RateLimit-Remaining", "3")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	res, _ := get(t, addr)
	if res.StatusCode != 429 || res.Header.Get("Retry-After") != "7" || res.Header.Get("X-RateLimit-Remaining") != "3" {
		t.Errorf("the upstream's own 429 came as %d with %v", res.StatusCode, res.Header)
	}
}

// Fields that can be there once: the smaller remaining counts, with its limit
// and reset. Rows are the values of Limit, Remaining and Reset.
func TestFieldsThatAreThereOnce(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ why, ours, up, want string }{
		{"only ours", "5 4 60", "", "5 4 60"},
		{"only the upstream's", "", "9 3 1", "9 3 1"},
		{"ours is smaller", "5 2 60", "9 3 1", "5 2 60"},
		{"ours is smaller, as numbers go", "99 9 60", "100 10 1", "99 9 60"},
		{"the upstream's is smaller", "5 4 60", "9 3 1", "9 3 1"},
		{"both are the same: the upstream's", "5 3 60", "9 3 1", "9 3 1"},
		{"the upstream's cannot be read", "5 2 60", "9 3;w=1 1", "9 3;w=1 1"},
		{"nor what is less than nothing", "5 2 60", "9 -1 1", "9 -1 1"},
		{"the upstream tells only of its limit", "5 2 60", "9 - -", "9 - -"},
		{"the upstream tells of two", "5 2 60", "9 3|8 1", "9 3|8 1"},
		{"the upstream has a reset too few", "5 2 60", "9 3 -", "5 2 60"},
	} {
		for _, prefix := range []string{"X-RateLimit-", "RateLimit-"} {
			t.Run(prefix+tt.why, func(t *testing.T) {
				t.Parallel()
				names := []string{prefix + "Limit", prefix + "Remaining", prefix + "Reset", "RateLimit-Policy"}
				set := func(h http.Header, values, policy string) {
					if values == "" {
						return
					}
					for i, v := range strings.Split(values, " ") {
						for _, line := range strings.Split(v, "|") {
							if line != "-" {
								h.Add(names[i], line)
							}
						}
					}
					if prefix == "RateLimit-" {
						h.Set("RateLimit-Policy", policy)
					}
				}
				ours, up, want := http.Header{}, http.Header{}, http.Header{}
				set(ours, tt.ours, "5;w=5")
				set(up, tt.up, "9;w=9")
				set(want, tt.want, map[bool]string{true: "5;w=5", false: "9;w=9"}[tt.want == tt.ours])
				proxy.AddFields(up, ours)
				for _, name := range names {
					if got, want := strings.Join(up.Values(name), "|"), strings.Join(want.Values(name), "|"); got != want {
						t.Errorf("%s: %q, want %q", name, got, want)
					}
				}
			})
		}
	}
}

// Limiters that speak different drafts: the same names mean something else.
func TestFieldsOfDifferentDrafts(t *testing.T) {
	t.Parallel()
	draft11 := http.Header{"Ratelimit": {ourLimit}, "Ratelimit-Policy": {ourPolicy}}
	draft7 := http.Header{"Ratelimit": {"limit=5, remaining=4, reset=4"}, "Ratelimit-Policy": {"5;w=5"}}
	draft6 := http.Header{"Ratelimit-Limit": {"5"}, "Ratelimit-Remaining": {"4"}, "Ratelimit-Reset": {"4"}, "Ratelimit-Policy": {"5;w=5"}}
	draft3 := http.Header{"Ratelimit-Limit": {"5"}, "Ratelimit-Remaining": {"4"}, "Ratelimit-Reset": {"4"}}
	undrafted := http.Header{"X-Ratelimit-Limit": {"5"}, "X-Ratelimit-Remaining": {"4"}, "X-Ratelimit-Reset": {"4"}}
	up11 := http.Header{"Ratelimit": {`"up";r=1`}}
	join := func(hs ...http.Header) http.Header {
		all := http.Header{}
		for _, h := range hs {
			maps.Copy(all, h)
		}
		return all
	}
	for _, tt := range []struct {
		why            string
		ours, up, want http.Header
	}{
		{"7 of ours cannot join 11", draft7, up11, up11},
		{"6 of ours cannot join 11", draft6, up11, up11},
		{"11 of ours cannot join 7", draft11, draft7, draft7},
		{"11 of ours cannot join 6: the policy differs", draft11, draft6, draft6},
		{"11 of ours beside what has no name in common", draft11, draft3, join(draft11, draft3)},
		{"6 of ours cannot join 7", draft6, draft7, draft7},
		{"7 of ours cannot join 7", draft7, draft7, draft7},
		{"an upstream that mixes them is left alone", draft6, join(draft6, up11), join(draft6, up11)},
		{"X- goes with each", join(draft11, undrafted), draft7, join(draft7, undrafted)},
		{"other fields are nobody's limits", join(draft11, http.Header{"Access-Control-Expose-Headers": {"RateLimit"}}),
			join(draft7, http.Header{"Access-Control-Expose-Headers": {"ETag"}}),
			join(draft7, http.Header{"Access-Control-Expose-Headers": {"RateLimit", "ETag"}})},
		{"check 71: Retry-After is the upstream's", join(draft11, http.Header{"Retry-After": {"1"}}), http.Header{"Retry-After": {"7"}}, join(draft11, http.Header{"Retry-After": {"7"}})},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			got := tt.up.Clone()
			proxy.AddFields(got, tt.ours)
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("the client gets %v, want %v", got, tt.want)
			}
		})
	}
}

// Whoever comes back when the upstream says so must not be told that this is too
// early (draft 11, 6). Dates and fields that cannot be read are told as they are.
func TestCheck8RetryAfterOfTheUpstream(t *testing.T) {
	t.Parallel()
	two := `"ip";r=98;t=60, "global";r=998;t=86314`
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	for _, tt := range []struct {
		why, ours, retry string
		stays            bool
	}{
		{"earlier than all", two, "1", false},
		{"earlier than one", two, "60", false},
		{"as late as the last", two, "86314", true},
		{"later", two, "99999", true},
		{"on two lines of which one is too early", two, "99999|1", false},
		{"with spaces", two, " 99999\t", true},
		{"a date too early", two, in(time.Hour), false},
		{"a date that is over", two, in(-time.Hour), false},
		{"a late date", two, in(48 * time.Hour), true},
		{"nobody can read it", two, "soon", false},
		{"less than nothing", two, "-1", false},
		{"empty", two, "", false},
		{"out of all bounds", two, "99999999999999999999", false},
		{"nothing is told of a time", `"ip";r=1`, "0", true},
		{"draft 7, earlier", "limit=5, remaining=4, reset=60", "59", false},
		{"draft 7, as late", "limit=5, remaining=4, reset=60", "60", true},
	} {
		h := http.Header{"Retry-After": strings.Split(tt.retry, "|")}
		want := h.Clone()
		want["Ratelimit-Policy"] = []string{ourPolicy}
		if tt.stays {
			want["Ratelimit"] = []string{tt.ours}
		}
		proxy.AddFields(h, http.Header{"Ratelimit": {tt.ours}, "Ratelimit-Policy": {ourPolicy}})
		if !reflect.DeepEqual(h, want) {
			t.Errorf("%s: the client gets %v, want %v", tt.why, h, want)
		}
	}
	// Draft 6 has three fields, and X- ones are of no draft.
	for retry, stays := range map[string]bool{"59": false, "60": true} {
		h := http.Header{"Retry-After": {retry}}
		draft6 := http.Header{"Ratelimit-Limit": {"5"}, "Ratelimit-Remaining": {"4"}, "Ratelimit-Reset": {"60"}}
		rest := http.Header{"Ratelimit-Policy": {"5;w=5"}, "X-Ratelimit-Limit": {"5"}, "X-Ratelimit-Remaining": {"4"}, "X-Ratelimit-Reset": {"60"}}
		ours, want := rest.Clone(), rest.Clone()
		maps.Copy(ours, draft6)
		if stays {
			maps.Copy(want, draft6)
		}
		want["Retry-After"] = []string{retry}
		if proxy.AddFields(h, ours); !reflect.DeepEqual(h, want) {
			t.Errorf("draft 6 and Retry-After %s: the client gets %v, want %v", retry, h, want)
		}
	}
}

// FuzzAddFields holds that what an upstream says never makes our fields
// unreadable, and is never lost.
func FuzzAddFields(f *testing.F) {
	f.Add(`"up";r=1;t=1`, `"up";q=9;w=9`, "")
	f.Add("limit=10, remaining=5", "10;w=60", `"b";r=1`)
	f.Add(`"a;r=1`, ``, `b";r=2`)
	f.Fuzz(func(t *testing.T, limit, policy, second string) {
		h := http.Header{"Ratelimit": {limit, second}, "Ratelimit-Policy": {policy}}
		proxy.AddFields(h, http.Header{"Ratelimit": {ourLimit}, "Ratelimit-Policy": {ourPolicy}})
		both := 0
		for name, own := range map[string]string{"Ratelimit": ourLimit, "Ratelimit-Policy": ourPolicy} {
			if len(h[name]) > 0 && h[name][0] == own {
				both++
				list, err := httpsfv.UnmarshalList(h[name])
				if err != nil || list[0].(httpsfv.Item).Value != "ip" {
					t.Errorf("%s: %q cannot be read: %v", name, h[name], err)
				}
			}
		}
		if both == 1 && limit != ourLimit && policy != ourPolicy && second != ourLimit {
			t.Errorf("only one of our fields is there: %q", h)
		}
		for name, line := range map[string]string{"Ratelimit": limit, "Ratelimit-Policy": policy} {
			if strings.Trim(line, " \t") != "" && !slices.Contains(h[name], line) {
				t.Errorf("%s: %q of the upstream is lost: %q", name, line, h[name])
			}
		}
	})
}

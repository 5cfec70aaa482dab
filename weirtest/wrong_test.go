package weirtest_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/weirtest"
)

// Each way to be wrong is told, in words that name it.
func TestAssertLimited_wrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		handler wrong
		want    weirtest.Want // with fivePerMinute unless it has a Limit
		says    []string      // one for each that is said
	}{
		"no limiter": {
			handler: func(_ *testing.T, inner http.Handler) http.Handler { return inner },
			says:    []string{"request 6 of a client passes with status 200, want it refused with 429 after 5 (5/min). No response has a RateLimit field: there is no limiter in front"},
		},
		"the limit is higher": {
			handler: func(t *testing.T, inner http.Handler) http.Handler {
				return limited(t, inner, bucket.PerMinute(50), httpmw.Config{})
			},
			says: []string{`It says RateLimit-Policy: "ip";q=50;w=60 and RateLimit: "ip";r=44;t=53. The limiter is on, but its limit is higher`},
		},
		"the limit is lower": {
			handler: func(t *testing.T, inner http.Handler) http.Handler {
				return limited(t, inner, bucket.PerMinute(3), httpmw.Config{})
			},
			says: []string{"request 4 of a client is refused, want 5 to pass (5/min). It says RateLimit-Policy: \"ip\";q=3;w=60 and RateLimit: \"ip\";r=0;t=20. The limiter is on, but either its limit is lower"},
		},
		"refill is slower": {
			handler: func(t *testing.T, inner http.Handler) http.Handler {
				return limited(t, inner, bucket.PerHour(5), httpmw.Config{})
			},
			says: []string{"Retry-After is 12m0s, want at most 13s: under 5/min there is a new token every 12s"},
		},
		"refill is faster": {
			handler: func(t *testing.T, inner http.Handler) http.Handler {
				return limited(t, inner, bucket.Limit{Quota: 5, Window: 6 * time.Second, Burst: 5}, httpmw.Config{})
			},
			says: []string{"6 requests of a client have passed within 2s, want at most 5 (5/min): the limiter has forgotten what was used, or refills faster"},
		},
		"refill is a little slower": {
			handler: func(t *testing.T, inner http.Handler) http.Handler {
				return limited(t, inner, bucket.Limit{Quota: 95, Window: time.Minute, Burst: 100}, httpmw.Config{})
			},
			want: weirtest.Want{Limit: bucket.PerMinute(100)},
			says: []string{"a client that used all it had passes 94 times in the 59.4s after that, want 99 (100/min): the limit refills slower"},
		},
		"refill is a little faster": {
			handler: func(t *testing.T, inner http.Handler) http.Handler {
				return limited(t, inner, bucket.Limit{Quota: 105, Window: time.Minute, Burst: 100}, httpmw.Config{})
			},
			want: weirtest.Want{Limit: bucket.PerMinute(100)},
			says: []string{"requests of a client have passed within 1m1.4s, want at most 202 (100/min): the limiter has forgotten what was used, or refills faster"},
		},
		"used before": {
			handler: func(t *testing.T, inner http.Handler) http.Handler {
				h := five(httpmw.ByIP())(t, inner)
				r := httptest.NewRequest("GET", "/", nil)
				r.RemoteAddr = "198.18.0.1:1"
				h.ServeHTTP(httptest.NewRecorder(), r)
				return h
			},
			says: []string{"request 5 of a client is refused, want 5 to pass (5/min)"},
		},
		"global in place of per client": {
			handler: five(httpmw.Func(func(*http.Request) string { return "all" })),
			says:    []string{"another client is not left alone: its request 1 is refused, want 5 to pass"},
		},
		"global, and told so": {
			handler: five(httpmw.Global()),
			says:    []string{"request 6 of a client is refused with status 503, want 429: change the one or the other, with httpmw.Config.Refuse or weirtest.Want.Status. (503 is"},
		},
		"global beside per client": {
			handler: func(t *testing.T, inner http.Handler) http.Handler {
				limiter, err := weir.Open("", weir.Policy{Name: "ip", Limit: fivePerMinute}, weir.Policy{Name: "all", Limit: bucket.PerMinute(20)})
				if err != nil {
					t.Fatal(err)
				}
				mw, err := httpmw.New(limiter, httpmw.Config{Keys: map[string]httpmw.Key{
					"ip": httpmw.ByIP(), "all": httpmw.Func(func(*http.Request) string { return "all" }),
				}, Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				return mw.Handler(inner)
			},
			says: []string{"another client is not left alone: its request 1 is refused"},
		},
		"a bucket for each port": {
			handler: five(httpmw.Func(func(r *http.Request) string { return r.RemoteAddr })),
			says:    []string{"From one port it is refused: the key has the port of Request.RemoteAddr in it"},
		},
		"a bucket for each request": {
			handler: func(t *testing.T, inner http.Handler) http.Handler {
				var n atomic.Int64
				return five(httpmw.Func(func(*http.Request) string { return fmt.Sprint(n.Add(1)) }))(t, inner)
			},
			says: []string{"each request gets a new bucket. Make the limiter and the middleware once"},
		},
		"a limiter for each request": {
			handler: func(t *testing.T, inner http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					five(httpmw.ByIP())(t, inner).ServeHTTP(w, r)
				})
			},
			says: []string{"each request gets a new bucket"},
		},
		"Retry-After is missing": {
			handler: change(func(h http.Header) { h.Del("Retry-After") }),
			says:    []string{"a refusal has no Retry-After"},
		},
		"Retry-After twice": {
			handler: change(func(h http.Header) { h.Add("Retry-After", "12") }),
			says:    []string{`a refusal has 2 lines of Retry-After, ["12" "12"]`},
		},
		"Retry-After is 0":            {handler: set("0"), says: []string{"Retry-After is 0: clients try again at once"}},
		"Retry-After has a fraction":  {handler: set("12.5"), says: []string{`Retry-After is "12.5", which clients do not understand`}},
		"Retry-After has a sign":      {handler: set("-1"), says: []string{`Retry-After is "-1", which clients do not understand`}},
		"Retry-After is out of range": {handler: set("9999999999"), says: []string{"want at most 13s"}},
		"Retry-After is a date": {
			handler: change(func(h http.Header) {
				h.Set("Retry-After", time.Now().Add(12*time.Second).UTC().Format(http.TimeFormat))
			}),
			says: []string{`Retry-After is a date, "Sat, 01 Jan 2000 00:00:12 GMT"`},
		},
		"Retry-After is too early": {
			handler: set("11"),
			says:    []string{`Retry-After is too early: it was 11s, and a client that came back just then is refused once more, with Retry-After "11"`},
		},
		"Retry-After is a little late": {
			handler: change(func(h http.Header) { // as by a jitter of a tenth
				n, err := strconv.Atoi(h.Get("Retry-After"))
				if err != nil {
					panic(err)
				}
				h.Set("Retry-After", strconv.Itoa(n+1))
			}),
		},
		"Retry-After is too late": {
			handler: set("14"),
			says:    []string{"Retry-After is 14s, want at most 13s"},
		},
		"Retry-After is later than need be": {
			handler: func(t *testing.T, inner http.Handler) http.Handler {
				h := limited(t, inner, bucket.Limit{Quota: 5, Window: 50 * time.Second, Burst: 5}, httpmw.Config{
					Refuse: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						w.Header().Set("Retry-After", "12")
						w.WriteHeader(429)
					}),
				})
				return h
			},
			says: []string{"Retry-After is later than need be: it was 12s, and a client that came back after 10s passes with status 200"},
		},
		"refused requests are counted": {
			handler: sliding,
			says:    []string{"Its time was put off by a request that was refused: these must cost nothing"},
		},
		"refuses with another status": {
			handler: func(t *testing.T, inner http.Handler) http.Handler {
				return limited(t, inner, fivePerMinute, httpmw.Config{
					Refuse: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }),
				})
			},
			says: []string{"request 6 of a client is refused with status 403, want 429"},
		},
		"refuses with 429 where another status is wanted": {
			handler: five(httpmw.ByIP()),
			want:    weirtest.Want{Status: 503},
			says:    []string{"request 6 of a client is refused with status 429, want 503"},
		},
		"cannot count": {
			handler: five(httpmw.Func(func(*http.Request) string { panic("no database") })),
			says:    []string{"request 1 of a client is answered with status 503: this is no refusal, something is broken"},
		},
		"believes two fields": {
			handler: func(t *testing.T, inner http.Handler) http.Handler {
				next := believes("X-Real-IP")(t, inner)
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if claim := r.Header.Get("X-Forwarded-For"); claim != "" {
						r.Header.Set("X-Real-IP", "203.0.113.200")
					}
					next.ServeHTTP(w, r)
				})
			},
			says: []string{"with a made up address in X-Forwarded-For, X-Real-IP: whoever"},
		},
		"believes one field, and is slow": {
			handler: func(t *testing.T, inner http.Handler) http.Handler {
				return believes("X-Forwarded-For")(t, slow(5*time.Second, inner))
			},
			says: []string{"with a made up address in X-Forwarded-For: whoever"},
		},
		"believes a field, and has no Retry-After": {
			handler: func(t *testing.T, inner http.Handler) http.Handler {
				next := believes("X-Real-IP")(t, inner)
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					rec := httptest.NewRecorder()
					next.ServeHTTP(rec, r)
					w.WriteHeader(rec.Code)
				})
			},
			says: []string{"a refusal has no Retry-After", "with a made up address in X-Real-IP: whoever"},
		},
		"slower than its limit": {
			handler: func(t *testing.T, inner http.Handler) http.Handler {
				return five(httpmw.ByIP())(t, slow(12*time.Second, inner))
			},
			says: []string{"116 requests took 23m12s, and while they did the limit (5/min) was refilled as fast"},
		},
		"becomes slower than its limit": {
			handler: func(t *testing.T, inner http.Handler) http.Handler {
				n := 0
				return five(httpmw.ByIP())(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if n++; n > 110 {
						time.Sleep(12 * time.Second)
					}
					inner.ServeHTTP(w, r)
				}))
			},
			says: []string{"116 requests took 23m12s, and while they did the limit (5/min) was refilled as fast"},
		},
		"another client has less": {
			handler: func(t *testing.T, inner http.Handler) http.Handler {
				first := five(httpmw.ByIP())(t, inner)
				others := limited(t, inner, bucket.PerMinute(3), httpmw.Config{})
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasPrefix(r.RemoteAddr, "198.18.0.1:") {
						first.ServeHTTP(w, r)
						return
					}
					others.ServeHTTP(w, r)
				})
			},
			says: []string{"another client is not left alone: its request 4 is refused, want 5 to pass"},
		},
		"believes the claim in front of what its proxy has found": {
			handler: func(t *testing.T, inner http.Handler) http.Handler {
				ip, err := httpmw.NewHopsIP(64, 2, netip.MustParsePrefix("10.0.0.0/8"))
				if err != nil {
					t.Fatal(err)
				}
				return limited(t, inner, fivePerMinute, httpmw.Config{IP: ip})
			},
			want: weirtest.Want{Request: behindProxy},
			says: []string{"with a made up address in X-Forwarded-For: whoever", "Behind a proxy, name it to httpmw.NewClientIP"},
		},
		"clients that are one to the limiter": {
			handler: five(httpmw.Header("X-Api-Key")),
			want: weirtest.Want{Request: func(int) *http.Request {
				r := httptest.NewRequest("GET", "/", nil)
				r.Header.Set("X-Api-Key", "same")
				return r
			}},
			says: []string{"another client is not left alone"},
		},
		"forgets on a field that claims an address": {
			handler: remakes(func(_, _ int, r *http.Request) bool { return r.Header.Get("Forwarded") != "" }),
			says:    []string{"with a made up address in Forwarded"},
		},
		"forgets on the 100th request": {
			handler: remakes(func(count, _ int, _ *http.Request) bool { return count == 100 }),
			says:    []string{"passes again with status 200 after 101 others have come: the limiter has forgotten it"},
		},
		"forgets on many keys": {
			handler: func(t *testing.T, inner http.Handler) http.Handler {
				seen := map[string]bool{}
				return remakes(func(_, _ int, r *http.Request) bool {
					seen[strings.Split(r.RemoteAddr, ":")[0]] = true
					full := len(seen) > 50
					if full {
						clear(seen)
					}
					return full
				})(t, inner)
			},
			says: []string{"the limiter has forgotten it. It keeps too few keys"},
		},
		"forgets on the retry": {
			handler: func(t *testing.T, inner http.Handler) http.Handler {
				last := time.Now()
				return remakes(func(int, int, *http.Request) bool {
					later := time.Since(last) >= 12*time.Second
					last = time.Now()
					return later
				})(t, inner)
			},
			says: []string{"requests of a client have passed within 12s, want at most 6 (5/min): the limiter has forgotten what was used, or refills faster"},
		},
		"a limit that is none": {
			handler: five(httpmw.ByIP()),
			want:    weirtest.Want{Limit: bucket.Limit{Quota: -1, Window: time.Second}},
			says:    []string{"Want.Limit: bucket: quota -1 is out of range"},
		},
		"a burst that is not to be tried": {
			handler: five(httpmw.ByIP()),
			want:    weirtest.Want{Limit: bucket.PerSecond(100_001)},
			says:    []string{"Want.Limit: burst 100001 is out of range: want 1 to 100000"},
		},
		"a status that is none": {
			handler: five(httpmw.ByIP()),
			want:    weirtest.Want{Status: 200},
			says:    []string{"Want.Status 200 is out of range: want 400 to 599, or 0 for 429"},
		},
		"a request that is none": {
			handler: five(httpmw.ByIP()),
			want:    weirtest.Want{Request: func(int) *http.Request { return nil }},
			says:    []string{"Want.Request returned nil for client 0"},
		},
		"a handler that is none": {
			handler: func(*testing.T, http.Handler) http.Handler { return nil },
			says:    []string{"the handler is nil"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{}
				if test.want.Limit == (bucket.Limit{}) {
					test.want.Limit = fivePerMinute
				}
				weirtest.AssertLimited(r, test.handler(t, hello), test.want)
				if len(r.said) != len(test.says) {
					t.Fatalf("it said %q, want %q", r.said, test.says)
				}
				for i, want := range test.says {
					if !strings.Contains(r.said[i], want) {
						t.Errorf("it said\n%s\nwant\n%s", r.said[i], want)
					}
					if !strings.HasPrefix(r.said[i], "weirtest: ") {
						t.Errorf("it does not say who says so: %s", r.said[i])
					}
				}
			})
		})
	}
}

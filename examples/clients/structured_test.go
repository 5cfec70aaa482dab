package clients

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// The parser of Structured Fields of npm reads what is meant of both fields, and
// writes them again byte by byte as they came: allowed and refused, with one
// policy and several, with partition keys, and of requests in flight.
func TestCheck14And20_structured_headers(t *testing.T) {
	t.Parallel()
	limiter, err := weir.Open("",
		weir.Policy{Name: "burst", Limit: bucket.Limit{Quota: 2, Window: 1000 * time.Second}},
		weir.Policy{Name: "day", Limit: bucket.PerDay(86_400)})
	if err != nil {
		t.Fatal(err)
	}
	mw, err := httpmw.New(limiter, httpmw.Config{
		Keys:     map[string]httpmw.Key{"burst": httpmw.ByIP(), "day": httpmw.Global()},
		InFlight: []httpmw.InFlight{{Name: "slots", Key: httpmw.ByIP(), Max: 7}},
		PartitionKey: func(_ *http.Request, policy string) []byte {
			if policy == "burst" {
				return []byte{0x00, 0xff}
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := mw.Handler(http.NotFoundHandler())
	var lines []string
	var last http.Header
	for _, status := range []int{404, 404, 429} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != status {
			t.Fatalf("status %d, want %d", w.Code, status)
		}
		for _, name := range []string{"RateLimit-Policy", "RateLimit"} {
			lines = append(lines, strings.Join(w.Header().Values(name), ", "))
		}
		last = w.Header()
	}
	out, err := output("node", append([]string{script(t, "structured.mjs")}, lines...)...)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(out, "\n")
	if len(got) != 2*len(lines) {
		t.Fatalf("%d lines come back of %d:\n%s", len(got), len(lines), out)
	}
	for i, line := range lines {
		if got[2*i+1] != line {
			t.Errorf("%s is written again as %s", line, got[2*i+1])
		}
	}
	for i, want := range map[int]string{
		0: `[["burst",{"q":2,"w":1000,"pk":{"bytes":[0,255]}}],["day",{"q":86400,"w":86400}],["slots",{"q":7,"qu":"concurrent-requests"}]]`,
		1: `[["burst",{"r":1,"t":500,"pk":{"bytes":[0,255]}}],["day",{"r":86399,"t":86399}],["slots",{"r":6}]]`,
		5: `[["burst",{"r":0,"t":` + last.Get("Retry-After") + `,"pk":{"bytes":[0,255]}}]]`,
	} {
		if got[2*i] != want {
			t.Errorf("%s is read as\n%s, want\n%s", lines[i], got[2*i], want)
		}
	}
}

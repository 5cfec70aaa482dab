package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/weirtest"
)

// Each path is limited, also one that no route is for.
func TestLimited(t *testing.T) {
	t.Parallel()
	for path, status := range map[string]int{"/hello/alice": 200, "/hello/": 404, "/nothing": 404} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				limit := bucket.PerMinute(100)
				limiter, err := weir.Open("", weir.Policy{Name: "ip", Limit: limit})
				if err != nil {
					t.Fatal(err)
				}
				h, err := newHandler(limiter)
				if err != nil {
					t.Fatal(err)
				}
				request := func(int) *http.Request {
					r := httptest.NewRequest("GET", path, nil)
					r.RemoteAddr = "" // of the client, from weirtest
					return r
				}
				weirtest.AssertLimited(t, h, weirtest.Want{Limit: limit, Request: request})

				r, w := request(0), httptest.NewRecorder()
				r.RemoteAddr = "203.0.113.1:4711"
				if h.ServeHTTP(w, r); w.Code != status {
					t.Errorf("GET %s: status %d, want %d from the router", path, w.Code, status)
				}
			})
		})
	}
}

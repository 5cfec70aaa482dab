package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/weirtest"
)

func open(t *testing.T) http.Handler {
	t.Helper()
	limiter, err := weir.Open("", policies...)
	if err != nil {
		t.Fatal(err)
	}
	h, err := newHandler(limiter)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// attempt is a login from an address, or from one that weirtest sets.
func attempt(addr, account, password string) *http.Request {
	r := httptest.NewRequest("POST", "/login", nil)
	r.RemoteAddr = addr
	r.SetBasicAuth(account, password)
	return r
}

func do(h http.Handler, r *http.Request) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func TestFailuresOfAnAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		guesses := 0
		weirtest.AssertLimited(t, open(t), weirtest.Want{
			Limit: bucket.PerMinute(5),
			Request: func(int) *http.Request {
				guesses++
				return attempt("", fmt.Sprint("account ", guesses), "guess")
			},
		})
	})
}

func TestFailuresOfAnAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		guesses := 0
		weirtest.AssertLimited(t, open(t), weirtest.Want{
			Limit: bucket.PerHour(20),
			Request: func(client int) *http.Request {
				guesses++
				return attempt(fmt.Sprintf("198.51.%d.%d:4711", guesses/256, guesses%256), fmt.Sprint("account ", client), "guess")
			},
		})
	})
}

// Logins that succeed are not counted, nor is anything else.
func TestOthersAreFree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		const addr = "203.0.113.1:4711"
		for range 5 {
			for range 50 {
				if status := do(h, attempt(addr, "alice", "secret")); status != 200 {
					t.Fatalf("login with the right password: status %d", status)
				}
			}
			if status := do(h, attempt(addr, "alice", "guess")); status != 401 {
				t.Fatalf("login with a wrong password: status %d", status)
			}
		}
		if status := do(h, attempt(addr, "alice", "secret")); status != 429 {
			t.Errorf("login after 5 failures: status %d, want 429 even with the right password", status)
		}
		r := httptest.NewRequest("GET", "/hello/alice", nil)
		r.RemoteAddr = addr
		if status := do(h, r); status != 200 {
			t.Errorf("GET /hello/alice after 5 failures: status %d", status)
		}
	})
}

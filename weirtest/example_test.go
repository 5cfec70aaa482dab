package weirtest_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/weirtest"
)

// newHandler makes the service under test.
func newHandler(t *testing.T) http.Handler {
	limiter, err := weir.Open("", weir.Policy{Name: "ip", Limit: bucket.PerMinute(100)})
	if err != nil {
		t.Fatal(err)
	}
	mw, err := httpmw.New(limiter, httpmw.Config{
		Keys:   map[string]httpmw.Key{"ip": httpmw.ByIP()},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return mw.Handler(http.NotFoundHandler())
}

// As in a test of the service: see [weirtest].
func TestLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		weirtest.AssertLimited(t, newHandler(t), weirtest.Want{Limit: bucket.PerMinute(100)})
	})
}

func ExampleAssertLimited() {
	// In a test t is its *testing.T.
	t := &recorder{}

	weirtest.AssertLimited(t, http.NotFoundHandler(), weirtest.Want{Limit: bucket.PerMinute(100)})

	what, _, _ := strings.Cut(t.said[0], ". ")
	fmt.Println(what)
	// Output: weirtest: request 101 of a client passes with status 404, want it refused with 429 after 100 (100/min)
}

// Command echo is a service of echo. The limit is around the whole of it and not
// in its Use, whose WrapMiddleware wraps anew for each request, and before echo
// has made a response of an error.
package main

import (
	"fmt"
	"log"
	"net/http"

	"github.com/labstack/echo/v5"
	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

func main() {
	// The path of a file in place of "", and the counts outlive the process.
	limiter, err := weir.Open("", weir.Policy{Name: "ip", Limit: bucket.PerMinute(100)})
	if err != nil {
		log.Fatal(err)
	}
	handler, err := newHandler(limiter)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", handler))
}

// newHandler returns the service behind its limit.
func newHandler(limiter *weir.Limiter) (http.Handler, error) {
	mw, err := httpmw.New(limiter, httpmw.Config{Keys: map[string]httpmw.Key{"ip": httpmw.ByIP()}})
	if err != nil {
		return nil, err
	}
	e := echo.New()
	e.GET("/hello/:name", func(c *echo.Context) error {
		return c.String(http.StatusOK, fmt.Sprintf("hello, %s\n", c.Param("name")))
	})
	return mw.Handler(e), nil
}

// Command chi is a service of chi: Use takes the middleware as it is.
package main

import (
	"fmt"
	"log"
	"net/http"

	"github.com/go-chi/chi/v5"
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
	r := chi.NewRouter()
	r.Use(mw.Handler) // for 404 and 405, too; before middleware.RealIP, if there is any
	r.Get("/hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s\n", chi.URLParam(r, "name"))
	})
	return r, nil
}

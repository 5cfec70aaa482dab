// Command gorilla is a service of gorilla/mux. The limit is around the router
// and not in its Use, which is for requests with a route alone.
package main

import (
	"fmt"
	"log"
	"net/http"

	"github.com/gorilla/mux"
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
	r := mux.NewRouter()
	r.HandleFunc("/hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s\n", mux.Vars(r)["name"])
	}).Methods(http.MethodGet)
	return mw.Handler(r), nil
}

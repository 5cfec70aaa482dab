// Command login limits failed logins: 5 a minute per address, and 20 an hour
// per account, from wherever they come. A login that succeeds costs nothing.
//
// Who knows the name of an account can use up its 20, and its owner is then
// locked out, too: that is why there are more of them, and why a session should
// not need another login.
package main

import (
	"crypto/subtle"
	"fmt"
	"log"
	"net/http"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

var policies = []weir.Policy{
	{Name: "ip", Limit: bucket.PerMinute(5)},
	{Name: "account", Limit: bucket.PerHour(20)},
}

func main() {
	// The path of a file in place of "", and the counts outlive the process.
	limiter, err := weir.Open("", policies...)
	if err != nil {
		log.Fatal(err)
	}
	handler, err := newHandler(limiter)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", handler))
}

// newHandler returns the service behind its limits.
func newHandler(limiter *weir.Limiter) (http.Handler, error) {
	// It is charged before, so that a thousand guesses at once do not get in
	// before the first of them has failed, and given back if it did not fail.
	failed := httpmw.CountStatus(func(status int) bool { return status == http.StatusUnauthorized })
	mw, err := httpmw.New(limiter, httpmw.Config{
		Keys:   map[string]httpmw.Key{"ip": httpmw.ByIP(), "account": httpmw.BasicUser()},
		Routes: map[string][]string{"ip": {"/login"}, "account": {"/login"}},
		Settle: map[string]func(httpmw.Outcome) int{"ip": failed, "account": failed},
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", login)
	mux.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s\n", r.PathValue("name"))
	})
	return mw.Handler(mux), nil
}

func login(w http.ResponseWriter, r *http.Request) {
	// In place of a look at hashes of passwords.
	if _, password, _ := r.BasicAuth(); subtle.ConstantTimeCompare([]byte(password), []byte("secret")) != 1 {
		w.Header().Set("WWW-Authenticate", `Basic realm="weir"`)
		http.Error(w, "wrong name or password", http.StatusUnauthorized)
		return
	}
	fmt.Fprintln(w, "welcome")
}

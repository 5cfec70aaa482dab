// Command nethttp is a service of net/http with two limits: 100 requests a
// minute per address and 1000 a day per user. What has been used is kept in
// weir.db, in the working directory, and outlives it.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

func main() {
	limiter, err := weir.Open("weir.db",
		weir.Policy{Name: "ip", Limit: bucket.PerMinute(100)},
		weir.Policy{Name: "user", Limit: bucket.PerDay(1000)})
	if err != nil {
		log.Fatal(err)
	}
	handler, err := newHandler(limiter)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- server.ListenAndServe() }()
	select {
	case err = <-served:
	case <-ctx.Done():
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err = server.Shutdown(ctx)
		cancel()
	}
	// Close writes what has been used.
	if err := errors.Join(err, limiter.Close()); err != nil {
		log.Fatal(err)
	}
}

// newHandler returns the service behind its limits.
func newHandler(limiter *weir.Limiter) (http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s\n", r.PathValue("name"))
	})

	mw, err := httpmw.New(limiter, httpmw.Config{Keys: map[string]httpmw.Key{
		"ip":   httpmw.ByIP(),
		"user": httpmw.Func(userOf), // func(*http.Request) string; "" falls back to the address
	}})
	if err != nil {
		return nil, err
	}
	return mw.Handler(mux), nil
}

// userOf returns whose token came with a request, or "" if it is nobody's.
func userOf(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return map[string]string{"token-of-alice": "alice", "token-of-bob": "bob"}[token]
}

package httpmw_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// nameless are the sets of fields that do not tell of policies by name.
var nameless = map[string]httpmw.FieldSet{
	"none": httpmw.NoFields, "draft 7": httpmw.Draft7, "draft 6": httpmw.Draft6, "X": httpmw.XRateLimit,
	"draft 7 and X": httpmw.Draft7 | httpmw.XRateLimit,
}

func TestMisuse_charged_twice_without_names(t *testing.T) {
	t.Parallel()
	for name, set := range nameless {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := limit(t, open("a", "b", "c"), httpmw.Config{
				Fields:   set,
				Routes:   map[string][]string{"b": {"/b/"}, "c": {"/c"}},
				InFlight: []httpmw.InFlight{{Name: "slots", Key: httpmw.ByIP(), Max: 9}},
			})
			// Of b only one of the two knows, since the path changes between them.
			twice := s.Middleware.Handler(http.StripPrefix("/b", s.Handler))
			serveMany(twice, 1, func(int) *http.Request { return request("203.0.113.1:80", "/b/c") })
			wantWarnings(t, s, "charged-twice a", "charged-twice slots")
		})
	}
}

// It is seen where the inner one refuses, where others are in flight, and where
// a handler between the two has its own Request and ResponseWriter.
func TestMisuse_charged_twice_without_names_however(t *testing.T) {
	t.Parallel()
	none := httpmw.Config{Fields: httpmw.NoFields}
	s := limit(t, newPerKey(policy{name: "a", limit: bucket.PerDay(1)}), none)
	want(t, get(t, s.Middleware.Handler(s.Handler)), 429)
	wantWarnings(t, s, "charged-twice a")

	s = limit(t, open("a"), none)
	between := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(struct{ http.ResponseWriter }{w}, r.WithContext(t.Context()))
		})
	}
	get(t, s.Middleware.Handler(between(s.Handler)))
	wantWarnings(t, s, "charged-twice a")

	// One that stays for long does not hide the others.
	s = limit(t, open("a"), none)
	stay, arrived, wg := make(chan struct{}), make(chan struct{}), sync.WaitGroup{}
	slow := s.Middleware.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-stay
	}))
	wg.Go(func() { slow.ServeHTTP(httptest.NewRecorder(), request("203.0.113.1:80", "/")) })
	<-arrived
	serveMany(s.Middleware.Handler(s.Handler), 100, func(int) *http.Request { return request("203.0.113.1:80", "/") })
	close(stay)
	wg.Wait()
	wantWarnings(t, s, "charged-twice a")
}

func TestMisuse_charged_once_without_names(t *testing.T) {
	t.Parallel()
	none := httpmw.Config{Fields: httpmw.NoFields}
	// Servers and tests use a request and a header again and again.
	s := limit(t, open("a"), none)
	serve := served(s.Middleware.Handler(http.NotFoundHandler()), request("203.0.113.1:80", "/"))
	for range 1000 {
		serve()
	}
	wantWarnings(t, s)

	// They do so after a panic too.
	w := &discard{h: http.Header{}}
	abort := s.Middleware.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	for range 100 {
		func() {
			defer func() { recover() }()
			abort.ServeHTTP(w, request("203.0.113.1:80", "/"))
		}()
	}
	wantWarnings(t, s)

	// Another Middleware is other limits, and a request for which nothing is
	// taken is not charged.
	inner := limit(t, open("a"), none)
	get(t, s.Middleware.Handler(inner.Handler))
	free := none
	free.Cost = func(*http.Request) int { return 0 }
	s = limit(t, open("a"), free)
	get(t, s.Middleware.Handler(s.Handler))
	wantWarnings(t, inner)
	wantWarnings(t, s)

	// A handler may have its own Middleware answer another request meanwhile.
	s = limit(t, open("a"), none)
	get(t, s.Middleware.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s.Handler.ServeHTTP(httptest.NewRecorder(), r)
	})))
	wantWarnings(t, s)

	// Nor do many requests at once count as one.
	s = limit(t, open("a"), none)
	h := s.Middleware.Handler(http.NotFoundHandler())
	shared := request("203.0.113.1:80", "/")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { serveMany(h, 2000, func(int) *http.Request { return shared }) })
	}
	wg.Wait()
	if got := s.Stats().Warnings; len(got) > 1 || len(got) == 1 && got[0].Name != "one-key" {
		t.Errorf("warnings %v", fmt.Sprint(got))
	}
}

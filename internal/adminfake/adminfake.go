// Package adminfake is an admin listener for tests of what asks one: it says what
// it is told to say, in the JSON of package adminapi.
package adminfake

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-0c889b51/weir/internal/adminapi"
)

// A Server answers as an admin listener. Its fields are set before it is used;
// it is safe for concurrent use then.
type Server struct {
	Token string        // that keys, resets and denials want
	Guard bool          // the status and the events want it, too
	Every time.Duration // between two events
	// Status returns what is said, the n-th time it is asked for, from 0.
	Status  func(n int) adminapi.Status
	Denials []adminapi.Denial
	Whoami  adminapi.Whoami
	Page    http.Handler // at /; may be nil

	mu        sync.Mutex
	asked     int
	keys      []adminapi.Key
	resets    []adminapi.Reset
	questions []adminapi.Question
}

// SetKeys sets the keys, those with least left first.
func (s *Server) SetKeys(keys ...adminapi.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = slices.Clone(keys)
}

// Resets returns the resets that came, oldest first.
func (s *Server) Resets() []adminapi.Reset {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.resets)
}

// Questions returns the questions that came, oldest first.
func (s *Server) Questions() []adminapi.Question {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.questions)
}

// Handler returns the handler of the listener.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	reading := func(next http.HandlerFunc) http.HandlerFunc { return next }
	if s.Guard {
		reading = s.withToken
	}
	mux.HandleFunc("GET "+adminapi.PathStatus, reading(func(w http.ResponseWriter, _ *http.Request) { write(w, s.next()) }))
	mux.HandleFunc("GET "+adminapi.PathEvents, reading(s.events))
	mux.HandleFunc("GET "+adminapi.PathKeys, s.withToken(s.list))
	mux.HandleFunc("POST "+adminapi.PathReset, s.withToken(s.reset))
	mux.HandleFunc("GET "+adminapi.PathDecisions+"{id}", s.withToken(s.denial))
	mux.HandleFunc("GET "+adminapi.PathWhoami, func(w http.ResponseWriter, _ *http.Request) { write(w, s.Whoami) })
	mux.HandleFunc("POST "+adminapi.PathWhoami, s.question)
	if s.Page != nil {
		mux.Handle("/", s.Page)
	}
	return mux
}

func (s *Server) next() adminapi.Status {
	s.mu.Lock()
	n := s.asked
	s.asked++
	s.mu.Unlock()
	return s.Status(n)
}

func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(s.Every)
	defer tick.Stop()
	for {
		data, err := json.Marshal(s.next())
		if err != nil {
			panic(err) // it is a struct of plain values
		}
		if _, err := w.Write([]byte("event: status\ndata: " + string(data) + "\n\n")); err != nil {
			return
		}
		http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := strconv.Atoi(r.FormValue("n"))
	if err != nil {
		n = len(s.keys)
	}
	found := []adminapi.Key{}
	for _, k := range s.keys {
		if want := r.FormValue("policy"); (want == "" || want == k.Policy) && len(found) < n {
			found = append(found, k)
		}
	}
	write(w, found)
}

func (s *Server) reset(w http.ResponseWriter, r *http.Request) {
	var what adminapi.Reset
	if err := json.NewDecoder(r.Body).Decode(&what); err != nil {
		refuse(w, http.StatusBadRequest, "the body is not a reset: "+err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	of := func(k adminapi.Key) bool { return k.Policy == what.Policy && k.Key == what.Key }
	if !slices.ContainsFunc(s.keys, of) {
		refuse(w, http.StatusNotFound, "no such key is in memory under "+what.Policy)
		return
	}
	s.keys = slices.DeleteFunc(s.keys, of)
	s.resets = append(s.resets, what)
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) denial(w http.ResponseWriter, r *http.Request) {
	for _, d := range s.Denials {
		if d.ID == r.PathValue("id") {
			write(w, d)
			return
		}
	}
	refuse(w, http.StatusNotFound, "no denial has that id")
}

func (s *Server) question(w http.ResponseWriter, r *http.Request) {
	var q adminapi.Question
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		refuse(w, http.StatusBadRequest, "the body is not a question: "+err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.questions = append(s.questions, q)
	write(w, s.Whoami)
}

func (s *Server) withToken(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !bearer || token != s.Token {
			refuse(w, http.StatusUnauthorized, "this wants the token")
			return
		}
		next(w, r)
	}
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(err) // what is said is plain values
	}
}

func refuse(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(adminapi.Problem{Title: http.StatusText(status), Status: status, Detail: detail}); err != nil {
		panic(err)
	}
}

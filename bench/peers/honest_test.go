package peers

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// Each peer lets its quota pass and then refuses, with status 429, by address
// and not by connection, and sends the fields that the README says.
func TestPeersLimitByAddress(t *testing.T) {
	t.Parallel()
	const quota = 3
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			passed := 0
			h := p.wrap(t, limit{quota, 24 * time.Hour}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				passed++
				hello(w, r)
			}))
			for _, row := range []struct {
				why        string
				client     int
				connection int
				allowed    bool
			}{
				{"the first of the quota", 1, 0, true},
				{"the second, on another connection", 1, 1, true},
				{"the third", 1, 0, true},
				{"over the quota", 1, 0, false},
				{"over the quota, on a connection of its own", 1, 3, false},
				{"another client", 2, 0, true},
				{"another client, with the same last byte", 257, 0, true},
				{"over the quota after others", 1, 0, false},
			} {
				before := passed
				r := newRequest()
				r.RemoteAddr = address(row.client, row.connection)
				w := &sink{header: http.Header{}}
				h.ServeHTTP(w, r)
				allowed := row.allowed || p.unlimited
				status := http.StatusTooManyRequests
				if allowed {
					status = http.StatusOK
				}
				if w.status != status || w.length == 0 || (passed > before) != allowed {
					t.Errorf("%s: status %d, %d bytes, handler asked %d times: want %d, a body, and the handler asked: %v",
						row.why, w.status, w.length, passed-before, status, allowed)
				}
				want := slices.Clone(p.fields)
				if !allowed {
					want = append(want, p.onRefusal...)
				}
				slices.Sort(want)
				if got := fieldsOf(w.header); !slices.Equal(got, want) {
					t.Errorf("%s: fields about the limit are %q: want %q (all: %v)", row.why, got, want, w.header)
				}
			}
		})
	}
}

// fieldsOf returns the sorted names of the fields in h that are about a limit.
func fieldsOf(h http.Header) []string {
	var names []string
	for name := range h {
		if strings.Contains(name, "Rate") || name == "Retry-After" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// No client ever comes with the string that it came with last, which may be the
// one that a peer holds, and each of them comes as often as any other.
func TestSequence(t *testing.T) {
	t.Parallel()
	for _, clients := range []int{1, 10_000} {
		addresses := sequence(clients)
		last := map[string]*byte{} // string data, by client
		count := map[string]int{}
		for i := range 2 * len(addresses) { // it starts over
			a := addresses[i%len(addresses)]
			ip, _, _ := strings.Cut(a, ":")
			if at := unsafe.StringData(a); last[ip] == at {
				t.Fatalf("%d clients: request %d of %s has the string of the one before", clients, i, ip)
			} else {
				last[ip] = at
			}
			count[ip]++
		}
		if len(count) != clients {
			t.Errorf("%d clients: there are %d", clients, len(count))
		}
		for ip, n := range count {
			if n != 4 {
				t.Errorf("%d clients: %s came %d times: want 4", clients, ip, n)
			}
		}
		again := sequence(clients)
		if !slices.Equal(addresses, again) {
			t.Errorf("%d clients: another sequence the second time", clients)
		}
		if unsafe.StringData(addresses[0]) == unsafe.StringData(again[0]) {
			t.Errorf("%d clients: the same strings the second time", clients)
		}
	}
}

// What is timed really happens: as many requests as are said, each through to
// the handler or to a refusal, and nothing else that allocates.
func TestRunAsks(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios {
		for _, p := range peers {
			t.Run(p.name+"/"+s.name, func(t *testing.T) {
				t.Parallel()
				passed := 0
				counting := p
				counting.wrap = func(t testing.TB, l limit, _ http.Handler) http.Handler {
					return p.wrap(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						passed++
						hello(w, r)
					}))
				}
				sub := newSubject(t, counting, s)
				passed = 0
				const requests = 25_000 // the addresses start over
				sub.run(requests)
				want := 0
				if s.allowed || p.unlimited {
					want = requests
				}
				if passed != want || sub.wrong != 0 {
					t.Errorf("%d of %d passed, %d wrong answers: want %d, 0", passed, requests, sub.wrong, want)
				}
			})
		}
	}
}

// An answer that is not the expected one is counted, and so is one without a
// body.
func TestRunCountsWrongAnswers(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why     string
		handler http.HandlerFunc
		want    int
	}{
		{"as expected", hello, 0},
		{"another status", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTooManyRequests) }, 10},
		{"no answer", func(http.ResponseWriter, *http.Request) {}, 10},
		{"no body", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }, 10},
	} {
		p := peer{name: "p", unlimited: true, wrap: func(testing.TB, limit, http.Handler) http.Handler { return row.handler }}
		sub := &subject{
			handler: p.wrap(t, never, nil), status: http.StatusOK, addresses: sequence(3),
			request: newRequest(), sink: sink{header: http.Header{}},
		}
		if sub.run(10); sub.wrong != row.want {
			t.Errorf("%s: %d wrong answers of 10: want %d", row.why, sub.wrong, row.want)
		}
	}
}

// The sink answers like any ResponseWriter, and has nothing left of the request
// before.
func TestSink(t *testing.T) {
	t.Parallel()
	s, recorder := &sink{header: http.Header{}}, httptest.NewRecorder()
	for range 2 {
		s.reset()
		if s.status != 0 || s.length != 0 || len(s.header) != 0 {
			t.Errorf("after a reset: %+v", s)
		}
		for _, w := range []http.ResponseWriter{s, recorder} {
			w.Header().Set("A", "1")
			w.WriteHeader(http.StatusTeapot)
			w.WriteHeader(http.StatusOK) // too late
			w.Write([]byte(body))
		}
		if s.status != recorder.Code || s.length != len(body) || s.header.Get("A") != "1" {
			t.Errorf("%+v: want status %d, %d bytes, A: 1", s, recorder.Code, len(body))
		}
	}
}

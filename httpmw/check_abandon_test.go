package httpmw_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// Who guesses passwords behind a proxy and hangs up before each answer has the
// proxy answer something else than the 401 of the server behind: the guess has
// been made nevertheless, and counts.
func TestHangingUpGivesNothingBack(t *testing.T) {
	t.Parallel()
	const limit, guesses = 5, 30
	var guessed atomic.Int64
	hangUp := make(chan context.CancelFunc, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		guessed.Add(1)
		(<-hangUp)()
		<-r.Context().Done() // the proxy has seen it, and gone
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer upstream.Close()
	target, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	l := newPerKey(policy{name: "login", limit: bucket.PerHour(limit)})
	m, err := httpmw.New(l, httpmw.Config{
		Keys: byIP(l),
		Settle: map[string]func(httpmw.Outcome) int{
			"login": httpmw.CountStatus(func(status int) bool { return status == http.StatusUnauthorized }),
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	h, settled := m.Handler(proxy), make(chan struct{}, 1)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { settled <- struct{}{} }()
		h.ServeHTTP(w, r)
	}))
	defer front.Close()
	refused := 0
	for range guesses {
		ctx, cancel := context.WithCancel(t.Context())
		select {
		case <-hangUp: // of one that was refused
		default:
		}
		hangUp <- cancel
		r, _ := http.NewRequestWithContext(ctx, "POST", front.URL+"/login", nil)
		if resp, err := front.Client().Do(r); err == nil {
			if resp.StatusCode == http.StatusTooManyRequests {
				refused++
			}
			resp.Body.Close()
		}
		<-settled
		cancel()
	}
	if guessed.Load() != limit || refused != guesses-limit {
		t.Errorf("%d of %d guesses reached the server and %d were refused, want %d and %d",
			guessed.Load(), guesses, refused, limit, guesses-limit)
	}
}

// Of a request whose client was gone before there was a status nothing is given
// back, but more can be charged; one whose client waited for it is settled.
func TestSettleOfAnAbandonedRequest(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		why         string
		gone, left  bool // before and after the status
		cost, spent int
	}{
		{"less, and gone", true, false, 0, 10},
		{"a little less, and gone", true, false, 9, 10},
		{"the same, and gone", true, false, 10, 10},
		{"more, and gone", true, false, 25, 25},
		{"less, and there", false, false, 0, 0},
		{"more, and there", false, false, 25, 25},
		{"less, and gone once it had its answer", false, true, 0, 0},
		{"more, and gone once it had its answer", false, true, 25, 25},
	} {
		for _, end := range []any{nil, http.ErrAbortHandler} {
			t.Run(fmt.Sprint(row.why, ", panic ", end), func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				l := hundred()
				h, _, _ := settling(t, l, func(httpmw.Outcome) int { return row.cost },
					http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						if row.gone {
							cancel()
						}
						w.WriteHeader(http.StatusBadGateway)
						if row.left {
							cancel()
						}
						if end != nil {
							panic(end)
						}
					}))
				func() {
					defer func() { _ = recover() }()
					h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/", nil))
				}()
				if got := spent(l); got != row.spent {
					t.Errorf("%d spent, want %d", got, row.spent)
				}
			})
		}
	}
}

// A handler that gives up without a word, since its client is gone, has given
// nothing back.
func TestSettleWithoutAStatus(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := hundred()
	h, _, _ := settling(t, l, func(httpmw.Outcome) int { return 0 }, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		cancel()
		panic(http.ErrAbortHandler)
	}))
	func() {
		defer func() { _ = recover() }()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/", nil))
	}()
	if got := spent(l); got != 10 {
		t.Errorf("%d spent, want the 10 that were taken", got)
	}
}

package httpmw_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// A hurried is a ResponseWriter that notes until when a body may be read.
type hurried struct {
	*httptest.ResponseRecorder
	deadline time.Time
}

func (w *hurried) SetReadDeadline(t time.Time) error {
	w.deadline = t
	return nil
}

// An unread is a body that nobody is to read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body of a request that is refused is read")
	return 0, errors.New("read")
}

// A large POST that does not pass is answered without a look at its body, and
// the server gets no longer than a second to wait for it. The clock is not that
// of the machine.
func TestCheck_35_a_refusal_does_not_wait_for_the_body(t *testing.T) {
	t.Parallel()
	spent := scripted{names: []string{"a"}, decisions: []bucket.Decision{{Limit: bucket.PerDay(1), RetryAfter: time.Hour}}}
	keys := func(k httpmw.Key) map[string]httpmw.Key { return map[string]httpmw.Key{"a": k} }
	for _, row := range []struct {
		why    string
		l      scripted
		cfg    httpmw.Config
		status int
	}{
		{"over a limit", spent, httpmw.Config{}, 429},
		{"refused for no policy", scripted{names: []string{"a"}, decisions: []bucket.Decision{{Allowed: true}}}, httpmw.Config{}, 503},
		{"the key panics", spent, httpmw.Config{Keys: keys(httpmw.Func(func(*http.Request) string { panic("key") }))}, 503},
		{"no identity", spent, httpmw.Config{Keys: keys(httpmw.Header("X-Api-Key").OrRefuse())}, 400},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := limit(t, row.l, row.cfg)
			r := httptest.NewRequest(http.MethodPost, "/", io.NopCloser(unread{t}))
			r.ContentLength = 1 << 20
			w, began := &hurried{ResponseRecorder: httptest.NewRecorder()}, time.Now()
			s.ServeHTTP(w, r)
			if w.Code != row.status {
				t.Errorf("%s: status %d, want %d", row.why, w.Code, row.status)
			}
			if got := w.deadline.Sub(began); got != time.Second {
				t.Errorf("%s: the body may come for %v, want a second", row.why, got)
			}
		})
	}
}

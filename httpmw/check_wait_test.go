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

// A large POST is refused without a look at its body, and the server gets no
// longer than a second to wait for it. The clock is not that of the machine.
func TestCheck_35_a_refusal_does_not_wait_for_the_body(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := scripted{names: []string{"a"}, decisions: []bucket.Decision{{Limit: bucket.PerDay(1), RetryAfter: time.Hour}}}
		s := limit(t, l, httpmw.Config{})
		r := httptest.NewRequest(http.MethodPost, "/", io.NopCloser(unread{t}))
		r.ContentLength = 1 << 20
		w, began := &hurried{ResponseRecorder: httptest.NewRecorder()}, time.Now()
		s.ServeHTTP(w, r)
		if w.Code != 429 {
			t.Errorf("status %d, want 429", w.Code)
		}
		if got := w.deadline.Sub(began); got != time.Second {
			t.Errorf("the body may come for %v, want a second", got)
		}
	})
}

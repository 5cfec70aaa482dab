package admin

import (
	"bytes"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/seed-0c889b51/weir/internal/adminapi"
)

const (
	eventEvery = time.Second
	maxStreams = 8
)

// events is the stream of statuses, one a second, to a few at once.
type events struct {
	status func() adminapi.Status

	mu   sync.Mutex
	open int
	made time.Time
	last []byte
}

func newEvents(status func() adminapi.Status) *events { return &events{status: status} }

// ServeHTTP sends statuses as server-sent events until the client goes.
func (e *events) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !e.enter() {
		w.Header().Set("Retry-After", "5")
		problem(w, http.StatusServiceUnavailable, "there are enough who watch: close another page")
		return
	}
	defer e.leave()
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Time{}) // a stream has no end
	w.Header().Set("Content-Type", "text/event-stream")
	ticker := time.NewTicker(eventEvery)
	defer ticker.Stop()
	for {
		control.SetWriteDeadline(time.Now().Add(answerTimeout))
		if _, err := w.Write(e.event()); err != nil || control.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
		}
	}
}

// event returns the status as it was within the last half of a second: those who
// watch share it.
func (e *events) event() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now := time.Now(); e.last == nil || now.Sub(e.made) > eventEvery/2 {
		body, err := json.Marshal(e.status())
		if err != nil {
			body = []byte("{}") // no type of the API can bring that about
		}
		e.last = bytes.Join([][]byte{[]byte("event: status\ndata: "), body, []byte("\n\n")}, nil)
		e.made = now
	}
	return e.last
}

func (e *events) enter() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.open >= maxStreams {
		return false
	}
	e.open++
	return true
}

func (e *events) leave() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.open--
}

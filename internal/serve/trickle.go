package serve

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// readTimeout is how long a client may keep the server waiting for the next
	// piece of a body whose length it has stated.
	readTimeout = 30 * time.Second
	// readPiece is what has to come in that time, or the rest if that is less.
	readPiece = 16 << 10
	// restTimeout is how long it may send nothing of any other body, until the
	// answer begins.
	restTimeout = 5 * time.Minute
	// slowTimeout is how long it may take for slowPiece of such a body until
	// then: about a byte a second.
	slowTimeout = time.Hour
	slowPiece   = 4 << 10
)

// untrickled returns a handler that gives up on requests whose body does not
// come: with the request to the upstream, and the request in flight. Such a body
// ends with [os.ErrDeadlineExceeded].
//
// What has a Content-Length is there, and only has to be sent: it is bounded by
// piece. Other bodies (chunked, or of HTTP/2 without a length, as those of gRPC)
// are made as they are sent, and nobody can tell one that is made slowly from one
// that trickles. Silence is bounded there, and so that it never ends: slowPiece has
// to come in an hour. Both only until the answer begins: a client that has a part
// of it may be listening. An upgraded connection is no body.
//
// Only the time counts in which the body is waited for: an upstream that reads
// slowly, or not at all, is no fault of the client.
//
// The rest of a body that the handler leaves is read by net/http in HTTP/1, to
// keep the connection: for as long as a piece may take, whatever its length.
func untrickled(next http.Handler, g *gate) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			b := &body{
				ReadCloser: r.Body,
				control:    http.NewResponseController(w),
				http1:      r.ProtoMajor == 1,
				stated:     r.ContentLength > 0,
				gate:       g,
			}
			b.rules = []rule{{time: g.restTimeout, bytes: 1}, {time: slowTimeout, bytes: slowPiece}}
			if b.stated {
				b.rules = []rule{{time: g.readTimeout, bytes: readPiece}}
			}
			for i := range b.rules {
				b.rules[i].next()
			}
			defer b.leave()
			// A copy: net/http looks at the body of its own.
			r = r.WithContext(r.Context())
			w, r.Body = bodied{w, b}, b
		}
		next.ServeHTTP(w, r)
	})
}

// A body is that of a request.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	http1   bool
	stated  bool // how long it is
	gate    *gate

	mu      sync.Mutex
	rules   []rule
	reading bool
	begun   bool // the answer
	over    bool // deadlines are no more its business
}

// A rule is how long may be waited for so many bytes, each time.
type rule struct {
	time  time.Duration
	bytes int

	left    time.Duration // that may be waited for the piece
	missing int           // of the piece
}

// next begins a piece.
func (r *rule) next() { r.left, r.missing = r.time, r.bytes }

// left returns how long may be waited for the next byte.
func (b *body) left() time.Duration {
	left := b.rules[0].left
	for _, r := range b.rules[1:] {
		left = min(left, r.left)
	}
	return left
}

// limit sets when what is read has to be there; the zero time is never.
func (b *body) limit(t time.Time) {
	if !b.over {
		_ = b.control.SetReadDeadline(t)
	}
}

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	began := time.Now()
	b.reading = true
	if b.stated || !b.begun {
		b.limit(began.Add(b.left()))
	} else {
		b.limit(time.Time{})
	}
	b.mu.Unlock()
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	waited := time.Since(began)
	for i := range b.rules {
		r := &b.rules[i]
		r.left -= waited
		if r.missing -= n; r.missing <= 0 {
			r.next()
		}
	}
	if err != nil {
		b.over = true // at its end net/http waits for the next request
	} else if !b.http1 {
		b.limit(time.Time{}) // there the time would end without a reader too
	}
	return n, err
}

// answer notes that the answer begins. When it goes on net/http may have read to
// the end of the body, and be waiting for the next request.
func (b *body) answer() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.begun {
		return
	}
	b.begun = true
	if !b.reading && b.http1 {
		b.limit(time.Now().Add(b.gate.readTimeout)) // net/http may read before it writes
	} else if b.reading && !b.stated {
		b.limit(time.Time{})
	}
}

// leave leaves the rest to net/http: a reader that outlives the handler must not
// touch the next request of the connection.
func (b *body) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.http1 {
		b.limit(time.Now().Add(b.gate.readTimeout))
	}
	b.over = true
}

// release leaves deadlines to somebody else.
func (b *body) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
}

// bodied is the answer to a request with a body.
type bodied struct {
	http.ResponseWriter
	body *body
}

func (w bodied) WriteHeader(status int) {
	if status >= http.StatusOK {
		w.body.answer()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w bodied) Write(p []byte) (int, error) {
	w.body.answer()
	return w.ResponseWriter.Write(p)
}

// FlushError is what [http.ResponseController] flushes by.
func (w bodied) FlushError() error {
	w.body.answer()
	return w.body.control.Flush()
}

// Flush makes it an [http.Flusher].
func (w bodied) Flush() { _ = w.FlushError() }

// SetReadDeadline is what [http.ResponseController] sets it by. It holds for
// the rest of the body: whoever sets one knows when it is enough.
func (w bodied) SetReadDeadline(t time.Time) error {
	w.body.release()
	return w.body.control.SetReadDeadline(t)
}

// Hijack is what [http.ResponseController] hijacks by.
func (w bodied) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.body.release()
	return w.body.control.Hijack()
}

// Unwrap is for [http.ResponseController].
func (w bodied) Unwrap() http.ResponseWriter { return w.ResponseWriter }

package serve

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// hangupEvery is how often a connection is looked at that nobody reads from
// while a request of it is served.
const hangupEvery = 500 * time.Millisecond

// A hangup is what can be seen of the end of a connection without reading.
type hangup uint8

const (
	present  hangup = iota
	sentAll         // the client sends no more, and what it has sent may not be read yet
	departed        // the connection is reset, or closed in both directions
)

type connKey struct{}

// withConn has requests know their connection.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	return context.WithValue(ctx, connKey{}, c)
}

// unheld returns a handler that cancels HTTP/1 requests whose client is gone.
//
// net/http does so too, by reading on while a request is served, and takes the
// end of what a client sends for its end. But it reads one byte ahead: if that
// comes, as of a request that does not wait for the answer to the one before, it
// reads no more, and nobody reads while the upstream does not take the body.
// Whoever then closed a connection would hold it for as long as the upstream is
// silent. So where nobody reads, this looks at the socket.
//
// A client that ends what it sends (shutdown, nc -N) and waits for the answer is
// no other than one that is gone. Only as long as its request has not been read
// to the end it is waited for, until nobody has read from it for the time that
// a piece of a body may take.
//
// HTTP/2 is always read, and what is done with an upgraded connection is not
// ours.
func unheld(next http.Handler, g *gate) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := r.Context().Value(connKey{}).(*conn)
		if !ok || c.raw == nil || r.ProtoMajor != 1 {
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		watch := &lookout{conn: c, cancel: cancel, patience: g.readTimeout, read: r.ContentLength == 0}
		watch.begin()
		defer cancel()
		defer watch.end()
		r = r.WithContext(ctx) // a copy: net/http looks at the body of its own
		if r.ContentLength != 0 {
			r.Body = heldBody{r.Body, watch}
		}
		next.ServeHTTP(heldAnswer{w, watch}, r)
	})
}

// A lookout looks at a connection while a request of it is served.
type lookout struct {
	conn     *conn
	cancel   context.CancelFunc // of the request
	patience time.Duration      // with a request that is sent, but not read to its end

	mu    sync.Mutex
	timer *time.Timer
	read  bool // the request, to its end
	reads uint32
	still time.Duration // nobody has read since the client has ended
	over  bool
}

func (l *lookout) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = time.AfterFunc(hangupEvery, l.look)
}

func (l *lookout) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.timer.Stop()
}

func (l *lookout) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	reads := l.conn.reads.Load()
	if reads != l.reads {
		l.reads, l.still = reads, 0
	}
	if reads%2 == 0 { // else somebody reads, and sees the end
		switch l.conn.hangup() {
		case departed:
			l.over = true
		case sentAll:
			l.over = l.read || l.still >= l.patience
			l.still += hangupEvery
		}
	}
	if l.over {
		l.cancel()
		return
	}
	l.timer.Reset(hangupEvery)
}

// heldBody is the body of a request that is looked out for.
type heldBody struct {
	io.ReadCloser
	watch *lookout
}

func (b heldBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.watch.mu.Lock()
		b.watch.read = true
		b.watch.mu.Unlock()
	}
	return n, err
}

// heldAnswer is the answer to one.
type heldAnswer struct {
	http.ResponseWriter
	watch *lookout
}

// Hijack is what [http.ResponseController] hijacks by.
func (w heldAnswer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.watch.end()
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Flush makes it an [http.Flusher].
func (w heldAnswer) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Unwrap is for [http.ResponseController].
func (w heldAnswer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

package serve

import (
	"net/http"
	"time"
)

// unstalled returns a handler that gives up on HTTP/2 requests whose client does
// not read the answer. That [conn] gives up is not enough for these: without room
// for a stream nothing is written to the connection.
func unstalled(next http.Handler, g *gate) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 {
			s := &stream{ResponseWriter: w, control: http.NewResponseController(w), timeout: g.writeTimeout}
			w = s
			defer s.limit() // what is left to write is written after this
		}
		next.ServeHTTP(w, r)
	})
}

// A stream is the answer of an HTTP/2 request.
type stream struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
}

// limit has what is written from now on end in time.
func (s *stream) limit() { _ = s.control.SetWriteDeadline(time.Now().Add(s.timeout)) }

// unlimit lets a stream rest for any time.
func (s *stream) unlimit() { _ = s.control.SetWriteDeadline(time.Time{}) }

func (s *stream) Write(p []byte) (n int, err error) {
	for {
		s.limit()
		m, err := s.ResponseWriter.Write(p[n:min(len(p), n+writePiece)])
		if n += m; err != nil || n >= len(p) {
			s.unlimit()
			return n, err
		}
	}
}

// FlushError is what [http.ResponseController] flushes by.
func (s *stream) FlushError() error {
	s.limit()
	defer s.unlimit()
	return s.control.Flush()
}

// Flush makes it an [http.Flusher].
func (s *stream) Flush() { _ = s.FlushError() }

// Unwrap is for [http.ResponseController].
func (s *stream) Unwrap() http.ResponseWriter { return s.ResponseWriter }

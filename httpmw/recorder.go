package httpmw

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// A recorder is a ResponseWriter that notes the status and otherwise is the one
// that it stands before. See record.
type recorder struct {
	w      http.ResponseWriter
	r      *http.Request // nil: nobody asks whether it was late
	status int           // 0: none yet
	late   bool          // the client was gone before there was one
	// redirect, if not nil, is called with the header before a status of 300 to
	// 399 is sent.
	redirect func(http.Header)
}

// record returns a recorder before w, and the ResponseWriter to give to a
// handler in its place: it has the optional interfaces that w has, so that a
// handler that asks for one gets the same answer as without the recorder.
func record(w http.ResponseWriter, of *http.Request) (*recorder, http.ResponseWriter) {
	r := &recorder{w: w, r: of}
	_, f := w.(http.Flusher)
	_, h := w.(http.Hijacker)
	_, p := w.(http.Pusher)
	switch {
	case f && h && p:
		return r, struct {
			*recorder
			flusher
			hijacker
			pusher
		}{r, flusher{r}, hijacker{r}, pusher{r}}
	case f && h: // HTTP/1 of net/http
		return r, struct {
			*recorder
			flusher
			hijacker
		}{r, flusher{r}, hijacker{r}}
	case f && p: // HTTP/2 of net/http
		return r, struct {
			*recorder
			flusher
			pusher
		}{r, flusher{r}, pusher{r}}
	case h && p:
		return r, struct {
			*recorder
			hijacker
			pusher
		}{r, hijacker{r}, pusher{r}}
	case f:
		return r, struct {
			*recorder
			flusher
		}{r, flusher{r}}
	case h:
		return r, struct {
			*recorder
			hijacker
		}{r, hijacker{r}}
	case p:
		return r, struct {
			*recorder
			pusher
		}{r, pusher{r}}
	}
	return r, r
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.w }

func (r *recorder) Header() http.Header { return r.w.Header() }

func (r *recorder) WriteHeader(status int) {
	// Those below 200 but for 101 are announcements; the first of the others
	// is the status.
	if r.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		r.note(status)
		if r.redirect != nil && 300 <= status && status < 400 {
			r.redirect(r.w.Header())
		}
	}
	r.w.WriteHeader(status)
}

// note notes the status.
func (r *recorder) note(status int) {
	r.status = status
	r.late = r.r != nil && r.r.Context().Err() != nil
}

// begin notes the status that goes out with the first byte of a body.
func (r *recorder) begin() {
	if r.status == 0 {
		r.note(http.StatusOK)
	}
}

func (r *recorder) Write(p []byte) (int, error) {
	r.begin()
	return r.w.Write(p)
}

func (r *recorder) WriteString(s string) (int, error) {
	r.begin()
	return io.WriteString(r.w, s)
}

// ReadFrom lets w send a file without copying it, if it can.
func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	r.begin()
	return io.Copy(r.w, src)
}

// FlushError is what http.ResponseController asks for before Flush.
func (r *recorder) FlushError() error {
	err := http.NewResponseController(r.w).Flush()
	if err == nil {
		r.begin()
	}
	return err
}

// The optional interfaces of a ResponseWriter.
type (
	flusher  struct{ r *recorder }
	hijacker struct{ r *recorder }
	pusher   struct{ r *recorder }
)

func (f flusher) Flush() {
	f.r.begin()
	f.r.w.(http.Flusher).Flush()
}

func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := h.r.w.(http.Hijacker).Hijack()
	if err == nil && h.r.status == 0 {
		h.r.status = http.StatusSwitchingProtocols
	}
	return conn, rw, err
}

func (p pusher) Push(target string, opts *http.PushOptions) error {
	return p.r.w.(http.Pusher).Push(target, opts)
}

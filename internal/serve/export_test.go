package serve

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// How long clients and proxies may take.
const (
	DrainTimeout       = drainTimeout
	WriteTimeout       = writeTimeout
	ReadTimeout        = readTimeout
	RestTimeout        = restTimeout
	ProxyHeaderTimeout = proxyHeaderTimeout
	Calm               = calm
	LookEvery          = lookEvery
	HangupEvery        = hangupEvery
)

// WritePiece is what a client has to read within WriteTimeout.
const WritePiece = writePiece

// ReadPiece is what a client has to send within ReadTimeout.
const ReadPiece = readPiece

// SlowPiece is what it has to send of any other body within SlowTimeout.
const (
	SlowPiece   = slowPiece
	SlowTimeout = slowTimeout
)

// NewErrorLog is where net/http logs.
var NewErrorLog = newErrorLog

// ServerLimits says what a client may take up of the server.
func ServerLimits(s *Server) string {
	h := s.http
	return fmt.Sprintf("header in %v, idle %v, write %v, %d bytes, %d streams", h.ReadHeaderTimeout, h.IdleTimeout, h.WriteTimeout,
		h.MaxHeaderBytes, h.HTTP2.MaxConcurrentStreams)
}

// Hurry has a server that does not run yet wait less for a header, and for
// clients to read.
func Hurry(s *Server, header, write time.Duration) {
	s.gate.writeTimeout = write
	if s.http.ReadHeaderTimeout > 0 {
		s.http.ReadHeaderTimeout = header
	}
}

// HurryBodies has a server that does not run yet wait less for a piece of a body
// whose length is stated, and for anything of another.
func HurryBodies(s *Server, read, rest time.Duration) {
	s.gate.readTimeout, s.gate.restTimeout = read, rest
}

// NewGate returns the gate of a listener, and its counts.
func NewGate(l net.Listener, cfg Config) (net.Listener, func() Connections) {
	g := newGate(l, cfg)
	return g, g.counts
}

// Announced reads a PROXY header.
func Announced(raw net.Conn) (net.Addr, error) {
	return announced(raw, bufio.NewReader(raw), proxyHeaderTimeout)
}

// Certificate reads a certificate, and returns what gives it to a handshake.
func Certificate(cert, key string, log *slog.Logger) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	c, err := newCertificate(cert, key, log)
	if err != nil {
		return nil, err
	}
	return c.get, nil
}

// Unstalled is the handler in front of next.
func Unstalled(next http.Handler) http.Handler {
	return unstalled(next, &gate{writeTimeout: writeTimeout})
}

// Untrickled is the handler in front of next.
func Untrickled(next http.Handler) http.Handler {
	return untrickled(next, &gate{readTimeout: readTimeout, restTimeout: restTimeout})
}

// Asked makes about the request that a question's header names.
func Asked(p Proxy, about *http.Request, h http.Header) bool { return p.asked().read(about, h) }

// Unheld is the handler in front of next, with connections of a gate that are
// told of by WithConn.
func Unheld(next http.Handler, patience time.Duration) http.Handler {
	return unheld(next, &gate{readTimeout: patience})
}

// WithConn is for http.Server.ConnContext.
var WithConn = withConn

// Questions is the handler in front of next, for a proxy that is trusted or not.
func Questions(next http.Handler, p Proxy, trusted bool) http.Handler {
	return questions(next, p, func(*http.Request) bool { return trusted })
}

package serve_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

// Frames of HTTP/2 (RFC 9113, 6) and their flags.
const (
	frameHeaders      = 1
	frameReset        = 3
	frameSettings     = 4
	framePing         = 6
	frameGoAway       = 7
	frameContinuation = 9

	flagEndStream  = 1
	flagEndHeaders = 4
	flagAck        = 1
)

// A framed is a connection on which a test writes frames as it likes, which no
// client of a library does.
type framed struct {
	*tls.Conn
	out bytes.Buffer // frames that are not sent yet
}

// A frame is one that the server has sent.
type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

// dialFramed opens an HTTP/2 connection. A server that does not answer is a
// failure.
func dialFramed(t *testing.T, s *running) *framed {
	t.Helper()
	conn, err := tls.Dial("tcp", s.server.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if got := conn.ConnectionState().NegotiatedProtocol; got != "h2" {
		t.Fatalf("the server speaks %q, want h2", got)
	}
	conn.SetDeadline(time.Now().Add(time.Minute))
	f := &framed{Conn: conn}
	f.out.WriteString("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	f.add(frameSettings, 0, 0, nil)
	return f
}

// add adds a frame to what is sent next.
func (f *framed) add(kind, flags byte, stream uint32, payload []byte) {
	n := len(payload)
	f.out.Write([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags})
	f.out.Write(binary.BigEndian.AppendUint32(nil, stream))
	f.out.Write(payload)
}

// send sends what has been added.
func (f *framed) send() error {
	_, err := f.out.WriteTo(f.Conn)
	return err
}

// open adds a GET, and with reset that it is given up at once.
func (f *framed) open(stream uint32, reset bool, fields ...string) {
	f.add(frameHeaders, flagEndStream|flagEndHeaders, stream, request(fields...))
	if reset {
		f.add(frameReset, 0, stream, []byte{0, 0, 0, 8}) // CANCEL
	}
}

// request encodes the fields of a GET, which come in pairs, in HPACK: each as a
// literal that neither side keeps.
func request(fields ...string) []byte {
	b := literal(nil, ":method", "GET")
	b = literal(b, ":scheme", "https")
	b = literal(b, ":authority", "a")
	b = literal(b, ":path", "/")
	for i := 0; i < len(fields); i += 2 {
		b = literal(b, fields[i], fields[i+1])
	}
	return b
}

// literal adds a field (RFC 7541, 6.2.2).
func literal(b []byte, name, value string) []byte {
	b = append(b, 0)
	for _, s := range []string{name, value} {
		if len(s) < 127 {
			b = append(b, byte(len(s)))
		} else {
			b = append(b, 127)
			b = binary.AppendUvarint(b, uint64(len(s)-127)) // the same code, 5.1
		}
		b = append(b, s...)
	}
	return b
}

// next returns the next frame. It is an error if the connection is at its end.
func (f *framed) next() (frame, error) {
	var head [9]byte
	if _, err := io.ReadFull(f.Conn, head[:]); err != nil {
		return frame{}, err
	}
	payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err := io.ReadFull(f.Conn, payload)
	return frame{head[3], head[4], binary.BigEndian.Uint32(head[5:]) & (1<<31 - 1), payload}, err
}

// number returns the number that begins a frame of that kind: the code of the
// error of a reset, the last stream of a GOAWAY.
func (f frame) number() uint32 { return binary.BigEndian.Uint32(f.payload) }

// gone tells whether an error is that the server has closed the connection, and
// not that it has let the test wait.
func gone(err error) bool {
	var late net.Error
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !(errors.As(err, &late) && late.Timeout())
}

// insecure returns an HTTP/2 client of its own that takes any certificate.
func insecure(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

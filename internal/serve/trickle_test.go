package serve_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir/internal/serve"
)

// What a client sends of a body, and how long it is waited for.
func TestBodiesThatTrickle(t *testing.T) {
	t.Parallel()
	const piece = serve.ReadPiece
	chunk := func(n int) string { return fmt.Sprintf("%x\r\n%s\r\n", n, strings.Repeat("x", n)) }
	every := func(gap time.Duration, n int, what string) func(io.Writer) {
		return func(w io.Writer) {
			for range n {
				time.Sleep(gap)
				if _, err := io.WriteString(w, what); err != nil {
					return
				}
			}
		}
	}
	readAll := func(_ http.ResponseWriter, r *http.Request) (int64, error) { return io.Copy(io.Discard, r.Body) }
	readNothing := func(http.ResponseWriter, *http.Request) (int64, error) { return 0, nil }
	// slowly reads a body in so many reads, an hour before each.
	slowly := func(reads int) func(http.ResponseWriter, *http.Request) (int64, error) {
		return func(_ http.ResponseWriter, r *http.Request) (n int64, err error) {
			for range reads {
				time.Sleep(time.Hour)
				var m int
				m, err = r.Body.Read(make([]byte, 1))
				n += int64(m)
			}
			if err == io.EOF {
				err = nil
			}
			return n, err
		}
	}
	for _, tt := range []struct {
		why   string
		field string
		send  func(io.Writer)
		read  func(http.ResponseWriter, *http.Request) (int64, error)
		got   int64
		cut   bool
		took  time.Duration // until the answer
	}{
		{"nothing of it comes", "Content-Length: 100000", every(0, 0, ""), readAll, 0, true, serve.ReadTimeout},
		{"a byte in 7s", "Content-Length: 100000", every(7*time.Second, 1000, "x"), readAll, 4, true, serve.ReadTimeout},
		{"a piece in time, and then less", "Content-Length: 100000",
			func(w io.Writer) {
				every(20*time.Second, 1, strings.Repeat("x", piece))(w)
				every(20*time.Second, 9, "x")(w)
			}, readAll, piece + 1, true, 20*time.Second + serve.ReadTimeout},
		{"a piece in time, each", fmt.Sprintf("Content-Length: %d", 10*piece),
			every(serve.ReadTimeout-time.Second, 10, strings.Repeat("x", piece)), readAll, 10 * piece, false, 10 * (serve.ReadTimeout - time.Second)},
		{"half a piece is the rest", fmt.Sprintf("Content-Length: %d", piece/2),
			every(serve.ReadTimeout-time.Second, 1, strings.Repeat("x", piece/2)), readAll, piece / 2, false, serve.ReadTimeout - time.Second},
		{"no length: it is made as it is sent", "Transfer-Encoding: chunked",
			func(w io.Writer) {
				every(serve.RestTimeout-time.Second, 3, chunk(1))(w)
				io.WriteString(w, "0\r\n\r\n")
			}, readAll, 3, false, 3 * (serve.RestTimeout - time.Second)},
		{"no length, and nothing comes", "Transfer-Encoding: chunked", every(0, 0, ""), readAll, 0, true, serve.RestTimeout},
		{"no length, and a chunk that does not begin", "Transfer-Encoding: chunked", every(time.Minute, 1000, "0"), readAll, 0, true, serve.RestTimeout},
		{"no length, and it stops", "Transfer-Encoding: chunked", every(time.Minute, 3, chunk(1)), readAll, 3, true, 3*time.Minute + serve.RestTimeout},
		{"no length, and it goes on a byte in 61 s: it has an hour", "Transfer-Encoding: chunked",
			every(61*time.Second, 1000, chunk(1)), readAll, 59, true, serve.SlowTimeout},
		{"no length, and as much as there has to be", "Transfer-Encoding: chunked",
			func(w io.Writer) {
				every(4*time.Minute, 30, chunk(serve.SlowPiece/10))(w)
				io.WriteString(w, "0\r\n\r\n")
			}, readAll, 30 * (serve.SlowPiece / 10), false, 2 * time.Hour},
		{"no length, and the answer has begun: it may rest", "Transfer-Encoding: chunked",
			func(w io.Writer) { every(time.Hour, 3, chunk(1))(w); io.WriteString(w, "0\r\n\r\n") },
			func(w http.ResponseWriter, r *http.Request) (int64, error) {
				c := http.NewResponseController(w)
				err := errors.Join(c.EnableFullDuplex(), c.Flush())
				n, failed := readAll(w, r)
				return n, errors.Join(err, failed)
			}, 3, false, 3 * time.Hour},
		{"a length, and the answer has begun: it may not", "Content-Length: 3", every(time.Hour, 3, "x"),
			func(w http.ResponseWriter, r *http.Request) (int64, error) {
				c := http.NewResponseController(w)
				return 0, errors.Join(c.EnableFullDuplex(), c.Flush(), exactly(r.Body, 3))
			}, 0, true, serve.ReadTimeout},
		{"the reader is slow, not the client", "Content-Length: 3", every(0, 3, "x"), slowly(3), 3, false, 3 * time.Hour},
		{"nor of a body without a length", "Transfer-Encoding: chunked", every(0, 1, chunk(3)+"0\r\n\r\n"), slowly(4), 3, false, 4 * time.Hour},
		{"the answer is slow, after the end of the body", "Content-Length: 3", every(0, 1, "xxx"),
			func(w http.ResponseWriter, r *http.Request) (int64, error) {
				n, err := readAll(w, r)
				time.Sleep(time.Hour)
				return n, err
			}, 3, false, time.Hour},
		{"the answer rests, after net/http has read the body", "Content-Length: 3", every(0, 1, "xxx"),
			func(w http.ResponseWriter, r *http.Request) (int64, error) {
				for range 3 {
					io.WriteString(w, "x")
					http.NewResponseController(w).Flush()
					time.Sleep(time.Hour)
				}
				return 3, nil
			}, 3, false, 3 * time.Hour},
		{"nobody reads it, and it has not been asked for", "Content-Length: 3\r\nExpect: 100-continue", every(0, 0, ""), readNothing, 0, false, 0},
		{"nobody reads it", "Content-Length: 100000", every(7*time.Second, 1000, "x"), readNothing, 0, false, serve.ReadTimeout},
		{"nobody reads it, and it has no length", "Transfer-Encoding: chunked", every(7*time.Second, 1000, chunk(1)), readNothing, 0, false, serve.ReadTimeout},
		{"it is not read to its end, and has no length", "Transfer-Encoding: chunked", every(7*time.Second, 1000, chunk(1)),
			func(_ http.ResponseWriter, r *http.Request) (int64, error) { return 1, exactly(r.Body, 1) }, 1, false, 7*time.Second + serve.ReadTimeout},
	} {
		t.Run(tt.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got int64
				var err, after error
				l := make(backlog, 1)
				server := &http.Server{Handler: serve.Untrickled(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == "POST" {
						got, err = tt.read(w, r)
						after = r.Context().Err()
					}
				}))}
				go server.Serve(l)
				client, raw := connect(t, "203.0.113.1")
				l <- raw
				began := time.Now()
				fmt.Fprintf(client, "POST / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n", tt.field)
				sent := make(chan bool)
				go func() { tt.send(client); close(sent) }()
				in := bufio.NewReader(client)
				answered := func() (last bool) {
					res, err := http.ReadResponse(in, nil)
					if err != nil || res.StatusCode != 200 {
						t.Fatalf("the answer is %v, %v", res, err)
					}
					if _, err := io.Copy(io.Discard, res.Body); err != nil {
						t.Fatalf("the answer breaks off: %v", err)
					}
					return res.Close
				}
				last := answered()
				if took := time.Since(began); got != tt.got || errors.Is(err, os.ErrDeadlineExceeded) != tt.cut || took != tt.took {
					t.Errorf("%d bytes, %v after %v, want %d, cut %v after %v", got, err, took, tt.got, tt.cut, tt.took)
				}
				if !tt.cut && err != nil || tt.cut != (after != nil) {
					t.Errorf("the error is %v, the request's %v, want them if it is cut: %v", err, after, tt.cut)
				}
				if !last && !tt.cut {
					time.Sleep(time.Hour)
					io.WriteString(client, plain)
					answered()
				}
				client.Close()
				server.Close()
				<-sent
			})
		})
	}
}

// exactly reads so many bytes.
func exactly(r io.Reader, n int64) error {
	_, err := io.CopyN(io.Discard, r, n)
	return err
}

// SetReadDeadline notes until when a request is read.
func (d *deadlines) SetReadDeadline(t time.Time) error {
	if t.IsZero() {
		d.note("read at any time")
	} else {
		d.note("read until %v", t.Sub(d.began))
	}
	return nil
}

// What reads takes as long as it says.
type reads []time.Duration

func (r *reads) Read(p []byte) (int, error) {
	if len(*r) == 0 {
		return 0, io.EOF
	}
	time.Sleep((*r)[0])
	*r = (*r)[1:]
	return 1, nil
}

// In HTTP/2 the time ends even if nobody reads: it is set for each read. Whoever
// sets another is left alone, and so is the connection after the handler's end,
// when it is for other requests, or is none of HTTP any more.
func TestDeadlinesOfBodies(t *testing.T) {
	t.Parallel()
	type does = func(t *testing.T, w http.ResponseWriter, r *http.Request)
	read := func(t *testing.T, w http.ResponseWriter, r *http.Request) {
		for p := make([]byte, 10); ; time.Sleep(time.Second) {
			if _, err := r.Body.Read(p); err != nil {
				return
			}
		}
	}
	// during does something while the body is read, and then the rest.
	during := func(do func(http.ResponseWriter)) does {
		return func(t *testing.T, w http.ResponseWriter, r *http.Request) {
			go func() {
				time.Sleep(500 * time.Millisecond)
				do(w)
			}()
			read(t, w, r)
		}
	}
	begin := during(func(w http.ResponseWriter) { w.WriteHeader(200) })
	for _, tt := range []struct {
		why    string
		major  int
		length int64
		do     does
		want   []string
	}{
		{"no body", 1, 0, read, nil},
		{"HTTP/1", 1, 3, read, []string{"0s read until 30s", "2s read until 31s", "4s read until 32s"}},
		{"HTTP/2", 2, 3, read, []string{"0s read until 30s", "1s read at any time", "2s read until 31s", "3s read at any time", "4s read until 32s"}},
		{"HTTP/1 of no length", 1, -1, read, []string{"0s read until 5m0s", "2s read until 5m2s", "4s read until 5m4s"}},
		{"HTTP/2 of no length", 2, -1, read, []string{"0s read until 5m0s", "1s read at any time", "2s read until 5m2s", "3s read at any time", "4s read until 5m4s"}},
		{"HTTP/1, and the answer begins", 1, 3, begin, []string{"0s read until 30s", "2s read until 31s", "4s read until 32s"}},
		{"HTTP/1 of no length, and the answer begins", 1, -1, begin,
			[]string{"0s read until 5m0s", "500ms read at any time", "2s read at any time", "4s read at any time"}},
		{"HTTP/2 of no length, and the answer begins", 2, -1, begin,
			[]string{"0s read until 5m0s", "500ms read at any time", "1s read at any time", "2s read at any time", "3s read at any time", "4s read at any time"}},
		{"by what is written", 1, -1, during(func(w http.ResponseWriter) { io.WriteString(w, "x") }),
			[]string{"0s read until 5m0s", "500ms read at any time", "500ms write 1", "2s read at any time", "4s read at any time"}},
		{"or flushed", 1, -1, during(func(w http.ResponseWriter) { http.NewResponseController(w).Flush() }),
			[]string{"0s read until 5m0s", "500ms read at any time", "500ms flush", "2s read at any time", "4s read at any time"}},
		{"an interim answer is none", 1, -1, during(func(w http.ResponseWriter) { w.WriteHeader(103) }),
			[]string{"0s read until 5m0s", "2s read until 5m2s", "4s read until 5m4s"}},
		{"an answer without reading: net/http reads, once", 1, 3, func(t *testing.T, w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "x")
			time.Sleep(time.Minute)
			io.WriteString(w, "x")
		}, []string{"0s read until 30s", "0s write 1", "1m0s write 1", "1m0s read until 1m30s"}},
		{"an answer after reading a part, likewise", 1, -1, func(t *testing.T, w http.ResponseWriter, r *http.Request) {
			r.Body.Read(make([]byte, 1))
			io.WriteString(w, "x")
		}, []string{"0s read until 5m0s", "1s read until 31s", "1s write 1", "1s read until 31s"}},
		{"not in HTTP/2, where it reads nothing", 2, 3, func(t *testing.T, w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "x")
		}, []string{"0s write 1"}},
		{"it is not read to its end: net/http reads the rest", 1, -1, func(t *testing.T, w http.ResponseWriter, r *http.Request) {
			r.Body.Read(make([]byte, 1))
		}, []string{"0s read until 5m0s", "1s read until 31s"}},
		{"not in HTTP/2 either", 2, -1, func(t *testing.T, w http.ResponseWriter, r *http.Request) {
			r.Body.Read(make([]byte, 1))
		}, []string{"0s read until 5m0s", "1s read at any time"}},
		{"others set one", 1, 3, func(t *testing.T, w http.ResponseWriter, r *http.Request) {
			if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
				t.Error(err)
			}
			read(t, w, r)
		}, []string{"0s read until 1h0m0s"}},
		{"the connection is taken over", 1, 3, func(t *testing.T, w http.ResponseWriter, r *http.Request) {
			if _, _, err := http.NewResponseController(w).Hijack(); err != nil {
				t.Error(err)
			}
			read(t, w, r)
		}, []string{"0s hijack"}},
	} {
		t.Run(tt.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var kept io.Reader
				h := serve.Untrickled(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					kept = r.Body
					tt.do(t, w, r)
				}))
				d := &deadlines{began: time.Now()}
				h.ServeHTTP(d, &http.Request{ProtoMajor: tt.major, ContentLength: tt.length, Body: io.NopCloser(&reads{time.Second, time.Second})})
				kept.Read(make([]byte, 1)) // a reader that outlives the handler
				if !slices.Equal(d.done, tt.want) {
					t.Errorf("\n got %q\nwant %q", d.done, tt.want)
				}
			})
		})
	}
}

// WriteHeader and Hijack are what else is done to an answer.
func (d *deadlines) WriteHeader(int) {}

func (d *deadlines) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	d.note("hijack")
	return nil, nil, nil
}

// Who trickles is told so and closed, the upstream is freed, and the request has
// cost what it costs and is in flight no more.
func TestTricklingIsGivenUp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		protocol string
		length   int64 // -1 is none
	}{{"HTTP/1", 100000}, {"HTTP/1", -1}, {"HTTP/1 with TLS", 100000}, {"HTTP/1 with TLS", -1}, {"HTTP/2", 100000}, {"HTTP/2", -1}} {
		t.Run(fmt.Sprint(tt.protocol, " of length ", tt.length), func(t *testing.T) {
			t.Parallel()
			given := make(chan error, 1)
			cfg := config(t, "ip 3/day")
			client := http.DefaultClient
			switch tt.protocol {
			case "HTTP/1 with TLS":
				client = withTLS(t, &cfg, tt.protocol)
			case "HTTP/2":
				client = withTLS(t, &cfg)
			}
			cfg.InFlight = inFlight(t, "ip 1")
			cfg.Routes = to(t, func(_ http.ResponseWriter, r *http.Request) {
				if _, err := io.Copy(io.Discard, r.Body); r.Method == "POST" {
					<-r.Context().Done()
					given <- err
				}
			})
			s := start(t, cfg, func(s *serve.Server) { serve.HurryBodies(s, 50*time.Millisecond, 50*time.Millisecond) })
			var res *http.Response
			if tt.protocol == "HTTP/2" {
				body, _ := io.Pipe()
				req, err := http.NewRequestWithContext(t.Context(), "POST", s.url, body)
				if err != nil {
					t.Fatal(err)
				}
				req.ContentLength = tt.length
				if res, err = client.Do(req); err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
			} else {
				var conn net.Conn
				var err error
				addr := s.server.Addr().String()
				if cfg.TLSCert == "" {
					conn, err = net.Dial("tcp", addr)
				} else {
					conn, err = tls.Dial("tcp", addr, client.Transport.(*http.Transport).TLSClientConfig)
				}
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				fields := "Content-Length: 100000\r\n\r\nx"
				if tt.length < 0 {
					fields = "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
				}
				io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\n"+fields)
				in := bufio.NewReader(conn)
				if res, err = http.ReadResponse(in, nil); err != nil {
					t.Fatal(err)
				}
				defer io.Copy(io.Discard, in) // until it is closed
			}
			if res.StatusCode != http.StatusRequestTimeout {
				t.Errorf("the answer has status %d, want 408", res.StatusCode)
			}
			if err := <-given; err == nil {
				t.Error("the upstream got the whole body")
			}
			var got []int
			for i := 0; i < 1000 && len(got) < 3; i++ {
				res, err := client.Get(s.url)
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
				if res.Header.Get("Retry-After") == "1" {
					continue // it is in flight a little longer than its client knows
				}
				got = append(got, res.StatusCode)
			}
			if want := []int{200, 200, 429}; !slices.Equal(got, want) {
				t.Errorf("then of 3 a day: %v, want %v", got, want)
			}
		})
	}
}

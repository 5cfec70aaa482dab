package httpmw_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// A calls is a ResponseWriter that notes how it is used.
type calls struct {
	discard
	log []string
}

func (c *calls) note(format string, args ...any) { c.log = append(c.log, fmt.Sprintf(format, args...)) }

func (c *calls) WriteHeader(status int)            { c.note("WriteHeader %d", status) }
func (c *calls) Write(p []byte) (int, error)       { c.note("Write %s", p); return len(p), nil }
func (c *calls) WriteString(s string) (int, error) { c.note("WriteString %s", s); return len(s), nil }
func (c *calls) ReadFrom(r io.Reader) (int64, error) {
	data, err := io.ReadAll(r)
	c.note("ReadFrom %s", data)
	return int64(len(data)), err
}
func (c *calls) SetWriteDeadline(time.Time) error { c.note("SetWriteDeadline"); return nil }
func (c *calls) EnableFullDuplex() error          { c.note("EnableFullDuplex"); return nil }

var errHijack = errors.New("hijack")

// The optional interfaces of a ResponseWriter, each on its own.
type (
	flushes struct{ *calls }
	hijacks struct{ *calls }
	pushes  struct{ *calls }
)

func (c flushes) Flush() { c.note("Flush") }
func (c hijacks) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c.note("Hijack")
	return nil, nil, errHijack
}
func (c pushes) Push(target string, _ *http.PushOptions) error { c.note("Push %s", target); return nil }

// iface tells which of them w has.
func iface(w http.ResponseWriter) (flush, hijack, push bool) {
	_, flush = w.(http.Flusher)
	_, hijack = w.(http.Hijacker)
	_, push = w.(http.Pusher)
	return flush, hijack, push
}

// The ResponseWriter that a handler gets has the optional interfaces of the one
// that the server made, no more and no fewer, and each of them gets there.
func TestRecorderHasTheInterfacesOfTheServer(t *testing.T) {
	t.Parallel()
	for i := range 8 {
		c := &calls{discard: discard{http.Header{}}}
		var w http.ResponseWriter
		f, h, p := flushes{c}, hijacks{c}, pushes{c}
		switch i {
		case 0:
			w = c
		case 1:
			w = struct {
				*calls
				http.Flusher
			}{c, f}
		case 2:
			w = struct {
				*calls
				http.Hijacker
			}{c, h}
		case 3:
			w = struct {
				*calls
				http.Flusher
				http.Hijacker
			}{c, f, h}
		case 4:
			w = struct {
				*calls
				http.Pusher
			}{c, p}
		case 5:
			w = struct {
				*calls
				http.Flusher
				http.Pusher
			}{c, f, p}
		case 6:
			w = struct {
				*calls
				http.Hijacker
				http.Pusher
			}{c, h, p}
		case 7:
			w = struct {
				*calls
				http.Flusher
				http.Hijacker
				http.Pusher
			}{c, f, h, p}
		}
		flush, hijack, push := i&1 != 0, i&2 != 0, i&4 != 0
		handler, _, _ := settling(t, hundred(), func(httpmw.Outcome) int { return 10 },
			http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if gotF, gotH, gotP := iface(w); gotF != flush || gotH != hijack || gotP != push {
					t.Errorf("case %d: Flusher %v, Hijacker %v, Pusher %v; want %v, %v, %v", i, gotF, gotH, gotP, flush, hijack, push)
				}
				io.WriteString(w, "a")
				io.Copy(w, io.LimitReader(strings.NewReader("b"), 1))
				rc := http.NewResponseController(w)
				if err := rc.Flush(); (err == nil) != flush {
					t.Errorf("case %d: Flush of a controller: %v", i, err)
				}
				if flush {
					w.(http.Flusher).Flush()
				}
				if _, _, err := rc.Hijack(); errors.Is(err, errHijack) != hijack {
					t.Errorf("case %d: Hijack of a controller: %v", i, err)
				}
				if hijack {
					w.(http.Hijacker).Hijack()
				}
				if push {
					w.(http.Pusher).Push("/c", nil)
				}
				rc.SetWriteDeadline(time.Time{})
				rc.EnableFullDuplex()
				w.Write([]byte("d"))
			}))
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		want := []string{"WriteString a", "ReadFrom b"}
		if flush {
			want = append(want, "Flush", "Flush")
		}
		if hijack {
			want = append(want, "Hijack", "Hijack")
		}
		if push {
			want = append(want, "Push /c")
		}
		want = append(want, "SetWriteDeadline", "EnableFullDuplex", "Write d")
		if got := strings.Join(c.log, ", "); got != strings.Join(want, ", ") {
			t.Errorf("case %d: %s\nwant %s", i, got, strings.Join(want, ", "))
		}
	}
}

// A ResponseWriter that is before another one still lets a controller through.
func TestRecorderBeforeAnother(t *testing.T) {
	t.Parallel()
	c := &calls{discard: discard{http.Header{}}}
	h, _, _ := settling(t, hundred(), func(httpmw.Outcome) int { return 10 },
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
		}))
	h.ServeHTTP(before{c, flushes{c}}, httptest.NewRequest("GET", "/", nil))
	if len(c.log) != 1 || c.log[0] != "Flush" {
		t.Errorf("%q", c.log)
	}
}

// What a controller is told of a failed Flush it is told through the recorder.
func TestRecorderTellsOfErrors(t *testing.T) {
	t.Parallel()
	failure := errors.New("flush")
	status := 0
	h, _, _ := settling(t, hundred(), func(o httpmw.Outcome) int { status = o.Status; return 10 },
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if err := http.NewResponseController(w).Flush(); err != failure {
				t.Errorf("Flush: %v, want %v", err, failure)
			}
			w.WriteHeader(404)
		}))
	h.ServeHTTP(broken{flushes{&calls{discard: discard{http.Header{}}}}, failure}, httptest.NewRequest("GET", "/", nil))
	if status != 404 {
		t.Errorf("status %d after a Flush that failed, want 404", status)
	}
}

// A broken cannot flush.
type broken struct {
	flushes
	err error
}

func (b broken) FlushError() error { return b.err }

// A before is a ResponseWriter that has nothing but what it stands before.
type before struct {
	http.ResponseWriter
	next http.ResponseWriter
}

func (b before) Unwrap() http.ResponseWriter { return b.next }

// Without Settle the handler gets the ResponseWriter of the server itself.
func TestNoRecorderWithoutNeed(t *testing.T) {
	t.Parallel()
	given := &discard{http.Header{}}
	var got http.ResponseWriter
	l := newPerKey(policy{name: "a", limit: bucket.PerSecond(1000)}, policy{name: "b", limit: bucket.PerSecond(1000)})
	m, err := httpmw.New(l, httpmw.Config{
		Keys:     byIP(l),
		InFlight: []httpmw.InFlight{{Name: "busy", Key: httpmw.ByIP(), Max: 1}},
		Routes:   map[string][]string{"b": {"/b"}},
		Settle:   map[string]func(httpmw.Outcome) int{"b": func(httpmw.Outcome) int { return 1 }},
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { got = w }))
	if h.ServeHTTP(given, httptest.NewRequest("GET", "/", nil)); got != http.ResponseWriter(given) {
		t.Errorf("%T, want that of the server", got)
	}
	if h.ServeHTTP(given, httptest.NewRequest("GET", "/b", nil)); got == http.ResponseWriter(given) {
		t.Error("a policy that settles: the status would not be seen")
	}
}

// Over HTTP/1 and HTTP/2 of net/http, what a server can do it still does.
func TestRecorderOverTheNetwork(t *testing.T) {
	t.Parallel()
	big := bytes.Repeat([]byte("weir"), 1<<18)
	for _, proto := range []int{1, 2} {
		h, _, _ := settling(t, newPerKey(policy{name: "a", limit: bucket.PerSecond(1000)}), func(httpmw.Outcome) int { return 0 },
			http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/stream":
					fmt.Fprint(w, "first")
					w.(http.Flusher).Flush()
					<-r.Context().Done()
				case "/file":
					http.ServeContent(w, r, "x.bin", time.Time{}, bytes.NewReader(big))
				case "/early":
					w.Header().Set("Link", "</a.css>")
					w.WriteHeader(http.StatusEarlyHints)
					w.WriteHeader(http.StatusNoContent)
				}
			}))
		srv := httptest.NewUnstartedServer(h)
		srv.EnableHTTP2 = proto == 2
		srv.StartTLS()
		defer srv.Close()
		get := func(path string) *http.Response {
			resp, err := srv.Client().Get(srv.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			if resp.ProtoMajor != proto {
				t.Fatalf("HTTP/%d, want %d", resp.ProtoMajor, proto)
			}
			return resp
		}
		resp := get("/stream")
		got := make([]byte, 5)
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != "first" {
			t.Errorf("HTTP/%d: a stream: %q, %v", proto, got, err)
		}
		resp.Body.Close()
		resp = get("/file")
		if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, big) || resp.ContentLength != int64(len(big)) {
			t.Errorf("HTTP/%d: a file: %d bytes, %v", proto, len(got), err)
		}
		resp.Body.Close()
		if resp = get("/early"); resp.StatusCode != http.StatusNoContent {
			t.Errorf("HTTP/%d: status %d after an announcement", proto, resp.StatusCode)
		}
		resp.Body.Close()
	}
}

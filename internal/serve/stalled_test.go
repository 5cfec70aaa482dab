package serve_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir/internal/serve"
)

// Who does not read the answer is given up, and the upstream with it.
func TestAnswersThatNobodyReads(t *testing.T) {
	t.Parallel()
	endless := func(given chan bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			defer close(given)
			for piece := make([]byte, 64<<10); ; {
				if _, err := w.Write(piece); err != nil {
					return
				}
			}
		}
	}
	hurry := func(s *serve.Server) { serve.Hurry(s, time.Minute, 50*time.Millisecond) }
	t.Run("HTTP/1", func(t *testing.T) {
		t.Parallel()
		given := make(chan bool)
		cfg := config(t, "ip 100/s")
		cfg.Routes = to(t, endless(given))
		s := start(t, cfg, hurry)
		conn, err := net.Dial("tcp", s.server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, plain)
		<-given
	})
	t.Run("HTTP/2", func(t *testing.T) {
		t.Parallel()
		given := make(chan bool)
		cfg := config(t, "ip 100/s")
		client := withTLS(t, &cfg)
		stream := endless(given)
		cfg.Routes = to(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/endless" {
				stream(w, r)
			}
		})
		s := start(t, cfg, hurry)
		res, err := client.Get(s.url + "/endless")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		<-given
		// The connection is for other requests, as before.
		other, err := client.Get(s.url)
		if err != nil {
			t.Fatal(err)
		}
		other.Body.Close()
		if got := s.server.Connections().Open; got != 1 {
			t.Errorf("%d connections are open, want 1", got)
		}
	})
}

// deadlines is an answer that notes what is done to it, and when.
type deadlines struct {
	http.ResponseWriter
	began time.Time
	mu    sync.Mutex
	done  []string
}

func (d *deadlines) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done = append(d.done, fmt.Sprintf("%v ", time.Since(d.began))+fmt.Sprintf(format, args...))
}

func (d *deadlines) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		d.note("none")
	} else {
		d.note("until %v", t.Sub(d.began))
	}
	return nil
}

func (d *deadlines) Write(p []byte) (int, error) { d.note("write %d", len(p)); return len(p), nil }
func (d *deadlines) FlushError() error           { d.note("flush"); return nil }

// A stream may rest for any time between what is written.
func TestStreamsMayRest(t *testing.T) {
	t.Parallel()
	for major, want := range map[int][]string{
		1: {"0s write 1", "1h0m0s flush", "1h0m0s write 20000"}, // there it is the connection that gives up
		2: {"0s until 30s", "0s write 1", "0s none",
			"1h0m0s until 1h0m30s", "1h0m0s flush", "1h0m0s none",
			"1h0m0s until 1h0m30s", "1h0m0s write 16384", "1h0m0s until 1h0m30s", "1h0m0s write 3616", "1h0m0s none",
			"2h0m0s until 2h0m30s"}, // net/http writes what is left
	} {
		synctest.Test(t, func(t *testing.T) {
			h := serve.Unstalled(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, "x")
				time.Sleep(time.Hour)
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
				if n, err := io.WriteString(w, strings.Repeat("x", 20000)); n != 20000 || err != nil {
					t.Errorf("Write = %d, %v", n, err)
				}
				time.Sleep(time.Hour)
			}))
			d := &deadlines{began: time.Now()}
			h.ServeHTTP(d, &http.Request{ProtoMajor: major})
			if !slices.Equal(d.done, want) {
				t.Errorf("HTTP/%d:\n got %q\nwant %q", major, d.done, want)
			}
		})
	}
}

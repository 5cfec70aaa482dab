package proxy_test

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"testing"
	"time"
)

var bodyBytes = flag.Int64("body", 256<<20, "bytes of the body that goes both ways; less with -short")

// A pattern is a body without an end, of which each byte tells where it is.
type pattern struct{ at int64 }

func (p *pattern) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(p.at * 31 >> 3)
		p.at++
	}
	return len(b), nil
}

// same reads a body to its end and tells how much of the pattern it was.
func same(body io.Reader) (int64, error) {
	var want pattern
	got, expected := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := body.Read(got)
		want.Read(expected[:n])
		if string(got[:n]) != string(expected[:n]) {
			return want.at, fmt.Errorf("other bytes before %d", want.at)
		}
		if err == io.EOF {
			return want.at, nil
		} else if err != nil {
			return want.at, err
		}
	}
}

// A body takes no more memory than its buffers, however big it is. This test is
// not parallel, so that the memory is its own.
func TestBigBodiesAtConstantMemory(t *testing.T) {
	size := *bodyBytes
	if testing.Short() {
		size = min(size, 16<<20)
	}
	const most = 8 << 20
	read := make(chan error, 1)
	addr := front(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			n, err := same(r.Body)
			if err == nil && n != size {
				err = fmt.Errorf("%d bytes, want %d", n, size)
			}
			read <- err
			return
		}
		io.CopyN(w, &pattern{}, size)
	}), nil)
	for _, row := range []struct {
		why string
		run func() error
	}{
		{"an answer", func() error {
			res, err := http.Get(addr)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			if n, err := same(res.Body); err != nil || n != size {
				return fmt.Errorf("%d bytes, %w, want %d", n, err, size)
			}
			return nil
		}},
		{"of a known length", func() error {
			req, err := http.NewRequest("POST", addr, io.LimitReader(&pattern{}, size))
			if err != nil {
				return err
			}
			req.ContentLength = size
			res, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				return err
			}
			res.Body.Close()
			return <-read
		}},
		{"in chunks", func() error {
			res, err := http.Post(addr, "a/b", io.LimitReader(&pattern{}, size))
			if err != nil {
				return err
			}
			res.Body.Close()
			return <-read
		}},
	} {
		t.Run(row.why, func(t *testing.T) {
			var before, now runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			done, peak := make(chan bool), make(chan uint64)
			go func() {
				var top uint64
				for tick := time.NewTicker(5 * time.Millisecond); ; {
					select {
					case <-tick.C:
						runtime.ReadMemStats(&now)
						top = max(top, now.HeapInuse)
					case <-done:
						tick.Stop()
						peak <- top
						return
					}
				}
			}()
			err := row.run()
			close(done)
			if err != nil {
				t.Error(err)
			}
			if top := <-peak; top > before.HeapInuse+most {
				t.Errorf("%d MB on the heap for a body of %d MB, before it %d MB: want at most %d MB more", top>>20, size>>20, before.HeapInuse>>20, most>>20)
			}
		})
	}
}

//go:build unix

package serve_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/internal/serve"
)

// Clients that send their header a byte at a time keep nobody else from being
// served, and are closed when their time is over.
func TestSlowHeaders(t *testing.T) {
	const (
		rounds   = 5  // at least
		most     = 15 // since other processes disturb
		requests = 400
		header   = 2500 * time.Millisecond // as long as a client may take, here
	)
	slow := 5000
	if testing.Short() {
		slow = 200
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if want := uint64(2*slow + 500); uint64(limit.Max) < want {
		t.Skipf("the limit of open files is %d, and %d are wanted for %d connections with both ends", limit.Max, want, slow)
	}
	cfg := config(t, "ip 1000000/s")
	s := start(t, cfg, func(s *serve.Server) { serve.Hurry(s, header, serve.WriteTimeout) })
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	// The slowest of a hundred.
	p99 := func() time.Duration {
		var took []time.Duration
		for range requests {
			began := time.Now()
			res, err := client.Get(s.url)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != 200 {
				t.Fatalf("an honest client gets %d, %v", res.StatusCode, err)
			}
			res.Body.Close()
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		return took[requests*99/100]
	}
	p99() // to warm up
	var ratios []float64
	median := func() float64 { return slices.Sorted(slices.Values(ratios))[len(ratios)/2] }
	for i := 0; i < most && (len(ratios) < rounds || median() > 2); i++ {
		without := p99()
		end := dribble(t, s, slow)
		with := p99()
		open := s.server.Connections().Open
		if left := end(); left > 0 {
			t.Fatalf("%d of %d slow connections were not closed", left, slow)
		}
		if open >= slow { // else it took so long that some had been closed
			ratios = append(ratios, float64(with)/float64(without))
		}
	}
	if len(ratios) < rounds {
		t.Skipf("this machine is too busy to hold %d slow connections for a while", slow)
	}
	t.Logf("with %d slow clients the slowest of a hundred requests takes %.2f times as long as without (of %.2f)", slow, median(), ratios)
	if median() > 2 {
		t.Errorf("that is more than 2 times as long")
	}
}

// dribble opens so many connections that send a request a byte at a time. The
// function that it returns waits until the server has closed them, and returns
// how many it has not.
func dribble(t *testing.T, s *running, n int) (end func() int) {
	t.Helper()
	conns := make([]net.Conn, n)
	for i := range conns {
		c, err := net.Dial("tcp", s.server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = c
		io.WriteString(c, "GET / HTTP/1.1\r\nX-Slow: ")
	}
	stop := make(chan bool)
	var wait sync.WaitGroup
	wait.Go(func() {
		for tick := time.NewTicker(200 * time.Microsecond); ; { // each once a second, of 5000
			for _, c := range conns {
				select {
				case <-stop:
					tick.Stop()
					return
				case <-tick.C:
					c.Write([]byte("x"))
				}
			}
		}
	})
	return func() int {
		var left atomic.Int32
		for _, c := range conns {
			wait.Go(func() {
				defer c.Close()
				c.SetReadDeadline(time.Now().Add(time.Minute))
				if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
					left.Add(1)
				}
			})
		}
		go func() { // until the last is closed
			for s.server.Connections().Open > 1 {
				time.Sleep(10 * time.Millisecond)
			}
			close(stop)
		}()
		wait.Wait()
		return int(left.Load())
	}
}

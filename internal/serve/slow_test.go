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
// served: of two servers, of which one has 5,000 of them, that one makes honest
// clients wait at most twice as long, the slowest of a hundred requests. They are
// asked in turn, so that whatever else this machine does is the same for both.
func TestSlowHeaders(t *testing.T) {
	const (
		rounds   = 51  // many: on a busy machine single ones are anything from 0.01 to 100
		requests = 200 // of each server, in a round
	)
	slow := 5000
	if testing.Short() {
		slow = 200
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if files := uint64(limit.Cur); files < uint64(2*slow+500) { // both ends, and what tests have open
		slow = (int(files) - 500) / 2
		t.Logf("with %d slow connections: no more than %d files may be open", slow, files)
	}
	if slow < 100 {
		t.Fatalf("%d open files are too few to tell anything: want 700 or more", limit.Cur)
	}
	long := func(s *serve.Server) { serve.Hurry(s, time.Hour, serve.WriteTimeout) } // none is closed meanwhile
	var servers [2]*running
	for i := range servers {
		servers[i] = start(t, config(t, "ip 1000000/s"), long)
	}
	beset := servers[1]
	dribble(t, beset, slow)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	ask := func(s *running) time.Duration {
		began := time.Now()
		res, err := client.Get(s.url)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != 200 {
			t.Fatalf("an honest client gets %d, %v", res.StatusCode, err)
		}
		res.Body.Close()
		return time.Since(began)
	}
	var ratios []float64
	for round := range rounds + 1 {
		var took [2][]time.Duration
		for i := range 2 * requests {
			which := (i + i/2) % 2 // 0 1 1 0: neither is always after the other
			took[which] = append(took[which], ask(servers[which]))
		}
		if round == 0 {
			continue // to warm up
		}
		var p99 [2]time.Duration
		for i := range took {
			slices.Sort(took[i])
			p99[i] = took[i][requests*99/100]
		}
		ratios = append(ratios, float64(p99[1])/float64(p99[0]))
	}
	if open := beset.server.Connections().Open; open < slow {
		t.Errorf("only %d connections are open, want the %d slow ones", open, slow)
	}
	slices.Sort(ratios)
	median := ratios[rounds/2]
	t.Logf("with %d slow clients the slowest of a hundred requests takes %.2f times as long as without (of %d rounds half are from %.2f to %.2f)",
		slow, median, rounds, ratios[rounds/4], ratios[rounds*3/4])
	if median > 2 {
		t.Error("that is more than 2 times as long")
	}
}

// They are closed when their time is over, though a byte has just come.
func TestSlowHeadersEnd(t *testing.T) {
	t.Parallel()
	s := start(t, config(t, "ip 1000000/s"), func(s *serve.Server) { serve.Hurry(s, 100*time.Millisecond, serve.WriteTimeout) })
	var left atomic.Int32
	var wait sync.WaitGroup
	for _, c := range dribble(t, s, 100) {
		wait.Go(func() {
			c.SetReadDeadline(time.Now().Add(time.Minute))
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				left.Add(1)
			}
		})
	}
	wait.Wait()
	if left.Load() > 0 {
		t.Errorf("%d of 100 slow connections are open after a minute, want none", left.Load())
	}
}

// dribble opens so many connections, each of which sends a request a byte at a
// time until the end of the test.
func dribble(t *testing.T, s *running, n int) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, n)
	for i := range conns {
		c, err := net.Dial("tcp", s.server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		conns[i] = c
		io.WriteString(c, "GET / HTTP/1.1\r\nX-Slow: ")
	}
	stop := make(chan bool)
	var wait sync.WaitGroup
	t.Cleanup(func() {
		close(stop)
		wait.Wait()
	})
	wait.Go(func() {
		tick := time.NewTicker(200 * time.Microsecond) // each once a second, of 5000
		defer tick.Stop()
		for i := 0; ; i = (i + 1) % n {
			select {
			case <-stop:
				return
			case <-tick.C:
				conns[i].Write([]byte("x"))
			}
		}
	})
	return conns
}

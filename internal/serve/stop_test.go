package serve_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/internal/serve"
)

func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestStopFinishesWhatIsInFlight(t *testing.T) {
	t.Parallel()
	began, finish := make(chan bool), make(chan bool)
	cfg := config(t, "ip 100/min")
	cfg.Routes = to(t, func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-finish
		io.WriteString(w, "finished")
	})
	s := start(t, cfg)
	answer := make(chan string, 1)
	go func() {
		res, err := http.Get(s.url)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		answer <- fmt.Sprintf("%s %v", body, err)
	}()
	<-began
	s.stop()
	// The listener is closed before anything is waited for.
	for {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			break
		}
		conn.Close()
	}
	select {
	case err := <-s.done:
		t.Fatalf("Run returned %v while a request was in flight", err)
	default:
	}
	close(finish)
	if got := <-answer; got != "finished <nil>" {
		t.Errorf("the request in flight got %q", got)
	}
	if err := <-s.done; err != nil {
		t.Errorf("Run = %v", err)
	}
}

func TestForceWaitsForNothing(t *testing.T) {
	t.Parallel()
	began, finish := make(chan bool), make(chan bool)
	cfg := config(t, "ip 1/day")
	cfg.State = stateFile(t)
	cfg.Routes = to(t, func(w http.ResponseWriter, r *http.Request) {
		close(began)
		select {
		case <-finish:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(finish) })
	s := start(t, cfg)
	broken := make(chan error, 1)
	go func() {
		res, err := http.Get(s.url)
		if err == nil {
			res.Body.Close()
		}
		broken <- err
	}()
	<-began
	s.stop()
	s.force()
	forced := time.Now()
	if err := <-s.done; !errors.Is(err, serve.ErrForced) {
		t.Errorf("Run = %v, want ErrForced", err)
	}
	if took := time.Since(forced); took >= serve.DrainTimeout {
		t.Errorf("it took %v, as long as without force", took)
	}
	if err := <-broken; err == nil {
		t.Error("the request in flight was answered")
	}
	// The snapshot was quick, and so it was written.
	cfg.Routes = nil
	if got := status(t, start(t, cfg).url); got != 429 {
		t.Errorf("after a restart: %d, want 429", got)
	}
}

// Nobody waits for an upgraded connection, which may live for days.
func TestStopEndsUpgradedConnections(t *testing.T) {
	t.Parallel()
	cfg := config(t, "ip 100/min")
	cfg.Routes = to(t, func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		rw.Flush()
		io.Copy(io.Discard, rw)
	})
	s := start(t, cfg)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	in := bufio.NewReader(conn)
	if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != 101 {
		t.Fatalf("the answer is %v, %v", res, err)
	}
	s.close(t)
	if _, err := in.ReadByte(); err == nil {
		t.Error("the upgraded connection lives on")
	}
}

// Who refuses the upgrade is the limiter, in plain HTTP.
func TestUpgradesAreLimited(t *testing.T) {
	t.Parallel()
	s := start(t, config(t, "ip 1/day"))
	status(t, s.url)
	if got := status(t, s.url, "Connection", "Upgrade", "Upgrade", "websocket"); got != 429 {
		t.Errorf("status %d, want 429", got)
	}
}

func TestServerLimits(t *testing.T) {
	t.Parallel()
	cfg := config(t, "ip 1/s")
	cfg.Logger, cfg.Banner = discard, io.Discard
	s, err := serve.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Run(cancelled(), cancelled())
	if got, want := serve.ServerLimits(s), "header in 10s, idle 1m0s, write 0s, 65536 bytes, 100 streams"; got != want {
		t.Errorf("%s, want %s: slow clients must not hold connections, and streams have no end", got, want)
	}
}

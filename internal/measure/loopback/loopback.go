// Package loopback measures whole servers: requests over TCP on this machine.
package loopback

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"github.com/seed-0c889b51/weir/internal/hello"
	"github.com/seed-0c889b51/weir/internal/measure"
	"github.com/seed-0c889b51/weir/internal/policy"
	"github.com/seed-0c889b51/weir/internal/serve"
)

// Workload is the name that a Latency of this package has.
const Workload = "proxy"

// Names of what is measured.
const (
	Weir = "weir serve" // weir in front of an upstream, as it is run
	Bare = "no limiter" // the upstream by itself
)

// What may go on beside the requests.
const (
	Snapshots = "snapshots" // written to a file, each 100 ms
	Flood     = "flood"     // new keys, as fast as 2 connections send them
)

// A Load is how many requests are made, and when.
type Load struct {
	Connections int           // that are open all the time
	Every       time.Duration // between two requests of a connection
	Lasting     time.Duration
}

const (
	// Each connection is for one of so many clients after the other.
	clients = 1000
	header  = "X-Client"
	limit   = "header:" + header + " 10000000/week"
)

// Measure starts a server, makes requests on a schedule, and stops it. A request
// is measured from when it was due to the last byte of its answer: those that
// were due while an earlier one on their connection was not answered wait, and
// that counts. Clients, server and upstream share the processors.
func Measure(ctx context.Context, name, during string, load Load) (l measure.Latency, err error) {
	l = measure.Latency{Subject: name, Workload: Workload, Procs: load.Connections, During: during, EveryNs: int64(load.Every)}
	if load.Connections < 1 || load.Every <= 0 || load.Lasting <= 0 {
		return l, fmt.Errorf("%d connections, a request each %v, for %v: want 1 or more, more than 0s, more than 0s", load.Connections, load.Every, load.Lasting)
	}
	address, stop, err := start(name, during)
	if err != nil {
		return l, fmt.Errorf("%s: %w", name, err)
	}
	defer func() { err = errors.Join(err, stop()) }()

	beside, quit := context.WithCancel(ctx)
	defer quit()
	var flood, all sync.WaitGroup
	if during == Flood {
		for i := range 2 {
			// One after the other; it ends when it is told to, in an error.
			flood.Go(func() { floodWith(beside, address, i) })
		}
	}
	histograms := make([]*hdr.Histogram, load.Connections)
	failures := make([]error, load.Connections)
	start := time.Now()
	for i := range load.Connections {
		histograms[i] = measure.NewHistogram()
		all.Go(func() {
			// Not all at once.
			first := start.Add(load.Every * time.Duration(i) / time.Duration(load.Connections))
			failures[i] = client(ctx, address, i, first, load, histograms[i])
		})
	}
	all.Wait()
	quit()
	flood.Wait()
	if err := errors.Join(failures...); err != nil {
		return l, fmt.Errorf("%s: %w", name, err)
	}
	for _, h := range histograms[1:] {
		histograms[0].Merge(h)
	}
	l.SetFrom(histograms[0])
	return l, nil
}

// start starts a server and returns its address and what stops it.
func start(name, during string) (address string, stop func() error, err error) {
	if name == Bare {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", nil, err
		}
		server := &http.Server{Handler: hello.Handler()}
		go server.Serve(l)
		return l.Addr().String(), server.Close, nil
	}
	if name != Weir {
		return "", nil, fmt.Errorf("no server of that name: want %q or %q", Weir, Bare)
	}
	policies, err := policy.ParseList(limit)
	if err != nil {
		return "", nil, err
	}
	cfg := serve.Config{
		Listen: "127.0.0.1:0", Policies: policies, UserHeader: "X-User", IPv6Prefix: 64,
		Logger: slog.New(slog.DiscardHandler), Banner: io.Discard, SnapshotEvery: 100 * time.Millisecond,
	}
	clean := func() error { return nil }
	if during == Snapshots {
		dir, err := os.MkdirTemp("", "weir-bench-")
		if err != nil {
			return "", nil, err
		}
		clean = func() error { return os.RemoveAll(dir) }
		cfg.State, cfg.NeedState = filepath.Join(dir, "state"), true
	}
	server, err := serve.New(cfg)
	if err != nil {
		return "", nil, errors.Join(err, clean())
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, context.Background()) }()
	return server.Addr().String(), func() error {
		cancel()
		return errors.Join(<-ended, clean())
	}, nil
}

// A conn is a connection of a client.
type conn struct {
	net.Conn
	in *bufio.Reader
}

func dial(ctx context.Context, address string) (*conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &conn{c, bufio.NewReader(c)}, nil
}

// get makes a request as a client of that name, and reads all of the answer.
func (c *conn) get(client string) (status int, err error) {
	answer, err := c.getAnswer(client)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, nil
}

// getAnswer is get that returns all but the body, which it has read.
func (c *conn) getAnswer(client string) (*http.Response, error) {
	request := "GET /hello HTTP/1.1\r\nHost: localhost\r\nUser-Agent: weir-bench\r\nAccept: */*\r\n" + header + ": " + client + "\r\n\r\n"
	if _, err := io.WriteString(c, request); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return answer, errors.Join(err, answer.Body.Close())
}

// client makes all requests that are due on one connection.
func client(ctx context.Context, address string, number int, first time.Time, load Load, h *hdr.Histogram) error {
	c, err := dial(ctx, address)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	for i := 0; ; i++ {
		due := time.Duration(i) * load.Every
		if due >= load.Lasting && i > 0 {
			return nil
		}
		at := first.Add(due)
		time.Sleep(time.Until(at))
		status, err := c.get(fmt.Sprintf("client-%d", (number*31+i)%clients))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("request %d of connection %d: %w", i+1, number, err)
		case status != http.StatusOK:
			return fmt.Errorf("request %d of connection %d: status %d: want 200", i+1, number, status)
		}
		measure.Record(h, time.Since(at))
	}
}

// floodWith makes requests of clients that have never been there.
func floodWith(ctx context.Context, address string, number int) {
	c, err := dial(ctx, address)
	if err != nil {
		return
	}
	defer c.Close()
	for i := 0; ctx.Err() == nil; i++ {
		if _, err := c.get(fmt.Sprintf("flood-%d-%d", number, i)); err != nil {
			return
		}
	}
}

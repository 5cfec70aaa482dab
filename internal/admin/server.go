package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/seed-0c889b51/weir/internal/adminapi"
)

// A Config says what a [Server] is to be.
type Config struct {
	// Listener is where it listens: on a Unix socket or a loopback address, or
	// with TLS and Token on another. The Server closes it.
	Listener net.Listener
	// TLS, if not nil, is spoken on Listener if that is not on this machine
	// alone. The names of its certificate are then names of the server.
	TLS *tls.Config
	// Token is what writes, and reads that name clients, must come with; see
	// [ReadToken]. Without one there are none.
	Token string
	// Watch knows who is denied.
	Watch *Watch
	// Timings, if not nil, are among the metrics.
	Timings *Timings
	// Source returns what is served now. It is asked anew for each request,
	// since it changes when the configuration is loaded again.
	Source func() Source
	// Ready returns nil if requests are served, or why they are not. Nil means
	// that they are.
	Ready func() error
	// Page answers for all paths but those of the API, the metrics and the
	// probes. Nil is a list of those.
	Page http.Handler
	// Pprof adds /debug/pprof/, for who has the token.
	Pprof bool
	// Logger is told when the server fails. Nil means [slog.Default].
	Logger *slog.Logger
}

// ErrUnsafe is the error of [New] for a listener that others could reach
// without a token or without TLS.
var ErrUnsafe = errors.New("others could reach it")

// Safe returns an error that wraps [ErrUnsafe] unless a server may listen at an
// address with what it has.
func Safe(addr net.Addr, token, secure bool) error {
	switch {
	case onThisMachine(addr):
		return nil
	case !token:
		return fmt.Errorf("%w on %s: want a loopback address such as 127.0.0.1:9429, or a token", ErrUnsafe, addr)
	case !secure:
		return fmt.Errorf("%w on %s, and read the token on its way: want a loopback address such as 127.0.0.1:9429, or TLS", ErrUnsafe, addr)
	}
	return nil
}

const (
	readTimeout    = 10 * time.Second
	answerTimeout  = 30 * time.Second
	idleTimeout    = 60 * time.Second
	maxHeaderBytes = 16 << 10
	maxBody        = 64 << 10
	maxAtOnce      = 64 // connections
)

// A Server answers its owner. [New] makes one.
type Server struct {
	cfg     Config
	log     *slog.Logger
	guard   guard
	http    *http.Server
	events  *events
	health  *detector
	metrics http.Handler
	scan    sync.Mutex // one list of keys is made at a time
	stop    context.CancelFunc
}

// New returns a server that does not serve yet. The error wraps [ErrUnsafe] if
// cfg.Listener may not be served without what cfg lacks.
func New(cfg Config) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if err := Safe(cfg.Listener.Addr(), cfg.Token != "", cfg.TLS != nil); err != nil {
		return nil, err
	}
	own := onThisMachine(cfg.Listener.Addr())
	if own {
		cfg.TLS = nil
	} else {
		cfg.TLS = cfg.TLS.Clone() // net/http changes it
	}
	s := &Server{cfg: cfg, log: cfg.Logger}
	s.guard = newGuard(cfg, own)
	s.health = newDetector(cfg.Source)
	s.events = newEvents(s.status)
	var err error
	if s.metrics, err = newMetrics(s); err != nil {
		return nil, err
	}
	base, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.http = &http.Server{
		Handler:           s.guard.handler(s.routes()),
		TLSConfig:         cfg.TLS,
		ReadTimeout:       readTimeout,
		ReadHeaderTimeout: readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          log.New(discard{}, "", 0), // its lines hold addresses
	}
	return s, nil
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// routes returns what answers for each path.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", s.guard.reading(s.metrics))
	mux.Handle("GET "+adminapi.PathStatus, s.guard.reading(http.HandlerFunc(s.getStatus)))
	mux.Handle("GET "+adminapi.PathEvents, s.guard.reading(s.events))
	mux.Handle("GET "+adminapi.PathWhoami, s.guard.reading(http.HandlerFunc(s.getWhoami)))
	mux.Handle("POST "+adminapi.PathWhoami, s.guard.owner(http.HandlerFunc(s.postWhoami)))
	mux.Handle("GET "+adminapi.PathKeys, s.guard.owner(http.HandlerFunc(s.getKeys)))
	mux.Handle("POST "+adminapi.PathReset, s.guard.owner(http.HandlerFunc(s.postReset)))
	mux.Handle("GET "+adminapi.PathDecisions+"{id}", s.guard.owner(http.HandlerFunc(s.getDecision)))
	mux.HandleFunc("/api/", func(w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusNotFound, "there is nothing at this path, or not for this method")
	})
	mux.Handle("/debug/", s.guard.owner(s.pprof()))
	if s.cfg.Page != nil {
		mux.Handle("/", s.cfg.Page)
	} else {
		mux.HandleFunc("GET /{$}", list)
	}
	return mux
}

// pprof returns the profiles of the process, if they are to be had.
func (s *Server) pprof() http.Handler {
	if !s.cfg.Pprof {
		return http.NotFoundHandler()
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// list answers with what there is, where there is no page.
func list(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "/healthz\n/readyz\n/metrics\n"+adminapi.PathStatus+"\n"+adminapi.PathEvents+"\n"+adminapi.PathWhoami+
		"\n"+adminapi.PathKeys+" (token)\n"+adminapi.PathDecisions+"ID (token)")
}

// Addr is the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.cfg.Listener.Addr() }

// URL is the address of the server for a browser, "" for a Unix socket.
func (s *Server) URL() string {
	switch {
	case s.Addr().Network() == "unix":
		return ""
	case s.cfg.TLS != nil:
		return "https://" + s.Addr().String() + "/"
	}
	return "http://" + s.Addr().String() + "/"
}

// Serve answers requests until Close is called, and then returns nil.
func (s *Server) Serve() error {
	go s.health.run()
	listener := limited(s.cfg.Listener, maxAtOnce)
	var err error
	if s.cfg.TLS != nil {
		err = s.http.ServeTLS(listener, "", "")
	} else {
		err = s.http.Serve(listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("the admin listener on %s: %w", s.Addr(), err)
}

// Close ends all connections, the streams of events too, and the listener.
func (s *Server) Close() {
	s.stop()
	s.health.close()
	s.http.Close()         // its only error is the listener's,
	s.cfg.Listener.Close() // which it has closed unless it was never served from
}

// onThisMachine tells whether nobody but users of this machine can connect.
func onThisMachine(addr net.Addr) bool {
	if addr.Network() == "unix" {
		return true
	}
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// Package serve is what the command weir serve does: an HTTP server that
// limits requests and passes on those that are within their limits.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/admin"
	"github.com/seed-0c889b51/weir/internal/hello"
	"github.com/seed-0c889b51/weir/internal/policy"
	"github.com/seed-0c889b51/weir/internal/proxy"
)

// A Config says what to serve.
type Config struct {
	// Listen is the TCP address to listen on, host:port, where port 0 is a free
	// one; or "unix:" and the path of a Unix socket, which is made with the
	// permissions of SocketMode.
	Listen     string
	SocketMode fs.FileMode
	// TLSCert and TLSKey are the files of a certificate and its key, in PEM,
	// which are read again when they change. With both "" there is no TLS, and
	// HTTP/2 neither.
	TLSCert, TLSKey string
	// ProxyProtocol are who must begin each connection with a header of the
	// PROXY protocol, version 1 or 2, that says who the client is. Connections
	// of others are then refused. With nobody the header is not understood.
	ProxyProtocol Peers
	// MaxConnections bounds the connections that are open at once, and
	// MaxPerClient those of one client: an IPv4 address, or an IPv6 network.
	// Those of Trust, and on a Unix socket, are for many clients and only
	// count for the former. 0 is any number. One too many is closed at once.
	MaxConnections, MaxPerClient int
	// Routes are the upstreams by path, from [proxy.ParseRoute]. None is a
	// built-in one for all paths.
	Routes []proxy.Route
	// ForwardAuth has no upstream at all, but answers a proxy that asks about
	// its requests: 204 if one may go on, and DenyStatus, 403 or 429, if it is
	// over a limit.
	ForwardAuth Proxy
	DenyStatus  int
	// Timeout is how long the upstream may take to begin its answer; 0 is
	// for ever.
	Timeout time.Duration
	// Policies are the limits, one or more, with names as of [policy.SetNames].
	Policies []policy.Policy
	// InFlight are the limits of how many requests are served at once, if any,
	// from [policy.ParseInFlightList].
	InFlight []policy.InFlight
	// DefaultPolicies tells that nobody chose them, for the banner.
	DefaultPolicies bool
	// UserHeader is the canonical name of the field in which a trusted peer
	// says who the user is.
	UserHeader string
	// Trust are the proxies that are trusted, ClientIP says where they name the
	// client, and IPv6Prefix is the network that IPv6 clients are limited by, as
	// of [httpmw.NewClientIP].
	Trust      Peers
	ClientIP   ClientIP
	IPv6Prefix int
	// Exempt, Fields, ExposeFields and Jitter are those of [httpmw.Config].
	Exempt       []netip.Prefix
	Fields       httpmw.FieldSet
	ExposeFields bool
	Jitter       bool
	// ExemptRoutes, FoldCase, Preflight, FailOpen and NoFieldsOnRedirect are
	// those of [httpmw.Config].
	ExemptRoutes       []string
	FoldCase           bool
	Preflight          httpmw.Preflight
	FailOpen           bool
	NoFieldsOnRedirect bool
	// PartitionKey is by what clients are told in which of several quotas they
	// are, hashed with PartitionSecret: [policy.IP], [policy.User] or a
	// [policy.Header]. The zero value tells them nothing of it, and a nil secret
	// is a random one.
	PartitionKey    policy.Part
	PartitionSecret []byte
	// State is the file for the state; "" keeps nothing.
	State string
	// Secret, if not nil, are the 32 bytes that keys in State are hashed with:
	// see [weir.Config].
	Secret []byte
	// NeedState makes a State that cannot be used an error of [New].
	NeedState bool
	// SnapshotEvery is the time between snapshots; see [weir.Config].
	SnapshotEvery time.Duration
	// Edge spares flash; see [weir.Config].
	Edge bool
	// Crash and ColdStart are those of all Policies that have none of their own;
	// see [weir.Policy].
	Crash     weir.Crash
	ColdStart weir.ColdStart
	// Logger gets what happens while serving. No line holds the address, the
	// key, the user or a credential of a client.
	Logger *slog.Logger
	// Banner gets what is served, in plain text, before the first request.
	Banner io.Writer
	// Admin says how the owner can look at the server.
	Admin Admin
}

const (
	readHeaderTimeout = 10 * time.Second // against clients that send a header slowly
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 64 << 10
	maxStreams        = 100              // requests at once on an HTTP/2 connection
	drainTimeout      = 10 * time.Second // for requests in flight when the server stops
	forceGrace        = time.Second      // for the final snapshot when it is forced to
)

// ErrConfig marks an error of [New] that a different configuration cures.
var ErrConfig = errors.New("invalid configuration")

// ErrForced is the error of [Server.Run] when it was told not to wait.
var ErrForced = errors.New("stopped at once: requests in flight were cut off")

// A Server is listening. [New] makes one, and its Run serves.
type Server struct {
	log     *slog.Logger
	gate    *gate
	limiter *weir.Limiter
	http    *http.Server
	cut     context.CancelFunc // ends the requests that are left, upgraded ones too

	observer          *observer
	source            atomic.Pointer[admin.Source] // what the observer shows
	started           time.Time
	serving, stopping atomic.Bool
}

// New listens, opens the state, and says so in the banner. The error is
// [ErrConfig] if the configuration is wrong, such as an address that is not
// this machine's; otherwise the address or the state cannot be used now.
func New(cfg Config) (_ *Server, err error) {
	secure, err := tlsConfig(cfg)
	if err != nil {
		return nil, err
	}
	listener, err := listen("--listen", cfg.Listen, cfg.SocketMode)
	if err != nil {
		return nil, err
	}
	s := &Server{log: cfg.Logger, started: time.Now()}
	defer func() {
		if err != nil {
			listener.Close()
			if s.observer != nil {
				s.observer.close()
			}
		}
	}()
	if s.observer, err = newObserver(s, cfg); err != nil {
		return nil, err
	}
	for _, r := range cfg.Routes {
		if leadsTo(r.To, listener.Addr()) {
			return nil, configError(fmt.Errorf("--to %q is the address that weir itself listens on: want the address of your API",
				r.To.Redacted()))
		}
	}
	if err := s.observer.refuseOwn(cfg); err != nil {
		return nil, err
	}
	client, proxies, err := clientIPs(cfg)
	if err != nil {
		return nil, configError(err)
	}
	limiter, stateErr, err := openLimiter(cfg, client, proxies)
	if err != nil {
		return nil, err
	}
	met, err := newHandler(cfg, limiter, client, proxies, s.observer)
	if err != nil {
		limiter.Close()
		return nil, configError(err)
	}
	s.gate = newGate(listener, cfg)
	s.show(cfg, met, limiter, stateErr)
	if err := s.observer.open(s, &cfg, secure, stateErr); err != nil {
		limiter.Close()
		return nil, err
	}
	writeBanner(cfg, listener.Addr(), limiter.Restored(), stateErr, s.observer.text(cfg))
	if stateErr != nil {
		cfg.Logger.Error("the state cannot be used: limits are enforced in memory", "state", cfg.State, "reason", stateErr.Error())
	}

	base, cut := context.WithCancel(context.Background())
	s.limiter, s.cut = limiter, cut
	s.http = &http.Server{
		Handler:           unsmuggled(unheld(unstalled(untrickled(met.handler, s.gate), s.gate), s.gate)),
		TLSConfig:         secure,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// No ReadTimeout or WriteTimeout: a stream has no end. See body, conn
		// and stream.
		HTTP2:       &http.HTTP2Config{MaxConcurrentStreams: maxStreams, WriteByteTimeout: writeTimeout},
		ErrorLog:    newErrorLog(cfg.Logger),
		BaseContext: func(net.Listener) context.Context { return base },
		ConnContext: withConn,
		// OPTIONS * counts too, and is the upstream's to answer.
		DisableGeneralOptionsHandler: true,
	}
	return s, nil
}

// newHandler returns the limits with the upstream behind them.
func newHandler(cfg Config, limiter *weir.Limiter, client, proxies httpmw.ClientIP, o *observer) (front, error) {
	rules, err := rulesOf(cfg, client, proxies)
	if err != nil {
		return front{}, err
	}
	rules.Denied = o.watch.Denied
	if cfg.ForwardAuth != "" {
		rules.Refuse = denied(cfg.DenyStatus)
	}
	limits, err := httpmw.New(limiter, rules)
	if err != nil {
		return front{}, err
	}
	met := front{limits: limits, rules: rules}
	if cfg.ForwardAuth != "" {
		met.handler = questions(o.around(limits, http.HandlerFunc(mayGoOn)), cfg.ForwardAuth, proxies.TrustsPeer)
		return met, nil
	}
	if len(cfg.Routes) == 0 {
		met.handler = o.around(limits, hello.Handler())
		return met, nil
	}
	upstream, err := proxy.New(proxy.Config{
		Routes:       cfg.Routes,
		TrustsPeer:   proxies.TrustsPeer,
		ClientIP:     client.Addr,
		ClientHeader: cfg.ClientIP.Header,
		UserHeader:   cfg.UserHeader,
		Timeout:      cfg.Timeout,
		Logger:       cfg.Logger,
	})
	if err != nil {
		return front{}, err
	}
	met.handler = o.around(limits, upstream)
	if cfg.ClientIP.tells() {
		met.handler = o.around(limits, telling(upstream, client))
	}
	return met, nil
}

// Addr is the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.gate.Addr() }

// Connections returns the counts of connections so far.
func (s *Server) Connections() Connections { return s.gate.counts() }

// Run serves until ctx ends. It then takes no more connections, waits up to 10
// seconds for the requests in flight, writes the final snapshot and returns
// nil. If force ends it waits no longer, for the snapshot up to a second, and
// returns [ErrForced]. It is called once.
func (s *Server) Run(ctx, force context.Context) error {
	s.observer.start(s)
	defer s.observer.close()
	served := make(chan error, 1)
	s.serving.Store(true)
	go func() {
		if s.http.TLSConfig != nil {
			served <- s.http.ServeTLS(s.gate, "", "")
		} else {
			served <- s.http.Serve(s.gate)
		}
	}()

	var failure error
	select {
	case err := <-served:
		failure = fmt.Errorf("serving on %s: %w", name(s.Addr()), err)
	case <-ctx.Done():
		s.stopping.Store(true)
		s.log.Info("stopping: waiting for requests in flight", "at_most", drainTimeout.String())
		s.drain(force)
	case <-force.Done():
	}
	s.cut()
	s.http.Close() // its only error is the listener's, which is closed
	s.gate.Close() // if it was not served from yet

	err := s.closeLimiter(force)
	switch {
	case failure != nil && err != nil:
		return fmt.Errorf("%w; %w", failure, err)
	case failure != nil:
		return failure
	case err == nil && force.Err() != nil:
		return ErrForced
	}
	return err
}

// drain waits for the requests in flight.
func (s *Server) drain(force context.Context) {
	wait, cancel := context.WithTimeout(force, drainTimeout)
	defer cancel()
	if err := s.http.Shutdown(wait); err != nil && force.Err() == nil {
		s.log.Warn("requests in flight were cut off", "after", drainTimeout.String())
	}
}

// closeLimiter writes the final snapshot. If forced it waits for it only so
// long: a disk that hangs must not keep the process.
func (s *Server) closeLimiter(force context.Context) error {
	closed := make(chan error, 1)
	go func() { closed <- s.limiter.Close() }()
	var err error
	select {
	case err = <-closed:
	case <-force.Done():
		select {
		case err = <-closed:
		case <-time.After(forceGrace):
			return fmt.Errorf("%w, and the final snapshot was not finished", ErrForced)
		}
	}
	if err != nil {
		return fmt.Errorf("the final snapshot failed, what was spent since the last one is forgotten: %w", err)
	}
	return nil
}

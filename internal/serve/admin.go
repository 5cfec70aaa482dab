package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/admin"
	"github.com/seed-0c889b51/weir/internal/oneline"
	"github.com/seed-0c889b51/weir/internal/page"
)

// An Admin says how the owner of the server can look at it: see package admin.
type Admin struct {
	// Listen is a TCP address, or "unix:" and the path of a socket that only
	// this user can connect to; "" is no listener.
	Listen string
	// Optional has the server do without if it cannot listen there.
	Optional bool
	// Token is what writes and reads that name clients must come with. If it is
	// "", it is in TokenFile, which is made if it is not there and the state can
	// be used. If that is "" too there is none, and there are none of these.
	// ShowToken has the banner show the token itself and not where it is.
	Token, TokenFile string
	ShowToken        bool
	// Pprof adds profiles of the process.
	Pprof bool
	// NameKeys has the log name clients that are over a limit, by address for
	// one. Otherwise it only says which lines are about the same one.
	NameKeys bool
	// Version is that of the binary.
	Version string
}

// A front is what requests meet, and what can be said of it.
type front struct {
	handler http.Handler
	limits  *httpmw.Middleware
	rules   httpmw.Config
}

// An observer is what the owner sees the server by.
type observer struct {
	watch    *admin.Watch
	timings  *admin.Timings // nil without a listener
	listener net.Listener   // nil: none
	missed   error          // why there is none, if one was wanted
	server   *admin.Server
	cancel   context.CancelFunc
}

// newObserver listens for the owner.
func newObserver(s *Server, cfg Config) (*observer, error) {
	o := &observer{}
	if cfg.Admin.Listen != "" {
		var err error
		o.listener, err = listen("--admin", cfg.Admin.Listen, 0o600)
		switch {
		case err != nil && !cfg.Admin.Optional:
			return nil, err
		case err != nil:
			o.missed = err
		default:
			o.timings = admin.NewTimings()
			err = admin.Safe(o.listener.Addr(), cfg.Admin.Token != "" || cfg.Admin.TokenFile != "", cfg.TLSCert != "")
		}
		if err != nil && o.missed == nil {
			o.listener.Close()
			return nil, unsafeAdmin(cfg, err)
		}
	}
	see := admin.WatchConfig{Logger: cfg.Logger, IDs: o.listener != nil}
	if cfg.Admin.NameKeys {
		see.Names = func(key string) string { return s.source.Load().Limits.KeyText(key) }
	}
	o.watch = admin.NewWatch(see)
	return o, nil
}

// refuseOwn returns an error if an upstream is the admin listener: clients would
// then reach it.
func (o *observer) refuseOwn(cfg Config) error {
	if o.listener == nil {
		return nil
	}
	for _, r := range cfg.Routes {
		if leadsTo(r.To, o.listener.Addr()) {
			return configError(fmt.Errorf("--to %q is the address of --admin, which is not for clients: want the address of your API",
				r.To.Redacted()))
		}
	}
	return nil
}

// around returns a handler that limits the requests to next.
func (o *observer) around(limits *httpmw.Middleware, next http.Handler) http.Handler {
	if o.timings == nil {
		return limits.Handler(next)
	}
	return o.timings.Around(limits.Handler(o.timings.Behind(next)))
}

// open makes the server for the owner.
func (o *observer) open(s *Server, cfg *Config, secure *tls.Config, stateErr error) error {
	if o.listener == nil {
		return nil
	}
	if cfg.Admin.Token == "" && cfg.Admin.TokenFile != "" && stateErr == nil {
		var err error
		if cfg.Admin.Token, err = admin.OwnToken(cfg.Admin.TokenFile); err != nil {
			cfg.Logger.Warn("there is no token for the admin listener, so it names no client",
				"file", cfg.Admin.TokenFile, "reason", err.Error())
		}
	}
	of := admin.Config{
		Listener: o.listener, Token: cfg.Admin.Token, Watch: o.watch, Timings: o.timings, Pprof: cfg.Admin.Pprof, Logger: cfg.Logger,
		TLS: secure, Source: func() admin.Source { return *s.source.Load() }, Ready: s.ready, Page: page.Handler(),
	}
	var err error
	if o.server, err = admin.New(of); err != nil {
		return unsafeAdmin(*cfg, err)
	}
	return nil
}

// unsafeAdmin says which flags an address wants that others can reach.
func unsafeAdmin(cfg Config, err error) error {
	return configError(fmt.Errorf("--admin %q: %w (--admin-token FILE, --tls-cert and --tls-key)", cfg.Admin.Listen, err))
}

// start begins to serve the owner.
func (o *observer) start(s *Server) {
	ctx, cancel := context.WithCancel(context.Background())
	o.cancel = cancel
	go o.watch.Run(ctx)
	if o.server == nil {
		return
	}
	go func() {
		if err := o.server.Serve(); err != nil {
			s.log.Error("the owner cannot look any more", "reason", err.Error())
		}
	}()
}

// close ends it.
func (o *observer) close() {
	if o.cancel != nil {
		o.cancel()
	}
	switch {
	case o.server != nil:
		o.server.Close()
	case o.listener != nil:
		o.listener.Close()
	}
}

var (
	errStarting = errors.New("it does not serve yet")
	errStopping = errors.New("it is stopping")
)

// ready returns nil if requests are served.
func (s *Server) ready() error {
	switch {
	case s.stopping.Load():
		return errStopping
	case !s.serving.Load():
		return errStarting
	}
	return nil
}

// Admin returns the address that the owner can look at, nil for none.
func (s *Server) Admin() net.Addr {
	if s.observer.server == nil {
		return nil
	}
	return s.observer.server.Addr()
}

// show has the owner see what is served from now on.
func (s *Server) show(cfg Config, f front, limiter *weir.Limiter, stateErr error) {
	src := admin.Source{
		Version: cfg.Admin.Version, Started: s.started, Listen: s.url(cfg), State: cfg.State, StateError: stateErr,
		Limiter: limiter, Limits: f.limits, Rules: f.rules, Reloaded: admin.Reload{At: time.Now()},
		Connections: func() admin.Connections { return admin.Connections(s.gate.counts()) },
	}
	if len(cfg.Routes) > 0 && cfg.ForwardAuth == "" {
		src.Upstreams = upstreamTexts(cfg.Routes)
	}
	for _, p := range cfg.Policies {
		src.Policies = append(src.Policies, admin.Policy{Name: p.Name, Key: p.Key.String(), Size: p.Size, Scope: scopeText(p.Routes)})
	}
	s.source.Store(&src)
}

// url returns where requests come in.
func (s *Server) url(cfg Config) string {
	addr := s.gate.Addr()
	if addr.Network() == "unix" {
		return name(addr)
	}
	if cfg.TLSCert != "" {
		return "https://" + addr.String()
	}
	return "http://" + addr.String()
}

// scopeText says which requests a policy is for, "" for all.
func scopeText(routes []string) string {
	text := ""
	for i, r := range routes {
		if i > 0 {
			text += ", "
		}
		text += r
	}
	return text
}

// text says where the owner can look, "" if nobody wanted to.
func (o *observer) text(cfg Config) string {
	switch {
	case o.missed != nil:
		return fmt.Sprintf("none: %s", oneline.Text(o.missed.Error()))
	case o.server == nil:
		return ""
	}
	text := o.server.URL()
	if text == "" {
		text = name(o.server.Addr())
	}
	switch {
	case cfg.Admin.Token == "":
		return text + " (names no client without --admin-token)"
	case cfg.Admin.ShowToken && o.server.URL() != "":
		return text + "#token=" + cfg.Admin.Token
	}
	return text + " (token in " + cfg.Admin.TokenFile + ")"
}

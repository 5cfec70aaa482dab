package admin

import (
	"fmt"
	"net/http"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/adminapi"
)

// A Source is what is served at one time: what a [Server] reads from.
type Source struct {
	Version   string // as weir version says it
	Started   time.Time
	Listen    string   // where requests come in, such as http://127.0.0.1:8080
	Upstreams []string // as in the banner; none with the built-in one
	// State is the file that the Limiter is kept in, "" for none, and StateError
	// why it is not used.
	State      string
	StateError error
	Limiter    *weir.Limiter
	Limits     *httpmw.Middleware // on Limiter
	// Rules are what Limits was made of.
	Rules httpmw.Config
	// Policies are those of Limiter.
	Policies []Policy
	// Connections, if not nil, returns the counts of connections.
	Connections func() Connections
	// Reloaded says how the last loading of the configuration ended.
	Reloaded Reload
}

// A Policy is what a [Source] knows of a policy besides its counts.
type Policy struct {
	Name   string
	Key    string // who a request counts for, such as ip
	Scope  string // which requests it is for; "" is all
	Size   int    // how many keys are kept in memory; 0 is weir's default
	Shadow *adminapi.Shadow
}

// Connections are counts of connections.
type Connections struct {
	Open                            int
	OverAll, OverClient, NotProxied uint64 // that were refused, by reason
}

// A Reload is how the last loading of the configuration ended.
type Reload struct {
	Err error     // nil: it is in force
	At  time.Time // when the one in force was loaded
}

const defaultSize = 65536 // keys of a weir.Policy

// status returns how the server does.
func (s *Server) status() adminapi.Status {
	src := s.cfg.Source()
	limiter, limits := src.Limiter.Stats(), src.Limits.Stats()
	st := adminapi.Status{
		Version: src.Version, Started: src.Started, UptimeMs: millis(time.Since(src.Started)),
		Listen: src.Listen, Upstreams: append([]string{}, src.Upstreams...),
		State:    adminapi.State{Path: src.State, AgeMs: millis(limiter.Age)},
		Policies: []adminapi.Policy{},
		Warnings: s.health.warnings(limits.Warnings),
		Health:   s.health.look(src, limiter, limits),
	}
	if !limiter.LastSaved.IsZero() {
		st.State.LastSaved = &limiter.LastSaved
	}
	switch {
	case src.StateError != nil:
		st.State.Error = src.StateError.Error()
	case limiter.SaveError != nil:
		st.State.Error = limiter.SaveError.Error()
	}
	for _, p := range limiter.Policies {
		of := adminapi.Policy{
			Name: p.Name, Limit: p.Limit.String(), DryRun: p.DryRun,
			KeysInMemory: p.Keys, Evicted: p.Evicted, DebtsKept: p.DebtsKept, DebtsDropped: p.DebtsDropped,
			PeakUse: s.health.peakOf(p),
		}
		known := src.policy(p.Name)
		of.Key, of.Scope, of.Shadow = known.Key, known.Scope, known.Shadow
		if c, ok := countsOf(limits, p.Name); ok {
			of.Asked, of.Allowed, of.Denied, of.Missing = c.Allowed+c.Denied+c.Spared, c.Allowed, c.Denied, c.Missing
		}
		st.Policies = append(st.Policies, of)
	}
	return st
}

// policy returns what is known of a policy. While a configuration is loaded, the
// limiter may have one for a moment that the source does not know.
func (src Source) policy(name string) Policy {
	for _, p := range src.Policies {
		if p.Name == name {
			return p
		}
	}
	return Policy{Name: name, Key: name}
}

// countsOf returns the middleware's counts of a policy.
func countsOf(st httpmw.Stats, name string) (httpmw.PolicyStats, bool) {
	for _, c := range st.Policies {
		if c.Name == name {
			return c, true
		}
	}
	return httpmw.PolicyStats{}, false
}

func (s *Server) getStatus(w http.ResponseWriter, _ *http.Request) { answer(w, s.status()) }

// healthz answers that the process is there.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
}

// readyz answers whether requests are served.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if s.cfg.Ready != nil {
		if err := s.cfg.Ready(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, "not ready:", err)
			return
		}
	}
	fmt.Fprintln(w, "ready")
}

// decisionText is what a limit allows, for an answer.
func decisionText(l bucket.Limit) string {
	if l.Window == 0 { // of an InFlight
		return fmt.Sprintf("%d in flight", l.Quota)
	}
	return l.String()
}

package admin

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/adminapi"
)

// getWhoami answers how this request would be counted.
func (s *Server) getWhoami(w http.ResponseWriter, r *http.Request) {
	about := r.Clone(r.Context())
	if s.guard.holds(r) { // it is for this listener alone
		about.Header.Del("Authorization")
	}
	s.whoami(w, about)
}

// postWhoami answers how a request would be counted that is described.
func (s *Server) postWhoami(w http.ResponseWriter, r *http.Request) {
	var q adminapi.Question
	if !read(w, r, &q) {
		return
	}
	about, err := asked(r, q)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	s.whoami(w, about)
}

// asked returns the request that a question is about.
func asked(r *http.Request, q adminapi.Question) (*http.Request, error) {
	about := r.Clone(r.Context())
	about.Body, about.ContentLength, about.TLS = http.NoBody, 0, nil
	about.Header = http.Header{}
	for name, values := range q.Header {
		if http.CanonicalHeaderKey(name) == "Host" && len(values) > 0 {
			about.Host = values[0]
			continue
		}
		for _, v := range values {
			about.Header.Add(name, v)
		}
	}
	if q.Peer != "" {
		addr, err := netip.ParseAddr(q.Peer)
		if err != nil {
			return nil, fmt.Errorf("peer %.64q: want an address, such as 203.0.113.7", q.Peer)
		}
		about.RemoteAddr = net.JoinHostPort(addr.WithZone("").String(), "0")
	}
	about.Method = http.MethodGet
	if q.Method != "" {
		about.Method = q.Method
	}
	if q.Path == "" {
		q.Path = "/"
	}
	u, err := url.ParseRequestURI(q.Path)
	if err != nil || !strings.HasPrefix(q.Path, "/") {
		return nil, fmt.Errorf("path %.64q: want one that begins with /, such as /login", q.Path)
	}
	about.URL, about.RequestURI = u, q.Path
	return about, nil
}

// whoami answers how a request would be counted, by a middleware like that in
// front whose limiter only takes notes.
func (s *Server) whoami(w http.ResponseWriter, about *http.Request) {
	src := s.cfg.Source()
	rules := src.Rules
	rules.InFlight, rules.Settle, rules.Refuse, rules.Denied, rules.PartitionKey = nil, nil, nil, nil, nil
	rules.Cost, rules.Costs = nil, nil // a function may charge somebody
	rules.Fields = httpmw.NoFields
	rules.Logger = slog.New(slog.DiscardHandler)
	notes := &notebook{names: src.Limiter.Names()}
	m, err := httpmw.New(notes, rules)
	if err != nil {
		problem(w, http.StatusInternalServerError, "the limits cannot be asked about: "+err.Error())
		return
	}
	m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(nowhere{http.Header{}}, about)
	counts := m.Stats()

	of := adminapi.Whoami{Peer: peerText(about), Policies: []adminapi.Keying{}}
	addr, known := rules.IP.Addr(about)
	of.Client, of.Why = "unknown", clientWhy(rules.IP, about, addr, counts)
	if known {
		of.Client = addr.String()
	}
	decisions := make([]bucket.Decision, len(notes.names))
	if notes.keys != nil {
		src.Limiter.PeekEach(decisions, notes.costs, notes.keys...)
	}
	for _, p := range src.Limiter.Stats().Policies {
		i := slices.Index(notes.names, p.Name)
		if i < 0 { // it has just come
			continue
		}
		k := adminapi.Keying{Policy: p.Name, Limit: p.Limit.String()}
		key := src.policy(p.Name).Key
		switch {
		case counts.Exempt > 0:
			k.Why = "requests like this one are exempt from all limits"
		case counts.Failed > 0:
			k.Why = "its key cannot be made, and it is answered with 503"
		case notes.keys == nil:
			k.Why = "it is refused with 400, since it has not the identity that a limit asks for"
		case notes.costs[i] < 0:
			k.Why = "the limit is not for requests like this one"
		case counts.Policies[i].Missing > 0:
			k.Applies, k.Key = true, src.Limits.KeyText(notes.keys[i])
			k.Why = "it has no " + key + ": the client's address stands in for what is missing"
		default:
			k.Applies, k.Key = true, src.Limits.KeyText(notes.keys[i])
			k.Why = "the limit is by " + key
		}
		if k.Applies && decisions[i].Limit != p.Limit { // one of its own
			k.Limit = decisions[i].Limit.String()
		}
		of.Policies = append(of.Policies, k)
	}
	answer(w, of)
}

// peerText returns who connected.
func peerText(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return "a Unix socket"
}

// clientWhy says where the address of the client is from.
func clientWhy(ip httpmw.ClientIP, r *http.Request, addr netip.Addr, st httpmw.Stats) string {
	told := len(r.Header["X-Forwarded-For"]) > 0 || len(r.Header["Forwarded"]) > 0
	peer, _ := httpmw.ClientIP{}.Addr(r)
	switch {
	case ip.TrustsPeer(r) && st.BadForwarded > 0:
		return "who connected is a trusted proxy, but what it says of its client cannot be followed to the end"
	case ip.TrustsPeer(r) && addr == peer:
		return "who connected is a trusted proxy that names no client"
	case ip.TrustsPeer(r):
		return "the trusted proxy that connected says so"
	case !addr.IsValid():
		return "who connected has no address, and is not trusted (--trust unix)"
	case told:
		return "it is who connected; what it says in X-Forwarded-For or Forwarded is not believed, since it is no trusted proxy (--trust)"
	}
	return "it is who connected"
}

// A notebook is a limiter that allows everything and notes what it was asked.
type notebook struct {
	names []string
	keys  []string
	costs []int
}

// Names returns the names of the policies.
func (n *notebook) Names() []string { return n.names }

// DecideEach notes the keys and the costs, and allows.
func (n *notebook) DecideEach(into []bucket.Decision, costs []int, keys ...string) bool {
	n.keys, n.costs = append([]string{}, keys...), append([]int{}, costs...)
	for i := range into {
		into[i] = bucket.Decision{Allowed: true}
	}
	return true
}

// PeekEach is DecideEach: nothing is taken anyway.
func (n *notebook) PeekEach(into []bucket.Decision, costs []int, keys ...string) bool {
	return n.DecideEach(into, costs, keys...)
}

// Settle does nothing.
func (n *notebook) Settle([]int, ...string) {}

// nowhere is a response that nobody reads.
type nowhere struct{ h http.Header }

func (n nowhere) Header() http.Header         { return n.h }
func (n nowhere) Write(p []byte) (int, error) { return io.Discard.Write(p) }
func (n nowhere) WriteHeader(int)             {}

package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// A guard decides who may ask.
type guard struct {
	token  [sha256.Size]byte // its hash
	has    bool              // there is one
	own    bool              // nobody but users of this machine can connect
	unix   bool
	addr   netip.Addr // that is listened on, if one
	config *tls.Config
	cross  *http.CrossOriginProtection
}

func newGuard(cfg Config, own bool) guard {
	g := guard{own: own, config: cfg.TLS, cross: http.NewCrossOriginProtection()}
	if cfg.Token != "" {
		g.token, g.has = sha256.Sum256([]byte(cfg.Token)), true
	}
	g.unix = cfg.Listener.Addr().Network() == "unix"
	if tcp, ok := cfg.Listener.Addr().(*net.TCPAddr); ok {
		if addr := tcp.AddrPort().Addr().Unmap(); !addr.IsUnspecified() {
			g.addr = addr
		}
	}
	return g
}

// proxied are the fields by which a request says that a proxy has passed it on.
var proxied = []string{"Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip"}

// handler returns a handler that passes on to next what nobody else can have
// had made: not through a proxy, and not by a page of another origin.
func (g *guard) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
			"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if why := g.refusal(r); why != "" {
			problem(w, http.StatusForbidden, why)
			return
		}
		// Of events it is set anew for each.
		http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// refusal says why a request is refused, "" if it is not.
func (g *guard) refusal(r *http.Request) string {
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Forwarded-") {
			return "it has come through a proxy (" + name + "): ask directly"
		}
	}
	for _, name := range proxied {
		if len(r.Header[name]) > 0 {
			return "it has come through a proxy (" + name + "): ask directly"
		}
	}
	if !g.named(r.Host) {
		return "the Host is not a name of this listener: ask for localhost, or for the address that it listens on"
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return "a page of another origin has made it: type the address in by hand"
	}
	for _, origin := range r.Header["Origin"] {
		if u, err := url.Parse(origin); err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return "it is of another origin"
		}
	}
	if err := g.cross.Check(r); err != nil {
		return "it is of another origin"
	}
	return ""
}

// named tells whether a Host is a name of the listener. Its port does not
// matter: it may be that of a tunnel.
func (g *guard) named(host string) bool {
	if host == "" {
		return g.unix
	}
	if name, port, err := net.SplitHostPort(host); err == nil {
		if strings.Trim(port, "0123456789") != "" {
			return false
		}
		host = name
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap()
		return g.own && addr.IsLoopback() || addr == g.addr || g.certified(addr.String())
	}
	return g.own && strings.EqualFold(host, "localhost") || g.certified(host)
}

// certified tells whether a name is one of the certificate.
func (g *guard) certified(host string) bool {
	if g.config == nil {
		return false
	}
	cert, err := certificate(g.config, host)
	if err != nil || len(cert.Certificate) == 0 {
		return false
	}
	leaf := cert.Leaf
	if leaf == nil {
		if leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return false
		}
	}
	return leaf.VerifyHostname(host) == nil
}

func certificate(c *tls.Config, host string) (*tls.Certificate, error) {
	if c.GetCertificate != nil {
		return c.GetCertificate(&tls.ClientHelloInfo{ServerName: host})
	}
	if len(c.Certificates) > 0 {
		return &c.Certificates[0], nil
	}
	return nil, x509.ErrUnsupportedAlgorithm
}

// reading returns a handler for what names no client: it wants the token only
// if others can connect.
func (g *guard) reading(next http.Handler) http.Handler {
	if g.own {
		return next
	}
	return g.owner(next)
}

// owner returns a handler for what only the owner may.
func (g *guard) owner(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !g.has:
			problem(w, http.StatusForbidden, "this wants a token, and weir serve has none: start it with --admin-token FILE")
		case !g.holds(r):
			w.Header().Set("WWW-Authenticate", `Bearer realm="weir"`)
			problem(w, http.StatusUnauthorized, "this wants the token: send it as Authorization: Bearer TOKEN")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// holds tells whether a request comes with the token. How long it takes says
// nothing of what is in it.
func (g *guard) holds(r *http.Request) bool {
	lines := r.Header["Authorization"]
	if len(lines) != 1 {
		return false
	}
	scheme, token, _ := strings.Cut(lines[0], " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return g.has && strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1
}

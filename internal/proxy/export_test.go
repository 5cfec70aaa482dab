package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// NewErrorLog is where httputil.ReverseProxy logs.
var NewErrorLog = newErrorLog

// TrustCertificates makes p talk to the server of a test.
func TrustCertificates(p *Proxy, cfg *tls.Config) {
	p.reverse.Transport.(*http.Transport).TLSClientConfig = cfg
}

// AddFields is how the fields of two limiters are told.
var AddFields = addFields

// Dial makes p connect to its upstreams in another way.
func Dial(p *Proxy, dial func(ctx context.Context, network, addr string) (net.Conn, error)) {
	p.reverse.Transport.(*http.Transport).DialContext = dial
}

// Linger sets how long p waits for the rest of a body.
func Linger(p *Proxy, d time.Duration) { p.linger = d }

// DialTimeout is how long a connection to an upstream may take.
const DialTimeout = dialTimeout

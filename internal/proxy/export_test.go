package proxy

import (
	"crypto/tls"
	"net/http"
)

// NewErrorLog is where httputil.ReverseProxy logs.
var NewErrorLog = newErrorLog

// TrustCertificates makes p talk to the server of a test.
func TrustCertificates(p *Proxy, cfg *tls.Config) {
	p.reverse.Transport.(*http.Transport).TLSClientConfig = cfg
}

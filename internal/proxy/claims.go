package proxy

import (
	"net/http"
	"net/netip"
	"strings"
)

// realIP is the field in which an upstream is told of the client by one address.
const realIP = "X-Real-Ip"

// claims are the fields, besides X-Forwarded-For, in which servers look for the
// address of a client, for one proxy or another sets them. Those that are true
// hold one address of either family.
var claims = map[string]bool{
	realIP:                     true, // nginx
	"True-Client-Ip":           true, // Akamai, Cloudflare
	"Cf-Connecting-Ip":         true, // Cloudflare
	"Fastly-Client-Ip":         true,
	"Fly-Client-Ip":            true,
	"Do-Connecting-Ip":         true, // DigitalOcean
	"X-Appengine-User-Ip":      true,
	"X-Azure-Clientip":         true,
	"X-Envoy-External-Address": true,
	"X-Client-Ip":              true,
	"Client-Ip":                true,
	"X-Cluster-Client-Ip":      true, // Rackspace
	"X-Proxyuser-Ip":           true,
	"Proxy-Client-Ip":          true, // Apache for WebLogic
	"Wl-Proxy-Client-Ip":       true,
	"X-Originating-Ip":         true,
	"X-Remote-Ip":              true,
	"X-Remote-Addr":            true,
	"Cf-Connecting-Ipv6":       false,
	"Cf-Pseudo-Ipv4":           false,
	"Forwarded":                false,
	"Forwarded-For":            false,
	"X-Forwarded":              false,
	"X-Original-Forwarded-For": false, // ingress-nginx: what the client claimed
}

// oneAddress tells whether a field is one for the address of the client.
func (p *Proxy) oneAddress(name string) bool {
	return claims[name] || name == p.clientHeader
}

// ofPeer tells whether a field says something of the client that only a
// trusted peer is believed.
func (p *Proxy) ofPeer(name string) bool {
	name = http.CanonicalHeaderKey(name)
	_, known := claims[name]
	return known || name == p.clientHeader || name == p.cfg.UserHeader || strings.HasPrefix(name, "X-Forwarded-")
}

// passOn copies what a trusted peer says of the client. Who that is, is not for
// each field to say: all have the client that was found.
func (p *Proxy) passOn(to, from http.Header, client string) {
	for name, values := range from {
		switch {
		case !p.ofPeer(name) || strings.Contains(name, "_"):
		case name == p.cfg.UserHeader:
			// Of several the upstream might read another one than is limited by.
			if len(values) == 1 {
				to[name] = values[:1:1]
			}
		case p.oneAddress(name):
			if client != "" {
				to[name] = []string{client}
			}
		case strings.HasPrefix(name, "X-Forwarded-"):
			to[name] = values[:len(values):len(values)]
		}
	}
}

// clientOf returns the address of the client, "" if it has none.
func (p *Proxy) clientOf(r *http.Request) string {
	if p.cfg.ClientIP == nil {
		return peerOf(r)
	}
	addr, ok := p.cfg.ClientIP(r)
	if !ok {
		return ""
	}
	return addr.Unmap().WithZone("").String()
}

// peerOf returns the address of the peer, "" if it has none.
func peerOf(r *http.Request) string {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return addr.Addr().Unmap().WithZone("").String()
}

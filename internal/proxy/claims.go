package proxy

import (
	"net/http"
	"net/netip"
	"strings"
)

// realIP is the field in which an upstream is told of the client by one address.
const realIP = "X-Real-Ip"

// proxyField is what CGI programs read as the environment variable HTTP_PROXY:
// the proxy for their own requests (CVE-2016-5385). Nobody has a use for it.
const proxyField = "Proxy"

// targets are the fields that some servers take the URL from instead of the
// request line: behind a route, and behind a limit of a path, that would be
// another one. From a trusted peer they pass.
var targets = map[string]bool{
	"X-Original-Url":        true, // IIS, and so Symfony and others
	"X-Rewrite-Url":         true,
	"X-Original-Uri":        true, // nginx, for auth_request
	"X-Envoy-Original-Path": true,
}

// claims are the fields, besides X-Forwarded-For, in which servers look for the
// address of a client, for one proxy or another sets them. Those that are true
// hold one address of either family.
var claims = map[string]bool{
	realIP:                      true, // nginx
	"True-Client-Ip":            true, // Akamai, Cloudflare
	"Cf-Connecting-Ip":          true, // Cloudflare
	"Fastly-Client-Ip":          true,
	"Fly-Client-Ip":             true,
	"Do-Connecting-Ip":          true, // DigitalOcean
	"X-Appengine-User-Ip":       true,
	"X-Azure-Clientip":          true,
	"X-Envoy-External-Address":  true,
	"X-Client-Ip":               true,
	"Client-Ip":                 true,
	"X-Cluster-Client-Ip":       true, // Rackspace
	"X-Proxyuser-Ip":            true,
	"Proxy-Client-Ip":           true, // Apache for WebLogic
	"Wl-Proxy-Client-Ip":        true,
	"X-Originating-Ip":          true,
	"X-Remote-Ip":               true,
	"X-Remote-Addr":             true,
	"Remote-Addr":               true,
	"Ali-Cdn-Real-Ip":           true, // Alibaba
	"X-Nf-Client-Connection-Ip": true, // Netlify
	"X-Sucuri-Clientip":         true,
	"X-Vercel-Forwarded-For":    true,
	"Cloudfront-Viewer-Address": false, // with a port
	"Cf-Connecting-Ipv6":        false,
	"Cf-Pseudo-Ipv4":            false,
	"Forwarded":                 false,
	"Forwarded-For":             false,
	"X-Forwarded":               false,
	"X-Original-Forwarded-For":  false, // ingress-nginx: what the client claimed
}

// oneAddress tells whether a field is one for the address of the client.
func (p *Proxy) oneAddress(name string) bool {
	return claims[name] || name == p.clientHeader
}

// ofPeer tells whether a field says something of the client or the request that
// only a trusted peer is believed, or nobody.
func (p *Proxy) ofPeer(name string) bool {
	name = http.CanonicalHeaderKey(name)
	_, known := claims[name]
	return known || targets[name] || name == proxyField || name == p.clientHeader || name == p.cfg.UserHeader || strings.HasPrefix(name, "X-Forwarded-")
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
		case targets[name], strings.HasPrefix(name, "X-Forwarded-"):
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

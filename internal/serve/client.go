package serve

import (
	"fmt"
	"net/http"

	"github.com/seed-0c889b51/weir/httpmw"
)

// A ClientIP says where the address of a client is found. The zero value is
// [FromXFF].
type ClientIP struct {
	From From
	// Header is the name of the field of FromHeader.
	Header string
	// Hops is the number of proxies of FromHops, 1 to 64.
	Hops int
}

// From is one place where the address of a client can be.
type From uint8

// The places there are. All but FromPeer are read if a proxy in Config.Trust
// sends them, and then nothing else is; from others it is always the peer.
const (
	FromXFF       From = iota // X-Forwarded-For, from the right
	FromPeer                  // who connects, even if that is a trusted proxy
	FromForwarded             // Forwarded, from the right
	FromHeader                // one field with one address
	FromHops                  // X-Forwarded-For, the element with a number from the right
)

// String says what is read, "" for nothing.
func (c ClientIP) String() string {
	switch c.From {
	case FromPeer:
		return ""
	case FromForwarded:
		return "Forwarded"
	case FromHeader:
		return c.Header
	case FromHops:
		if c.Hops == 1 {
			return "the last address in X-Forwarded-For"
		}
		return fmt.Sprintf("address %d from the right in X-Forwarded-For", c.Hops)
	}
	return "X-Forwarded-For"
}

// tells tells whether X-Forwarded-For, which an upstream reads, may name another
// client than the one that is limited.
func (c ClientIP) tells() bool { return c.From != FromXFF && c.From != FromHops }

// telling returns a handler in front of a proxy, which passes X-Forwarded-For of
// trusted peers on: it has the field name the client that is limited.
func telling(next http.Handler, client httpmw.ClientIP) http.Handler {
	var peer httpmw.ClientIP
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told := *r
		told.Header = r.Header.Clone()
		addr, ok := client.Addr(r)
		if own, _ := peer.Addr(r); ok && addr != own {
			told.Header["X-Forwarded-For"] = []string{addr.String()}
		} else {
			delete(told.Header, "X-Forwarded-For") // the proxy adds the peer
		}
		next.ServeHTTP(w, &told)
	})
}

// clientIPs returns what finds the address of a client, and what knows the
// trusted proxies, which may not be the same.
func clientIPs(cfg Config) (client, proxies httpmw.ClientIP, err error) {
	proxies, err = httpmw.NewClientIP(cfg.IPv6Prefix, cfg.Trust.Networks...)
	if err != nil {
		return client, proxies, err
	}
	switch cfg.ClientIP.From {
	case FromPeer:
		client, err = httpmw.NewClientIP(cfg.IPv6Prefix)
	case FromForwarded:
		client, err = httpmw.NewForwardedIP(cfg.IPv6Prefix, cfg.Trust.Networks...)
	case FromHeader:
		client, err = httpmw.NewHeaderIP(cfg.IPv6Prefix, cfg.ClientIP.Header, cfg.Trust.Networks...)
	case FromHops:
		client, err = httpmw.NewHopsIP(cfg.IPv6Prefix, cfg.ClientIP.Hops, cfg.Trust.Networks...)
	default:
		client = proxies
	}
	if cfg.Trust.Unix {
		proxies = proxies.TrustUnix()
		if cfg.ClientIP.From != FromPeer {
			client = client.TrustUnix()
		}
	}
	return client, proxies, err
}

package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// A Field is a field of the header of a request.
type Field struct{ Name, Value string }

// A Config says what is examined, and how.
type Config struct {
	// URL is what is asked for: http or https, without a user.
	URL *url.URL
	// Addr is where the host of the URL is: it is not looked up again.
	Addr netip.AddrPort
	// Insecure has any certificate accepted.
	Insecure bool

	// Limit is that of each client, the tightest if it is under several. The
	// zero value means that the API says it, or that it is found out.
	Limit bucket.Limit
	// Identities are none or two: what is sent for two different clients. None
	// means that clients are told apart by their address.
	Identities []Field
	// ClientField is the name of a field in which the API believes whoever runs
	// this about the address of the client, as it would a proxy. "" means that
	// it believes nothing.
	ClientField string
	// Restart ends the API and starts it again. Nil means that this is not
	// tested.
	Restart func(context.Context) error

	// MaxRequests is how many requests are sent at most. 0 means ten times as
	// many as the limit is and 300, and at most 20,000.
	MaxRequests int
	// Timeout is how long it may take, more than 0.
	Timeout time.Duration

	// Plan is told what each check costs before any but the first request is
	// sent. It may be nil.
	Plan func(Plan)
	// Progress is told how many checks are done, of how many, and what is being
	// done now. It may be nil.
	Progress func(done, of int, what string)

	wire *wire // nil means the network
}

// Bounds of what is sent.
const (
	probeBound = 1000   // where nobody says what the limit is
	mostOwn    = 20_000 // of MaxRequests that is made up
)

// ErrSilent is that nothing was found out about the limit.
var ErrSilent = errors.New("nothing can be said about the limit")

// maxRequests returns how many requests may be sent for a limit of n.
func (c *Config) maxRequests(n int) int {
	if c.MaxRequests > 0 {
		return c.MaxRequests
	}
	return min(10*n+300, mostOwn)
}

// Lookup returns where the host of a URL is, and whether that is this machine.
// Of several addresses it is one of this machine if all are, IPv4 first.
func Lookup(ctx context.Context, u *url.URL, resolve func(ctx context.Context, network, host string) ([]netip.Addr, error)) (netip.AddrPort, bool, error) {
	port := uint16(80)
	if u.Scheme == "https" {
		port = 443
	}
	if text := u.Port(); text != "" {
		ap, err := netip.ParseAddrPort("127.0.0.1:" + text)
		if err != nil || ap.Port() == 0 {
			return netip.AddrPort{}, false, fmt.Errorf("port %q: want 1 to 65535", text)
		}
		port = ap.Port()
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if err == nil {
		addr = addr.Unmap()
		if addr.IsUnspecified() {
			return netip.AddrPort{}, false, fmt.Errorf("%v is no address of a server: want one such as 127.0.0.1", addr)
		}
		return netip.AddrPortFrom(addr, port), addr.IsLoopback(), nil
	}
	addrs, err := resolve(ctx, "ip", u.Hostname())
	if err != nil {
		return netip.AddrPort{}, false, err
	}
	if len(addrs) == 0 {
		return netip.AddrPort{}, false, fmt.Errorf("the host %q has no address", u.Hostname())
	}
	loopback, best := true, addrs[0].Unmap()
	for _, a := range addrs {
		a = a.Unmap()
		loopback = loopback && a.IsLoopback()
		if a.Is4() && !best.Is4() {
			best = a
		}
	}
	return netip.AddrPortFrom(best, port), loopback, nil
}

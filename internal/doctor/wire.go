package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// A wire is how requests get to the target.
type wire struct {
	// send sends a request from a local address, the system's choice if it is
	// the zero one, over a connection of its own if that is wanted.
	send func(from netip.Addr, alone bool, r *http.Request) (*http.Response, error)
	// local tells whether requests can be sent from an address.
	local func(netip.Addr) bool
	// addrs are the addresses of this machine.
	addrs func() []netip.Addr
	// watch returns a function that tells whether what accepted a connection
	// when watch was called is still there.
	watch func(context.Context) (func() bool, error)
}

// perRequest is how long one request may take.
const perRequest = 10 * time.Second

// network returns the wire to a server at addr.
func network(addr netip.AddrPort, name string, insecure bool) *wire {
	transports := map[netip.Addr]*http.Transport{}
	transport := func(from netip.Addr) *http.Transport {
		dialer := &net.Dialer{Timeout: perRequest}
		if from.IsValid() {
			dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
		}
		return &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, addr.String())
			},
			TLSClientConfig:        &tls.Config{ServerName: name, InsecureSkipVerify: insecure},
			MaxResponseHeaderBytes: 1 << 16,
			DisableCompression:     true,
			IdleConnTimeout:        30 * time.Second,
		}
	}
	return &wire{
		send: func(from netip.Addr, alone bool, r *http.Request) (*http.Response, error) {
			if alone {
				t := transport(from)
				t.DisableKeepAlives = true
				return t.RoundTrip(r)
			}
			t := transports[from]
			if t == nil {
				t = transport(from)
				transports[from] = t
			}
			return t.RoundTrip(r) // which follows no redirect
		},
		local: func(from netip.Addr) bool {
			l, err := net.Listen("tcp", netip.AddrPortFrom(from, 0).String())
			if err != nil {
				return false
			}
			l.Close()
			return true
		},
		addrs: machine,
		watch: func(ctx context.Context) (func() bool, error) {
			dialer := &net.Dialer{Timeout: perRequest}
			conn, err := dialer.DialContext(ctx, "tcp", addr.String())
			if err != nil {
				return nil, err
			}
			return func() bool {
				defer conn.Close()
				conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				_, err := conn.Read(make([]byte, 1))
				var late net.Error
				return err == nil || errors.As(err, &late) && late.Timeout()
			}, nil
		},
	}
}

// machine returns the addresses of this machine.
func machine() []netip.Addr {
	nets, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var addrs []netip.Addr
	for _, n := range nets {
		if p, err := netip.ParsePrefix(n.String()); err == nil {
			addrs = append(addrs, p.Addr().Unmap())
		}
	}
	return addrs
}

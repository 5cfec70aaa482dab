package serve

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
)

// A configErr is an error that is ErrConfig and does not say so in its text.
type configErr struct{ error }

func configError(err error) error { return configErr{err} }

func (e configErr) Is(target error) bool { return target == ErrConfig }
func (e configErr) Unwrap() error        { return e.error }

// listenError says why an address cannot be listened on. It is ErrConfig if
// the same address will not do later either.
func listenError(flag, address string, err error) error {
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s %q: the address is in use: stop what listens there, or want another port such as 127.0.0.1:0 for a free one", flag, address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return configError(fmt.Errorf("%s %q: this machine does not have that address: want one of its own, such as 127.0.0.1:8080", flag, address))
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s %q: not permitted: want a port from 1024 on, or the right to listen below", flag, address)
	case errors.As(err, &dns) && dns.IsNotFound:
		return configError(fmt.Errorf("%s %q: the name is not known: want an address of this machine, such as 127.0.0.1:8080", flag, address))
	}
	return fmt.Errorf("%s %q: %w", flag, address, err)
}

// leadsTo tells whether a URL is that of the listener, as far as it can be told
// without asking the network; the proxy notices what is not noticed here.
func leadsTo(to *url.URL, listener net.Addr) bool {
	own, ok := listener.(*net.TCPAddr)
	if !ok || portOf(to) != own.Port {
		return false
	}
	host := strings.ToLower(strings.TrimSuffix(to.Hostname(), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return own.IP.IsLoopback() || own.IP.IsUnspecified()
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	addr = addr.Unmap().WithZone("")
	ownAddr, _ := netip.AddrFromSlice(own.IP)
	ownAddr = ownAddr.Unmap()
	if addr == ownAddr || addr.IsUnspecified() && ownAddr.IsLoopback() {
		return true
	}
	return ownAddr.IsUnspecified() && isOwn(addr)
}

// isOwn tells whether addr leads to this machine.
func isOwn(addr netip.Addr) bool {
	if addr.IsLoopback() || addr.IsUnspecified() {
		return true
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap() == addr {
			return true
		}
	}
	return false
}

// portOf returns the port of a URL, which may be that of its scheme.
func portOf(u *url.URL) int {
	if n, err := strconv.Atoi(u.Port()); err == nil {
		return n
	}
	if u.Scheme == "https" {
		return 443
	}
	return 80
}

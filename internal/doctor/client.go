package doctor

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
)

// A client is one that the requests of an exam are from.
type client struct {
	name  string     // in messages: never a credential
	from  netip.Addr // its address, the system's choice if it is the zero one
	field Field      // that it sends with each request, if it has a name
	// claim is the address in the field, if that is a client field.
	claim netip.Addr
}

// clients are whom an exam can be.
type clients struct {
	cfg   *Config
	wire  *wire
	taken int
	used  map[netip.Addr]bool
	rest  []netip.Addr // for an IPv6 target on this machine
}

func newClients(cfg *Config, w *wire) *clients {
	c := &clients{cfg: cfg, wire: w, used: map[netip.Addr]bool{}}
	if target := cfg.Addr.Addr(); target.Is6() && target.IsLoopback() {
		c.rest = append(c.rest, target)
		for _, a := range w.addrs() {
			if a.Is6() && a.IsGlobalUnicast() && w.local(a) {
				c.rest = append(c.rest, a)
			}
		}
	}
	return c
}

// next returns a client that has sent nothing yet, or false if there is no
// other, and why.
func (c *clients) next() (client, bool, string) {
	c.taken++
	switch target := c.cfg.Addr.Addr(); {
	case c.cfg.ClientField != "":
		return c.claiming(c.fresh(netip.MustParseAddr("198.18.0.0"), 15)), true, ""
	case len(c.cfg.Identities) > 0:
		if c.taken > len(c.cfg.Identities) {
			return client{}, false, "there are two identities only"
		}
		return client{name: fmt.Sprintf("identity %d", c.taken), field: c.cfg.Identities[c.taken-1]}, true, ""
	case target.Is4() && target.IsLoopback():
		if a := c.fresh(netip.MustParseAddr("127.0.0.0"), 8); c.wire.local(a) {
			return client{name: a.String(), from: a}, true, ""
		}
	case len(c.rest) > 0:
		for _, a := range c.rest {
			if !c.used[a] {
				c.used[a] = true
				return client{name: a.String(), from: a}, true, ""
			}
		}
	}
	if c.taken == 1 {
		return client{name: "this machine"}, true, ""
	}
	return client{}, false, "requests can be sent from one address only: give two identities (--identity), " +
		"or the field in which the API believes the doctor about the client (--client-field)"
}

// claiming returns the client that a client field names.
func (c *clients) claiming(a netip.Addr) client {
	return client{name: a.String(), claim: a, field: Field{c.cfg.ClientField, inField(c.cfg.ClientField, a)}}
}

// inField writes an address as a field of that name has it.
func inField(name string, a netip.Addr) string {
	switch {
	case !strings.EqualFold(name, "Forwarded"):
		return a.String()
	case a.Is6():
		return `for="[` + a.String() + `]"`
	}
	return "for=" + a.String()
}

// fresh returns an address in a network that was not returned before, neither
// its first nor its last.
func (c *clients) fresh(network netip.Addr, bits int) netip.Addr {
	for {
		a := random(network, bits)
		if last := a.As4()[3]; last == 0 || last == 255 || c.used[a] {
			continue
		}
		c.used[a] = true
		return a
	}
}

// random returns an address in a network.
func random(network netip.Addr, bits int) netip.Addr {
	raw := network.AsSlice()
	for i := range raw {
		keep := min(8, max(0, bits-8*i))
		raw[i] = raw[i]&^byte(0xff>>keep) | byte(rand.Uint32())&byte(0xff>>keep)
	}
	a, _ := netip.AddrFromSlice(raw)
	return a
}

// pair returns two clients in one /64, or why there are none.
func (c *clients) pair() (one, other client, why string) {
	if c.cfg.ClientField != "" {
		network := random(netip.MustParseAddr("2001:db8::"), 32)
		one, other := random(network, 64), random(network, 64)
		return c.claiming(one), c.claiming(other), ""
	}
	const give = "give the field in which the API believes the doctor about the client (--client-field)"
	if len(c.cfg.Identities) > 0 {
		return client{}, client{}, "clients are told apart by --identity, not by address"
	}
	if target := c.cfg.Addr.Addr(); !target.Is6() || !target.IsLoopback() {
		return client{}, client{}, "the URL is not at ::1, so that no client has an IPv6 address: " + give
	}
	for i, a := range c.rest {
		for _, b := range c.rest[i+1:] {
			if !a.IsLoopback() && netip.PrefixFrom(a, 64).Masked() == netip.PrefixFrom(b, 64).Masked() {
				return client{name: a.String(), from: a}, client{name: b.String(), from: b}, ""
			}
		}
	}
	return client{}, client{}, "this machine has no two IPv6 addresses in one /64: " + give
}

// sign makes a request one of the client.
func (c client) sign(r *http.Request) {
	if c.field.Name != "" {
		r.Header[http.CanonicalHeaderKey(c.field.Name)] = []string{c.field.Value}
	}
}

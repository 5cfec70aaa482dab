package doctor

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
)

// isolation proves that a client is not affected by one that has nothing left.
func (e *exam) isolation(ctx context.Context) (Check, error) {
	other, ok, why := e.clients.next()
	if !ok {
		return untested("%s", why), nil
	}
	got, err := e.send(ctx, other, nil)
	if err != nil {
		return Check{}, err
	}
	if !e.refused(got) {
		return passed("%s is served while %s is refused", other.name, e.patient.name), nil
	}
	e.shared = true
	used := ""
	if len(e.cfg.Identities) > 0 {
		used = " (unless it had used up its own before)"
	}
	return failed("count each client for itself: by address, or by user or API key. Behind a proxy, trust the proxy's address, "+
		"or all clients are the proxy (weir serve --trust)",
		"after %s has used up its limit, the first request of %s is refused as well%s: the limit is for all together", e.patient.name, other.name, used), nil
}

// claims are the fields in which a client may claim an address.
var claims = []string{
	"X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP", "X-Client-IP",
	"X-Cluster-Client-IP", "Fastly-Client-IP", "X-Original-Forwarded-For",
}

// claim writes an address into a field. Where the client has that field already
// it is put in front, which is where a claim ends up behind a proxy. It is false
// if the field is the client's and can hold but one address.
func (e *exam) claim(r *http.Request, c client, name string, a netip.Addr) bool {
	value := inField(name, a)
	if strings.EqualFold(name, c.field.Name) {
		if name != "X-Forwarded-For" && name != "Forwarded" {
			return false
		}
		value += ", " + c.field.Value
	}
	r.Header[http.CanonicalHeaderKey(name)] = []string{value}
	return true
}

// spoofing proves that a client with nothing left does not get any by claiming
// to be another.
func (e *exam) spoofing(ctx context.Context) (Check, error) {
	var believed []string
	for _, name := range claims {
		probe := e.edited(ctx, e.patient, false, func(r *http.Request) {
			e.claim(r, e.patient, name, e.clients.fresh(netip.MustParseAddr("198.18.0.0"), 15))
		})
		got, err := e.passes(ctx, e.patient, probe)
		if err != nil {
			return Check{}, err
		}
		if got {
			believed = append(believed, name)
		}
	}
	if len(believed) > 0 {
		return failed("believe nobody about the client's address but your own proxies, by their addresses, and take the address from the right of X-Forwarded-For. "+
			"If the doctor's address is that of a proxy you trust, give --client-field",
			"with a made up address in %s a client that is over its limit is served", strings.Join(believed, ", ")), nil
	}
	return passed("no address in %s, ... changes anything", strings.Join(claims[:4], ", ")), nil
}

func (e *exam) blameCost(n int) int {
	if e.unblamed() != "" {
		return 0
	}
	return n + 2
}

// unblamed says why it cannot be tested whom a claim is charged to.
func (e *exam) unblamed() string {
	switch target := e.cfg.Addr.Addr(); {
	case len(e.cfg.Identities) > 0:
		return "clients are told apart by --identity, not by address"
	case e.cfg.ClientField != "", target.Is4() && target.IsLoopback():
		return ""
	}
	return "there are no two addresses to spare, one to claim to be the other: the URL is not at an IPv4 address of this machine"
}

// blame proves that whoever claims to be another client does not use up what
// that one has.
func (e *exam) blame(ctx context.Context) (Check, error) {
	if why := e.unblamed(); why != "" {
		return untested("%s", why), nil
	}
	if e.shared {
		return untested("the limit is for all clients together"), nil
	}
	forger, ok, why := e.clients.next()
	if !ok {
		return untested("%s", why), nil
	}
	victim, ok, why := e.clients.next()
	if !ok {
		return untested("%s", why), nil
	}
	address := victim.from
	if victim.claim.IsValid() {
		address = victim.claim
	}
	// As many as would leave the victim nothing.
	for range e.n {
		_, err := e.send(ctx, forger, func(r *http.Request) {
			for _, name := range claims {
				e.claim(r, forger, name, address)
			}
		})
		if err != nil {
			return Check{}, err
		}
	}
	got, err := e.send(ctx, victim, nil)
	if err != nil {
		return Check{}, err
	}
	if e.refused(got) {
		return failed("believe nobody about the client's address but your own proxies: as it is, anyone can have anyone else refused",
			"after %d requests of %s that claim to be %s, the latter is refused", e.n, forger.name, victim.name), nil
	}
	return passed("%d requests of %s that claim to be %s cost the latter nothing", e.n, forger.name, victim.name), nil
}

func (e *exam) mappedCost(int) int {
	if e.cfg.ClientField == "" {
		return 0
	}
	return 3
}

// mapped proves that ::ffff:a.b.c.d is a.b.c.d, and not a network of its own
// nor one of all IPv4 clients.
func (e *exam) mapped(ctx context.Context) (Check, error) {
	switch target := e.cfg.Addr.Addr(); {
	case e.cfg.ClientField != "":
	case len(e.cfg.Identities) > 0:
		return untested("clients are told apart by --identity, not by address"), nil
	case !target.Is4():
		return untested("the URL is at an IPv6 address: give the one at its IPv4 address, or --client-field"), nil
	default:
		return untested("the system turns such addresses into IPv4 on the way: give the field in which the API believes the doctor about the client (--client-field). " +
			"That not all of IPv4 is one client is what isolation is about"), nil
	}
	in6 := func(c client) client { return e.clients.claiming(netip.AddrFrom16(c.claim.As16())) }
	same := in6(e.patient)
	got, err := e.passes(ctx, e.patient, e.edited(ctx, same, false, nil))
	if err != nil {
		return Check{}, err
	}
	const cure = "turn IPv4-mapped addresses into IPv4 before anything else is done with them (netip.Addr.Unmap)"
	if got {
		return failed(cure, "%s is over its limit, and served as %s", e.patient.name, same.name), nil
	}
	if e.shared {
		return untested("the limit is for all clients together"), nil
	}
	another, _, _ := e.clients.next()
	another = in6(another)
	res, err := e.send(ctx, another, nil)
	if err != nil {
		return Check{}, err
	}
	if e.refused(res) {
		return failed(cure, "%s is over its limit, and %s, another client, is refused: all of IPv4 is one client", same.name, another.name), nil
	}
	return passed("%s is refused like %s, and %s is served", same.name, e.patient.name, another.name), nil
}

func (e *exam) networkCost(n int) int {
	if _, _, why := e.clients.pair(); why != "" {
		return 0
	}
	return n + 3
}

// network proves that whoever has a /64 is not as many clients as that has
// addresses.
func (e *exam) network(ctx context.Context) (Check, error) {
	one, other, why := e.clients.pair()
	if why != "" {
		return untested("%s", why), nil
	}
	if e.shared {
		return untested("the limit is for all clients together"), nil
	}
	if e.cfg.ClientField == "" {
		// The system may not route from there.
		if _, err := e.send(ctx, one, nil); err != nil {
			return untested("requests cannot be sent from %s: %v", one.name, err), nil
		}
	}
	refusal, n, err := e.drain(ctx, one)
	if err != nil {
		return Check{}, err
	}
	if n == 0 && e.cfg.ClientField != "" {
		return untested("%s is refused with %d before it has used anything: IPv6 clients seem to be one", one.name, refusal.status), nil
	}
	probe := func() (answer, bool, error) {
		if e.cfg.ClientField != "" { // there are as many as one likes
			other = e.clients.claiming(random(one.claim, 64))
		}
		got, err := e.send(ctx, other, nil)
		return got, err == nil && !e.refused(got), err
	}
	got, err := e.passes(ctx, one, probe)
	if err != nil {
		return Check{}, err
	}
	if got {
		return failed("limit IPv6 clients by their /64, which is the least that a subscriber has (weir serve does)",
			"%s is over its limit, and %s, in the same /64, is served", one.name, other.name), nil
	}
	if e.cfg.ClientField != "" {
		far := e.clients.claiming(random(netip.MustParseAddr("2001:db8::"), 32))
		res, err := e.send(ctx, far, nil)
		if err != nil {
			return Check{}, err
		}
		if e.refused(res) {
			return failed("count each IPv6 network of 64 bits for itself", "%s is over its limit, and %s, far from it, is refused", one.name, far.name), nil
		}
	}
	return passed("%s is refused like %s", other.name, one.name), nil
}

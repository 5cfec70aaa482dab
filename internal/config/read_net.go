package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/nearest"
	"github.com/seed-0c889b51/weir/internal/policy"
	"github.com/seed-0c889b51/weir/internal/proxy"
	"github.com/seed-0c889b51/weir/internal/serve"
)

// listeners reads where to listen, and for whom.
func (l *loader) listeners() {
	cfg := &l.cfg.Serve
	l.text("listen", func(s scalar) error { cfg.Listen = s.text; return checkListen(s.text) })
	l.text("socket-mode", func(s scalar) (err error) {
		cfg.SocketMode, err = parseMode(s.text)
		if s.at.From != Default && !strings.HasPrefix(cfg.Listen, "unix:") && !l.values["listen"].broken {
			return fmt.Errorf("%s is no Unix socket: want %s with it", called(s, "listen", ""), called(s, "listen", "unix:PATH"))
		}
		return err
	})
	cfg.TLSCert = l.with("tls-cert", "tls-key")
	cfg.TLSKey = l.with("tls-key", "tls-cert")
	cfg.ProxyProtocol = l.peers("proxy-protocol")
	l.text("max-connections", func(s scalar) (err error) { cfg.MaxConnections, err = parseNumber(s.text); return err })
	l.text("max-connections-per-client", func(s scalar) (err error) { cfg.MaxPerClient, err = parseNumber(s.text); return err })
}

// with returns the name of a file that goes with another one.
func (l *loader) with(name, other string) string {
	v := l.values[name]
	if !v.given() || v.broken {
		return ""
	}
	s := v.first()
	switch {
	case s.text == "":
		l.fail(s, "it is empty: want the path of a file")
	case strings.ContainsRune(s.text, 0):
		l.fail(s, "it has a NUL byte: want the path of a file")
	case !l.values[other].given():
		l.fail(s, "there is no %s: want both or none", called(s, other, ""))
	}
	return s.text
}

// clients reads who is believed about whom.
func (l *loader) clients() {
	cfg := &l.cfg.Serve
	l.text("user-header", func(s scalar) (err error) { cfg.UserHeader, err = parseUserHeader(s.text); return err })
	l.text("ipv6-prefix", func(s scalar) (err error) { cfg.IPv6Prefix, err = parseWhole(s.text, 32, 128); return err })
	cfg.Trust = l.peers("trust")
	l.text("client-ip", func(s scalar) (err error) {
		if s.at.From == Default {
			return nil
		}
		if cfg.ClientIP, err = parseClientIP(s.text); err != nil {
			return err
		}
		if cfg.ClientIP.From != serve.FromPeer && len(cfg.Trust.Networks) == 0 && !cfg.Trust.Unix && len(l.values["trust"].list) == 0 && !l.values["trust"].broken {
			return fmt.Errorf("nobody is trusted to say it: want %s with the addresses of your proxies, or peer", called(s, "trust", ""))
		}
		if h := cfg.ClientIP.Header; h != "" && h == cfg.UserHeader {
			return fmt.Errorf("%s is the %s: want a field with the client's address, such as X-Real-IP", h, called(s, "user-header", ""))
		}
		return nil
	})
	cfg.Exempt = l.networks("exempt", l.values["exempt"].list)
}

// peers reads who connects: addresses, networks, and "unix".
func (l *loader) peers(name string) serve.Peers {
	var p serve.Peers
	var networks []scalar
	for _, s := range l.values[name].list {
		if s.text == "unix" {
			p.Unix = true
		} else {
			networks = append(networks, s)
		}
	}
	p.Networks = l.networks(name, networks)
	return p
}

// networks reads addresses and networks.
func (l *loader) networks(name string, texts []scalar) []netip.Prefix {
	var list []netip.Prefix
	for _, s := range texts {
		p, err := parseNetwork(name, s)
		if l.check(s, err) {
			list = append(list, p)
		}
	}
	return list
}

// parseNetwork reads an address or a network.
func parseNetwork(name string, s scalar) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s.text)
	if err != nil {
		addr, err := netip.ParseAddr(s.text)
		if err != nil || addr.Zone() != "" {
			each := ""
			if s.at.From == Flag {
				each = ", one for each " + s.at.Name
			}
			return p, fmt.Errorf("want an address or a network, such as 10.0.0.5 or 10.0.0.0/8%s", each)
		}
		p = netip.PrefixFrom(addr, addr.BitLen())
	}
	if addr := p.Addr(); addr.Is4In6() && p.Bits() >= 96 { // IPv4, in IPv6 notation
		p = netip.PrefixFrom(addr.Unmap(), p.Bits()-96)
	}
	if p.Bits() == 0 && name != "trust" {
		return p, fmt.Errorf("it is every address there is: %s", everyone[name])
	}
	if _, err := httpmw.NewClientIP(64, p); err != nil {
		return p, errors.Unwrap(err)
	}
	return p, nil
}

// everyone says why a setting does not take all addresses.
var everyone = map[string]string{
	"proxy-protocol": "any client could claim any address; want those of your proxies",
	"exempt":         "nobody would be limited; want those of your own clients",
}

// upstreams reads where requests go, or which proxy asks about them.
func (l *loader) upstreams() {
	cfg := &l.cfg.Serve
	to := l.values["upstreams"]
	for _, s := range l.few(to.list) {
		at := s // of the path
		text := s.text
		var r proxy.Route
		var err error
		if file, ok := s.of.(*upstreamFile); ok {
			strip := file.Strip.given() && l.isTrue(file.Strip)
			if !file.To.given() {
				if !s.broken {
					l.fail(s, "there is no to: want the URL of the upstream, such as http://127.0.0.1:3000")
				}
				continue
			}
			s, text = file.To, file.To.text
			if r.To, err = proxy.ParseTarget(text); err == nil {
				r.Path = "/"
				if file.Path.given() {
					r.Path, at = file.Path.text, file.Path
				}
				r.Strip = strip
				if err := r.Check(); err != nil {
					l.fail(at, "%s", err.Error())
					continue
				}
			}
		} else {
			r, err = proxy.ParseRoute(text)
		}
		value := shown(text)
		if strings.Contains(text, "@") {
			value = hidden // it may hold a password
		}
		if err != nil {
			l.failAs(s, value, "%s", err.Error())
			continue
		}
		for _, before := range cfg.Routes {
			if strings.TrimSuffix(before.Path, "/") == strings.TrimSuffix(r.Path, "/") {
				l.failAs(s, value, "%s is the upstream for path %q: want one for each path, such as /api=http://127.0.0.1:3000",
					quote(before.To.Redacted()), r.Path)
			}
		}
		cfg.Routes = append(cfg.Routes, r)
	}
	if v := l.values["forward-auth"]; v.given() {
		if word := l.word("forward-auth"); slices.Contains(v.row.words, word) {
			cfg.ForwardAuth = serve.Proxy(word)
			cfg.DenyStatus = cfg.ForwardAuth.DenyStatus()
			if len(to.list) > 0 {
				l.fail(v.first(), "there is no upstream if a proxy only asks: want it or %s", called(v.first(), "upstreams", ""))
			}
		}
	}
	if v := l.values["deny-status"]; v.given() && !v.broken {
		switch s := v.first(); {
		case !l.values["forward-auth"].given():
			l.fail(s, "it is for %s, which is not given: want both or none", called(s, "forward-auth", ""))
		case s.text == "403":
			cfg.DenyStatus = http.StatusForbidden
		case s.text == "429":
			cfg.DenyStatus = http.StatusTooManyRequests
		default:
			l.fail(s, "want 403 or 429")
		}
	}
}

// checkListen returns an error unless text is an address to listen on.
func checkListen(text string) error {
	const want = "want HOST:PORT, such as 127.0.0.1:8080, or :8080 for all addresses"
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if path == "" {
			return errors.New("it has no path: want unix:PATH, such as unix:/run/weir.sock")
		}
		return nil // the rest is for who listens
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		if !strings.Contains(text, ":") {
			if _, err := strconv.ParseUint(text, 10, 16); err == nil {
				return fmt.Errorf("%s; did you mean %q?", want, "127.0.0.1:"+text)
			}
			if text != "" {
				return fmt.Errorf("it has no port: %s", want)
			}
		}
		return errors.New(want)
	}
	if strings.ContainsAny(host, "/@ \t") {
		return errors.New("it is not an address: " + want)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %s: want a number from 0 to 65535, where 0 is a free one", quote(port))
	}
	return nil
}

// parseNumber reads how many there may be, 0 for any number.
func parseNumber(text string) (int, error) {
	if text == "unlimited" {
		return 0, nil
	}
	n, err := parseWhole(text, 1, maxInt32)
	if err != nil {
		return 0, fmt.Errorf("%w, or unlimited", err)
	}
	return n, nil
}

// parseMode reads the permissions of a socket.
func parseMode(text string) (fs.FileMode, error) {
	n, err := strconv.ParseUint(text, 8, 32)
	if err != nil || n > 0o777 {
		return 0, errors.New("want permissions in octal, from 0 to 777, such as 0600 or 0660")
	}
	return fs.FileMode(n), nil
}

// clientIPs are the words of client-ip, without what follows a colon.
var clientIPs = []string{"peer", "xff", "forwarded", "header", "hops"}

// maxHops is that of httpmw.NewHopsIP.
const maxHops = 64

// parseClientIP reads one place where the client's address can be.
func parseClientIP(text string) (serve.ClientIP, error) {
	word, value, hasValue := strings.Cut(text, ":")
	var c serve.ClientIP
	switch word {
	case "peer":
		c.From = serve.FromPeer
	case "xff":
		c.From = serve.FromXFF
	case "forwarded":
		c.From = serve.FromForwarded
	case "header":
		return parseClientHeader(value)
	case "hops":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > maxHops {
			return c, fmt.Errorf("want hops:N with the number of your proxies, 1 to %d, such as hops:2", maxHops)
		}
		return serve.ClientIP{From: serve.FromHops, Hops: n}, nil
	default:
		return c, fmt.Errorf("want peer, xff, forwarded, header:NAME or hops:N%s", nearest.Hint(word, clientIPs))
	}
	if hasValue {
		return c, fmt.Errorf("nothing follows %s: want %q", word, word)
	}
	return c, nil
}

// parseClientHeader reads the name of a field with one address.
func parseClientHeader(text string) (serve.ClientIP, error) {
	if text == "" {
		return serve.ClientIP{}, errors.New("it has no name: want header:NAME, such as header:X-Real-IP")
	}
	name, err := policy.HeaderName(text)
	if err != nil {
		return serve.ClientIP{}, err
	}
	switch name {
	case "X-Forwarded-For":
		return serve.ClientIP{}, errors.New("it is a list of addresses: want xff or hops:N")
	case "Forwarded":
		return serve.ClientIP{}, errors.New("it is a list: want forwarded")
	}
	return serve.ClientIP{From: serve.FromHeader, Header: name}, nil
}

// parseUserHeader reads the name of a field of its own: of one that means
// something else, either the upstream or the limits would read it wrong.
func parseUserHeader(text string) (string, error) {
	name, err := policy.HeaderName(text)
	if err != nil {
		return "", err
	}
	switch {
	case strings.HasPrefix(name, "X-Forwarded-"), strings.HasPrefix(name, "Proxy-"), slices.Contains([]string{
		"Forwarded", "X-Real-Ip", "Authorization", "Cookie", "Keep-Alive", "Te", "Upgrade"}, name): // and those of HeaderName
		return "", fmt.Errorf("%s has a meaning of its own: want a field that only says who the user is, such as X-User", name)
	}
	return name, nil
}

// fieldSets are the forms of fields by name.
var fieldSets = map[string]httpmw.FieldSet{
	"draft-11": httpmw.Draft11, "draft-7": httpmw.Draft7, "draft-6": httpmw.Draft6, "x": httpmw.XRateLimit, "none": httpmw.NoFields,
}

// parseFields reads the forms of fields, joined by '+'.
func parseFields(text string) (httpmw.FieldSet, error) {
	var set httpmw.FieldSet
	words := strings.Split(text, "+")
	for _, word := range words {
		form, ok := fieldSets[word]
		if !ok {
			return 0, fmt.Errorf("form %s: want draft-11 (which 08 to 10 are written as), draft-7, draft-6, x or none", quote(word))
		}
		if set&form != 0 {
			return 0, fmt.Errorf("form %s is there twice: want it once", quote(word))
		}
		set |= form
	}
	if len(words) > 1 && (len(words) > 2 || set&httpmw.XRateLimit == 0 || set&httpmw.NoFields != 0) {
		return 0, errors.New("they do not go together: want one form, or one of the drafts with x, such as draft-6+x")
	}
	return set, nil
}

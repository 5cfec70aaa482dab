package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/proxy"
	"github.com/seed-0c889b51/weir/internal/serve"
)

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

// parsePeers reads the values of a flag that names who connects: addresses,
// networks, and "unix".
func parsePeers(flag string, texts []string) (serve.Peers, error) {
	var p serve.Peers
	var networks []string
	for _, text := range texts {
		if text == "unix" {
			p.Unix = true
		} else {
			networks = append(networks, text)
		}
	}
	var err error
	p.Networks, err = parseNetworks(flag, networks)
	return p, err
}

// parseNetworks reads the values of a flag that names addresses and networks.
func parseNetworks(flag string, texts []string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			addr, addrErr := netip.ParseAddr(text)
			if addrErr != nil || addr.Zone() != "" {
				return nil, fmt.Errorf("--%s %s: want an address or a network, such as 10.0.0.5 or 10.0.0.0/8, one for each --%s", flag, quote(text), flag)
			}
			p = netip.PrefixFrom(addr, addr.BitLen())
		}
		if addr := p.Addr(); addr.Is4In6() && p.Bits() >= 96 { // IPv4, in IPv6 notation
			p = netip.PrefixFrom(addr.Unmap(), p.Bits()-96)
		}
		if p.Bits() == 0 && flag != "trust" {
			return nil, fmt.Errorf("--%s %s: it is every address there is: %s", flag, quote(text), everyone[flag])
		}
		if _, err := httpmw.NewClientIP(64, p); err != nil {
			return nil, fmt.Errorf("--%s %s: %w", flag, quote(text), errors.Unwrap(err))
		}
		list = append(list, p)
	}
	return list, nil
}

// everyone says why a flag does not take all addresses.
var everyone = map[string]string{
	"proxy-protocol": "any client could claim any address; want those of your proxies",
	"exempt":         "nobody would be limited; want those of your own clients",
}

// parseNumber reads how many there may be, 0 for any number.
func parseNumber(text string) (int, error) {
	if text == "unlimited" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("want a whole number from 1 to %d, or unlimited", math.MaxInt32)
	}
	return int(n), nil
}

// parseMode reads the permissions of a socket.
func parseMode(text string) (fs.FileMode, error) {
	n, err := strconv.ParseUint(text, 8, 32)
	if err != nil || n > 0o777 {
		return 0, errors.New("want permissions in octal, from 0 to 777, such as 0600 or 0660")
	}
	return fs.FileMode(n), nil
}

// with returns an error if the flag is given and the other one is not.
func (o *once) with(other *once, name string) error {
	switch {
	case !o.given:
		return nil
	case o.value == "":
		return errors.New("it is empty: want the path of a file")
	case !other.given:
		return fmt.Errorf("there is no %s: want both or none", name)
	}
	return nil
}

// parseRoutes reads the upstreams.
func parseRoutes(texts []string) ([]proxy.Route, error) {
	var routes []proxy.Route
	for _, text := range texts {
		shown := quote(text)
		if strings.Contains(text, "@") {
			shown = "(not shown)" // it may hold a password
		}
		r, err := proxy.ParseRoute(text)
		if err != nil {
			return nil, fmt.Errorf("--to %s: %w", shown, err)
		}
		for _, before := range routes {
			if strings.TrimSuffix(before.Path, "/") == strings.TrimSuffix(r.Path, "/") {
				return nil, fmt.Errorf("--to %s: %s is the upstream for path %q: want one for each path, such as /api=http://127.0.0.1:3000",
					shown, quote(before.To.Redacted()), r.Path)
			}
		}
		routes = append(routes, r)
	}
	return routes, nil
}

// readForwardAuth reads which proxy asks.
func (f *serveFlags) readForwardAuth(cfg *serve.Config, text string) error {
	if !f.forwardAuth.given {
		return nil
	}
	if err := checkWord(text, string(serve.Nginx), string(serve.Caddy), string(serve.Traefik)); err != nil {
		return err
	}
	if len(f.to) > 0 {
		return errors.New("there is no upstream if a proxy only asks: want it or --to")
	}
	cfg.ForwardAuth = serve.Proxy(text)
	cfg.DenyStatus = cfg.ForwardAuth.DenyStatus()
	return nil
}

// readDenyStatus reads what the proxy that asks is told of a refusal.
func (f *serveFlags) readDenyStatus(cfg *serve.Config, text string) error {
	if !f.denyStatus.given {
		return nil
	}
	if cfg.ForwardAuth == "" {
		return errors.New("it is for --forward-auth, which is not given: want both or none")
	}
	switch text {
	case "403":
		cfg.DenyStatus = http.StatusForbidden
	case "429":
		cfg.DenyStatus = http.StatusTooManyRequests
	default:
		return errors.New("want 403 or 429")
	}
	return nil
}

// fieldSets are the forms of fields as they are called on the command line.
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

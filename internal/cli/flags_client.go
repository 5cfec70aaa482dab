package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/seed-0c889b51/weir/internal/nearest"
	"github.com/seed-0c889b51/weir/internal/policy"
	"github.com/seed-0c889b51/weir/internal/serve"
)

// clientIPs are the words of --client-ip, without what follows a colon.
var clientIPs = []string{"peer", "xff", "forwarded", "header", "hops"}

// maxHops is that of httpmw.NewHopsIP.
const maxHops = 64

// readClientIP reads where the client's address is. Without the flag it is in
// X-Forwarded-For, of which nobody is believed if nobody is trusted.
func (f *serveFlags) readClientIP(cfg serve.Config) (serve.ClientIP, error) {
	if !f.clientIP.given {
		return serve.ClientIP{}, nil
	}
	c, err := parseClientIP(f.clientIP.value)
	if err != nil {
		return serve.ClientIP{}, err
	}
	if c.From != serve.FromPeer && len(cfg.Trust.Networks) == 0 && !cfg.Trust.Unix {
		return serve.ClientIP{}, errors.New("nobody is trusted to say it: want --trust with the addresses of your proxies, or peer")
	}
	if c.Header != "" && c.Header == cfg.UserHeader {
		return serve.ClientIP{}, fmt.Errorf("%s is the --user-header: want a field with the client's address, such as X-Real-IP", c.Header)
	}
	return c, nil
}

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
